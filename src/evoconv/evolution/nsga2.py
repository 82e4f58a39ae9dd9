"""NSGA-II: evolution in generations for several objectives at once.

Source: Deb, Pratap, Agarwal & Meyarivan 2002, section III.
Differs: the crowded comparison is a total order, of equals the older is the better, so that
tournaments of any size can be held by it; the paper's are binary, as the method's default is. A
survivor is not measured again. Objectives are the measure (with neither target nor price) and
``COSTS``.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from evoconv.evolution.barrier import InLots
from evoconv.evolution.breeding import Nursery
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.pareto import crowded_order, oriented
from evoconv.evolution.selection import Member
from evoconv.evolution.strategy import Space
from evoconv.records import Individual, Objective


class NSGA2(InLots):
    """As many children as parents, and of both the better half by front and crowding survives."""

    def __init__(
        self, space: Space[Any], options: EvolutionOptions, objective: Objective, seed: int
    ) -> None:
        super().__init__(objective)
        self._options = options
        self._nursery = Nursery(space, options, seed)
        self._survivors: list[Individual] = []

    def _living(self) -> list[Individual]:
        return self._survivors

    def _best_first(self, individuals: Iterable[Individual]) -> list[Individual]:
        """Return those that were measured, the best by front and crowding first."""
        measured = sorted(
            (one for one in individuals if one.measurement is not None),
            key=lambda one: one.number,
        )
        values = [oriented(one.measurement, self._objective) for one in measured if one.measurement]
        if not values:
            return []
        return [measured[place] for place in crowded_order(np.array(values))]

    def _next_lot(self, told: list[Individual]) -> list[Individual]:
        for one in told:
            self._nursery.remember(one)
        num_births = self._options.population
        self._survivors = self._best_first([*self._survivors, *told])[:num_births]
        if not self._survivors:
            return [self._nursery.random() for _ in range(num_births)]
        ranked = [
            Member(fitness=-place, seniority=-one.number, individual=one)
            for place, one in enumerate(self._survivors)
        ]
        ranked.reverse()
        return [self._nursery.child(ranked) for _ in range(num_births)]
