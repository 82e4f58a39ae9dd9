"""One process at a time works in a run folder. Its lock ends with it, however it ends."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import psutil
from filelock import FileLock, Timeout

from evoconv.errors import StudyError

LOCK_NAME = "study.lock"
# Beside the lock, because opening a lock file empties it.
_OWNER_NAME = "study.lock.owner"


@contextlib.contextmanager
def lock_folder(folder: Path) -> Iterator[None]:
    """Hold the folder, which is made if it isn't there, to the end of the block.

    Raises:
        StudyError: another process holds it, or it can't be written.
    """
    lock = FileLock(folder / LOCK_NAME)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        raise StudyError(f"{folder} is in use by {_describe_owner(folder)}") from None
    except (OSError, NotImplementedError) as error:
        raise StudyError(f"{folder} can't be locked: {error}") from error
    try:
        _write_owner(folder)
        yield
    finally:
        lock.release()


def _write_owner(folder: Path) -> None:
    # Only for the other's message: a disk that is full is noticed where it matters.
    with contextlib.suppress(OSError):
        (folder / _OWNER_NAME).write_text(f"{psutil.Process().pid}\n", encoding="ascii")


def _describe_owner(folder: Path) -> str:
    try:
        pid = int((folder / _OWNER_NAME).read_text(encoding="ascii"))
        known = psutil.pid_exists(pid)
    except (OSError, ValueError, OverflowError):
        known = False
    return f"process {pid}" if known else "another process"
