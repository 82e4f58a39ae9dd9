"""Built-in backbones that are rows of modules: cuts are the whole network's, and learn."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from evoconv.networks.backbone import BACKBONES
from evoconv.networks.densenet import SqueezeExcitation, initialise_densenet
from evoconv.networks.mobilenet import build_mobilenetv2
from evoconv.networks.pretrained import fitting
from evoconv.networks.resnet import build_resnet20
from evoconv.networks.staged import StagedBackbone
from evoconv.training.features import named_layers
from evoconv.training.freezing import leading_frozen

WHOLE: dict[str, Callable[[int], nn.Sequential]] = {
    "mobilenetv2": build_mobilenetv2,
    "resnet20": build_resnet20,
}
# Per stage the last module's path in the whole network, and its maps.
STAGES = {
    "mobilenetv2": [
        ("features.1", 16),
        ("features.3", 24),
        ("features.6", 32),
        ("features.13", 96),
        ("features.18.2", 1280),
    ],
    "resnet20": [("layer1.2", 16), ("layer2.2", 32), ("layer3.2", 64)],
}
HEADS = {"mobilenetv2": "classifier.1", "resnet20": "linear"}
CUTS = [(name, 1 + stage) for name, stages in STAGES.items() for stage in range(len(stages))]

both = pytest.mark.parametrize("name", WHOLE)


def images(channels: int, side: int, count: int = 4) -> Tensor:
    return torch.randn((count, channels, side, side), generator=torch.Generator().manual_seed(side))


def whole(name: str, num_classes: int = 5) -> nn.Sequential:
    """Return a network whose statistics are those of some images: its maps don't fade away."""
    network = WHOLE[name](num_classes)
    initialise_densenet(network, "he-normal", torch.Generator().manual_seed(1))
    for one in network.modules():
        if isinstance(one, nn.BatchNorm2d):
            one.momentum = 1.0
    with torch.no_grad():
        network.train()(images(3, 48, 8))
    return network.eval()


def cut(name: str, included: int, channels: int = 3, num_classes: int = 5) -> nn.Module:
    return (
        BACKBONES[name]
        .build(channels, num_classes, included=included, excited_from=None, dropout=0.2)
        .eval()
    )


def with_weights(network: nn.Module, name: str, included: int, given: dict[str, Tensor]) -> None:
    """Give a cut what it shares with the whole network; its classifier stays."""
    shared = BACKBONES[name].shared(BACKBONES[name].named(given), included)
    found = network.load_state_dict(shared, strict=False)
    assert found.unexpected_keys == []
    assert found.missing_keys == ["classifier.weight", "classifier.bias"]


def num_parameters(network: nn.Module) -> int:
    return sum(one.numel() for one in network.parameters())


def test_nothing_is_built_before_it_is_asked_for() -> None:
    made: list[nn.Module] = []

    def make() -> nn.Module:
        made.append(build_resnet20())
        return made[-1]

    backbone = StagedBackbone("counted", make)
    assert not made
    assert backbone.num_layers == 3
    assert made


@both
def test_stages_end_before_maps_get_smaller(name: str) -> None:
    backbone = BACKBONES[name]
    assert isinstance(backbone, StagedBackbone)
    assert [(one.path, one.maps) for one in backbone.row if one.ends_stage] == STAGES[name]
    assert backbone.num_layers == len(STAGES[name])


@pytest.mark.parametrize(
    ("name", "classes", "count"), [("mobilenetv2", 1000, 3_504_872), ("resnet20", 10, 269_722)]
)
def test_a_full_cut_has_all_parameters(name: str, classes: int, count: int) -> None:
    with torch.device("meta"):
        full = cut(name, len(STAGES[name]), num_classes=classes)
        assert num_parameters(full) == num_parameters(WHOLE[name](classes)) == count


