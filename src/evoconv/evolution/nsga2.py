"""NSGA-II: evolution in generations for several objectives at once.

Source: Deb, Pratap, Agarwal & Meyarivan 2002, section III.
Differs: the crowded comparison is a total order, of equals the older is the better, so that
tournaments of any size can be held by it; the paper's are binary, as the method's default is. A
survivor is not measured again. Objectives are the measure (with neither target nor price) and
``COSTS``.
"""

from typing import Any

import numpy as np

from evoconv.evolution.barrier import Barrier
from evoconv.evolution.breeding import Nursery
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.pareto import crowded_order, oriented
from evoconv.evolution.selection import Member
from evoconv.evolution.strategy import Space
from evoconv.records import Individual, Objective


class NSGA2:
    """As many children as parents, and of both the better half by front and crowding survives."""

    def __init__(
        self, space: Space[Any], options: EvolutionOptions, objective: Objective, seed: int
    ) -> None:
        self._options = options
        self._objective = objective
        self._nursery = Nursery(space, options, seed)
        self._barrier = Barrier(self._next_generation)
        self._survivors: list[Individual] = []

    def ask(self, slots: int) -> list[Individual]:
        """Return the next portion of the generation; nothing while some of it is under way."""
        return self._barrier.ask(slots)

    def tell(self, individual: Individual) -> None:
        """Take an individual of this generation."""
        self._barrier.tell(individual)

    def members(self) -> list[Individual]:
        """Return the survivors and what is measured of this generation, the best first."""
        return self._sorted([*self._survivors, *self._barrier.told])

    def entry(self) -> None:
        """Return None: it doesn't hang on one fitness who survives."""

    def num_generations(self) -> int:
        """Return how many generations have been told whole."""
        return self._barrier.num_complete

    def _sorted(self, individuals: list[Individual]) -> list[Individual]:
        """Return those that were measured, the best by front and crowding first."""
        measured = sorted(
            (one for one in individuals if one.measurement is not None),
            key=lambda one: one.number,
        )
        values = [oriented(one.measurement, self._objective) for one in measured if one.measurement]
        if not values:
            return []
        return [measured[place] for place in crowded_order(np.array(values))]

    def _next_generation(self, told: list[Individual]) -> list[Individual]:
        for one in told:
            self._nursery.remember(one)
        num_births = self._options.population
        self._survivors = self._sorted([*self._survivors, *told])[:num_births]
        if not self._survivors:
            return [self._nursery.random() for _ in range(num_births)]
        ranked = [
            Member(fitness=-place, seniority=-one.number, individual=one)
            for place, one in enumerate(self._survivors)
        ]
        ranked.reverse()
        return [self._nursery.child(ranked) for _ in range(num_births)]
