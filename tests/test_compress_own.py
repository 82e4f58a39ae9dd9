"""compress of a torch module of one's own: what it computes stays, and so do its names."""

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import evoconv
from evoconv.cli import main
from evoconv.errors import ConfigError, DataError
from evoconv.networks.weights import read_tensors
from tests.small_studies import draw_stripes, write_stripe_files, write_stripes

SHORT: dict[str, Any] = {
    "evaluations": 4,
    "workers": 2,
    "image_passes": 1_200,
    "batch_size": 16,
    "population": 4,
}
CLASSES = ("checks", "columns", "rows")  # as folders are sorted
MEAN, STD = (0.2,), (0.25,)


class Net(nn.Module):
    """What somebody else's code might make."""

    def __init__(self, num_classes: int = 3) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.deeper = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Linear(8, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        x = torch.relu(self.deeper(x) + x)
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_stripe_files(tmp_path_factory.mktemp("images") / "stripes", 400)


@pytest.fixture(scope="module")
def module() -> Net:
    """A module trained by its owner's own code, on images as shares, standardised."""
    torch.manual_seed(1)
    pixels, labels = draw_stripes(400)
    inputs = (torch.from_numpy(pixels).float()[:, None] / 255 - MEAN[0]) / STD[0]
    order = [CLASSES.index(name) for name in ("rows", "columns", "checks")]
    targets = torch.tensor([order[label] for label in labels])
    network = Net()
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(12):
        for rows in torch.chunk(torch.randperm(300), 15):
            loss = nn.functional.cross_entropy(network(inputs[rows]), targets[rows])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    return network


@pytest.fixture(scope="module")
def compressed(
    module: Net, images: Path, tmp_path_factory: pytest.TempPathFactory
) -> evoconv.Result:
    run = tmp_path_factory.mktemp("runs") / "own"
    return evoconv.compress(
        module, images, mean=MEAN, std=STD, out=run, seed=1, max_accuracy_drop=0.03, **SHORT
    )


def test_it_is_compressed_and_knows_its_classes(
    module: Net, compressed: evoconv.Result, images: Path
) -> None:
    found = compressed.summary
    assert found["base_test_accuracy"] > 0.9
    assert found["test_accuracy"] > 0.85
    assert found["bytes"] == (compressed.run / "model.evo").stat().st_size
    assert found["dense_bytes"] == 4 * sum(one.numel() for one in module.parameters())
    assert module.training  # as it was


def test_the_file_predicts_without_the_modules_code(
    compressed: evoconv.Result, images: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [one, *_] = sorted((images / "rows").glob("*.png"))
    assert main(["predict", str(compressed.run / "model.evo"), str(one)]) == 0
    assert "rows" in capsys.readouterr().out
    assert main(["inspect", str(compressed.run / "model.evo")]) == 0
    assert "deeper.weight" in capsys.readouterr().out


def test_its_tensors_fit_the_module_again(
    compressed: evoconv.Result, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "model.safetensors"
    assert main(["decompress", str(compressed.run / "model.evo"), "-o", str(out)]) == 0
    network = Net()
    missing, surplus = network.load_state_dict(read_tensors(out.read_bytes()), strict=False)
    assert not surplus
    assert all("num_batches_tracked" in name for name in missing)
    noise = torch.randn(5, 1, 10, 10)
    theirs = evoconv.load(compressed.run / "model.evo").model
    with torch.inference_mode():
        assert torch.allclose(network.eval()(noise), theirs(noise), atol=1e-5)


def test_the_search_goes_on_without_the_module(compressed: evoconv.Result) -> None:
    before = len(compressed.trials)
    again = evoconv.resume(compressed.run, evaluations=6)
    assert len(again.trials) >= max(6, before)
    assert again.summary["test_accuracy"] > 0.85


def test_it_is_exported_as_onnx(compressed: evoconv.Result) -> None:
    pytest.importorskip("onnxruntime")
    assert evoconv.export_network(compressed.run).stat().st_size > 0


@pytest.mark.parametrize(
    ("network", "options", "sentence"),
    [
        (Net(4), {}, r"gives \(1, 4\) for one image, not logits of 3 classes"),
        (Net(), {"mean": (0.1, 0.2)}, "mean has 2 values for 1 channels"),
        (Net(), {"std": 0}, r"std must be above 0, got \(0.0,\)"),
        (Net(), {"mean": (float("nan"),)}, "mean must be finite"),
        (Net(), {"base_weights": "x"}, "--base-weights has no use beside a network"),
        (nn.Sequential(nn.GRU(10, 3)), {}, "0 is a GRU, which can't be stored"),
        (nn.Sequential(nn.Conv2d(1, 3, 30)), {}, "doesn't fit together"),
    ],
)
def test_what_doesnt_fit_is_said_before_anything_is_written(
    network: nn.Module, options: dict[str, Any], sentence: str, images: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=sentence):
        evoconv.compress(network, images, out=tmp_path / "run", **(SHORT | options))
    assert not list(tmp_path.glob("run/*"))


def test_colours_are_refused_for_a_grey_network(tmp_path: Path) -> None:
    images = write_stripes(tmp_path / "stripes.npz")
    with pytest.raises((ConfigError, DataError)):
        evoconv.compress(nn.Sequential(nn.Conv2d(3, 3, 10)), images, out=tmp_path / "run", **SHORT)


class Mixed(Net):
    """Layers that share no weights: one that is folded, and two that aren't."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.between = nn.PReLU(), nn.PReLU()
        self.last = nn.LayerNorm(3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.between(self.deeper(self.first(self.body(x))))
        logits: Tensor = self.last(self.head(x.mean((2, 3))))
        return logits


def test_layers_that_share_no_weights_are_named_and_what_it_learned_from_is_unknown(
    images: Path, tmp_path: Path
) -> None:
    few = SHORT | {"recipe": "untrained", "evaluations": 1, "max_accuracy_drop": 1.0}
    found = evoconv.compress(Mixed(), images, out=tmp_path / "run", fold=True, **few).summary
    notes = found["data"]["notes"]
    sentence = "not shared, but stored one by one: 2 PReLU (first, between); 1 LayerNorm (last)"
    assert [one.endswith(sentence) for one in notes].count(True) == 1
    assert any("test images may be among them" in one for one in notes)


def test_mean_and_std_are_for_modules(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="mean and std are for a module of your own"):
        evoconv.compress(tmp_path, tmp_path, mean=(0.5,))
