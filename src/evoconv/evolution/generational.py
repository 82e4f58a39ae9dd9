"""Synchronous evolution in generations: the twin that `async` is compared with.

Source: Vidnerová & Neruda 2018, section 4 ("the algorithm is normally defined as synchronous").
Differs: the best ``elitism`` members live on without being measured again.

Failed individuals leave fewer to breed from; when a whole generation failed, the next is random.
"""

from typing import Any

from evoconv.evolution.barrier import InLots
from evoconv.evolution.breeding import Nursery
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.selection import Member, rank, rank_again
from evoconv.evolution.strategy import Space
from evoconv.records import Individual, Objective


class Generational(InLots):
    """Each generation is bred from the one before it, once that is complete."""

    def __init__(
        self, space: Space[Any], options: EvolutionOptions, objective: Objective, seed: int
    ) -> None:
        super().__init__(objective)
        self._options = options
        self._nursery = Nursery(space, options, seed)
        self._elite: list[Member] = []
        self._parents: list[Member] = []

    def _living(self) -> list[Individual]:
        return [one.individual for one in self._parents]

    def _next_lot(self, told: list[Individual]) -> list[Individual]:
        for one in told:
            self._nursery.remember(one)
        measured = [rank(one, self._objective) for one in told if one.measurement is not None]
        self._parents = sorted(rank_again(self._elite, self._objective) + measured)
        self._elite = self._parents[max(0, len(self._parents) - self._options.elitism) :]
        num_births = self._options.population - len(self._elite)
        if not measured:
            return [self._nursery.random() for _ in range(num_births)]
        return [self._nursery.child(self._parents) for _ in range(num_births)]
