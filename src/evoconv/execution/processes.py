"""Local worker processes, one device slot each, that may die at any time.

Every worker has a pipe of its own and shares nothing else with anybody, so a worker killed amid
anything (by time-out, memory limit, a person or the system) can neither hold a lock nor garble
another's results. Dead workers are replaced when the next job needs them.
"""

import contextlib
import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from multiprocessing.connection import wait
from typing import Any

from evoconv.errors import ConfigError, EvoconvError, SearchFailed
from evoconv.execution.attempt import failure_of
from evoconv.execution.executor import Job, Outcome, Progress, Setup
from evoconv.execution.launch import WorkerProcess
from evoconv.execution.worker import Cancel, Finished, Ready, Report, Run, SetupFailed
from evoconv.records import Failure, FailureKind
from evoconv.units import format_bytes

_LOOK_EVERY_S = 0.5
_MAX_STARTS = 2
_DYING_S = 1.0  # a dying worker's pipe is closed a moment before it is dead


@dataclass
class _Running:
    """A job on a slot; it waits there while the worker starts."""

    job: Job
    task: bytes
    started_at: float | None = None  # None until the worker has it
    deadline: float = inf
    cancelled: bool = False
    kill_at: float = inf
    progress: Progress | None = None
    peak_memory_bytes: int | None = None


@dataclass
class _Slot:
    """A place for one worker at a time, and for one job at a time."""

    number: int
    device: str
    worker: WorkerProcess | None = None
    running: _Running | None = None
    failed_starts: int = 0


