"""Random search: the smallest example of a strategy, and the one that others must beat."""

from typing import Any

from evoconv.evolution.breeding import Nursery
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.strategy import Space
from evoconv.records import Individual, Objective


class RandomSearch:
    """Individuals that know nothing of each other, but for being different."""

    def __init__(
        self,
        space: Space[Any],
        options: EvolutionOptions,
        objective: Objective,  # noqa: ARG002
        seed: int,
    ) -> None:
        self._nursery = Nursery(space, options, seed)

    def ask(self, slots: int) -> list[Individual]:
        """Return exactly ``slots`` random individuals."""
        return [self._nursery.random() for _ in range(slots)]

    def tell(self, individual: Individual) -> None:
        """Remember what was measured, so that it isn't trained again."""
        self._nursery.remember(individual)

    def members(self) -> list[Individual]:
        """Return nobody: random individuals have no parents."""
        return []

    def settled(self) -> list[Individual]:
        """Return nobody: births don't wait for each other."""
        return self.members()

    def entry(self) -> None:
        """Return None: there is no population to enter."""

    def num_generations(self) -> None:
        """Return None: nobody is bred."""
