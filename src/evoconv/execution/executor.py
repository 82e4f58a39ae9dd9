"""WHERE jobs run: the protocol of executors.

An executor knows nothing of networks. A job's task is any picklable callable
``task(workplace, control) -> result``; the workplace is what the executor's ``setup`` made once in
each worker (an opened data set on a device, say).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

from evoconv.records import Failure

# Called once in each worker with its slot and its device; returns the workplace of all its tasks.
Setup = Callable[[int, str], Any]


class Cancelled(Exception):
    """Raised inside a task by ``Control.checkpoint`` when its result is no longer wanted."""


class Control(Protocol):
    """A task's line to the coordinator."""

    def checkpoint(self) -> None:
        """Raise ``Cancelled`` if the coordinator asked for that. Cheap: call it every batch."""

    def report(self, progress: float, message: str = "") -> None:
        """Tell how far the task is: a fraction in [0, 1], and a few words."""


class JobFailed(Exception):
    """Raised inside a task to end it with a given failure."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(str(failure))
        self.failure = failure


@dataclass(frozen=True, kw_only=True)
class Job:
    """A task with a number that is unique among the jobs under way."""

    number: int
    task: Callable[[Any, Control], Any]
    timeout_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a job: either a result or a failure. Times are seconds since the epoch."""

    number: int
    result: Any = None
    failure: Failure | None = None
    worker: int
    started_at: float
    finished_at: float
    peak_memory_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Progress:
    """How far a running job is."""

    number: int
    fraction: float
    message: str


class Executor(Protocol):
    """Runs jobs on slots. Submit only while ``free_slots() > 0``."""

    num_slots: int

    def free_slots(self) -> int:
        """Return how many jobs may be submitted now."""

    def submit(self, job: Job) -> None:
        """Start the job on a free slot."""

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Return outcomes, at least one unless the time-out comes first or nothing is running."""

    def progress(self) -> list[Progress]:
        """Return the latest report of each running job."""

    def cancel(self, number: int) -> None:
        """Ask a running job to end; its outcome (``CANCELLED``, or a result) still arrives."""

    def close(self) -> None:
        """End all workers, also busy ones. Safe to call twice."""
