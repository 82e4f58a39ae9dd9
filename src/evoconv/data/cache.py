"""Decoded sets on disk: made once, under a lock, in a folder that appears when it is whole.

The root is ``$EVOCONV_CACHE``, else the system's folder for caches. A folder is written beside its
place under a name that says partial and then renamed, so what has the right name is complete; a
left over partial folder belongs to nobody once its lock is free. Pixels are written, not mapped,
because a full disk under a mapped file kills the process instead of raising an error.
"""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pooch
from filelock import FileLock, Timeout

from evoconv.data.image_set import ImageSet, Pixels, Preprocessing, open_image_set
from evoconv.errors import DataError

Notify = Callable[[str], None]

_NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def cache_root() -> Path:
    """Return the folder of everything that can be made or fetched again."""
    chosen = os.environ.get("EVOCONV_CACHE")
    return Path(chosen).expanduser().absolute() if chosen else Path(pooch.os_cache("evoconv"))


def cached_set(key: str, make: Callable[[Path], None], notify: Notify) -> ImageSet:
    """Return the set cached under a key; ``make`` fills an empty folder if there is none yet.

    Raises:
        DataError: what ``make`` raised, or the disk is full or can't be written.
    """
    root = cache_root() / "sets"
    folder = root / key
    if folder.is_dir():
        try:
            return open_image_set(folder)
        except DataError:
            notify(f"the decoded images in {folder} are damaged and are made again")
    with writing_to(root):
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / f"{key}.lock", notify):
            return _made(folder, make)


def _made(folder: Path, make: Callable[[Path], None]) -> ImageSet:
    try:
        # Another process may have been faster.
        return open_image_set(folder)
    except DataError:
        partial = folder.with_name(f"{folder.name}.partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(folder, ignore_errors=True)
    partial.mkdir()
    try:
        make(partial)
        for path in partial.iterdir():
            _flush(path)
        partial.rename(folder)
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    return open_image_set(folder)


@contextmanager
def writing_to(root: Path) -> Iterator[None]:
    """Turn what a full or read-only disk raises into one sentence."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise DataError(
                f"no space left for decoded images in {root}; make room, or set EVOCONV_CACHE to a "
                "folder on another disk"
            ) from error
        where = f" ({error.filename})" if error.filename else ""
        raise DataError(
            f"can't keep decoded images in {root}: {error.strerror or error}{where}; "
            "set EVOCONV_CACHE to a folder that can be written"
        ) from error


@contextmanager
def _locked(path: Path, notify: Notify) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        notify("another process is decoding the same images; waiting for it")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _flush(path: Path) -> None:
    # After a power cut the name must not be there before the content.
    with path.open("rb") as file:
        os.fsync(file.fileno())


class PixelFile:
    """The growing images.npy, used in a ``with`` block: one image after another."""

    def __init__(self, path: Path, preprocessing: Preprocessing) -> None:
        self._path = path
        self._preprocessing = preprocessing
        self._num_images = 0

    def __enter__(self) -> "PixelFile":
        self._file = self._path.open("wb")
        self._write_header()
        return self

    def append(self, pixels: Pixels) -> None:
        """Add one image in the set's shape and type."""
        self._file.write(pixels.tobytes())
        self._num_images += 1

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        with self._file:
            if error is None:
                self._file.seek(0)
                self._write_header()

    def _write_header(self) -> None:
        # NumPy leaves room in the header for the first axis to grow, so its length stays the same.
        one = self._preprocessing
        header = {
            "descr": np.lib.format.dtype_to_descr(one.dtype),
            "fortran_order": False,
            "shape": (self._num_images, one.height, one.width, one.channels),
        }
        np.lib.format.write_array_header_1_0(self._file, header)
