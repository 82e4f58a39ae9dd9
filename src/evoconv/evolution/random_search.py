"""Random search: the smallest example of a strategy, and the one that others must beat."""

from typing import Any

from evoconv.evolution.breeding import Nursery
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.selection import Member, rank
from evoconv.evolution.strategy import Space
from evoconv.records import Individual, Objective


class RandomSearch:
    """Individuals that know nothing of each other, but for being different."""

    def __init__(
        self, space: Space[Any], options: EvolutionOptions, objective: Objective, seed: int
    ) -> None:
        self._objective = objective
        self._nursery = Nursery(space, options, seed)
        self._best: Member | None = None

    def ask(self, slots: int) -> list[Individual]:
        """Return exactly ``slots`` random individuals."""
        return [self._nursery.random() for _ in range(slots)]

    def tell(self, individual: Individual) -> None:
        """Keep the individual if it is the best."""
        if individual.measurement is None:
            return
        self._nursery.remember(individual)
        member = rank(individual, self._objective)
        self._best = member if self._best is None else max(self._best, member)

    def best(self) -> Individual | None:
        """Return the best individual told."""
        return None if self._best is None else self._best.individual

    def members(self) -> list[Individual]:
        """Return nobody: random individuals have no parents."""
        return []

    def entry(self) -> None:
        """Return None: there is no population to enter."""
