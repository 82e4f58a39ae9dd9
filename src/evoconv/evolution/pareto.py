"""The archive of a search: what nothing else beats in everything.

An individual dominates another if it is no worse in any of its values and better in one. The Pareto
front are those that nothing dominates. Values here are oriented so that higher is better.
"""

from collections.abc import Iterable
from operator import ge

from evoconv.records import Individual, Objective

COSTS = ("parameters", "macs")
"""What counts beside the objective; lower is better."""


class Archive:
    """The Pareto front of an objective's value against ``COSTS``.

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

        One without a measurement never is. A cost that a problem doesn't measure counts as 0.
        """
        if told.measurement is None:
            return False
        measured = told.measurement.values
        costs = (-measured.get(name, 0.0) for name in COSTS)
        values = (self._objective.value(told.measurement), *costs)
        for place, member in enumerate(self._members):
            if all(map(ge, member[0], values)):
                # Who has just turned one down will most likely turn down the next.
                self._members.insert(0, self._members.pop(place))
                return False
        stay = [one for one in self._members if not all(map(ge, values, one[0]))]
        self._members = [(values, told), *stay]
        return True
