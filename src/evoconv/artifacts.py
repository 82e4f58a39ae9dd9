"""Weight files of trials, kept while a descendant or the end of the search may need them.

A file's name holds its trial's number and the SHA-256 of its content. It appears whole under that
name or not at all, so a half-written file is never read, and a damaged one is noticed.
"""

import contextlib
import errno
import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

from evoconv.errors import StudyError

_SUFFIX = ".safetensors"
_PART_SUFFIX = ".part"


class WeightFiles:
    """The weight files in one folder; several processes may write, one removes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, number: int) -> Path | None:
        """Return the trial's file, or None if there is none."""
        return next(self.folder.glob(f"{number}-*{_SUFFIX}"), None)

    def write(self, number: int, content: bytes) -> Path:
        """Store the trial's weights, in place of earlier ones, and return their file.

        Raises:
            StudyError: the disk is full, or the folder can't be written.
        """
        name = f"{number}-{hashlib.sha256(content).hexdigest()}{_SUFFIX}"
        path = self.folder / name
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
            for older in self.folder.glob(f"{number}-*{_SUFFIX}"):
                if older.name != name:
                    older.unlink(missing_ok=True)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            reason = "no space is left on the disk" if full else str(error)
            raise StudyError(f"the weights of trial {number} can't be saved: {reason}") from error
        return path

    def read(self, number: int) -> bytes | None:
        """Return the trial's weights as they were written, or None if there are none.

        Raises:
            StudyError: the file is damaged or can't be read.
        """
        path = self.path(number)
        if path is None:
            return None
        try:
            content = path.read_bytes()
        except FileNotFoundError:  # removed just now
            return None
        except OSError as error:
            raise StudyError(f"{path} can't be read: {error}") from error
        if path.name != f"{number}-{hashlib.sha256(content).hexdigest()}{_SUFFIX}":
            raise StudyError(
                f"{path} is damaged: its content doesn't have the checksum in its name"
            )
        return content

    def required(self, number: int) -> bytes:
        """Return the trial's weights; ``StudyError`` if they are missing, too."""
        content = self.read(number)
        if content is None:
            raise StudyError(f"the weights of trial {number} are missing")
        return content

    def retain(self, numbers: Iterable[int], max_bytes: int | None = None) -> None:
        """Remove the files of all other trials, also what a killed process left half-written.

        Args:
            numbers: the trials whose files are needed, the most needed first; the running ones too,
                for theirs may be on the way.
            max_bytes: most bytes of all files together; beyond it the least needed go as well.
        """
        places = {str(number): place for place, number in enumerate(numbers)}
        sizes: dict[Path, int] = {}
        for path in self.folder.glob("*-*"):
            if path.suffix not in (_SUFFIX, _PART_SUFFIX):
                continue
            if path.name.partition("-")[0] not in places:
                path.unlink(missing_ok=True)
            elif max_bytes is not None:
                with contextlib.suppress(FileNotFoundError):  # renamed just now
                    sizes[path] = path.stat().st_size
        if max_bytes is None:
            return
        left = max_bytes
        for path in sorted(sizes, key=lambda path: places[path.name.partition("-")[0]]):
            left -= sizes[path]
            # Half-written ones are about to get their names: their writer would miss them.
            if left < 0 and path.suffix != _PART_SUFFIX:
                path.unlink(missing_ok=True)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all; the folder must exist.

    Raises:
        OSError: the disk is full, or the folder can't be written.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}{_PART_SUFFIX}")
    try:
        part.write_bytes(content)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def write_file(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all; the folder must exist.

    Raises:
        StudyError: the disk is full, or the folder can't be written.
    """
    try:
        write_atomically(path, content)
    except OSError as error:
        raise StudyError(f"{path} can't be written: {error.strerror or error}") from error


def make_folder(path: Path) -> None:
    """Make a folder with all above it; one that is there stays. ``StudyError`` if it can't be."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StudyError(f"{path} can't be made: {error.strerror or error}") from error
