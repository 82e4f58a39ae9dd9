"""Peak activations by arithmetic against a run of torch that records which tensors live."""

import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from evoconv.genomes.constraints import Limits
from evoconv.genomes.layers import Convolution, Dense, Pooling, Residual
from evoconv.genomes.shapes import cost
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from evoconv.networks.cnn import ResidualBlock, build

SHAPE = (3, 16, 12)


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of all activations that live after each operation, and the most of them."""

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._weights = {one.untyped_storage().data_ptr() for one in network.parameters()}
        self._seen = [weakref.ref(image)]
        self.peak: int = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        result = function(*args, **(kwargs or {}))
        # A pooling also tells where its maxima were; nobody keeps that.
        made = [one for one in tree_leaves(result) if isinstance(one, Tensor)]
        self._seen += [weakref.ref(one) for one in made if one.is_floating_point()]
        self.peak = max(self.peak, self._live_bytes())
        return result

    def _live_bytes(self) -> int:
        alive = {}
        for reference in self._seen:
            if (tensor := reference()) is not None:
                storage = tensor.untyped_storage()
                alive[storage.data_ptr()] = storage.nbytes()
        return sum(size for place, size in alive.items() if place not in self._weights)


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
