"""A barrier: individuals are born in lots, and a lot waits until all of the one before is told."""

from collections import deque
from collections.abc import Callable, Iterable, Sequence

from evoconv.evolution.selection import rank
from evoconv.records import Individual, Objective


class Barrier:
    """Hands out lots in portions as slots allow, and asks for the next one when a lot is told.

    What arrives is sorted by number: a lot must not depend on which worker was faster.
    """

    def __init__(self, next_lot: Callable[[list[Individual]], Sequence[Individual]]) -> None:
        """``next_lot`` returns one individual or more, given the lot before; nobody at first."""
        self._next_lot = next_lot
        self._unborn: deque[Individual] = deque()
        self._num_under_way = 0
        self._num_begun = 0
        self._told: list[Individual] = []

    @property
    def told(self) -> list[Individual]:
        """Those of the present lot that have come back, in the order of arrival."""
        return list(self._told)

    @property
    def num_complete(self) -> int:
        """How many lots have been told whole."""
        is_open = bool(self._unborn) or self._num_under_way > 0
        return self._num_begun - is_open

    def ask(self, slots: int) -> list[Individual]:
        """Return the next portion of the lot; nothing while its last ones are under way."""
        if not self._unborn and self._num_under_way == 0:
            complete = sorted(self._told, key=lambda one: one.number)
            self._told = []
            self._num_begun += 1
            self._unborn.extend(self._next_lot(complete))
        portion = [self._unborn.popleft() for _ in range(min(slots, len(self._unborn)))]
        self._num_under_way += len(portion)
        return portion

    def tell(self, individual: Individual) -> None:
        """Take an individual of this lot."""
        self._num_under_way -= 1
        self._told.append(individual)


class InLots:
    """A strategy behind a barrier: a subclass says who lives, and makes the next lot of them."""

    def __init__(self, objective: Objective) -> None:
        self._objective = objective
        self._barrier = Barrier(self._next_lot)

    def ask(self, slots: int) -> list[Individual]:
        """Return the next portion of the lot; nothing while some of it is under way."""
        return self._barrier.ask(slots)

    def tell(self, individual: Individual) -> None:
        """Take an individual of this lot."""
        self._barrier.tell(individual)

    def members(self) -> list[Individual]:
        """Return who lives and what is measured of this lot, the best first."""
        return self._best_first([*self._living(), *self._barrier.told])

    def settled(self) -> list[Individual]:
        """Return who lives, the best first: this lot was bred from them."""
        return self._best_first(self._living())

    def entry(self) -> None:
        """Return None: whoever is measured is let in."""

    def num_generations(self) -> int:
        """Return how many lots have been told whole."""
        return self._barrier.num_complete

    def _next_lot(self, told: list[Individual]) -> list[Individual]:
        """Return one individual or more, given the lot before, by number; nobody at first."""
        raise NotImplementedError

    def _living(self) -> list[Individual]:
        """Return those that this lot was bred from, and that the next may be."""
        raise NotImplementedError

    def _best_first(self, individuals: Iterable[Individual]) -> list[Individual]:
        """Return those that were measured, the fittest first."""
        measured = (one for one in individuals if one.measurement is not None)
        ranked = sorted((rank(one, self._objective) for one in measured), reverse=True)
        return [one.individual for one in ranked]
