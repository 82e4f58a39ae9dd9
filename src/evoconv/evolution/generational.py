"""Synchronous evolution in generations: the twin that `async` is compared with.

Source: Vidnerová & Neruda 2018, section 4 ("the algorithm is normally defined as synchronous").
Differs: the best ``elitism`` members live on without being measured again.

Failed individuals leave fewer to breed from; when a whole generation failed, the next is random.
"""

from collections.abc import Iterable
from typing import Any

from evoconv.evolution.barrier import Barrier
from evoconv.evolution.breeding import Nursery
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.selection import Member, rank, rank_again
from evoconv.evolution.strategy import Space
from evoconv.records import Individual, Objective


class Generational:
    """Each generation is bred from the one before it, once that is complete."""

    def __init__(
        self, space: Space[Any], options: EvolutionOptions, objective: Objective, seed: int
    ) -> None:
        self._options = options
        self._objective = objective
        self._nursery = Nursery(space, options, seed)
        self._barrier = Barrier(self._next_generation)
        self._elite: list[Member] = []

    def ask(self, slots: int) -> list[Individual]:
        """Return the next portion of the generation; nothing while some of it is under way."""
        return self._barrier.ask(slots)

    def tell(self, individual: Individual) -> None:
        """Take an individual of this generation."""
        self._barrier.tell(individual)

    def members(self) -> list[Individual]:
        """Return the elite and what is measured of this generation, the best first."""
        known = self._elite + self._measured(self._barrier.told)
        return [one.individual for one in reversed(rank_again(known, self._objective))]

    def entry(self) -> None:
        """Return None: every measured individual may breed the next generation."""

    def num_generations(self) -> int:
        """Return how many generations have been told whole."""
        return self._barrier.num_complete

    def _measured(self, told: Iterable[Individual]) -> list[Member]:
        return [rank(one, self._objective) for one in told if one.measurement is not None]

    def _next_generation(self, told: list[Individual]) -> list[Individual]:
        for one in told:
            self._nursery.remember(one)
        measured = self._measured(told)
        parents = sorted(rank_again(self._elite, self._objective) + measured)
        self._elite = parents[max(0, len(parents) - self._options.elitism) :]
        num_births = self._options.population - len(self._elite)
        if not measured:
            return [self._nursery.random() for _ in range(num_births)]
        return [self._nursery.child(parents) for _ in range(num_births)]
