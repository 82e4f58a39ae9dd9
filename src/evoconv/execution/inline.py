"""The reference executor: one job at a time, in this process, while ``wait`` is called.

For tests, debugging and tiny searches. Time-outs and cancellation take effect at the task's next
checkpoint, and nothing protects from a task that brings the process down.
"""

import time
from typing import Any

from evoconv.execution.attempt import attempt, prepare
from evoconv.execution.executor import Cancelled, Job, JobFailed, Outcome, Progress, Setup
from evoconv.records import Failure, FailureKind


class InlineExecutor:
    """Implements ``executor.Executor`` with one slot and no other process."""

    def __init__(self, setup: Setup, device: str = "cpu") -> None:
        self.num_slots = 1
        self._workplace: Any = prepare(setup, 0, device)
        self._job: Job | None = None
        self._control = _InlineControl(0, None)

    def free_slots(self) -> int:
        """Return 1, or 0 while a job is waiting or under way."""
        return int(self._job is None)

    def submit(self, job: Job) -> None:
        """Take the job; it runs in the next ``wait``."""
        if self._job is not None:
            raise ValueError("no slot is free")
        self._job = job
        self._control = _InlineControl(job.number, job.timeout_s)

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:  # noqa: ARG002 - protocol
        """Run the job that was submitted, to its end, and return its outcome."""
        job = self._job
        if job is None:
            return []
        started_at = time.time()
        self._control.start_clock()
        result, failure = attempt(job.task, self._workplace, self._control)
        self._job = None
        return [
            Outcome(
                number=job.number,
                result=result,
                failure=failure,
                worker=0,
                started_at=started_at,
                finished_at=time.time(),
            )
        ]

    def progress(self) -> list[Progress]:
        """Return the latest report of the job under way: for what the task itself calls."""
        latest = self._control.latest
        return [] if self._job is None or latest is None else [latest]

    def cancel(self, number: int) -> None:
        """Make the job's next checkpoint raise; nothing happens if it isn't there any more."""
        if self._job is not None and self._job.number == number:
            self._control.cancelled = True

    def close(self) -> None:
        """Drop the job that was submitted, if any."""
        self._job = None


class _InlineControl:
    """A task's line to the executor, within one process."""

    def __init__(self, number: int, timeout_s: float | None) -> None:
        self.cancelled = False
        self.latest: Progress | None = None
        self._number = number
        self._timeout_s = timeout_s
        self._started = 0.0

    def start_clock(self) -> None:
        self._started = time.monotonic()

    def checkpoint(self) -> None:
        if self.cancelled:
            raise Cancelled
        limit = self._timeout_s
        if limit is not None and time.monotonic() - self._started > limit:
            message = f"took more than {limit:g} s"
            raise JobFailed(Failure(kind=FailureKind.TIMEOUT, message=message))

    def report(self, progress: float, message: str = "") -> None:
        self.latest = Progress(number=self._number, fraction=progress, message=message)
