"""The worker's side of ``processes``: a loop that runs one task after the other.

It imports nothing heavy, so that a worker soon notices its coordinator's death while starting, too;
what the workplace needs is imported by ``setup``, after that.
"""

import contextlib
import os
import pickle
import signal
import threading
import time
from dataclasses import dataclass
from functools import partial
from multiprocessing import parent_process
from multiprocessing.connection import Connection
from typing import Any

from evoconv.errors import EvoconvError
from evoconv.execution.attempt import attempt, prepare
from evoconv.execution.executor import Cancelled, Control
from evoconv.machine import return_freed_memory
from evoconv.records import Failure

_LOOK_EVERY_S = 0.02
_REPORT_EVERY_S = 0.2


@dataclass(frozen=True)
class Run:
    """To the worker: run this pickled task."""

    number: int
    task: bytes


@dataclass(frozen=True)
class Cancel:
    """To the worker: the result of this job is no longer wanted."""

    number: int


@dataclass(frozen=True)
class Ready:
    """From the worker: the workplace is set up."""


@dataclass(frozen=True)
class SetupFailed:
    """From the worker, its last word: there is no workplace."""

    error: EvoconvError


@dataclass(frozen=True)
class Report:
    """From the worker: how far the running job is."""

    number: int
    fraction: float
    message: str


@dataclass(frozen=True)
class Finished:
    """From the worker: a pickled result, or a failure. Times are seconds since the epoch."""

    number: int
    result: bytes
    failure: Failure | None
    started_at: float
    finished_at: float


def work(connection: Connection, setup: bytes, slot: int, device: str) -> None:
    """Run tasks until the coordinator hangs up; the main function of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the coordinator's business
    threading.Thread(target=_die_with_parent, daemon=True).start()
    try:
        workplace = prepare(partial(_call_pickled, setup), slot, device)
    except EvoconvError as error:
        connection.send(SetupFailed(error))
        return
    # The pipe breaks when the coordinator is gone; there is nobody left to tell.
    with contextlib.suppress(EOFError, OSError):
        connection.send(Ready())
        control = _WorkerControl(connection)
        while True:
            message = connection.recv()
            # A Cancel that arrives here came too late: its job has just ended.
            if isinstance(message, Run):
                connection.send(_run(message, workplace, control))


def _die_with_parent() -> None:
    # Not prctl(PR_SET_PDEATHSIG): that fires when the *thread* that started the worker ends.
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _call_pickled(setup: bytes, slot: int, device: str) -> Any:
    return pickle.loads(setup)(slot, device)


def _run_pickled(task: bytes, workplace: Any, control: Control) -> bytes:
    return pickle.dumps(pickle.loads(task)(workplace, control))


def _run(order: Run, workplace: Any, control: "_WorkerControl") -> Finished:
    control.begin(order.number)
    started_at = time.time()
    result, failure = attempt(partial(_run_pickled, order.task), workplace, control)
    return_freed_memory()  # the next task's peak is its own
    return Finished(order.number, result or b"", failure, started_at, time.time())


class _WorkerControl:
    """A task's line to the coordinator: the worker's end of the pipe."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._number = 0
        self._cancelled = False
        self._look_at = 0.0
        self._report_at = 0.0

    def begin(self, number: int) -> None:
        self._number = number
        self._cancelled = False
        self._look_at = 0.0

    def checkpoint(self) -> None:
        now = time.monotonic()
        if now >= self._look_at:
            self._look_at = now + _LOOK_EVERY_S
            # While a job runs, the coordinator says nothing but Cancel.
            if self._connection.poll():
                self._connection.recv()
                self._cancelled = True
        if self._cancelled:
            raise Cancelled

    def report(self, progress: float, message: str = "") -> None:
        now = time.monotonic()
        if now >= self._report_at:
            self._report_at = now + _REPORT_EVERY_S
            self._connection.send(Report(self._number, progress, message))
