import math

import pytest
import torch
from torch import nn

from evoconv.errors import ConfigError
from evoconv.genomes.layers import Convolution, Dense, Residual
from evoconv.genomes.topology import Topology
from evoconv.networks.cnn import build
from evoconv.networks.initialise import SCHEMES, initialise

SHAPE = (3, 16, 16)
TOPOLOGY = Topology(
    features=(
        Convolution(filters=40, kernel=(5, 3), normalisation="batch"),
        Residual(filters=40, kernel=(3, 3)),
    ),
    classifier=(Dense(units=200),),
    reduction="global-average",
)

# Standard deviation of a weight, from its fan-in and fan-out.
SPREADS = {
    "glorot-uniform": lambda fan_in, fan_out: math.sqrt(2 / (fan_in + fan_out)),
    "he-normal": lambda fan_in, fan_out: math.sqrt(2 / fan_in),
    "torch": lambda fan_in, fan_out: math.sqrt(1 / (3 * fan_in)),
}


def initialised(scheme: str, seed: int = 1) -> nn.Sequential:
    network = build(TOPOLOGY, SHAPE, 10)
    for parameter in network.parameters():
        nn.init.ones_(parameter)
    initialise(network, scheme, torch.Generator().manual_seed(seed))
    return network


def test_every_scheme_has_a_definition_here() -> None:
    assert set(SPREADS) == set(SCHEMES)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_weights_have_the_spread_of_their_scheme(scheme: str) -> None:
    for module in initialised(scheme).modules():
        if not isinstance(module, nn.Conv2d | nn.Linear) or module.weight.numel() < 1_000:
            continue
        weight = module.weight.detach()
        window = weight[0, 0].numel()
        fan_in, fan_out = weight.shape[1] * window, weight.shape[0] * window
        expected = SPREADS[scheme](fan_in, fan_out)
        # The error of a standard deviation of n normal values is sigma / sqrt(2 n).
        tolerance = 4 * expected / math.sqrt(2 * weight.numel())
        assert float(weight.std()) == pytest.approx(expected, abs=tolerance)
        if "uniform" in scheme or scheme == "torch":
            assert float(weight.abs().max()) <= expected * math.sqrt(3) + 1e-6


@pytest.mark.parametrize("scheme", SCHEMES)
def test_biases_are_zero_except_in_torchs_own_scheme(scheme: str) -> None:
    network = initialised(scheme)
    biases = [
        module.bias
        for module in network.modules()
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None
    ]
    assert len(biases) == 5
    assert all(bool(bias.any()) == (scheme == "torch") for bias in biases)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_generator_alone_decides(scheme: str) -> None:
    torch.manual_seed(5)
    first = initialised(scheme).state_dict()
    before = torch.random.get_rng_state()
    again, other = initialised(scheme).state_dict(), initialised(scheme, seed=2).state_dict()
    assert torch.equal(torch.random.get_rng_state(), before)
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert not torch.equal(first["output.weight"], other["output.weight"])


def test_normalisation_starts_anew() -> None:
    network = initialised("he-normal").train()
    network(torch.randn((8, *SHAPE), generator=torch.Generator().manual_seed(1)))
    initialise(network, "he-normal", torch.Generator().manual_seed(1))
    one = network.get_submodule("features.0.normalisation")
    assert isinstance(one, nn.BatchNorm2d)
    assert one.running_mean is not None
    assert one.running_var is not None
    assert not one.running_mean.any()
    assert bool((one.running_var == 1).all())
    assert bool((one.weight == 1).all())


def test_an_unknown_scheme_is_answered_with_the_known_ones() -> None:
    with pytest.raises(ConfigError, match=r"glorot-uniform, .*, got orthogonal"):
        initialise(nn.Linear(2, 2), "orthogonal", torch.Generator())
