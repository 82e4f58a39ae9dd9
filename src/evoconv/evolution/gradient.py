"""Two-level gradient evolution: of the numbers of layers, then of what the layers are.

Source: Mitschke et al., "Gradient Based Evolution to Optimize the Structure of CNNs", section 2.
Differs, or is settled here because the poster is silent:
- Fitness is divided by its standard deviation in the population before differences are taken, or a
  step would hang on the fitness's unit; ``--gradient-scale raw`` takes it as it is. Of equally fit
  individuals neither pulls the other; the older counts as fitter, or ``--ties younger``.
- A step replaces the individual whose counts it changed, be it better or worse: that is the
  update. It is trained further, unchanged, where the counts stay (``--train-on``).
- CNNs are similar if their counts differ by ``--similarity`` in all; who has none takes the most
  similar. The model of the kernels and the neurons climb by the gradient among these, the strides
  come from one of them by two-point crossover.
- ``--offspring`` children and as many mutants are born in each iteration; they replace the least
  fit, whatever they are worth. Parents of both are selected like any method's. A mutant that is
  known, however often it is drawn, gives way to a random individual.
- What exceeds a limit is made narrower as a whole (``genomes.shrink_blocks``).
- A failed individual has no place; whom a failed step should have replaced stays.
- Before each iteration but the first a quarter of the population leaves, the least fit, until
  ``--least-population`` are left, so that more of the time is for their weights; with fewer there
  are fewer children and mutants, in proportion. ``--least-population`` like ``--population``, as
  published, lets all stay.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from evoconv.evolution.barrier import InLots
from evoconv.evolution.breeding import Draft, Nursery
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.selection import Member, select_parent
from evoconv.evolution.strategy import BlockSpace
from evoconv.genomes.blocks import Blocks, cross_strides
from evoconv.records import Individual, Objective

Array = NDArray[np.float64]

# So much of a population stays where it shrinks.
_STAYING = 0.75
# More layers than any network has.
_MANY = 1e6
Draw = Callable[[Generator], tuple[Blocks, Draft]]


def gradient(fitness: Array, points: Array) -> Array:
    """Return g_i = 1/P sum_p (F(i) - F(p)) (x_i - x_p) for each of P points of K numbers: (P, K).

    Source: Mitschke et al., section 2.3.
    """
    rise = fitness[:, None] - fitness
    way = points[:, None, :] - points
    found: Array = np.einsum("ip,ipk->ik", rise, way) / len(points)
    return found


def round_stochastically(values: Array, rng: Generator) -> NDArray[np.int64]:
    """Return each value rounded up or down, so that its mean is the value."""
    # Beyond these, as with an immense fitness taken raw, a number of layers is at its end anyway.
    values = np.clip(values, -_MANY, _MANY)
    below = np.floor(values)
    return (below + (rng.random(values.shape) < values - below)).astype(np.int64)


class _Living(NamedTuple):
    """A member of the population; the blocks are exact where a genome has rounded them."""

    fitness: float
    individual: Individual
    blocks: Blocks


class Gradient(InLots):
    """Gradient step, crossover among similar, mutation: each a lot behind a barrier."""

    def __init__(
        self, space: BlockSpace[Any], options: EvolutionOptions, objective: Objective, seed: int
    ) -> None:
        super().__init__(objective)
        self._space = space
        self._options = options
        self._nursery = Nursery(space, options, seed)
        self._population: list[_Living] = []
        self._size = options.population
        # Of one iteration, and which comes next. Random lots come before.
        self._lots = (self._steps, self._children, self._mutants)
        self._lot = 0
        self._num_random = 0
        self._drawn: dict[int, Blocks] = {}  # of those under way
        self._replaces: dict[int, int] = {}  # of a step: whose place each takes

    def num_generations(self) -> int:
        """Return how many iterations are complete; the first population is none."""
        return max(0, self._barrier.num_complete - self._num_random) // len(self._lots)

    def _living(self) -> list[Individual]:
        return [one.individual for one in self._population]

    def _next_lot(self, told: list[Individual]) -> list[Individual]:
        self._let_in(told)
        self._drawn, self._replaces = {}, {}
        if not self._population:
            self._num_random += 1
            num_births = max(self._options.population, len(self._space.seeds))
            return [self._bear(self._random, is_new=True) for _ in range(num_births)]
        if self._lot == 0 and self.num_generations() > 0:
            self._shrink()
        born = self._lots[self._lot]()
        self._lot = (self._lot + 1) % len(self._lots)
        return born

    def _let_in(self, told: Sequence[Individual]) -> None:
        """Put each of the lot in its place, or in that of one of the least fit."""
        newcomers = []
        for one in told:
            self._nursery.remember(one)
            if one.measurement is None:
                continue
            fitness = self._objective.fitness(one.measurement)
            living = _Living(fitness, one, self._drawn[one.number])
            if one.number in self._replaces:
                self._population[self._replaces[one.number]] = living
            else:
                newcomers.append(living)
        free = self._size - len(self._population)
        self._population.sort(key=self._as_member)
        del self._population[: max(0, len(newcomers) - free)]
        self._population += newcomers
        self._keep_fittest()  # there may be more, of a long list of seeds

    def _shrink(self) -> None:
        least = min(self._options.least_population, self._size)
        self._size = max(least, math.ceil(_STAYING * self._size))
        self._keep_fittest()

    def _keep_fittest(self) -> None:
        if len(self._population) > self._size:
            self._population = sorted(self._population, key=self._as_member)[-self._size :]

    def _steps(self) -> list[Individual]:
        """Return each individual after its step along the gradient of the numbers of layers."""
        counts = np.array([one.blocks.counts for one in self._population], dtype=float)
        slopes = gradient(self._scaled(self._population), counts)
        born = []
        for place, one in enumerate(self._population):
            individual = self._bear(self._step_of(one, counts[place], slopes[place]), is_new=False)
            self._replaces[individual.number] = place
            born.append(individual)
        return born

    def _step_of(self, living: _Living, counts: Array, slope: Array) -> Draw:
        def draw(rng: Generator) -> tuple[Blocks, Draft]:
            length = rng.uniform(0, self._options.gradient_step)
            wanted = round_stochastically(counts + length * slope, rng)
            blocks = self._space.resize(living.blocks, (int(wanted[0]), int(wanted[1])), rng)
            parents = (living.individual.original,)
            if blocks.counts == living.blocks.counts:
                return blocks, Draft(living.individual.genome, parents, "train on")
            return blocks, Draft(self._space.decode(blocks), parents, _step_text(living, blocks))

        return draw

    def _children(self) -> list[Individual]:
        return [self._bear(self._child, is_new=True) for _ in range(self._num_offspring)]

    def _child(self, rng: Generator) -> tuple[Blocks, Draft]:
        first = self._select(rng)
        similar = self._similar(first)
        mate = similar[int(rng.integers(len(similar)))] if similar else first
        blocks = self._climbed(first, [first, *similar], rng)
        blocks = self._space.bounded(cross_strides(blocks, mate.blocks, rng))
        parents = (first.individual.original, mate.individual.original)
        return blocks, Draft(self._space.decode(blocks), parents, "crossover")

    def _climbed(self, one: _Living, among: list[_Living], rng: Generator) -> Blocks:
        """Return its blocks after a step along the gradients of its model and its neurons."""
        length = rng.uniform(0, self._options.gradient_step)
        fitness = self._scaled(among)

        def climbed(trait: Callable[[Blocks], float], have: list[int]) -> float:
            points = np.array([[trait(among[place].blocks)] for place in have])
            slope = gradient(fitness[have], points)[0, 0]
            return float(points[0, 0] + length * slope)

        everyone = list(range(len(among)))
        units = tuple(
            climbed(
                lambda blocks, index=index: blocks.units[index],  # type: ignore[misc]
                [place for place in everyone if len(among[place].blocks.units) > index],
            )
            for index in range(len(one.blocks.units))
        )
        return Blocks(
            h0=climbed(lambda blocks: blocks.h0, everyone),
            h1=climbed(lambda blocks: blocks.h1, everyone),
            strides=one.blocks.strides,
            units=units,
        )

    def _similar(self, one: _Living) -> list[_Living]:
        """Return the others whose counts are near, else the nearest; nobody if it is alone."""
        others = [other for other in self._population if other is not one]
        if not others:
            return []
        distances = [_distance(one, other) for other in others]
        reach = max(self._options.similarity, min(distances))
        return [other for other, far in zip(others, distances, strict=True) if far <= reach]

    def _mutants(self) -> list[Individual]:
        # A population that has become alike would have only known mutants.
        return [
            self._bear(self._mutant, is_new=True, at_last=self._random)
            for _ in range(self._num_offspring)
        ]

    @property
    def _num_offspring(self) -> int:
        return math.ceil(self._options.offspring * self._size / self._options.population)

    def _mutant(self, rng: Generator) -> tuple[Blocks, Draft]:
        parent = self._select(rng)
        blocks = self._space.mutate_blocks(parent.blocks, rng)
        draft = Draft(self._space.decode(blocks), (parent.individual.original,), "mutation")
        return blocks, draft

    def _random(self, rng: Generator) -> tuple[Blocks, Draft]:
        blocks = self._space.draw_blocks(rng)
        return blocks, Draft(self._space.decode(blocks), (), "random")

    def _bear(self, draw: Draw, *, is_new: bool, at_last: Draw | None = None) -> Individual:
        """Return the next individual.

        What is known is drawn again if it is to be new, ``at_last`` in another way.
        """
        drawn: list[tuple[Blocks, Draft]] = []

        def draft(rng: Generator) -> Draft:
            is_last = 0 < self._options.max_repeated == len(drawn)
            blocks, one = (at_last if is_last and at_last is not None else draw)(rng)
            drawn.append(self._shrunk(blocks, one, rng))
            return drawn[-1][1]

        born = self._nursery.bear(draft, is_new=is_new, trains_on=self._options.train_on)
        if drawn and born.genome is drawn[-1][1].genome:
            self._drawn[born.number] = drawn[-1][0]
        else:  # a seed, or repaired where no blocks of its counts are feasible
            self._drawn[born.number] = self._space.encode(born.genome)
        return born

    def _shrunk(self, blocks: Blocks, draft: Draft, rng: Generator) -> tuple[Blocks, Draft]:
        """Return both made feasible by way of the blocks, so that the model of kernels stays."""
        if self._space.is_feasible(draft.genome):
            return blocks, draft
        shrunk = self._space.shrink(blocks, rng)
        if shrunk is None:
            return blocks, draft
        operator = f"{draft.operator}+repair"
        return shrunk, draft._replace(genome=self._space.decode(shrunk), operator=operator)

    def _as_member(self, living: _Living) -> Member:
        age = living.individual.number
        fitter = age if self._options.ties == "younger" else -age
        return Member(living.fitness, fitter, living.individual)

    def _select(self, rng: Generator) -> _Living:
        ranked = sorted(map(self._as_member, self._population))
        chosen = select_parent(ranked, rng, self._options).number
        return next(one for one in self._population if one.individual.number == chosen)

    def _scaled(self, living: Sequence[_Living]) -> Array:
        fitness = np.array([one.fitness for one in living])
        if self._options.gradient_scale == "raw":
            return fitness
        spread = float(np.std([one.fitness for one in self._population]))
        return fitness / spread if spread > 0 else fitness


def _distance(one: _Living, other: _Living) -> int:
    """Return by how many layers two CNNs differ."""
    pairs = zip(one.blocks.counts, other.blocks.counts, strict=True)
    return sum(abs(mine - theirs) for mine, theirs in pairs)


def _step_text(living: _Living, blocks: Blocks) -> str:
    (c, d), (new_c, new_d) = living.blocks.counts, blocks.counts
    return f"step {new_c - c:+d} {new_d - d:+d}"
