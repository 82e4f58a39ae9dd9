"""DenseNet: counts and names as published and as torchvision's, cuts, excitations, frozen parts."""

import copy

import pytest
import torch
from torch import Tensor, nn

from evoconv.errors import ConfigError
from evoconv.networks.densenet import (
    LAYOUTS,
    DenseNetLayout,
    SqueezeExcitation,
    build_densenet,
    initialise_densenet,
    leading_names,
)
from evoconv.training.features import named_layers
from evoconv.training.freezing import Frozen, leading_frozen

TINY = DenseNetLayout(blocks=(2, 3), growth=4, stem=8, is_small=True)


def layer_names(layout: DenseNetLayout) -> list[str]:
    return [one for one in leading_names(layout, layout.num_layers) if "denselayer" in one]


def ready(seed: int = 1, **changes: int | None) -> nn.Sequential:
    network = build_densenet(TINY, 3, 5, **changes)  # type: ignore[arg-type]
    initialise_densenet(network, "he-normal", torch.Generator().manual_seed(seed))
    # Statistics that are no identity, as after a training.
    network.train()
    with torch.no_grad():
        for _ in range(3):
            network(images(16))
    return network.eval()


def images(count: int = 4, side: int = 12) -> Tensor:
    return torch.randn((count, 3, side, side), generator=torch.Generator().manual_seed(count))


# As torchvision 0.20 documents them, for 1000 classes.
@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("densenet121", 7_978_856),
        ("densenet161", 28_681_000),
        ("densenet169", 14_149_480),
        ("densenet201", 20_013_928),
    ],
)
def test_published_networks_have_their_parameters(name: str, parameters: int) -> None:
    with torch.device("meta"):
        network = build_densenet(LAYOUTS[name], 3, 1000)
    assert sum(one.numel() for one in network.parameters()) == parameters


# Summed by hand for 6 classes, over m maps before each part: 64·3·49 + 2·64 of the stem; of a dense
# layer 2·m + 128·m + 2·128 + 32·128·9, after which m grows by 32; of a transition 2·m + m²/2, after
# which m is halved; at the end 2·m, and 6·m + 6 of the classifier. No transition ends a cut.
@pytest.mark.parametrize(
    ("included", "parameters"),
    [
        (1, 55_750),
        (6, 346_630),
        (7, 432_902),
        (18, 1_301_638),
        (19, 1_502_342),
        (42, 4_275_590),
        (43, 4_901_766),
        (57, 6_793_670),
        (58, 6_960_006),
    ],
)
def test_cuts_of_densenet_121_have_their_parameters(included: int, parameters: int) -> None:
    with torch.device("meta"):
        network = build_densenet(LAYOUTS["densenet121"], 3, 6, included=included)
    assert sum(one.numel() for one in network.parameters()) == parameters


def test_dense_layers_of_densenet_121_are_the_58_of_the_report() -> None:
    assert LAYOUTS["densenet121"].num_layers == 58
    assert len(layer_names(LAYOUTS["densenet121"])) == 58


def test_names_are_torchvisions() -> None:
    with torch.device("meta"):
        names = set(build_densenet(LAYOUTS["densenet121"], 3, 1000).state_dict())
    assert len(names) == 727
    assert {
        "features.conv0.weight",
        "features.norm0.running_mean",
        "features.denseblock1.denselayer1.norm1.weight",
        "features.denseblock4.denselayer16.conv2.weight",
        "features.transition3.conv.weight",
        "features.norm5.bias",
        "classifier.weight",
    } <= names


def test_large_networks_halve_the_sides_five_times_small_ones_three_times() -> None:
    with torch.device("meta"):
        large = build_densenet(LAYOUTS["densenet121"], 3, 10)
        assert large[0](torch.empty(1, 3, 224, 224)).shape == (1, 1024, 7, 7)
        small = build_densenet(LAYOUTS["densenet-small"], 3, 10)
        assert small[0](torch.empty(1, 3, 32, 32)).shape[2:] == (4, 4)


@pytest.mark.parametrize("included", range(1, TINY.num_layers + 1))
def test_a_cut_network_gives_what_the_full_one_gives_at_that_point(included: int) -> None:
    full, cut = ready(), build_densenet(TINY, 3, 5, included=included).eval()
    names = set(cut.state_dict())
    shared = {
        name: one
        for name, one in full.state_dict().items()
        if name in names and not name.startswith(("features.norm5", "classifier"))
    }
    cut.load_state_dict(shared, strict=False)
    last = layer_names(TINY)[included - 1]
    seen: list[Tensor] = []
    for network in (full, cut):
        network.get_submodule(last).register_forward_hook(lambda *parts: seen.append(parts[2]))
        network(images())
    assert torch.equal(seen[0], seen[1])
    layers = [name for name, _ in named_layers(cut) if "denselayer" in name]
    assert layers == layer_names(TINY)[:included]
    assert cut(images()).shape == (4, 5)


def test_nothing_but_a_head_follows_a_cut_at_the_end_of_a_block() -> None:
    names = [name for name, _ in named_layers(build_densenet(TINY, 3, 5, included=2))]
    assert names[-5:] == ["features.norm5", "features.relu5", "reduction", "dropout", "classifier"]
    assert "features.transition1" not in names


@pytest.mark.parametrize("included", [0, -1, TINY.num_layers + 1])
def test_a_cut_beyond_the_network_is_refused(included: int) -> None:
    with pytest.raises(ConfigError, match=rf"\[1, 5\] for this network, got {included}"):
        build_densenet(TINY, 3, 5, included=included)


def test_excitations_begin_as_the_identity() -> None:
    plain, excited = ready(), build_densenet(TINY, 3, 5, excited_from=0).eval()
    initialise_densenet(excited, "he-normal", torch.Generator().manual_seed(9))
    excited.load_state_dict(plain.state_dict(), strict=False)
    assert torch.equal(plain(images()), excited(images()))
    with torch.no_grad():
        for one in excited.modules():
            if isinstance(one, SqueezeExcitation):
                one.excite.bias.fill_(1.0)
    assert not torch.allclose(plain(images()), excited(images()))


def test_excitations_are_only_in_layers_from_there_on() -> None:
    network = build_densenet(TINY, 3, 5, excited_from=3)
    excited = [
        name
        for name in layer_names(TINY)
        if isinstance(network.get_submodule(f"{name}.excitation"), SqueezeExcitation)
    ]
    assert excited == layer_names(TINY)[3:]


def test_a_frozen_prefix_stays_bit_identical_statistics_included() -> None:
    network = ready()
    prefix = [name for name, _ in named_layers(network)]
    prefix = prefix[: prefix.index(layer_names(TINY)[2]) + 1]
    before = copy.deepcopy(network.state_dict())
    with Frozen(network, prefix):
        assert leading_frozen(network, prefix) == len(prefix)
        optimizer = torch.optim.SGD([p for p in network.parameters() if p.requires_grad], lr=0.1)
        network.train()
        for _ in range(2):
            optimizer.zero_grad()
            network(images(8)).square().mean().backward()
            optimizer.step()
    for name, one in network.state_dict().items():
        is_frozen = name.startswith(tuple(f"{one}." for one in prefix))
        assert torch.equal(one, before[name]) == is_frozen, name