@pytest.mark.parametrize("side", [32, 96])
@both
def test_a_full_cut_gives_what_the_whole_network_gives(name: str, side: int) -> None:
    network, full = whole(name), cut(name, len(STAGES[name]))
    with_weights(full, name, len(STAGES[name]), network.state_dict())
    head = network.get_submodule(HEADS[name]).state_dict()
    full.get_submodule("classifier").load_state_dict(head)
    with torch.no_grad():
        expected = network(images(3, side))
        assert expected.std(dim=0).min() > 0.01, "logits that tell images apart"
        assert torch.equal(full(images(3, side)), expected)


@pytest.mark.parametrize("side", [32, 96])
@pytest.mark.parametrize(("name", "included"), CUTS)
def test_a_cut_gives_what_the_whole_network_gives_at_that_point(
    name: str, included: int, side: int
) -> None:
    network, part = whole(name), cut(name, included)
    with_weights(part, name, included, network.state_dict())
    seen: list[Tensor] = []
    path, maps = STAGES[name][included - 1]
    network.get_submodule(path).register_forward_hook(lambda *parts: seen.append(parts[2]))
    with torch.no_grad():
        network(images(3, side))
        found = part.get_submodule("features")(images(3, side))
        assert torch.equal(found, seen[0])
        assert found.shape[1] == maps
        assert part(images(3, side)).shape == (4, 5)


@both
def test_a_files_weights_fit_grey_images_and_a_cuts_own_names_stay(name: str) -> None:
    network, full = whole(name), cut(name, len(STAGES[name]), channels=1)
    backbone = BACKBONES[name]
    given = fitting(backbone.named(network.state_dict()), full.state_dict(), "w.pth")
    assert fitting(backbone.named(given), full.state_dict(), "w.pth").keys() == given.keys()
    assert not full.load_state_dict(given, strict=False).unexpected_keys
    full.get_submodule("classifier").load_state_dict(
        network.get_submodule(HEADS[name]).state_dict()
    )
    grey = images(1, 32)
    with torch.no_grad():
        expected = network(grey.expand(-1, 3, -1, -1))
        assert torch.allclose(full(grey), expected, atol=1e-3)


@both
def test_the_classifiers_dropout_is_the_cuts_own(name: str) -> None:
    full = BACKBONES[name].build(3, 5, included=2, excited_from=None, dropout=0.35)
    assert [one.p for one in full.modules() if isinstance(one, nn.Dropout)] == [0.35]


@pytest.mark.parametrize(("channels", "classes", "side"), [(1, 2, 32), (4, 100, 32), (3, 7, 96)])
@both
def test_one_step_has_finite_gradients_and_changes_what_learns(
    name: str, channels: int, classes: int, side: int
) -> None:
    backbone = BACKBONES[name]
    network = backbone.build(
        channels, classes, included=backbone.num_layers, excited_from=1, dropout=0.2
    )
    initialise_densenet(network, "he-normal", torch.Generator().manual_seed(2))
    num_excited = sum(isinstance(one, SqueezeExcitation) for one in network.modules())
    assert num_excited == backbone.num_layers - 1
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    before = [one.detach().clone() for one in network.parameters()]
    logits = network.train()(images(channels, side))
    assert logits.shape == (4, classes)
    loss = functional.cross_entropy(logits, torch.arange(4) % classes)
    loss.backward()  # type: ignore[no-untyped-call]
    gradients = [one.grad for one in network.parameters()]
    assert all(one is not None and bool(one.isfinite().all()) for one in gradients)
    optimizer.step()
    first, last = next(iter(network.parameters())), network.get_parameter("classifier.weight")
    assert not torch.equal(first, before[0])
    assert not torch.equal(last, before[-2])


@both
def test_leading_stages_can_be_held_still(name: str) -> None:
    network = cut(name, len(STAGES[name]))
    for count, (path, _) in enumerate(STAGES[name], start=1):
        held = BACKBONES[name].leading(count)
        assert held[-1] == f"features.{path.replace('.', '_')}"
        assert [one for one, _ in named_layers(network)][: len(held)] == list(held)
        assert leading_frozen(network, held) >= len(held)
