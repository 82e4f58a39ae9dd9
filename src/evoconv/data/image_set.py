"""What a decoded data set is: pixels in one memory-mapped array, and the facts about each image.

An ``ImageSet`` is opened from its cache folder in a moment, so every worker opens its own and the
operating system keeps the pixels in memory once. The folder is made by ``cache.py``; nothing in it
is ever unpickled.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from evoconv.errors import DataError

Pixels = npt.NDArray[np.uint8 | np.uint16]

RESIZE_POLICIES = ("fit", "stretch", "crop")
BIT_DEPTHS = (8, 10, 12, 14, 16)
MAX_SIDE = 1024
FORMAT = 1  # of the cache folder; another number means another layout
FACTS = "set.json"
ARRAYS = ("images", "labels", "declared", "fingerprints")


class Declared(IntEnum):
    """Which split the source itself put an image in; the values are stored."""

    ANY = 0
    TRAIN = 1
    VALIDATION = 2
    TEST = 3


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What is done to an image file before a network sees it; saved with every network.

    ``bit_depth`` holds for the whole set: pixel values are meant to reach ``2**bit_depth - 1``. Up
    to 8 bits are stored as uint8, more as uint16.
    """

    height: int
    width: int
    channels: int
    bit_depth: int = 8
    resize: str = "fit"

    def __post_init__(self) -> None:
        """Raise ``DataError`` naming what is out of range."""
        for name in ("height", "width"):
            side = getattr(self, name)
            if type(side) is not int or not 1 <= side <= MAX_SIDE:
                raise DataError(f"the {name} of images must be in [1, {MAX_SIDE}], got {side}")
        for name, known in (
            ("channels", (1, 3)),
            ("bit_depth", BIT_DEPTHS),
            ("resize", RESIZE_POLICIES),
        ):
            value = getattr(self, name)
            if value not in known or isinstance(value, bool):
                listed = ", ".join(str(one) for one in known)
                raise DataError(f"{name} must be one of {listed}, got {value}")

    @property
    def max_value(self) -> int:
        """The largest value a pixel is meant to have."""
        return int(2**self.bit_depth - 1)

    @property
    def dtype(self) -> np.dtype[np.uint8 | np.uint16]:
        """The type pixels are stored in."""
        return np.dtype(np.uint8 if self.bit_depth == 8 else np.uint16)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> "Preprocessing":
        """Return what ``to_dict`` gave; ``DataError`` for anything else."""
        names = {one.name for one in fields(cls)}
        if not isinstance(content, Mapping) or set(content) != names:
            raise DataError(f"a preprocessing has the fields {', '.join(sorted(names))}")
        return cls(**content)


@dataclass(frozen=True, kw_only=True)
class ImageSet:
    """N decoded images with their labels.

    Attributes:
        folder: where it is cached, and can be opened again.
        images: memory-mapped, uint8 or uint16, shape (N, H, W, C).
        labels: index into ``classes`` per image, shape (N,).
        declared: what the source says of each image, values of ``Declared``, shape (N,).
        fingerprints: 128-bit hash of each image's pixels, shape (N, 2); equal for exact copies.
        names: path of each image inside the source.
        notes: sentences a person should read, such as what was dropped.
        digest: of all content; equal for equal sets wherever they are.
    """

    folder: Path
    images: Pixels
    labels: npt.NDArray[np.int64]
    declared: npt.NDArray[np.int8]
    fingerprints: npt.NDArray[np.uint64]
    classes: tuple[str, ...]
    names: tuple[str, ...]
    preprocessing: Preprocessing
    notes: tuple[str, ...]
    digest: str

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one image as a network takes it: (C, H, W)."""
        return (self.preprocessing.channels, self.preprocessing.height, self.preprocessing.width)


def open_image_set(folder: Path) -> ImageSet:
    """Return the set cached in a folder, its pixels memory-mapped.

    Raises:
        DataError: the folder is missing, or isn't whole.
    """
    damaged = f"the decoded images in {folder} are missing or damaged; load their source again"
    try:
        facts = json.loads((folder / FACTS).read_text(encoding="utf-8"))
        if facts["format"] != FORMAT:
            raise DataError(
                f"the decoded images in {folder} were made by another version of evoconv"
            )
        arrays = {
            name: np.load(
                folder / f"{name}.npy",
                mmap_mode="r" if name == "images" else None,
                allow_pickle=False,
            )
            for name in ARRAYS
        }
        opened = ImageSet(
            folder=folder,
            **arrays,
            classes=tuple(facts["classes"]),
            names=tuple(facts["names"]),
            preprocessing=Preprocessing.from_dict(facts["preprocessing"]),
            notes=tuple(facts["notes"]),
            digest=str(facts["digest"]),
        )
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise DataError(damaged) from error
    if not _is_consistent(opened):
        raise DataError(damaged)
    return opened


def _is_consistent(opened: ImageSet) -> bool:
    channels, height, width = opened.input_shape
    count = len(opened.names)
    expected = {
        "images": ((count, height, width, channels), opened.preprocessing.dtype),
        "labels": ((count,), np.int64),
        "declared": ((count,), np.int8),
        "fingerprints": ((count, 2), np.uint64),
    }
    found = {name: getattr(opened, name) for name in ARRAYS}
    return all(
        found[name].shape == shape and found[name].dtype == dtype
        for name, (shape, dtype) in expected.items()
    )
