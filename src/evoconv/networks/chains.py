"""A network as one chain of layers, and a parent's tensors along it.

Tells where two places in networks hold the same values or the same channels, which is what a child
needs to know to take over weights.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from evoconv.errors import StudyError
from evoconv.genomes.layers import Convolution, Dense, Layer, Pooling, Residual
from evoconv.genomes.shapes import Shape, layer_table
from evoconv.genomes.topology import Topology
from evoconv.networks.channels import ChannelMap, by_index
from evoconv.networks.cnn import build
from evoconv.networks.transplant import Donor, read_donor
from evoconv.networks.weights import check_tensors

# P channels
# (parent, number of steps done); the network's input is the same place in every parent.
Place = tuple[int, int]
INPUT: Place = (-1, 0)
ANY = (float("-inf"), float("inf"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """A layer, or for None the reduction, with the shapes without the batch."""

    name: str
    layer: Layer | None
    input_shape: Shape
    output_shape: Shape

    @property
    def does_nothing(self) -> bool:
        """True for a pooling of single values."""
        return isinstance(self.layer, Pooling) and self.layer.size == self.layer.steps == (1, 1)

    @property
    def keeps_channels(self) -> bool:
        """True if channel i afterwards is what channel i was: poolings, blocks that add to it."""
        return isinstance(self.layer, Pooling) or (
            isinstance(self.layer, Residual) and self.input_shape == self.output_shape
        )


@dataclass(frozen=True, kw_only=True, eq=False)
class Parent:
    """A parent's steps and tensors. ``values`` and ``channels`` say what each step receives.

    Places are equal where the values, or the meanings of the channels, are the same; the last ones
    are the network's output.
    """

    topology: Topology
    steps: tuple[Step, ...]
    tensors: Mapping[str, Tensor]
    values: tuple[Place, ...]
    channels: tuple[Place, ...]

    def strength_after(self, index: int) -> Tensor:
        """Return the sum of absolute weights on each channel that step ``index`` gives, (P,)."""
        num_channels = self.steps[index].output_shape[0]
        for step in self.steps[index + 1 :]:
            if isinstance(step.layer, Convolution | Dense):
                strength = read_donor(self.tensors, step.name).strength_P()
                return strength.reshape(num_channels, -1).sum(1)
            if isinstance(step.layer, Residual):
                return read_donor(self.tensors, f"{step.name}.first").strength_P()
        raise AssertionError("every chain ends in a dense layer")


@dataclass(frozen=True, kw_only=True, eq=False)
class Flow:
    """What reaches a layer of the child.

    ``meaning`` is the place in a parent whose channels the map leads to, None if they are nobody's.
    ``value`` is the place in a parent whose values these are (through the map), None if they differ
    from all. ``bounds`` hold for every value.
    """

    channels: ChannelMap
    meaning: Place | None
    value: Place | None
    bounds: tuple[float, float] = ANY


@dataclass(frozen=True, kw_only=True, eq=False)
class Source:
    """The step of a parent that a layer of the child comes from."""

    parent: Parent
    index: int

    @property
    def step(self) -> Step:
        """The step itself."""
        return self.parent.steps[self.index]

    def read(self, part: str) -> Donor:
        """Return the weights of a part of a residual block."""
        return read_donor(self.parent.tensors, f"{self.step.name}.{part}")

    def incoming(self, flow: Flow) -> ChannelMap:
        """Return the map from what reaches the child's layer to what this step received."""
        if flow.meaning == self.parent.channels[self.index]:
            return flow.channels
        return by_index(len(flow.channels), self.step.input_shape[0])

    def outgoing(
        self, flow: Flow, channels: ChannelMap, is_exact: bool, bounds: tuple[float, float]
    ) -> Flow:
        """Return what the child's layer gives, if it gives this step's channels."""
        follows = is_exact and flow.value == self.parent.values[self.index]
        return Flow(
            channels=channels,
            meaning=self.parent.channels[self.index + 1],
            value=self.parent.values[self.index + 1] if follows else None,
            bounds=bounds,
        )


def steps_of(
    topology: Topology, input_shape: tuple[int, int, int], num_classes: int
) -> tuple[Step, ...]:
    """Return features, reduction, classifier and output.

    Raises:
        ConfigError: a window without padding does not fit its input.
    """
    output = Dense(units=num_classes, activation="linear")
    layers: list[Layer | None] = [*topology.features, None, *topology.classifier, output]
    steps = []
    shape: Shape = input_shape
    rows = layer_table(topology, input_shape, num_classes)
    for row, layer in zip(rows, layers, strict=True):
        steps.append(
            Step(name=row.name, layer=layer, input_shape=shape, output_shape=row.output_shape)
        )
        shape = row.output_shape
    return tuple(steps)


def parent_of(
    number: int,
    topology: Topology,
    tensors: Mapping[str, Tensor],
    input_shape: tuple[int, int, int],
    num_classes: int,
) -> Parent:
    """Return the parent of that number, its tensors on the CPU.

    Raises:
        ConfigError: a window without padding does not fit its input.
        StudyError: the tensors are not those of the topology's network, or not all finite.
    """
    steps = steps_of(topology, input_shape, num_classes)
    values, channels = [INPUT], [INPUT]
    for index, step in enumerate(steps):
        place = (number, index + 1)
        values.append(values[-1] if step.does_nothing else place)
        channels.append(channels[-1] if step.keeps_channels else place)
    with torch.device("meta"):
        wanted = build(topology, input_shape, num_classes).state_dict()
    _check_donor(number, tensors, wanted)
    return Parent(
        topology=topology,
        steps=steps,
        tensors={name: tensor.detach().cpu() for name, tensor in tensors.items()},
        values=tuple(values),
        channels=tuple(channels),
    )


def _check_donor(number: int, given: Mapping[str, Tensor], wanted: Mapping[str, Tensor]) -> None:
    complaint = f"the weights of parent {number} can't be inherited"
    check_tensors(given, wanted, complaint)
    for name, tensor in given.items():
        if not bool(tensor.isfinite().all()):
            raise StudyError(f"{complaint}: {name} has values that aren't finite")
