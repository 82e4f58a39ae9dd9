"""The space of shared weights: how many different values each layer of a trained network has.

Source: Čoupek, "Evolutionary Optimization of Convolutional Neural Networks", step 2: an individual
is a list of numbers of clusters, one per layer; uniform crossover. Differs: numbers are drawn by
their logarithm, for from 2 to 4 clusters is as far as from 16 to 32.

It has the methods of evolution.strategy.Space and CellSpace.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from numpy.random import Generator

from evoconv.errors import ConfigError
from evoconv.genomes.vary_vector import cross_uniformly, mutate_vector
from evoconv.genomes.vector import Cell, Value, Vector, draw_vector, places_of, vector_at


@dataclass(frozen=True, kw_only=True)
class SharingSpace:
    """Numbers of clusters.

    Attributes:
        layers: names of the layers.
        ranges: fewest and most clusters of each, both included.
        bytes_of: says what numbers of clusters take.
        max_bytes: a limit on that; None for none.
        seeds: numbers that a search begins with.

    Raises:
        ConfigError: a range that is none, or a limit that the fewest clusters don't keep.
    """

    layers: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]
    bytes_of: Callable[[Sequence[int]], float]
    max_bytes: int | None = None
    seeds: tuple[Vector, ...] = ()

    def __post_init__(self) -> None:
        for name, (low, high) in zip(self.layers, self.ranges, strict=True):
            if not 1 <= low <= high:
                raise ConfigError(f"{name} can't have {low:,} to {high:,} clusters")
        for seed in self.seeds:
            self._check_seed(seed)
        smallest = self.smallest()
        if not self.is_feasible(smallest):
            raise ConfigError(
                f"--max-bytes {self.max_bytes:,}: with the fewest clusters that are let in,"
                f" {clusters_text(smallest)}, it takes {self.bytes_of(clusters_of(smallest)):,.0f}"
            )

    @property
    def cells(self) -> tuple[Cell, ...]:
        """A cell per layer; its values are clusters, its places logarithms of them."""
        # Each whole number has the part of the scale that rounds to it.
        return tuple(
            Cell(name=name, low=low - 0.5, high=high + 0.5, kind="logarithmic")
            for name, (low, high) in zip(self.layers, self.ranges, strict=True)
        )

    def sample(self, rng: Generator) -> Vector:
        """Return random numbers of clusters."""
        return self._whole(draw_vector(self.cells, rng))

    def mutate(self, genome: Vector, rng: Generator, scale: float = 1.0) -> tuple[Vector, str]:
        """Return numbers of which some are drawn again, and of which layers."""
        mutated, operator = mutate_vector(genome, self.cells, rng, scale)
        whole = self._whole(mutated)
        if whole != genome:
            return whole, operator
        # Too short a step for a whole number: one layer goes to its neighbour.
        free = [place for place, (low, high) in enumerate(self.ranges) if low < high]
        if not free:
            return whole, operator
        place = free[int(rng.integers(len(free)))]
        step = 1 if rng.random() < 1 / 2 else -1
        low, high = self.ranges[place]
        count = genome.values[place] + step
        values: list[Value] = list(genome.values)
        values[place] = count if low <= count <= high else genome.values[place] - step
        return Vector(tuple(values)), f"step {self.layers[place]}"

    def cross(self, first: Vector, second: Vector, rng: Generator) -> Vector:
        """Return numbers that are each from either parent."""
        return cross_uniformly(first, second, rng)

    def places(self, genome: Vector) -> list[float]:
        """Return where each number is in its range, in [0, 1]."""
        return places_of(genome, self.cells)

    def genome_at(self, places: Sequence[float]) -> Vector:
        """Return the numbers at these places in [0, 1] of their ranges."""
        return self._whole(vector_at(places, self.cells))

    def is_feasible(self, genome: Vector) -> bool:
        """Return whether the file keeps its limit, as far as can be estimated."""
        return self.max_bytes is None or self.bytes_of(clusters_of(genome)) <= self.max_bytes

    def repair(self, genome: Vector, rng: Generator) -> Vector:
        """Return numbers that keep the limit: a random layer at a time goes half the way down."""
        while not self.is_feasible(genome):
            free = [
                place for place, (low, _) in enumerate(self.ranges) if genome.values[place] > low
            ]
            place = free[int(rng.integers(len(free)))]
            low = self.ranges[place][0]
            values: list[Value] = list(genome.values)
            values[place] = low + (int(genome.values[place]) - low) // 2
            genome = Vector(tuple(values))
        return genome

    def smallest(self) -> Vector:
        """Return the fewest clusters everywhere."""
        return Vector(tuple(low for low, _ in self.ranges))

    def _whole(self, genome: Vector) -> Vector:
        values = zip(genome.values, self.ranges, strict=True)
        return Vector(
            tuple(min(max(math.floor(value + 0.5), low), high) for value, (low, high) in values)
        )

    def _check_seed(self, seed: Vector) -> None:
        if len(seed.values) != len(self.layers):
            raise ConfigError(
                f"the network has {len(self.layers)} layers to share, the seed {seed.to_json()}"
                f" has {len(seed.values)} numbers"
            )
        for name, (low, high), value in zip(self.layers, self.ranges, seed.values, strict=True):
            if value != int(value) or not low <= value <= high:
                raise ConfigError(f"{name} must have {low:,} to {high:,} clusters, got {value}")


def clusters_of(genome: Vector) -> tuple[int, ...]:
    """Return the numbers of clusters that a genome of this space stands for."""
    return tuple(int(one) for one in genome.values)


def clusters_text(genome: Vector) -> str:
    """Return the numbers in a few words."""
    return f"[{', '.join(str(one) for one in clusters_of(genome))}] clusters"
