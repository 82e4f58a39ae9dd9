"""Weight files from elsewhere: what fits is taken, what doesn't is refused, nothing is run."""

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from evoconv.errors import DataError
from evoconv.networks.backbone import DenseNet
from evoconv.networks.densenet import DenseNetLayout, build_densenet
from evoconv.networks.pretrained import fitting, read_weight_file, with_channels

TINY = DenseNetLayout(blocks=(2, 1), growth=4, stem=8, is_small=True)


def tensors(channels: int = 3, classes: int = 7) -> dict[str, Tensor]:
    torch.manual_seed(3)
    return {
        name: one.detach().clone()
        for name, one in build_densenet(TINY, channels, classes).state_dict().items()
    }


def write_safetensors(path: Path, content: dict[str, Tensor]) -> Path:
    save_file(content, path)
    return path


def write_pickle(path: Path, content: Any) -> Path:
    torch.save(content, path)
    return path


@pytest.mark.parametrize(
    "write",
    [
        lambda folder, content: write_safetensors(folder / "w.safetensors", content),
        lambda folder, content: write_pickle(folder / "w.pth", content),
        lambda folder, content: write_pickle(folder / "w.pt", {"epoch": 3, "state_dict": content}),
        lambda folder, content: write_pickle(
            folder / "w.pth", {f"module.{name}": one for name, one in content.items()}
        ),
    ],
)
def test_weights_are_read_from_every_kind_of_file(
    tmp_path: Path, write: Callable[[Path, dict[str, Tensor]], Path]
) -> None:
    given = tensors(classes=1000)
    found = fitting(read_weight_file(write(tmp_path, given)), tensors(), "w")
    assert set(found) == {
        name
        for name in given
        if not name.startswith("classifier") and "num_batches_tracked" not in name
    }
    assert all(torch.equal(one, given[name]) for name, one in found.items())


def test_the_old_spelling_of_torchvision_is_understood() -> None:
    given = tensors()
    old = {name: one for name, one in given.items() if "num_batches" not in name}
    for layer in ("norm", "conv"):
        for number in "12":
            old = {
                name.replace(f".{layer}{number}.", f".{layer}.{number}."): one
                for name, one in old.items()
            }
    assert "features.denseblock1.denselayer1.norm.1.weight" in old
    found = fitting(DenseNet(TINY).named(old), given, "w")
    assert torch.equal(
        found["features.denseblock2.denselayer1.conv2.weight"],
        given["features.denseblock2.denselayer1.conv2.weight"],
    )


class Malice:
    """Makes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self._file}",)


def test_code_in_a_pickle_is_never_run(tmp_path: Path) -> None:
    proof = tmp_path / "was-run"
    for name, content in (
        ("zipped.pth", {"features.conv0.weight": Malice(proof)}),
        ("plain.pth", None),
    ):
        path = tmp_path / name
        if content is None:
            path.write_bytes(pickle.dumps(Malice(proof)))
        else:
            torch.save(content, path)
        with pytest.raises(DataError, match="holds more than tensors, and evoconv runs no code"):
            read_weight_file(path)
    assert not proof.exists()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("w.safetensors", b"", "no sound safetensors"),
        ("w.safetensors", b"\xff" * 64, "no sound safetensors"),
        ("w.safetensors", (2**62).to_bytes(8, "little") + b"{}", "no sound safetensors"),
        ("w.pth", b"", "can't be read as weights"),
        ("w.pth", b"PK\x03\x04 cut off", "can't be read as weights"),
        ("w.onnx", b"x", "weights are .safetensors, .pth or .pt files"),
    ],
)
def test_damaged_and_foreign_files_are_refused(
    tmp_path: Path, name: str, content: bytes, complaint: str
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(DataError, match=complaint) as caught:
        read_weight_file(path)
    assert "\n" not in str(caught.value)


def test_a_missing_file_and_one_without_names_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no weight file"):
        read_weight_file(tmp_path / "none.pth")
    for content in ([torch.ones(2)], {}, {"a": 3}, {1: torch.ones(2)}):
        with pytest.raises(DataError, match="no tensors by name"):
            read_weight_file(write_pickle(tmp_path / "w.pth", content))


@pytest.mark.parametrize(
    "one",
    [
        torch.empty(2, device="meta"),
        torch.ones(2, 2).to_sparse(),
        torch.ones(2, dtype=torch.complex64),
    ],
    ids=["meta", "sparse", "complex"],
)
def test_tensors_that_are_no_plain_numbers_are_refused(tmp_path: Path, one: Tensor) -> None:
    with pytest.raises(DataError, match=r"features\.x is no plain tensor of numbers"):
        read_weight_file(write_pickle(tmp_path / "w.pth", {"features.x": one}))


def test_number_formats_that_torch_does_not_know_are_refused(tmp_path: Path) -> None:
    header = b'{"x":{"dtype":"F4","shape":[2],"data_offsets":[0,1]}}'
    path = tmp_path / "w.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0")
    with pytest.raises(DataError, match="no sound safetensors"):
        read_weight_file(path)


def test_weights_of_another_network_are_refused_by_name() -> None:
    given = tensors()
    lacking = {name: one for name, one in given.items() if "transition1" not in name}
    with pytest.raises(DataError, match=r"lacks features.transition1.conv.weight, .* and 2 more"):
        fitting(lacking, given, "w.pth")
    surplus = given | {"features.denseblock1.denselayer3.norm1.weight": torch.ones(1)}
    with pytest.raises(DataError, match=r"unknown features.denseblock1.denselayer3.norm1.weight"):
        fitting(surplus, given, "w.pth")
    other = given | {"features.norm0.weight": torch.ones(9)}
    with pytest.raises(DataError, match=r"features.norm0.weight is 9 not 8"):
        fitting(other, given, "w.pth")
    for kernels in (torch.ones(8, 0, 3, 3), torch.ones(8, 2, 3, 3), torch.ones(8, 3)):
        with pytest.raises(DataError, match=r"features.conv0.weight is"):
            fitting(given | {"features.conv0.weight": kernels}, given, "w.pth")
    with pytest.raises(DataError, match=r"features.norm0.running_var holds variances below 0"):
        fitting(given | {"features.norm0.running_var": -torch.ones(8)}, given, "w.pth")
    broken = given | {"features.norm0.weight": torch.full((8,), torch.nan)}
    with pytest.raises(DataError, match=r"features.norm0.weight holds numbers that are not finite"):
        fitting(broken, given, "w.pth")


@pytest.mark.parametrize(("before", "after"), [(3, 1), (1, 3), (3, 4), (3, 2)])
def test_a_first_convolution_answers_grey_images_as_before(before: int, after: int) -> None:
    kernels = torch.randn(5, before, 3, 3)
    grey = torch.randn(2, 1, 8, 8)
    adapted = with_channels(kernels, after)
    assert adapted.shape == (5, after, 3, 3)
    was = torch.nn.functional.conv2d(grey.repeat(1, before, 1, 1), kernels)
    now = torch.nn.functional.conv2d(grey.repeat(1, after, 1, 1), adapted)
    assert torch.allclose(was, now, atol=1e-5)


def test_weights_for_colour_fit_a_network_for_grey_images() -> None:
    found = fitting(tensors(channels=3), tensors(channels=1), "w")
    assert found["features.conv0.weight"].shape == (8, 1, 3, 3)
