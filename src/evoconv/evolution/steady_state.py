"""Asynchronous evolution without generations.

Source: Vidnerová & Neruda 2018, Algorithm 1.
Differs: a failed individual never enters the population and doesn't count towards the minimal one.
No slot ever waits: where there are more of them than the minimal population has places, they get
more random individuals, as the inner loop of the algorithm says.
"""

from typing import Any

from evoconv.evolution.breeding import Nursery
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.selection import Member, admit, rank, rank_again
from evoconv.evolution.strategy import Space
from evoconv.records import Individual, Objective


class SteadyState:
    """Random individuals until the minimal population is measured, then children."""

    def __init__(
        self, space: Space[Any], options: EvolutionOptions, objective: Objective, seed: int
    ) -> None:
        self._options = options
        self._objective = objective
        self._nursery = Nursery(space, options, seed)
        self._ranked: list[Member] = []  # P of Algorithm 1, worst to best

    def ask(self, slots: int) -> list[Individual]:
        """Return exactly ``slots`` new individuals: nobody waits."""
        if len(self._ranked) < self._options.num_before_breeding:
            return [self._nursery.random() for _ in range(slots)]
        return [self._nursery.child(self._ranked) for _ in range(slots)]

    def tell(self, individual: Individual) -> None:
        """Take a measured individual into the population; the worst beyond its size goes."""
        if individual.measurement is None:
            return
        self._nursery.remember(individual)
        newcomer = rank(individual, self._objective)
        self._ranked = rank_again(self._ranked, self._objective)
        admit(self._ranked, newcomer, capacity=self._options.population)

    def members(self) -> list[Individual]:
        """Return the population, the best first."""
        return [one.individual for one in reversed(self._ranked)]

    def settled(self) -> list[Individual]:
        """Return the population: births don't wait for each other."""
        return self.members()

    def entry(self) -> float | None:
        """Return the fitness of the worst, who would have to go; None while there is room."""
        is_full = len(self._ranked) == self._options.population
        return self._ranked[0].fitness if is_full else None

    def num_generations(self) -> None:
        """Return None: births follow results."""
