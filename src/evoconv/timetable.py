"""How the time of one command is divided: search, final training, and what comes after it."""

import math
import time
from dataclasses import dataclass

# Saving, checking in a fresh process and reporting take about this long after the last training.
AFTERWARDS_S = 6.0
# A command that has nothing yet may be late by this: better than to end with empty hands.
_GRACE_S = 4.0
_WANTED_EPOCHS = 8

COMPRESSION_SHARE = 1 / 3
"""Of a command's time, where a compression follows the search."""

_SHORT_S = 600.0


@dataclass(frozen=True, kw_only=True)
class Timetable:
    """The plan of one command. Moments are seconds since the epoch; None means without limit.

    Attributes:
        started_at: when the command began.
        time_s: how long it may take altogether.
        final_share: share of that for the final trainings.
    """

    started_at: float
    time_s: float | None
    final_share: float

    @property
    def deadline(self) -> float | None:
        """When the command must have ended."""
        return None if self.time_s is None else self.started_at + self.time_s

    @property
    def search_deadline(self) -> float | None:
        """When the search ends, if it has found anything."""
        if self.deadline is None or self.time_s is None:
            return None
        return self.deadline - AFTERWARDS_S - self.final_share * self.time_s

    def wanted_evaluations(self, in_ten_minutes: int) -> float:
        """Return how many evaluations there should be at least: a longer time is for more.

        By its root: it is for more generations, and for longer evaluations, alike.
        """
        return in_ten_minutes * math.sqrt(max(1.0, (self.time_s or 0.0) / _SHORT_S))

    @property
    def last_call(self) -> float | None:
        """When the search ends even if it has found nothing."""
        return None if self.deadline is None else self.deadline + _GRACE_S

    def left_s(self) -> float | None:
        """Return seconds until the deadline; negative when it is past."""
        return None if self.deadline is None else self.deadline - time.time()

    def left_for_search_s(self) -> float | None:
        """Return seconds until the search should end; None for no limit."""
        end = self.search_deadline
        return None if end is None else max(0.0, end - time.time())

    def left_for_training_s(self) -> float | None:
        """Return seconds that the final trainings may take if they begin now."""
        left_s = self.left_s()
        return None if left_s is None else left_s - AFTERWARDS_S

    def affordable_macs(
        self,
        macs_per_s: float,
        passes: int,
        num_images: int,
        num_slots: int,
        num_evaluations: int,
    ) -> int | None:
        """Return multiply-accumulates per image of the slowest networks worth trying.

        A search of ten minutes has time for so many evaluations even of those, a longer one for as
        many more as the root of its time; and the final training has it for ``_WANTED_EPOCHS``.

        Args:
            macs_per_s: speed of one slot in training, counting those of forward passes only.
            passes: images that one evaluation is trained on.
            num_images: images that the final network is trained on in an epoch.
            num_slots: evaluations under way at a time.
            num_evaluations: how many there must be in ten minutes.
        """
        if self.time_s is None:
            return None
        wanted = self.wanted_evaluations(num_evaluations)
        search_s = self.time_s * (1 - self.final_share) * num_slots / wanted
        epoch_s = self.time_s * self.final_share / _WANTED_EPOCHS
        return int(macs_per_s * min(search_s / passes, epoch_s / num_images)) // 1000 * 1000
