"""Pretrained weights from folders and files: what fits is taken, anything else is refused."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from evoconv.data.batches import Standardisation
from evoconv.data.image_set import Preprocessing
from evoconv.errors import ConfigError, UserError
from evoconv.export.backbone_file import read_pretrained
from evoconv.export.model_file import ModelDescription, save_model
from evoconv.genomes.architecture import Architecture
from evoconv.genomes.backbone_cut import BackboneCut
from evoconv.genomes.layers import Convolution
from evoconv.genomes.topology import Topology
from evoconv.networks.backbone import BACKBONES
from evoconv.networks.build import build_network
from evoconv.networks.mobilenet import build_mobilenetv2
from evoconv.networks.pretrained import with_channels
from evoconv.networks.resnet import build_resnet20
from evoconv.networks.weights import read_tensors, tensors_to_bytes, weights_to_bytes

SHAPE = (3, 24, 16)
WHOLE = BackboneCut(backbone="densenet-small", included=18)


def saved(folder: Path, architecture: Architecture = WHOLE, bit_depth: int = 8) -> nn.Module:
    torch.manual_seed(0)
    network = build_network(architecture, SHAPE, 4)
    description = ModelDescription(
        architecture=architecture,
        classes=("a", "b", "c", "d"),
        preprocessing=Preprocessing(height=24, width=16, channels=3, bit_depth=bit_depth),
        standardisation=Standardisation(mean=(51.0, 102.0, 153.0), std=(25.5, 51.0, 25.5)),
    )
    save_model(folder, description, weights_to_bytes(network))
    return network


@pytest.mark.parametrize("where", ["", "best"])
def test_a_folder_brings_its_backbone_size_and_standardisation(tmp_path: Path, where: str) -> None:
    network = saved(tmp_path / where)
    found = read_pretrained(str(tmp_path), None)
    assert (found.backbone, found.images.size) == ("densenet-small", (24, 16))
    own = found.standardisation_of(3, 255)
    assert own.mean == pytest.approx((51.0, 102.0, 153.0))
    tensors, state = read_tensors(found.fitted(3)), network.state_dict()
    assert all(torch.equal(one, state[name]) for name, one in tensors.items())
    assert set(state) - set(tensors) == {
        name for name in state if "classifier" in name or "num_batches" in name
    }


def test_grey_and_deep_images_are_standardised_by_the_mean_of_the_channels(tmp_path: Path) -> None:
    saved(tmp_path)
    grey = read_pretrained(str(tmp_path), None).standardisation_of(1, 65535)
    assert grey.mean == pytest.approx((0.4 * 65535,))
    assert grey.std == pytest.approx((0.4 / 3 * 65535,))


def test_a_first_convolution_answers_to_grey_as_it_did_to_the_same_in_all_channels(
    tmp_path: Path,
) -> None:
    network = saved(tmp_path)
    fitted = read_tensors(read_pretrained(str(tmp_path), None).fitted(1))
    # They are kept as they were learned, for a later plan for images in colours.
    assert fitted["features.conv0.weight"].shape == (24, 3, 3, 3)
    kernels = with_channels(fitted["features.conv0.weight"], 1)
    grey = torch.randn(2, 1, 24, 16)
    first = network.get_submodule("features.conv0")
    expected = first(grey.repeat(1, 3, 1, 1))
    assert torch.allclose(
        nn.functional.conv2d(grey, kernels, stride=2, padding=1), expected, atol=1e-5
    )


def test_a_file_without_description_is_known_by_its_tensors(tmp_path: Path) -> None:
    network = build_network(BackboneCut(backbone="densenet121", included=58), SHAPE, 10)
    file = tmp_path / "densenet121.pth"
    torch.save(network.state_dict(), file)
    found = read_pretrained(str(file), None)
    assert (found.backbone, found.images.size) == ("densenet121", (224, 224))
    assert found.standardisation_of(3, 255).mean == pytest.approx((123.675, 116.28, 103.53))
    assert read_tensors(found.fitted(3))


@pytest.mark.parametrize(
    ("name", "build", "size"),
    [("mobilenetv2", build_mobilenetv2, (224, 224)), ("resnet20", build_resnet20, (32, 32))],
)
def test_a_file_of_a_whole_network_is_known_by_the_names_it_was_published_with(
    name: str, build: Callable[[], nn.Module], size: tuple[int, int], tmp_path: Path
) -> None:
    network = build()
    torch.save({"state_dict": network.state_dict()}, tmp_path / "w.pth")
    found = read_pretrained(str(tmp_path / "w.pth"), None)
    assert (found.backbone, found.images.size) == (name, size)
    kernels = next(iter(read_tensors(found.fitted(3)).values()))
    assert any(torch.equal(kernels, one) for one in network.state_dict().values())


def test_a_file_that_its_description_lies_beside_has_that(tmp_path: Path) -> None:
    saved(tmp_path)
    found = read_pretrained(str(tmp_path / "model.safetensors"), None)
    assert (found.backbone, found.images.size) == ("densenet-small", (24, 16))
    assert found.images.resize == "fit"


def test_a_file_moved_away_from_its_description_still_says_what_images_it_is_for(
    tmp_path: Path,
) -> None:
    saved(tmp_path, bit_depth=16)
    with_it = read_pretrained(str(tmp_path), None)
    alone = tmp_path / "alone.safetensors"
    alone.write_bytes((tmp_path / "model.safetensors").read_bytes())
    found = read_pretrained(str(alone), None)
    assert found.images == with_it.images
    assert found.standardisation_of(3, 65535).mean == pytest.approx((51.0, 102.0, 153.0))
    assert found.notes == ()


def test_what_is_assumed_of_images_is_said_where_a_file_does_not_tell(tmp_path: Path) -> None:
    network = saved(tmp_path / "saved")
    file = tmp_path / "bare.safetensors"
    file.write_bytes(weights_to_bytes(network))
    found = read_pretrained(str(file), None)
    assert found.images.size == (32, 32)
    [note] = found.notes
    assert note.startswith("bare.safetensors doesn't say how its images were standardised: ")
    assert note.endswith("images of 32×32")


@pytest.mark.parametrize(
    "told",
    [
        "{",
        "[]",
        '{"size": [0, 32], "mean": [0.5], "std": [1], "resize": null}',
        '{"size": [32, 32], "mean": [0.5], "std": [0], "resize": null}',
        '{"size": [32, 32], "mean": [NaN], "std": [1], "resize": null}',
        '{"size": [32, 32], "mean": [0.5, 0.5], "std": [1, 1], "resize": null}',
        '{"size": [32, 32], "mean": [0.5], "std": [1, 1, 1], "resize": null}',
        '{"size": [32, 32], "mean": [0.5], "std": [1], "resize": "twist"}',
        '{"size": 32, "mean": [0.5], "std": [1], "resize": null}',
    ],
)
def test_nonsense_about_its_images_is_no_sound_weight_file(told: str, tmp_path: Path) -> None:
    network = saved(tmp_path / "saved")
    file = tmp_path / "bare.safetensors"
    file.write_bytes(tensors_to_bytes(network.state_dict(), {"evoconv": told}))
    with pytest.raises(UserError, match=r"bare\.safetensors is damaged: what it says of its imag"):
        read_pretrained(str(file), None)


def test_a_damaged_pretraining_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    file = tmp_path / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match="damaged: its checksum is not the one stored"):
        read_pretrained(str(tmp_path), None)


def test_what_fits_no_backbone_is_refused(tmp_path: Path) -> None:
    saved(tmp_path)
    file = tmp_path / "other.safetensors"
    file.write_bytes(tensors_to_bytes({"encoder.kernels": torch.zeros(3)}))
    with pytest.raises(UserError, match=r"no network that is known here, .*--backbone"):
        read_pretrained(str(file), None)
    with pytest.raises(UserError, match=r"fit the network: it lacks features\..* and \d+ more"):
        read_pretrained(str(file), "densenet121").fitted(3)
    with pytest.raises(UserError, match="there is no weight file"):
        read_pretrained(str(tmp_path / "nothing.pth"), None)
    with pytest.raises(ConfigError, match=r"--backbone densenet121: .* is a densenet-small"):
        read_pretrained(str(tmp_path), "densenet121")
    with pytest.raises(ConfigError, match="no backbone is called resnet"):
        read_pretrained(str(file), "resnet").fitted(3)


@pytest.mark.parametrize("name", ["densenet-small", "densenet161", "resnet20"])
def test_the_first_keys_that_do_not_fit_are_named_without_being_told_the_network(
    name: str, tmp_path: Path
) -> None:
    file = tmp_path / "w.pth"
    whole = BackboneCut(backbone=name, included=BACKBONES[name].num_layers)
    state = build_resnet20() if name == "resnet20" else build_network(whole, SHAPE, 4)
    tensors = dict(state.state_dict())
    first = next(iter(tensors))
    torch.save({**tensors, "fc2.weight": torch.zeros(3)}, file)
    sentence = rf"w\.pth doesn't fit the network: it has unknown fc2\.weight; .* most like {name} "
    with pytest.raises(UserError, match=sentence):
        read_pretrained(str(file), None)
    removed = tensors.pop(first)
    torch.save(tensors, file)
    with pytest.raises(UserError, match=rf"it lacks features\.\w+\.weight; .* most like {name} "):
        read_pretrained(str(file), None)
    torch.save({first: removed[:, :, :2], **tensors}, file)
    with pytest.raises(UserError, match=rf"conv\w*\.weight is \d+×3×2×\d not .* like {name} "):
        read_pretrained(str(file), None)


@pytest.mark.parametrize(
    ("architecture", "sentence"),
    [
        (Topology(features=(Convolution(filters=3, kernel=(3, 3)),)), "a network that was evolved"),
        (BackboneCut(backbone="densenet-small", included=4), "holds a part of densenet-small"),
        (
            BackboneCut(backbone="densenet-small", included=18, excited_from=3),
            "holds a part of densenet-small",
        ),
    ],
)
def test_networks_that_are_no_whole_backbone_are_refused(
    architecture: Architecture, sentence: str, tmp_path: Path
) -> None:
    saved(tmp_path, architecture)
    with pytest.raises(UserError, match=sentence):
        read_pretrained(str(tmp_path), None)


def test_a_damaged_description_is_said_to_be(tmp_path: Path) -> None:
    saved(tmp_path)
    (tmp_path / "model.json").write_text("{")
    with pytest.raises(UserError, match=r"model\.json is damaged"):
        read_pretrained(str(tmp_path), None)
