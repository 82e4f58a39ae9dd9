"""What a tree of class folders means, from paths alone; the same for a folder and for an archive.

Either ``class/…/image`` or ``split/class/…/image``, where split is train, val or test. A single
folder around all of it doesn't count. Hidden files and what operating systems leave behind are
passed over.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import numpy.typing as npt

from evoconv.data.decode import SUFFIXES
from evoconv.data.image_set import Declared
from evoconv.data.raw_set import in_natural_order, shortened
from evoconv.errors import DataError

SPLIT_FOLDERS = {
    "train": Declared.TRAIN,
    "training": Declared.TRAIN,
    "val": Declared.VALIDATION,
    "valid": Declared.VALIDATION,
    "validation": Declared.VALIDATION,
    "test": Declared.TEST,
    "testing": Declared.TEST,
}
_LEFTOVERS = ("__macosx", "thumbs.db", "desktop.ini")


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The images of a tree: paths in a fixed order, with label and declared split of each."""

    paths: tuple[str, ...]
    labels: npt.NDArray[np.int64]
    classes: tuple[str, ...]
    declared: npt.NDArray[np.int8]
    notes: tuple[str, ...]


def arrange(paths: Sequence[str], title: str) -> Layout:
    """Return what the paths, relative and with ``/``, mean; their order doesn't matter.

    Raises:
        DataError: no images, no class folders, or a mixture of class and split folders.
    """
    seen = [path for path in paths if not _is_hidden(path)]
    images = [path for path in seen if path.lower().endswith(SUFFIXES)]
    if not images:
        raise DataError(f"{title} holds no images ({', '.join(SUFFIXES)})")
    depth = _wrapping(images)
    placed = [(path, path.split("/")[depth:]) for path in in_natural_order(images)]
    if any(len(parts) == 1 for _, parts in placed):
        loose = [path for path, parts in placed if len(parts) == 1]
        placed = [(path, parts) for path, parts in placed if len(parts) > 1]
        if not placed:
            raise DataError(
                f"{title} holds images but no folders of them; one folder per class is expected"
            )
    else:
        loose = []
    is_split = _has_split_folders([parts for _, parts in placed], title)
    labels = [parts[1] if is_split else parts[0] for _, parts in placed]
    classes = tuple(in_natural_order(list(set(labels))))
    index = {name: number for number, name in enumerate(classes)}
    declared = [SPLIT_FOLDERS[parts[0].lower()] if is_split else 0 for _, parts in placed]
    return Layout(
        paths=tuple(path for path, _ in placed),
        labels=np.array([index[label] for label in labels], dtype=np.int64),
        classes=classes,
        declared=np.array(declared, dtype=np.int8),
        notes=(*_other_files(seen, len(images)), *_outside(loose)),
    )


def _is_hidden(path: str) -> bool:
    parts = path.split("/")
    return any(part.startswith(".") or part.lower() in _LEFTOVERS for part in parts)


def _wrapping(images: list[str]) -> int:
    """Return how many single folders are around the folders of splits or classes."""
    depth = 0
    while True:
        parts = [path.split("/")[depth:] for path in images]
        tops = {one[0] for one in parts}
        wraps = len(tops) == 1 and tops.pop().lower() not in SPLIT_FOLDERS
        if not wraps or min(len(one) for one in parts) < 3:
            return depth
        depth += 1


def _has_split_folders(placed: list[list[str]], title: str) -> bool:
    """Tell split folders from class folders, of which one may be called train."""
    tops = {parts[0] for parts in placed}
    splits = {top for top in tops if top.lower() in SPLIT_FOLDERS}
    direct = sorted({parts[0] for parts in placed if parts[0] in splits and len(parts) == 2})
    if not splits or (splits != tops and len(direct) == len(splits)):
        return False
    if splits != tops:
        others = shortened(in_natural_order(list(tops - splits)))
        raise DataError(
            f"{title} holds both split folders ({', '.join(sorted(splits))}) and others ({others})"
        )
    if direct:
        raise DataError(
            f"{direct[0]}/ in {title} holds images right inside; "
            "one folder per class is expected there"
        )
    return True


def _other_files(seen: list[str], num_images: int) -> list[str]:
    num_others = len(seen) - num_images
    if not num_others:
        return []
    kinds = Counter(
        PurePosixPath(path).suffix or "no suffix"
        for path in seen
        if not path.lower().endswith(SUFFIXES)
    )
    listed = shortened([kind for kind, _ in kinds.most_common()])
    return [f"{_files(num_others)} ignored that {_are(num_others)} no images ({listed})."]


def _outside(loose: list[str]) -> list[str]:
    if not loose:
        return []
    count = len(loose)
    return [
        f"{count} image{'s' * (count > 1)} ignored outside any class folder: {shortened(loose)}."
    ]


def _files(count: int) -> str:
    return f"{count:,} file{'s' * (count > 1)}"


def _are(count: int) -> str:
    return "are" if count > 1 else "is"
