"""Regularized evolution: whoever is oldest dies, however fit.

Source: Real, Aggarwal, Huang & Le, "Regularized Evolution for Image Classifier Architecture
Search", AAAI 2019, Algorithm 1.
Differs: age counts from the arrival of the measurement, and a failed individual is not one of the
population. Competitors of a tournament are distinct. The paper's children have one parent and one
mutation, as the method's defaults are (``crossover`` 0, ``mutation`` 1); crossover can be switched
on.
"""

from collections import deque
from typing import Any

from evoconv.evolution.breeding import Nursery
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.selection import Member, rank, rank_again
from evoconv.evolution.strategy import Space
from evoconv.records import Individual, Objective


class Aging:
    """Random individuals until the population is full, then a child for each result."""

    def __init__(
        self, space: Space[Any], options: EvolutionOptions, objective: Objective, seed: int
    ) -> None:
        self._options = options
        self._objective = objective
        self._nursery = Nursery(space, options, seed)
        self._ranked: list[Member] = []  # worst to best
        self._by_age: deque[Member] = deque()  # the oldest first

    def ask(self, slots: int) -> list[Individual]:
        """Return exactly ``slots`` new individuals: nobody waits."""
        num_random = self._options.min_population or self._options.population
        if len(self._ranked) < num_random:
            return [self._nursery.random() for _ in range(slots)]
        return [self._nursery.child(self._ranked) for _ in range(slots)]

    def tell(self, individual: Individual) -> None:
        """Take a measured individual into the population; the oldest beyond its size goes."""
        if individual.measurement is None:
            return
        self._nursery.remember(individual)
        self._by_age.append(rank(individual, self._objective))
        if len(self._by_age) > self._options.population:
            self._by_age.popleft()
        self._ranked = rank_again(self._by_age, self._objective)

    def members(self) -> list[Individual]:
        """Return the population, the best first."""
        return [one.individual for one in reversed(self._ranked)]

    def settled(self) -> list[Individual]:
        """Return the population: births don't wait for each other."""
        return self.members()

    def entry(self) -> None:
        """Return None: every newcomer lives for a while."""

    def num_generations(self) -> None:
        """Return None: births follow results."""
