"""A barrier: individuals are born in lots, and a lot waits until all of the one before is told."""

from collections import deque
from collections.abc import Callable, Sequence

from evoconv.records import Individual


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
