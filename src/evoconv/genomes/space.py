"""The space of topologies for one kind of images, under hard limits: what evolution searches.

It has the methods of evolution.strategy.Space. Every topology it returns keeps the ranges of its
options, has a convolution and fits the images; whether it keeps the limits is told by
``is_feasible``.
"""

import math
from dataclasses import dataclass

from numpy.random import Generator

from evoconv.errors import ConfigError
from evoconv.genomes.constraints import Limits, violations
from evoconv.genomes.layers import Convolution, Dense, FeatureLayer, Pooling
from evoconv.genomes.repair_topology import repair_topology
from evoconv.genomes.search_space import SpaceOptions, draw_topology, fit_features
from evoconv.genomes.shapes import Cost, cost
from evoconv.genomes.topology import Topology
from evoconv.genomes.vary_topology import cross, mutate


@dataclass(frozen=True)
class TopologySpace:
    """Topologies for images of shape (C, H, W).

    Raises:
        ConfigError: no topology of the space keeps the limits.
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
        self.smallest()

    def sample(self, rng: Generator) -> Topology:
        """Return a random topology, feasible or not."""
        return draw_topology(self.options, self.input_shape, rng)

    def mutate(self, genome: Topology, rng: Generator) -> tuple[Topology, str]:
        """Return a mutated topology, feasible or not, and the operator: change, add or delete."""
        return mutate(genome, self.options, self.input_shape, rng)

    def cross(self, first: Topology, second: Topology, rng: Generator) -> Topology:
        """Return the first offspring of one-point crossover, feasible or not."""
        return cross(first, second, self.options, self.input_shape, rng)

    def cost(self, genome: Topology) -> Cost:
        """Return what the network costs. Raises ``ConfigError`` if it does not fit the images."""
        return cost(genome, self.input_shape, self.num_classes)

    def is_feasible(self, genome: Topology) -> bool:
        """Return whether the topology fits the images and keeps all limits."""
        return self.excess(genome) == 0

    def excess(self, genome: Topology) -> float:
        """Return the sum of log(value / limit) over exceeded limits; infinite if nothing fits."""
        try:
            broken = violations(self.cost(genome), self.limits)
        except ConfigError:
            return math.inf
        return sum(math.log(one.ratio) for one in broken)

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
            ("--max-memory", self.limits.max_memory, min(one.memory_bytes for one in costs)),
        ):
            if limit is not None and least > limit:
                raise ConfigError(
                    f"{name} {limit:,}: the smallest network of this search space has {least:,}"
                )
        raise ConfigError("no network of this search space keeps all the limits together")

    def smallest_topologies(self) -> list[Topology]:
        """Return one convolution with many or few poolings around it, and few dense layers.

        Poolings before it cost the least multiply-accumulates and memory, poolings in any place the
        least parameters. A narrow dense layer can save parameters between a large map and many
        classes.
        """
        options = self.options
        pooling = Pooling(size=(options.max_pool,) * 2, padding=options.pool_padding)
        dense = Dense(units=options.min_units)
        fewest = options.min_classifier
        # Without padding, a large kernel leaves smaller maps.
        kernels = {options.min_kernel}
        if options.padding == "valid":
            kernels.add(options.max_kernel)
        smallest = []
        for num_pools in range(options.max_features - 1, -1, -1):
            for kernel in sorted(kernels):
                pools: tuple[FeatureLayer, ...] = (pooling,) * num_pools
                convolution = self._smallest_convolution(kernel)
                for features in ((convolution, *pools), (*pools, convolution)):
                    for num_dense in range(fewest, min(fewest + 1, options.max_classifier) + 1):
                        one = Topology(
                            features=fit_features(features, self.input_shape),
                            classifier=(dense,) * num_dense,
                            reduction=options.reduction,
                        )
                        smallest.append(one)
        return smallest

    def _smallest_convolution(self, kernel: int) -> Convolution:
        return Convolution(
            filters=self.options.min_filters,
            kernel=(kernel, kernel),
            padding=self.options.padding,
            bias=self.options.normalisation == "none",
            normalisation=self.options.normalisation,
        )
