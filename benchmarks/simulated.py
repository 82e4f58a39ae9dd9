"""An executor on a virtual clock: jobs take the time that a function says, and none in truth.

For measuring how a strategy uses its workers, hundreds of them and for days, in seconds. Implements
``evoconv.execution.executor.Executor``; tasks run in this process when their virtual time is over.
"""

import heapq
import math
from collections.abc import Callable
from typing import Any

from evoconv.execution.attempt import attempt
from evoconv.execution.executor import Job, Outcome, Progress
from evoconv.records import Failure, FailureKind
from evoconv.seeds import Purpose, stream


class VirtualClock:
    """A clock that moves when it is told to. Calling it reads it."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        """Return the virtual seconds since the start."""
        return self.now_s


class SimulatedExecutor:
    """Runs each job for ``latency_s(number)`` virtual seconds.

    Attributes:
        busy_s: slot-seconds spent with a job.
        idle_s: slot-seconds spent waiting for one.
    """

    def __init__(
        self, num_slots: int, latency_s: Callable[[int], float], clock: VirtualClock
    ) -> None:
        self.num_slots = num_slots
        self.busy_s = 0.0
        self.idle_s = 0.0
        self._latency_s = latency_s
        self._clock = clock
        self._free = list(range(num_slots))
        # Sorted by end, then by number; with the start and the slot.
        self._running: list[tuple[float, int, float, int, Job]] = []
        self._cancelled: set[int] = set()

    def free_slots(self) -> int:
        """Return how many slots have no job."""
        return len(self._free)

    def submit(self, job: Job) -> None:
        """Start the job now."""
        start = self._clock()
        entry = (start + self._latency_s(job.number), job.number, start, self._free.pop(), job)
        heapq.heappush(self._running, entry)

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Move the clock to the next end of a job, or by the time-out; return what has ended."""
        if not self._running:
            return []
        until = self._running[0][0]
        if timeout_s is not None:
            until = min(until, self._clock() + timeout_s)
        passed_s = max(0.0, until - self._clock())
        self.busy_s += passed_s * len(self._running)
        self.idle_s += passed_s * len(self._free)
        self._clock.now_s += passed_s
        outcomes = []
        while self._running and self._running[0][0] <= until:
            outcomes.append(self._end(*heapq.heappop(self._running)))
        return outcomes

    def progress(self) -> list[Progress]:
        """Return nothing: simulated jobs don't report."""
        return []

    def cancel(self, number: int) -> None:
        """End the job at the next ``wait``."""
        self._cancelled.add(number)
        self._running = [
            (self._clock(), *entry[1:]) if entry[1] == number else entry for entry in self._running
        ]
        heapq.heapify(self._running)

    def close(self) -> None:
        """Drop all jobs."""
        self._running.clear()

    def _end(self, end: float, number: int, start: float, slot: int, job: Job) -> Outcome:
        self._free.append(slot)
        result: Any = None
        failure: Failure | None = Failure(kind=FailureKind.CANCELLED, message="")
        if number not in self._cancelled:
            result, failure = attempt(job.task, None, _Silence())
        self._cancelled.discard(number)
        return Outcome(
            number=number,
            result=result,
            failure=failure,
            worker=slot,
            started_at=start,
            finished_at=end,
        )


class _Silence:
    """The control of a job that is over as soon as it begins."""

    def checkpoint(self) -> None:
        """Go on."""

    def report(self, progress: float, message: str = "") -> None:
        """Tell nobody."""


def unequal_latency(seed: int, *, mean_s: float, sigma: float) -> Callable[[int], float]:
    """Return log-normal times keyed by job number; at sigma 1 the longest tenth takes 39 %."""
    location = -sigma * sigma / 2

    def latency_s(number: int) -> float:
        draw = stream(seed, Purpose.EVALUATE, number).standard_normal()
        return mean_s * math.exp(location + sigma * float(draw))

    return latency_s
