"""The archive of a search: the Pareto front of all that it measured."""

from collections.abc import Iterable
from operator import ge

from evoconv.evolution.pareto import oriented
from evoconv.records import Individual, Objective


class Archive:
    """The Pareto front of an objective's value against ``pareto.COSTS``.

    It is that of all measured individuals added so far; of equal ones the first stays.
    """

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._members: list[tuple[tuple[float, ...], Individual]] = []

    @classmethod
    def of(cls, objective: Objective, individuals: Iterable[Individual]) -> "Archive":
        """Return the archive of these individuals."""
        archive = cls(objective)
        for one in individuals:
            archive.add(one)
        return archive

    @property
    def fittest_first(self) -> list[Individual]:
        """The members, the fittest first: costs may count beside the value."""

        def fitness(individual: Individual) -> float:
            assert individual.measurement is not None, "members are measured"
            return self._objective.fitness(individual.measurement)

        return sorted(self.front, key=fitness, reverse=True)

    @property
    def front(self) -> list[Individual]:
        """The members, the best value of the objective first."""
        ordered = sorted(self._members, key=lambda member: member[0], reverse=True)
        return [individual for _, individual in ordered]

    def add(self, told: Individual) -> bool:
        """Take in an individual if nothing dominates it; return whether it was taken.

        One without a measurement never is.
        """
        if told.measurement is None:
            return False
        values = oriented(told.measurement, self._objective)
        for place, member in enumerate(self._members):
            if all(map(ge, member[0], values)):
                # Who has just turned one down will most likely turn down the next.
                self._members.insert(0, self._members.pop(place))
                return False
        stay = [one for one in self._members if not all(map(ge, values, one[0]))]
        self._members = [(values, told), *stay]
        return True