class ProcessExecutor:
    """Implements ``executor.Executor`` with one worker process per entry of ``devices``.

    Workers start at once and together; jobs may be submitted meanwhile, and their clocks start when
    a worker takes them. To be used from one thread, which has to call ``wait`` regularly: time-outs
    and the memory limit are enforced there.

    Args:
        setup: picklable; called once in each worker with its slot and device.
        devices: ``cpu``, ``cuda:0``, …; a device may be named several times.
        memory_limit_bytes: per worker, without what it shares with others, such as mapped files.
        grace_s: how long a cancelled job may take to come to its next checkpoint.
    """

    def __init__(
        self,
        setup: Setup,
        devices: Sequence[str],
        memory_limit_bytes: int | None = None,
        *,
        grace_s: float = 2.0,
    ) -> None:
        if not devices:
            raise ConfigError("at least one worker is needed, got 0")
        self.num_slots = len(devices)
        self._setup = pickle.dumps(setup)
        self._memory_limit_bytes = memory_limit_bytes
        self._grace_s = grace_s
        self._slots = [_Slot(number, device) for number, device in enumerate(devices)]
        self._outcomes: list[Outcome] = []
        self._look_at = 0.0
        self._closed = False
        try:
            for slot in self._slots:
                self._start(slot)
        except BaseException:
            self.close()
            raise

    def free_slots(self) -> int:
        """Return how many jobs may be submitted now."""
        return sum(slot.running is None for slot in self._slots)

    def submit(self, job: Job) -> None:
        """Give the job to a worker: one that waits, else one that is starting, else a new one.

        Raises:
            ValueError: no slot is free, or the executor is closed.
            SearchFailed: no worker can be started.
        """
        free = [slot for slot in self._slots if slot.running is None]
        if self._closed or not free:
            raise ValueError("the executor is closed" if self._closed else "no slot is free")
        slot = min(free, key=_slowness)
        slot.running = _Running(job, pickle.dumps(job.task))
        self._set_going(slot)

    def wait(self, timeout_s: float | None = None) -> list[Outcome]:
        """Return outcomes, at least one unless the time-out comes first or nothing is running.

        Raises:
            UserError, SearchFailed: a worker can't be set up; the other workers go on.
        """
        end = inf if timeout_s is None else time.monotonic() + timeout_s
        while not self._outcomes and self.free_slots() < self.num_slots:
            self._listen(max(0.0, min(end, self._next_due()) - time.monotonic()))
            self._enforce_limits()
            if time.monotonic() >= end:
                break
        outcomes, self._outcomes = self._outcomes, []
        return outcomes

    def progress(self) -> list[Progress]:
        """Return the latest report of each running job, as of the last ``wait``."""
        running = [slot.running for slot in self._slots if slot.running is not None]
        return [one.progress for one in running if one.progress is not None]

    def cancel(self, number: int) -> None:
        """Ask a running job to end; its outcome (``CANCELLED``, or a late result) still arrives."""
        for slot in self._slots:
            running = slot.running
            if running is None or running.job.number != number or running.cancelled:
                continue
            running.cancelled = True
            if running.started_at is None or slot.worker is None:
                self._fail(slot, FailureKind.CANCELLED, "before it began")
                continue
            running.kill_at = time.monotonic() + self._grace_s
            with contextlib.suppress(OSError):  # its death is noticed in wait
                slot.worker.connection.send(Cancel(number))

    def close(self) -> None:
        """End all workers, also busy ones. Safe to call twice."""
        self._closed = True
        for slot in self._slots:
            if slot.worker is not None:
                slot.worker.kill()
        for slot in self._slots:
            slot.running = None
            self._stop(slot)

    def _start(self, slot: _Slot) -> None:
        try:
            slot.worker = WorkerProcess(self._setup, slot.number, slot.device)
        except OSError as error:
            message = f"worker {slot.number} can't be started: {error}"
            self._fail(slot, FailureKind.LOST, message)
            raise SearchFailed(message) from error

    def _stop(self, slot: _Slot) -> None:
        worker, slot.worker = slot.worker, None
        if worker is not None:
            worker.bury()

    def _set_going(self, slot: _Slot) -> None:
        """Send the slot's job to its worker, or start the worker that will get it."""
        running, worker = slot.running, slot.worker
        if worker is None:
            self._start(slot)
        elif worker.ready and running is not None:
            try:
                worker.connection.send(Run(running.job.number, running.task))
            except OSError:  # it died while it had nothing to do: that is not the job's fault
                self._stop(slot)
                self._start(slot)
                return
            running.started_at = time.time()
            if running.job.timeout_s is not None:
                running.deadline = time.monotonic() + running.job.timeout_s

    def _next_due(self) -> float:
        running = [slot.running for slot in self._slots if slot.running is not None]
        return min([self._look_at, *(min(one.deadline, one.kill_at) for one in running)])

    def _listen(self, pause_s: float) -> None:
        """Take one message from each worker that has one; wait for the first."""
        workers = [(slot, slot.worker) for slot in self._slots if slot.worker is not None]
        heard = wait([worker.connection for _, worker in workers], pause_s)
        for slot, worker in workers:
            if worker.connection not in heard:
                continue
            try:
                message = worker.connection.recv()
            except (EOFError, OSError):
                self._take_death(slot, worker)
            else:
                self._take(slot, worker, message)

    def _take(self, slot: _Slot, worker: WorkerProcess, message: Any) -> None:
        running = slot.running
        match message:
            case Ready():
                worker.ready = True
                slot.failed_starts = 0
                self._set_going(slot)
            case SetupFailed(error):
                self._stop(slot)
                self._start_again(slot, error)
            case Report(number, fraction, text) if running is not None:
                running.progress = Progress(number=number, fraction=fraction, message=text)
            case Finished() if running is not None:
                self._finish(slot, worker, running, message)

    def _finish(
        self, slot: _Slot, worker: WorkerProcess, running: _Running, message: Finished
    ) -> None:
        _measure_memory(worker, running)
        result, failure = None, message.failure
        if failure is None:
            try:
                result = pickle.loads(message.result)
            except Exception as error:  # noqa: BLE001 - unpickling runs the result's own code
                failure = failure_of(error)
        slot.running = None
        self._outcomes.append(
            Outcome(
                number=message.number,
                result=result,
                failure=failure,
                worker=slot.number,
                started_at=message.started_at,
                finished_at=message.finished_at,
                peak_memory_bytes=running.peak_memory_bytes,
            )
        )
        # After most CUDA errors a process can't use its device any more: the next job gets another.
        if failure is not None and "CUDA error" in failure.message:
            self._stop(slot)

    def _fail(self, slot: _Slot, kind: FailureKind, message: str) -> None:
        """End the slot's job with a failure that the worker itself didn't report."""
        running, slot.running = slot.running, None
        if running is None:
            return
        if running.cancelled:
            kind = FailureKind.CANCELLED
        now = time.time()
        self._outcomes.append(
            Outcome(
                number=running.job.number,
                failure=Failure(kind=kind, message=message),
                worker=slot.number,
                started_at=now if running.started_at is None else running.started_at,
                finished_at=now,
                peak_memory_bytes=running.peak_memory_bytes,
            )
        )

    def _take_death(self, slot: _Slot, worker: WorkerProcess) -> None:
        """Take note of a worker that died by itself or was killed by somebody else."""
        slot.worker = None
        how = worker.bury(_DYING_S)
        if worker.ready:
            self._fail(slot, FailureKind.LOST, how)
        else:
            self._start_again(slot, SearchFailed(f"{how} while it started on {slot.device}"))

    def _start_again(self, slot: _Slot, error: EvoconvError) -> None:
        """Replace a worker that didn't get as far as its first job, or give up on it."""
        slot.failed_starts += 1
        if isinstance(error, SearchFailed) and slot.failed_starts < _MAX_STARTS:
            self._start(slot)
            return
        self._fail(slot, FailureKind.LOST, str(error))
        raise error

    def _enforce_limits(self) -> None:
        now = time.monotonic()
        looking = now >= self._look_at
        if looking:
            self._look_at = now + _LOOK_EVERY_S
        for slot in self._slots:
            running, worker = slot.running, slot.worker
            if worker is None or running is None or running.started_at is None:
                continue
            if worker.connection.poll():  # perhaps its result, just in time
                continue
            if now >= running.kill_at:
                self._stop(slot)
                self._fail(slot, FailureKind.CANCELLED, "it had to be killed")
            elif now >= running.deadline:
                self._stop(slot)
                limit = f"took more than {running.job.timeout_s:g} s"
                self._fail(slot, FailureKind.TIMEOUT, limit)
            elif looking:
                self._look_at_worker(slot, worker, running)

    def _look_at_worker(self, slot: _Slot, worker: WorkerProcess, running: _Running) -> None:
        """Notice a worker's memory, and its death where a child of its own keeps the pipe open."""
        if worker.is_dead():
            self._take_death(slot, worker)
            return
        used, limit = _measure_memory(worker, running), self._memory_limit_bytes
        if limit is not None and used > limit:
            self._stop(slot)
            message = f"used {format_bytes(used)}, limit {format_bytes(limit)}"
            self._fail(slot, FailureKind.OUT_OF_MEMORY, message)


def _measure_memory(worker: WorkerProcess, running: _Running) -> int:
    """Return the memory that is the worker's alone, and keep the job's highest."""
    used = worker.private_bytes()
    running.peak_memory_bytes = max(used, running.peak_memory_bytes or 0)
    return used


def _slowness(slot: _Slot) -> int:
    """Return how late a free slot would begin a job: 0 at once, 1 it starts, 2 it has to start."""
    if slot.worker is None:
        return 2
    return 0 if slot.worker.ready else 1
