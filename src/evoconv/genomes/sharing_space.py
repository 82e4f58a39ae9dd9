"""The space of shared weights: how many different values the layers of a trained network have.

Source: Čoupek, "Evolutionary Optimization of Convolutional Neural Networks", step 2: an individual
is a list of numbers of clusters, one per layer; uniform crossover. Differs: numbers are drawn by
their logarithm, for from 2 to 4 clusters is as far as from 16 to 32. Where networks are pruned, a
genome also has the share of its weights that each layer keeps. Layers that are coupled to one
codebook have one number of clusters.

It has the methods of evolution.strategy.Space and CellSpace.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.random import Generator

from evoconv.errors import ConfigError
from evoconv.genomes.vary_vector import cross_uniformly, mutate_vector
from evoconv.genomes.vector import Cell, Value, Vector, draw_vector, places_of, vector_at

# A random network that will be trained keeps so much of all its weights: one short training leaves
# something to go on from. One layer that is pruned too much ruins a network, so those of one are
# near to what is best for all. Few clusters, in places of their range: more weights are worth more
# than finer values of them.
_KEPT_AT_BIRTH = (0.06, 0.6)
_DEVIATION_AT_BIRTH = 0.3  # in doublings
_CLUSTERS_AT_BIRTH = (0.1, 0.7)
# Spreads up to twice the range of a layer's weights, focuses for weights of 0.001 to 1. They are
# above 1, which no share that is kept is: so genomes tell which they have.
_MOST_SPREAD = 2.0
_FOCUS = (1.01, 1000.0)
# Share of the mutations that take from all layers, and how far they and others step, in doublings.
_TRIMS = 1 / 2
_TRIM = 0.7
_STEP = 0.5


@dataclass(frozen=True, kw_only=True)
class Sharing:
    """What a genome of this space stands for.

    Attributes:
        clusters: different values in each codebook, zero among them where it is pruned.
        kept: share of each layer's weights that is not zero, in (0, 1]; empty without pruning.
        modulation: spread and focus of each codebook; empty without. See
            ``compression.modulation``.
    """

    clusters: tuple[int, ...]
    kept: tuple[float, ...] = ()
    modulation: tuple[tuple[float, float], ...] = ()

    @classmethod
    def of(cls, genome: Vector) -> "Sharing":
        """Return what the genome stands for: fractions come first, then numbers of clusters."""
        clusters = tuple(one for one in genome.values if isinstance(one, int))
        fractions, count = genome.values[: len(genome.values) - len(clusters)], len(clusters)
        if len(fractions) != 2 * count or all(one <= 1 for one in fractions):
            return cls(clusters=clusters, kept=fractions)
        pairs = zip(fractions[:count], fractions[count:], strict=True)
        return cls(clusters=clusters, modulation=tuple(pairs))

    def __str__(self) -> str:
        """Return it in a few words."""
        text = f"[{', '.join(str(one) for one in self.clusters)}] clusters"
        if self.kept:
            text += f", kept [{', '.join(f'{100 * one:.3g}' for one in self.kept)}] %"
        if self.modulation:
            pairs = (f"{spread:.3g} {focus:.3g}" for spread, focus in self.modulation)
            text += f", spread and focus [{', '.join(pairs)}]"
        return text


class Proportions(Protocol):
    """How much of each layer to keep, when so much of all weights is kept."""

    def at(self, total: float) -> tuple[float, ...]:
        """Return the share of each layer, in (0, 1], for that of all weights."""

    def total(self, shares: Sequence[float]) -> float:
        """Return the share of all weights, for those of the layers."""


@dataclass(frozen=True, kw_only=True)
class SharingSpace:
    """Numbers of clusters, and shares that are kept.

    Attributes:
        layers: names of the layers.
        codebooks: names of what has a number of clusters: a layer, or several.
        ranges: fewest and most clusters of each codebook, both included.
        bytes_of: says what a sharing takes.
        max_bytes: a limit on that; None for none.
        least_kept: least share of its weights that a layer may keep; None where none is pruned.
        proportions: of the layers, where they are pruned.
        modulated: whether each codebook has a spread and a focus; not together with pruning.

    Raises:
        ConfigError: a range that is none, or a limit that the fewest clusters don't keep.
    """

    layers: tuple[str, ...]
    codebooks: tuple[str, ...]
    ranges: tuple[tuple[int, int], ...]
    bytes_of: Callable[[Sharing], float]
    max_bytes: int | None = None
    least_kept: float | None = None
    proportions: Proportions | None = None
    modulated: bool = False

    def __post_init__(self) -> None:
        assert (self.least_kept is None) == (self.proportions is None)
        for name, (low, high) in zip(self.codebooks, self.ranges, strict=True):
            if not 1 <= low <= high:
                raise ConfigError(f"{name} can't have {low:,} to {high:,} clusters")
        smallest = self.smallest()
        if not self.is_feasible(smallest):
            sharing = Sharing.of(smallest)
            raise ConfigError(
                f"--max-bytes {self.max_bytes:,}: with the fewest that are let in,"
                f" {sharing}, it takes {self.bytes_of(sharing):,.0f}"
            )

    @property
    def seeds(self) -> tuple[Vector, ...]:
        """Nobody: a search begins with what it draws."""
        return ()

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Fractions first, then a cell per codebook: clusters by their logarithm."""
        # Each whole number has the part of the scale that rounds to it.
        return self.fractions + tuple(
            Cell(name=name, low=low - 0.5, high=high + 0.5, kind="logarithmic")
            for name, (low, high) in zip(self.codebooks, self.ranges, strict=True)
        )

    @property
    def fractions(self) -> tuple[Cell, ...]:
        """The cells of what isn't whole: shares that are kept, or spreads and focuses."""
        if self.least_kept is not None:
            return tuple(
                Cell(name=f"kept {name}", low=self.least_kept, high=1.0, kind="logarithmic")
                for name in self.layers
            )
        if not self.modulated:
            return ()
        low, high = _FOCUS
        return tuple(
            Cell(name=f"spread {name}", low=0.0, high=_MOST_SPREAD, kind="linear")
            for name in self.codebooks
        ) + tuple(
            Cell(name=f"focus {name}", low=low, high=high, kind="logarithmic")
            for name in self.codebooks
        )

    def sample(self, rng: Generator) -> Vector:
        """Return random numbers of clusters; where layers are pruned, few, and shares for all."""
        if self.proportions is None:
            return self._whole(draw_vector(self.cells, rng).values)
        low, high = np.log2(_KEPT_AT_BIRTH)
        shares = [
            one * 2 ** rng.normal(0, _DEVIATION_AT_BIRTH)
            for one in self.proportions.at(2 ** rng.uniform(low, high))
        ]
        places = [rng.uniform(*_CLUSTERS_AT_BIRTH) for _ in self.ranges]
        clusters = vector_at(places, self.cells[len(shares) :])
        return self._whole([*shares, *clusters.values])

    def mutate(self, genome: Vector, rng: Generator, scale: float = 1.0) -> tuple[Vector, str]:
        """Return changed numbers, and which layers' they are.

        Some are drawn again; where heirs are trained on, a step away from what a parent learned is
        short: its length on the logarithmic scale is normal, and it may be for all layers at once.
        """
        if self.proportions is not None:
            mutated, operator = self._stepped(genome, rng, scale)
        else:
            mutated, operator = mutate_vector(genome, self.cells, rng, scale)
        whole = self._whole(mutated.values)
        return (whole, operator) if whole != genome else self._to_a_neighbour(genome, rng)

    def cross(self, first: Vector, second: Vector, rng: Generator) -> Vector:
        """Return numbers that are each from either parent."""
        return cross_uniformly(first, second, rng)

    def places(self, genome: Vector) -> list[float]:
        """Return where each number is in its range, in [0, 1]."""
        return places_of(genome, self.cells)

    def genome_at(self, places: Sequence[float]) -> Vector:
        """Return the numbers at these places in [0, 1] of their ranges."""
        return self._whole(vector_at(places, self.cells).values)

    def is_feasible(self, genome: Vector) -> bool:
        """Return whether the file keeps its limit, as far as can be estimated."""
        return self.max_bytes is None or self.bytes_of(Sharing.of(genome)) <= self.max_bytes

    def repair(self, genome: Vector, rng: Generator) -> Vector:
        """Return numbers that keep the limit: a random one at a time goes half the way down.

        Spreads and focuses stay: less of them is not fewer bytes. Where nothing else is left to go
        down, the smallest is returned.
        """
        lows, num_fractions = self.smallest().values, len(self.fractions)
        while not self.is_feasible(genome):
            pairs = enumerate(zip(genome.values, lows, strict=True))
            free = [
                place
                for place, (value, low) in pairs
                if value > low and (place >= num_fractions or self.least_kept is not None)
            ]
            if not free:
                return self.smallest()
            place = free[int(rng.integers(len(free)))]
            values, low = list(genome.values), lows[place]
            way = (values[place] - low) / 2
            # Halves of halves end at the lowest.
            near = way < low / 100 or place >= num_fractions
            values[place] = low + int(way) if near else low + way
            genome = self._whole(values)
        return genome

    def smallest(self) -> Vector:
        """Return the least fractions and the fewest clusters everywhere."""
        least = [float(cell.low) for cell in self.fractions]
        return self._whole([*least, *(low for low, _ in self.ranges)])

    def _stepped(self, genome: Vector, rng: Generator, scale: float) -> tuple[Vector, str]:
        values, count = list(genome.values), len(self.fractions)
        if rng.random() < _TRIMS and self.proportions is not None:
            total = self.proportions.total(values[:count])
            before = self.proportions.at(total)
            after = self.proportions.at(total * 2 ** -abs(rng.normal(0, _TRIM * scale)))
            shares = (one * new / old for one, new, old in zip(values, after, before, strict=False))
            return Vector((*shares, *values[count:])), "trim"
        chosen = {int(one) for one in rng.integers(len(values), size=1 + int(rng.integers(3)))}
        for place in chosen:
            values[place] *= 2 ** rng.normal(0, _STEP * scale)
        return Vector(tuple(values)), "step " + ", ".join(
            self.cells[place].name for place in sorted(chosen)
        )

    def _to_a_neighbour(self, genome: Vector, rng: Generator) -> tuple[Vector, str]:
        """Return the genome with one more or less cluster: too short a step for whole numbers."""
        free = [place for place, (low, high) in enumerate(self.ranges) if low < high]
        if not free:
            return genome, "step"
        book = free[int(rng.integers(len(free)))]
        step = 1 if rng.random() < 1 / 2 else -1
        (low, high), place = self.ranges[book], len(self.fractions) + book
        values = list(genome.values)
        values[place] += step if low <= values[place] + step <= high else -step
        return Vector(tuple(values)), f"step {self.codebooks[book]}"

    def _whole(self, values: Sequence[Value]) -> Vector:
        """Return values in their ranges: clusters whole, fractions of three digits."""
        cells = self.fractions
        fractions = (
            float(f"{min(max(value, cell.low), cell.high):.3g}")
            for value, cell in zip(values, cells, strict=False)
        )
        clusters = (
            min(max(math.floor(value + 0.5), low), high)
            for value, (low, high) in zip(values[len(cells) :], self.ranges, strict=True)
        )
        return Vector((*fractions, *clusters))
