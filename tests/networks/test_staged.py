"""Networks of other packages as backbones: rows of modules can be cut, others are refused."""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from evoconv.errors import ConfigError, MissingExtra
from evoconv.networks.backbone import find_backbone
from evoconv.networks.densenet import SqueezeExcitation
from evoconv.networks.foreign import foreign_backbone
from evoconv.networks.staged import StagedBackbone
from evoconv.training.features import named_layers
from evoconv.training.freezing import leading_frozen


class Block(nn.Module):
    """A residual block, whose convolutions are no part of the row but within it."""

    def __init__(self, maps: int, made: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(maps, made, 3, stride, 1, bias=False)
        self.bn = nn.BatchNorm2d(made)
        self.skip = nn.Conv2d(maps, made, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.bn(self.conv(x)) + self.skip(x))


class Row(nn.Module):
    """As many packages build networks: no ``nn.Sequential``, activations in place, a head."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 8, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.act1 = nn.ReLU(inplace=True)
        self.layers = nn.Sequential(Block(8, 8, 1), Block(8, 12, 2))
        self.last = nn.ModuleDict({"only": Block(12, 16, 2)})
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(16, 1000)

    def features(self, x: Tensor) -> Tensor:
        x = self.layers(self.act1(self.bn1(self.conv1(x))))
        made: Tensor = self.last["only"](x)
        return made

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.fc(self.pool(self.features(x)).flatten(1))
        return made


class Branches(nn.Module):
    """Two convolutions side by side: no row."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 8, 3), nn.Conv2d(3, 8, 3)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: Tensor) -> Tensor:
        both = torch.cat([self.left(x), self.right(x)], dim=1)
        made: Tensor = self.fc(both.mean(dim=(2, 3)))
        return made


ROW = StagedBackbone("row", Row)


def whole() -> Row:
    torch.manual_seed(0)
    network = Row()
    with torch.no_grad():
        network(torch.randn(8, 3, 32, 32))  # statistics that are no identity
    return network.eval()


def test_stages_end_before_maps_get_smaller() -> None:
    assert [(one.path, one.maps, one.ends_stage) for one in ROW.row] == [
        ("conv1", 8, False),
        ("bn1", 8, False),
        ("act1", 8, False),
        ("layers.0", 8, True),
        ("layers.1", 12, True),
        ("last.only", 16, True),
    ]
    assert (ROW.num_layers, ROW.most_frozen) == (3, 3)


@pytest.mark.parametrize("included", [1, 2, 3])
def test_a_cut_computes_what_the_whole_network_does(included: int) -> None:
    network = whole()
    tensors = ROW.named(network.state_dict())
    assert not any("fc" in name for name in tensors)
    cut = ROW.build(3, 5, included=included, excited_from=0, dropout=0.1).eval()
    missing = cut.load_state_dict(ROW.shared(tensors, included), strict=False).missing_keys
    assert {name.split(".")[0] for name in missing} <= {"classifier", "features"}
    images = torch.randn(2, 3, 32, 32)
    expected = images
    for path in ["conv1", "bn1", "act1", "layers.0", "layers.1", "last.only"][: 3 + included]:
        expected = network.get_submodule(path)(expected)
    for one in cut.modules():
        if isinstance(one, SqueezeExcitation):
            one.be_identity()
    with torch.no_grad():
        assert torch.allclose(cut.get_submodule("features")(images), expected)
    assert cut(images).shape == (2, 5)


def test_a_prefix_can_be_held_still_and_what_learns_is_excited() -> None:
    cut = ROW.build(1, 5, included=3, excited_from=2, dropout=0.1)
    held = ROW.leading(2)
    assert held[-1] == "features.layers_1"
    assert leading_frozen(cut, held) == len(held) == 5
    assert [name for name, _ in named_layers(cut)][5:7] == [
        "features.last_only",
        "features.excitation3",
    ]
    assert ROW.leading(0) == ()
    assert cut(torch.randn(2, 1, 32, 32)).shape == (2, 5)


@pytest.mark.parametrize("included", [0, 4])
def test_a_cut_beyond_the_stages_is_refused(included: int) -> None:
    with pytest.raises(ConfigError, match=rf"in \[1, 3\] for row, got {included}"):
        ROW.build(3, 5, included=included, excited_from=None, dropout=0.0)


class Last(nn.Module):
    """Maps with their channels last, as some packages' networks have them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.permuted = Permuted()
        self.fc = nn.Linear(8, 5)

    def forward(self, x: Tensor) -> Tensor:
        made: Tensor = self.fc(self.permuted(self.stem(x)).mean(dim=(1, 2)))
        return made


class Permuted(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.permute(0, 2, 3, 1)


class OneSize(Row):
    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2] == 64, "only 64 pixels"
        return super().forward(x)


def test_what_depends_on_the_size_of_images_is_refused() -> None:
    with pytest.raises(ConfigError, match="last is no row of stages"):
        _ = StagedBackbone("last", Last).row
    with pytest.raises(ConfigError, match=r"one can't be cut: it takes no 224×224 images \(only"):
        _ = StagedBackbone("one", OneSize).row


def test_a_first_convolution_of_a_kind_of_its_own_keeps_it() -> None:
    class Own(nn.Conv2d):
        pass

    def make() -> Row:
        row = Row()
        row.conv1 = Own(3, 8, 3, 2, 1, dilation=2, padding_mode="reflect", bias=False)
        return row

    cut = StagedBackbone("own", make).build(1, 5, included=1, excited_from=None, dropout=0.0)
    first = cut.get_submodule("features.conv1")
    assert isinstance(first, Own)
    assert first.dilation == (2, 2)
    assert first.weight.shape == (8, 1, 3, 3)
    assert cut(torch.randn(2, 1, 32, 32)).shape == (2, 5)


def test_a_network_too_large_is_refused_before_it_takes_memory() -> None:
    devices = []

    class Large(Row):
        def __init__(self) -> None:
            super().__init__()
            self.fc = nn.Linear(16, 1 << 25)
            devices.append(self.fc.weight.device.type)

    with pytest.raises(ConfigError, match="large has 570,429,296 weights, more than 268,435,456"):
        StagedBackbone("large", Large).build(3, 5, included=1, excited_from=None, dropout=0.0)
    assert devices == ["meta"]


def test_what_is_no_row_is_refused() -> None:
    with pytest.raises(ConfigError, match="branches is no row of stages: it can't be cut"):
        _ = StagedBackbone("branches", Branches).row


@pytest.fixture
def a_package(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, Any], None]:
    """Return what puts something in the place of an installed package."""

    def put(name: str, **content: Any) -> None:
        module = ModuleType(name)
        for key, one in content.items():
            setattr(module, key, one)
        monkeypatch.setitem(sys.modules, name, module)

    foreign_backbone.cache_clear()
    return put  # type: ignore[return-value]


def test_a_package_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign_backbone.cache_clear()
    monkeypatch.setitem(sys.modules, "timm", None)  # as Python marks what can't be imported
    with pytest.raises(MissingExtra, match=r"timm can't be imported .*'evoconv\[backbones\]'"):
        find_backbone("timm:resnet18")


def test_networks_of_a_package_are_asked_for_by_name(a_package: Any) -> None:
    def create_model(name: str, *, pretrained: bool) -> nn.Module:
        assert not pretrained
        if name != "row":
            raise RuntimeError(f"Unknown model ({name})")
        return Row()

    a_package("timm", create_model=create_model)
    assert find_backbone("timm:row").num_layers == 3
    with pytest.raises(ConfigError, match=r"no backbone is called timm:resnet \(Unknown model"):
        find_backbone("timm:resnet")
    # A name that would make the package look something up elsewhere is no name.
    with pytest.raises(ConfigError, match="no backbone is called timm:hf-hub:someone/net;"):
        find_backbone("timm:hf-hub:someone/net")


def usable(package: str) -> Any:
    """Return the package; skip where it isn't, or was built for another torch."""
    foreign_backbone.cache_clear()
    try:
        return import_module(package)
    except (ImportError, RuntimeError) as error:
        pytest.skip(f"{package} can't be imported: {error}")


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_b0", "convnext_atto", "vgg11_bn"])
def test_networks_of_timm_can_be_cut(name: str) -> None:
    timm = usable("timm")
    backbone = find_backbone(f"timm:{name}")
    network = timm.create_model(name, pretrained=False).eval()
    cut = backbone.build(3, 5, included=backbone.num_layers, excited_from=None, dropout=0.0).eval()
    found = cut.load_state_dict(backbone.named(network.state_dict()), strict=False)
    assert found.unexpected_keys == []
    images = torch.randn(1, 3, 96, 96)
    with torch.no_grad():
        assert torch.equal(cut.get_submodule("features")(images), network.forward_features(images))


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v3_small", "vgg11"])
def test_networks_of_torchvision_can_be_cut(name: str) -> None:
    usable("torchvision.models")
    backbone = find_backbone(f"torchvision:{name}")
    cut = backbone.build(1, 5, included=2, excited_from=None, dropout=0.0)
    assert cut(torch.randn(2, 1, 96, 96)).shape == (2, 5)
