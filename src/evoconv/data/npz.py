"""An .npz file with images and labels, read without unpickling anything.

Images have shape (N, H, W), (N, H, W, 1) or (N, H, W, 3). Integers must lie in 0–65535.
Floating-point images are taken only where all values lie in [0, 1], as made by dividing bytes by
255; they become 8 bits again, with a note. Anything else could only be guessed at, and is refused.
"""

import zipfile
import zlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evoconv.data.archives import check_expansion
from evoconv.data.arrays import Part, raw_set_of
from evoconv.data.image_set import Declared, Pixels
from evoconv.data.raw_set import RawSet, Source, identity_of
from evoconv.errors import DataError

# Known spellings: plain, Keras's, and MedMNIST's.
_SPELLINGS = (
    {"any": ("images", "labels")},
    {
        "train": ("x_train", "y_train"),
        "validation": ("x_val", "y_val"),
        "test": ("x_test", "y_test"),
    },
    {
        "train": ("train_images", "train_labels"),
        "validation": ("val_images", "val_labels"),
        "test": ("test_images", "test_labels"),
    },
)
_DECLARED = {
    "any": Declared.ANY,
    "train": Declared.TRAIN,
    "validation": Declared.VALIDATION,
    "test": Declared.TEST,
}


def locate_npz(path: Path) -> Source:
    """Return the file as a source."""

    def open_npz() -> AbstractContextManager[RawSet]:
        try:
            with zipfile.ZipFile(path) as archive:
                check_expansion(path, sum(one.file_size for one in archive.infolist()))
            with np.load(path, allow_pickle=False) as arrays:
                return nullcontext(_read(arrays, path))
        except (
            ValueError,  # also for an array of objects, which would have to be unpickled
            EOFError,
            MemoryError,
            NotImplementedError,
            zipfile.BadZipFile,
            zlib.error,
        ) as error:
            raise DataError(f"can't read {path}: {error}") from error

    return Source(title=str(path), identity=identity_of([path]), open=open_npz)


def _read(arrays: "np.lib.npyio.NpzFile", path: Path) -> RawSet:
    spelling = next((one for one in _SPELLINGS if set(one[next(iter(one))]) <= set(arrays)), None)
    if spelling is None:
        wanted = ", ".join(" and ".join(one[next(iter(one))]) for one in _SPELLINGS)
        raise DataError(f"{path} holds {', '.join(arrays) or 'nothing'}; expected one of {wanted}")
    parts, notes = [], set()
    for name, (images_key, labels_key) in spelling.items():
        if images_key in arrays and labels_key in arrays:
            images, note = _pixels(arrays[images_key], f"{images_key} in {path}")
            labels = _labels(arrays[labels_key], f"{labels_key} in {path}")
            parts.append(Part(name=name, images=images, labels=labels, declared=_DECLARED[name]))
            notes.update(note)
        elif images_key in arrays or labels_key in arrays:
            raise DataError(f"{path} holds only one of {images_key} and {labels_key}")
    return raw_set_of(parts, str(path), notes=tuple(notes))


def _pixels(values: npt.NDArray[np.generic], what: str) -> tuple[Pixels, list[str]]:
    if values.ndim == 3:
        values = values[..., None]
    if values.ndim != 4 or values.shape[3] not in (1, 3):
        raise DataError(
            f"{what} must have shape (N, H, W) or (N, H, W, 1 or 3), got {values.shape}"
        )
    if values.dtype == np.uint8:
        return values.astype(np.uint8, copy=False), []
    if values.dtype.kind == "b":
        return values.astype(np.uint8) * np.uint8(255), []
    if values.dtype.kind not in "iuf":
        raise DataError(f"{what} must hold numbers, got {values.dtype}")
    smallest, largest = (values.min(), values.max()) if values.size else (0, 0)
    if values.dtype.kind == "f":
        # Written so that NaN is refused as well.
        if not (smallest >= 0 and largest <= 1):
            raise DataError(
                f"{what} has floating-point values from {smallest:g} to {largest:g}; "
                "only [0, 1] is understood, or integers"
            )
        return np.rint(values * 255).astype(np.uint8), [
            "Floating-point images in [0, 1] were read as 8 bits."
        ]
    if smallest < 0 or largest > 65535:
        raise DataError(f"{what} has values from {smallest} to {largest}, allowed are 0 to 65535")
    return values.astype(np.uint16), []


def _labels(values: npt.NDArray[np.generic], what: str) -> npt.NDArray[np.generic]:
    if values.ndim == 2 and values.shape[1] == 1:
        values = values[:, 0]
    if values.ndim != 1 or values.dtype.kind not in "iuU":
        raise DataError(
            f"{what} must be integers or text of shape (N,), got {values.dtype} of {values.shape}"
        )
    return values
