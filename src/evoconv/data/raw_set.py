"""What every source gives before decoding: images by index, with names, labels and declared splits.

One file per format makes a ``Source`` of a path; opening it gives a ``RawSet``. Neither knows of
sizes, caches or splits made later.
"""

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evoconv.data.image_set import Pixels
from evoconv.errors import DataError

Item = bytes | Pixels  # an encoded image file, or pixels of shape (H, W, C)


@dataclass(frozen=True, kw_only=True)
class RawSet:
    """Images that aren't decoded yet.

    Attributes:
        names: path of each image inside the source, all different.
        labels: index into ``classes``, shape (N,).
        declared: values of ``Declared``, shape (N,).
        fetch: the image with a given index; called from one thread only.
    """

    names: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    declared: npt.NDArray[np.int8]
    fetch: Callable[[int], Item]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Source:
    """Something that can be opened as a raw set.

    ``identity`` changes when the content may have changed: it holds paths, sizes and times.
    """

    title: str
    identity: str
    open: Callable[[], AbstractContextManager[RawSet]]


def identity_of(files: Sequence[Path]) -> str:
    """Return a digest of the files' absolute paths, sizes and times of modification."""
    content = hashlib.sha256()
    for path in files:
        try:
            state = path.stat()
        except OSError as error:
            raise DataError(f"can't read {path}: {error.strerror}") from error
        line = f"{path.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\n"
        content.update(line.encode("utf-8", "surrogateescape"))
    return content.hexdigest()


def in_natural_order(texts: Sequence[str]) -> list[str]:
    """Return the texts sorted as people do: numbers inside them by value.

    >>> in_natural_order(["10", "9", "b2", "b10"])
    ['9', '10', 'b2', 'b10']
    """

    def key(text: str) -> tuple[list[tuple[bool, int, str]], str]:
        pieces = re.findall(r"[0-9]{1,18}|[^0-9]+", text)
        return [
            (not piece[0].isdecimal(), int(piece) if piece[0].isdecimal() else 0, piece)
            for piece in pieces
        ], text

    return sorted(texts, key=key)


def shortened(names: Sequence[str], limit: int = 3) -> str:
    """Return the first few names, and how many more there are.

    >>> shortened(["a", "b", "c", "d", "e"])
    'a, b, c and 2 more'
    """
    listed = ", ".join(names[:limit])
    return listed if len(names) <= limit else f"{listed} and {len(names) - limit} more"
