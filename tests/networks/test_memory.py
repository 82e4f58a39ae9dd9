"""Peak activations by arithmetic against a run of torch that records which tensors live."""

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from evoconv.genomes.constraints import Limits
from evoconv.genomes.layers import Convolution, Dense, Pooling, Residual
from evoconv.genomes.shapes import cost
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from evoconv.networks.cnn import ResidualBlock, build
from evoconv.networks.measured_cost import LiveTensors

SHAPE = (3, 16, 12)


def steps(network: nn.Sequential) -> Iterator[nn.Module]:
    """Yield the layers in the order of execution."""
    for part in network:
        if isinstance(part, nn.Sequential):
            yield from part
        else:
            yield part


def peak_bytes(network: nn.Sequential) -> int:
    """Return the most bytes alive when the network runs as a small device runs it.

    Layer by layer; a layer's input goes with it; a skip is added in place.
    """
    network.eval()
    x = torch.rand(1, *SHAPE)
    with torch.inference_mode(), LiveTensors(network, x) as live:
        for step in steps(network):
            if isinstance(step, ResidualBlock):
                y = step.second(step.first(x))
                y += step.skip(x)
                x = step.last(y)
                del y
            else:
                x = step(x)
    return int(live.peak)


@pytest.mark.parametrize(
    "topology",
    [
        Topology(features=(Convolution(filters=5, kernel=(3, 3)),)),
        Topology(
            features=(Convolution(filters=5, kernel=(3, 3)), Pooling(size=(2, 2))),
            classifier=(Dense(units=40), Dense(units=7)),
            reduction="global-average",
        ),
        Topology(features=(Residual(filters=5, kernel=(3, 3)),)),
        Topology(
            features=(
                Convolution(filters=5, kernel=(3, 3)),
                Residual(filters=5, kernel=(3, 3)),
                Residual(filters=2, kernel=(1, 1)),
            )
        ),
        Topology(features=(Convolution(filters=1, kernel=(1, 1)),), classifier=(Dense(units=999),)),
    ],
    ids=["convolution", "average", "projection", "skip", "dense"],
)
def test_the_peak_is_that_of_a_recorded_run(topology: Topology) -> None:
    network = build(topology, SHAPE, 10)
    assert cost(topology, SHAPE, 10).peak_activation_bytes == peak_bytes(network)


def test_of_random_networks_too() -> None:
    # Windows that torch pads alike on both sides, and activations that it computes in place.
    options = SpaceOptions(
        min_kernel=3,
        max_kernel=3,
        min_pool=2,
        max_pool=2,
        max_features_at_birth=8,
        residual_share=0.4,
        average_share=0.5,
        activations=("relu", "leaky-relu", "linear"),
        dropouts=(0.0,),
    )
    space = TopologySpace(options, SHAPE, 10, Limits())
    for seed in range(40):
        topology = space.sample(np.random.default_rng(seed))
        network = build(topology, SHAPE, 10)
        predicted = space.cost(topology).peak_activation_bytes
        assert predicted == peak_bytes(network), topology.to_json()


@pytest.mark.parametrize("bits", [8, 16, 32])
def test_bytes_are_those_of_the_bits(bits: int) -> None:
    topology = Topology(features=(Convolution(filters=5, kernel=(3, 3)),))
    full = cost(topology, SHAPE, 10)
    narrow = cost(topology, SHAPE, 10, bits)
    assert narrow.weight_bytes * 32 == full.weight_bytes * bits == full.parameters * 4 * bits
    assert narrow.peak_activation_bytes * 32 == full.peak_activation_bytes * bits
