"""What the tests have workers do; imported by them, so it imports little."""

import mmap
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from evoconv.errors import DataError
from evoconv.execution.executor import Control, JobFailed
from evoconv.records import Failure, FailureKind


class NamedLikeOutOfMemoryError(RuntimeError):
    """Stands for torch.OutOfMemoryError, which is known by its name only."""


def set_up(slot: int, device: str) -> tuple[int, str]:
    return slot, device


def refuse_data(slot: int, device: str) -> None:
    raise DataError("the images are gone")


def refuse_device(slot: int, device: str) -> None:
    raise RuntimeError(f"no such device {device}\nsecond line")


def die_in_setup(slot: int, device: str) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_in_first_setup(slot: int, device: str, *, marker: Path) -> None:
    if not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)


def set_up_slowly(slot: int, device: str, *, seconds: float) -> None:
    time.sleep(seconds)


def double(workplace: Any, control: Control, *, value: int) -> int:
    return 2 * value


def tell_workplace(workplace: Any, control: Control) -> Any:
    return workplace


def tell_process(workplace: Any, control: Control) -> int:
    return os.getpid()


def tell_environment(workplace: Any, control: Control) -> dict[str, str]:
    return dict(os.environ)


def tell_main_file(workplace: Any, control: Control) -> str | None:
    return getattr(sys.modules["__main__"], "__file__", None)


def stumble(workplace: Any, control: Control, *, error: BaseException) -> None:
    raise error


def fail_on_purpose(workplace: Any, control: Control) -> None:
    raise JobFailed(Failure(kind=FailureKind.NOT_FINITE, message="loss is nan"))


def run_until_told(workplace: Any, control: Control) -> None:
    """Report where it runs, then work politely for ever."""
    while True:
        control.report(0.5, str(os.getpid()))
        control.checkpoint()
        time.sleep(0.001)


def ignore_everything(workplace: Any, control: Control) -> None:
    """Report where it runs, then never come to a checkpoint."""
    control.report(0.5, str(os.getpid()))
    threading.Event().wait()


def take_memory(workplace: Any, control: Control, *, size_bytes: int) -> None:
    kept = bytearray(size_bytes)
    kept[::4096] = b"x" * len(kept[::4096])
    ignore_everything(kept, control)


def read_mapped_file(workplace: Any, control: Control, *, path: Path, seconds: float) -> int:
    """Touch every page of a mapped file and hold it for a while."""
    with path.open("rb") as file:
        mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        total = sum(mapped[::4096])
        time.sleep(seconds)
        return total


def give_lock(workplace: Any, control: Control) -> Any:
    return threading.Lock()


def exit_at_once(workplace: Any, control: Control, *, code: int) -> None:
    os._exit(code)


class BreaksOnArrival:
    """Can be sent, but not received."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return _raise_value_error, ("it broke",)


def give_what_breaks_on_arrival(workplace: Any, control: Control) -> BreaksOnArrival:
    return BreaksOnArrival()


def _raise_value_error(text: str) -> None:
    raise ValueError(text)
