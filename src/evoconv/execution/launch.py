"""One worker process as its coordinator has it: started so that it can't do harm, measured, ended.

It has one thread, is deaf to Ctrl-C, and knows nothing of the person's script.
"""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing import get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from types import ModuleType

import psutil

from evoconv.execution.worker import work
from evoconv.interrupts import ctrl_c_waits

_JOIN_S = 5.0

_ONE_THREAD = (
    "OMP_NUM_THREADS",
    "MKL_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class WorkerProcess:
    """A worker that was started, and the coordinator's end of its pipe.

    Attributes:
        ready: whether it has said that its workplace is set up.
    """

    def __init__(self, setup: bytes, slot: int, device: str) -> None:
        """Start the worker; raises ``OSError`` where the system has no more processes or memory."""
        self.slot = slot
        self.ready = False
        self._process, self.connection = _launch(setup, slot, device)
        self._measured: psutil.Process | None = None
        with contextlib.suppress(psutil.Error):  # dead already: its pipe will tell
            self._measured = psutil.Process(self._process.pid)

    def is_dead(self) -> bool:
        """Return whether the process has ended."""
        return self._process.exitcode is not None

    def private_bytes(self) -> int:
        """Return resident memory that is the worker's alone; pages of mapped files are not.

        0 when it can't be read, because the process is just ending.
        """
        if self._measured is None:
            return 0
        try:
            info = self._measured.memory_info()
            # Linux says it at once; the unique set size costs milliseconds per gigabyte there.
            if hasattr(info, "shared"):
                return int(info.rss - info.shared)
            return int(self._measured.memory_full_info().uss)
        except psutil.Error:
            return 0

    def kill(self) -> None:
        """Begin to end the process, whatever it does. It holds nothing that is lost with it."""
        self._process.kill()

    def bury(self, patience_s: float = 0.0) -> str:
        """End the process and return how it ended; one that may be dying is given time for that."""
        if patience_s:
            self._process.join(patience_s)
        self._process.kill()
        # Only a process stuck in the kernel, in a driver say, outlives its SIGKILL by so long.
        self._process.join(_JOIN_S)
        code = self._process.exitcode
        self.connection.close()
        if code is not None:
            self._process.close()
        return _describe_end(self.slot, code)


def _describe_end(slot: int, code: int | None) -> str:
    if code is None or code >= 0:
        return f"worker {slot} ended with exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = "unknown"
    return f"worker {slot} was killed by signal {-code} ({name})"


def _launch(setup: bytes, slot: int, device: str) -> tuple[SpawnProcess, Connection]:
    """Return a new worker process and the coordinator's end of its pipe."""
    # Spawned, not forked: a fork of a process that has used torch or CUDA may hang.
    context = get_context("spawn")
    # It starts once per coordinator and unblocks signals as it does: not amid the block below.
    resource_tracker.ensure_running()
    ours, theirs = context.Pipe()
    try:
        process = context.Process(
            target=work,
            args=(theirs, setup, slot, device),
            name=f"evoconv worker {slot}",
            daemon=True,
        )
        # Half started, the child would complain about what it was not told.
        with ctrl_c_waits(), _one_thread(), _interrupts_blocked(), _without_main(setup):
            process.start()
    except BaseException:
        ours.close()
        raise
    finally:
        theirs.close()
    return process, ours


@contextlib.contextmanager
def _one_thread() -> Iterator[None]:
    """Give children an environment for one thread; numerical libraries read it as they load."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(dict.fromkeys(_ONE_THREAD, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _interrupts_blocked() -> Iterator[None]:
    """Have the child begin with SIGINT blocked, so that Ctrl-C can't strike while Python starts."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _without_main(setup: bytes) -> Iterator[None]:
    """Hide the main module from the child, unless ``setup`` lives there.

    A spawned child runs the main script again to find what it defines. Workers need nothing of it,
    and a script without ``if __name__ == "__main__"`` would begin another search in each of them.
    """
    if b"__main__" in setup:
        yield
        return
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
