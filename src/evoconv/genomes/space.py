"""The space of topologies for one kind of images, under hard limits: what evolution searches.

It has the methods of evolution.strategy.Space. Every topology it returns keeps the ranges of its
options and the rules, has a convolution or residual block and fits the images; whether it keeps the
limits is told by ``is_feasible``.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product

from numpy.random import Generator

from evoconv.errors import ConfigError
from evoconv.genomes import blocks
from evoconv.genomes.blocks import Blocks, Counts
from evoconv.genomes.constraints import Limits, violations
from evoconv.genomes.cross_topology import cross
from evoconv.genomes.designs import usual_designs
from evoconv.genomes.draw_topology import (
    assemble,
    draw_topology,
    make_convolution,
    make_dense,
    make_pooling,
)
from evoconv.genomes.layers import Convolution, FeatureLayer, Residual
from evoconv.genomes.repair_topology import repair_topology
from evoconv.genomes.rules import Frame, broken_rules
from evoconv.genomes.shapes import Cost, cost
from evoconv.genomes.shrink_blocks import shrink_blocks
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from evoconv.genomes.vary_topology import mutate


@dataclass(frozen=True)
class TopologySpace:
    """Topologies for images of shape (C, H, W).

    Raises:
        ConfigError: no topology of the space keeps the rules and the limits.
    """

    options: SpaceOptions
    input_shape: tuple[int, int, int]
    num_classes: int
    limits: Limits

    def __post_init__(self) -> None:
        if len(self.input_shape) != 3 or min(self.input_shape) < 1:
            raise ConfigError(
                f"input_shape must be (C, H, W), each at least 1, got {self.input_shape}"
            )
        if self.num_classes < 2:
            raise ConfigError(f"num_classes must be at least 2, got {self.num_classes}")
        _, height, width = self.input_shape
        if self.options.least_side > min(height, width):
            raise ConfigError(
                f"--least-side {self.options.least_side}: the images are {height}×{width}, and no "
                "map is larger"
            )
        self.smallest()

    @cached_property
    def seeds(self) -> tuple[Topology, ...]:
        """Topologies that a search begins with; ``check_seeds`` says whether those given may."""
        given = tuple(map(Topology.from_json, self.options.seeds))
        if given or not self.options.usual_designs:
            return given
        return usual_designs(self.options, self.input_shape, self.is_feasible)

    def check_seeds(self) -> None:
        """Raise ``ConfigError`` if a seed doesn't fit the images, or breaks a limit or rule.

        Its kinds of layers and their sizes may be others than the space draws, its numbers of
        layers may not: what varies it would cut it.
        """
        for number, seed in enumerate(self.seeds, 1):
            broken = self._surplus_of(seed)
            try:
                broken += [str(one) for one in violations(self.cost(seed), self.limits)]
            except ConfigError as error:
                broken.append(str(error))
            if not broken and self.options.rules and self._breaks_rules(seed):
                broken = ["it breaks a rule of --rules"]
            if broken:
                raise ConfigError(f"--seeds, genome {number}: {broken[0]}")

    def _surplus_of(self, seed: Topology) -> list[str]:
        return [
            f"it has {count} {kind}, and --{name} is {most}"
            for count, kind, name, most in (
                (len(seed.features), "feature layers", "max-features", self.options.max_features),
                (
                    len(seed.classifier),
                    "hidden dense layers",
                    "max-classifier",
                    self.options.max_classifier,
                ),
            )
            if count > most
        ]

    def sample(self, rng: Generator) -> Topology:
        """Return a random topology, feasible or not."""
        return draw_topology(self.options, self.input_shape, rng)

    def mutate(self, genome: Topology, rng: Generator, scale: float = 1.0) -> tuple[Topology, str]:
        """Return a mutated topology, feasible or not, and the operator, e.g. ``change``.

        ``scale`` in (0, 1] is the share of the largest step that stepwise modification takes.
        """
        return mutate(genome, self.options, self.input_shape, rng, scale)

    def cross(self, first: Topology, second: Topology, rng: Generator) -> Topology:
        """Return the first offspring of crossover, feasible or not."""
        return cross(first, second, self.options, self.input_shape, rng)

    def draw_blocks(self, rng: Generator) -> Blocks:
        """Return random blocks."""
        return blocks.draw_blocks(self.options, self.input_shape, rng)

    def decode(self, described: Blocks) -> Topology:
        """Return the topology that the blocks describe, feasible or not."""
        return blocks.decode(described, self.options, self.input_shape)

    def encode(self, genome: Topology) -> Blocks:
        """Return the blocks that describe a topology best."""
        return blocks.encode(genome)

    def resize(self, described: Blocks, counts: Counts, rng: Generator) -> Blocks:
        """Return the blocks with so many of each kind, as far as the space allows."""
        return blocks.resize(described, counts, self.options, rng)

    def mutate_blocks(self, described: Blocks, rng: Generator) -> Blocks:
        """Return the blocks with everything changed at random."""
        return blocks.mutate_blocks(described, self.options, self.input_shape, rng)

    def bounded(self, described: Blocks) -> Blocks:
        """Return the blocks with their numbers kept in the ranges of the space."""
        return blocks.bounded(described, self.options)

    def shrink(self, described: Blocks, rng: Generator) -> Blocks | None:
        """Return feasible blocks of the same counts made from these; None where there are none."""
        excess_of = lambda one: self.excess(self.decode(one))  # noqa: E731
        return shrink_blocks(described, self.options, self.input_shape, excess_of, rng)

    def cost(self, genome: Topology) -> Cost:
        """Return what the network costs. Raises ``ConfigError`` if it does not fit the images."""
        return cost(genome, self.input_shape, self.num_classes, self.limits.bits)

    def is_feasible(self, genome: Topology) -> bool:
        """Return whether the topology fits the images and keeps all rules and limits."""
        return self.excess(genome) == 0

    def excess(self, genome: Topology) -> float:
        """Return the sum of log(value / limit) over exceeded limits.

        It is infinite for what doesn't fit the images or breaks a rule.
        """
        try:
            broken = violations(self.cost(genome), self.limits)
        except ConfigError:
            return math.inf
        if self.options.rules and self._breaks_rules(genome):
            return math.inf
        return sum(math.log(one.ratio) for one in broken)

    def _breaks_rules(self, genome: Topology) -> bool:
        frame = Frame(input_shape=self.input_shape, least_side=self.options.least_side)
        return bool(broken_rules(genome, self.options.rules, frame))

    def repair(self, genome: Topology, rng: Generator) -> Topology:
        """Return a feasible topology made from this one in small random steps."""
        repaired = repair_topology(genome, self.options, self.input_shape, self.excess, rng)
        return self.smallest() if repaired is None else repaired

    def smallest(self) -> Topology:
        """Return a smallest topology, one that keeps the limits.

        Raises:
            ConfigError: there is none; the sentence names a limit and what it would take.
        """
        smallest = self.smallest_topologies()
        for one in smallest:
            if self.is_feasible(one):
                return one
        costs = [self.cost(one) for one in smallest]
        for name, limit, least in (
            ("--max-parameters", self.limits.max_parameters, min(one.parameters for one in costs)),
            ("--max-macs", self.limits.max_macs, min(one.macs for one in costs)),
            ("--max-flash", self.limits.max_flash, min(one.weight_bytes for one in costs)),
            ("--max-ram", self.limits.max_ram, min(one.peak_activation_bytes for one in costs)),
            ("--max-memory", self.limits.max_memory, min(one.memory_bytes for one in costs)),
        ):
            if limit is not None and least > limit:
                under = " under its rules" if self.options.rules else ""
                raise ConfigError(
                    f"{name} {limit:,}: the smallest network of this search space{under} "
                    f"has {least:,}"
                )
        raise ConfigError("no network of this search space keeps all the limits together")

    def smallest_topologies(self) -> list[Topology]:
        """Return one convolution with many or few poolings around it, and few dense layers.

        Poolings before it cost the least multiply-accumulates and memory, poolings in any place the
        least parameters. A narrow dense layer can save parameters between a large map and many
        classes. Where convolutions can stride, or rules keep poolings apart or maps large, the
        smallest may have several convolutions and other windows, and one that is a little smaller
        can be missed.
        """
        options = self.options
        fewest = options.min_classifier
        dense = make_dense(options, units=options.min_units)
        smallest: dict[Topology, None] = {}
        for features in self._smallest_features():
            for reduction, num_dense in product(
                options.reductions(self.input_shape),
                range(fewest, min(fewest + 1, options.max_classifier) + 1),
            ):
                classifier = (dense,) * num_dense
                one = assemble(features, classifier, reduction, options, self.input_shape)
                smallest[one] = None
        return list(smallest)

    def _smallest_features(self) -> Iterator[tuple[FeatureLayer, ...]]:
        options = self.options
        # Without padding, a large kernel leaves smaller maps.
        kernels = {options.min_kernel}
        if options.padding == "valid":
            kernels.add(options.max_kernel)
        has_poolings = options.convolution_share < 1
        for num_pools in range(options.max_features - 1 if has_poolings else 0, -1, -1):
            for kernel in sorted(kernels):
                pools = (make_pooling(options, options.max_pool),) * num_pools
                convolution = self._smallest_convolution(kernel, options.max_stride)
                yield (convolution, *pools)
                yield (*pools, convolution)
        if not options.rules and options.max_stride == 1:
            return
        # A stride may need a kernel as long, and the shortest side allowed be met by a small step.
        kernels.add(min(max(options.min_kernel, options.max_stride), options.max_kernel))
        sides = {options.min_pool, options.max_pool}
        # More layers than halve the image to one value only cost.
        most = min(options.max_features, max(self.input_shape[1:]).bit_length() + 1)
        strides = {options.max_stride, 1}
        for kernel, side, stride in product(sorted(kernels), sorted(sides), sorted(strides)):
            convolution = self._smallest_convolution(kernel, stride)
            pooling = make_pooling(options, side)
            for count in range(most, 0, -1):
                yield (convolution,) * count
                if not has_poolings:
                    continue
                yield ((convolution, pooling) * count)[:count]
                if count > 1:
                    yield ((pooling, convolution) * count)[:count]

    def _smallest_convolution(self, kernel: int, stride: int) -> Convolution | Residual:
        return make_convolution(
            self.options,
            is_residual=self.options.residual_share == 1,
            filters=self.options.min_filters,
            kernel=(kernel, kernel),
            stride=(stride, stride),
        )
