"""A folder of MNIST-style IDX files: a training pair, and a test pair where there is one.

Source: Y. LeCun, "The MNIST database", section "File formats": two zero bytes, a type, the number
of axes, each axis as a 32-bit big-endian integer, then the values. Both common spellings of the
file names are known, gzipped or not.
"""

import gzip
import math
import zlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

import numpy as np
import numpy.typing as npt

from evoconv.data.arrays import Part, raw_set_of
from evoconv.data.image_set import Declared
from evoconv.data.raw_set import RawSet, Source, identity_of
from evoconv.errors import DataError

_PREFIXES = {"train": Declared.TRAIN, "t10k": Declared.TEST, "test": Declared.TEST}
_MAX_DEFLATE = 1032  # gzip can't expand more than this
_CHUNK_BYTES = 2**24
_UNSIGNED_BYTES = 8  # the type's code


def find_idx_files(folder: Path) -> dict[str, Path]:
    """Return the IDX files of a folder by plain name, such as ``train-images``."""
    found = {}
    for prefix in _PREFIXES:
        for kind, axes in (("images", 3), ("labels", 1)):
            for middle in (f"-{kind}-idx{axes}-ubyte", f"-{kind}.idx{axes}-ubyte"):
                for path in (folder / f"{prefix}{middle}.gz", folder / f"{prefix}{middle}"):
                    if path.is_file():
                        found[f"{prefix}-{kind}"] = path
    return found


def locate_idx(folder: Path, classes: tuple[str, ...] | None = None) -> Source:
    """Return the folder's IDX files as a source.

    ``classes`` names the labels 0, 1, …; by default a class is called by its number.

    Raises:
        DataError: a file of a pair is missing.
    """
    files = find_idx_files(folder)
    for name in files:
        prefix, _, kind = name.partition("-")
        other = f"{prefix}-{'labels' if kind == 'images' else 'images'}"
        if other not in files:
            raise DataError(f"{folder} holds {files[name].name} but no {other} file")
    if "train-images" not in files:
        raise DataError(f"{folder} holds test images but no train-images file")

    def open_idx() -> AbstractContextManager[RawSet]:
        parts = []
        for prefix, declared in _PREFIXES.items():
            if f"{prefix}-images" in files:
                images = read_idx(files[f"{prefix}-images"], num_axes=3)
                labels = read_idx(files[f"{prefix}-labels"], num_axes=1)
                parts.append(
                    Part(name=prefix, images=images[..., None], labels=labels, declared=declared)
                )
        return nullcontext(raw_set_of(parts, str(folder), classes))

    return Source(
        title=str(folder),
        identity=f"{identity_of(list(files.values()))} {classes}",
        open=open_idx,
    )


def read_idx(path: Path, *, num_axes: int) -> npt.NDArray[np.uint8]:
    """Return the values of an IDX file of unsigned bytes, gzipped or not.

    Raises:
        DataError: another magic number, another length than declared, or damaged.
    """
    try:
        with path.open("rb") as packed:
            is_gzip = packed.read(2) == b"\x1f\x8b"
            packed.seek(0)
            size = path.stat().st_size
            if not is_gzip:
                return _read_values(packed, path, num_axes, size)
            with gzip.GzipFile(fileobj=packed) as stream:
                return _read_values(stream, path, num_axes, size * _MAX_DEFLATE)
    except (zlib.error, EOFError, OSError) as error:
        raise DataError(f"{path} is damaged: {error}") from error


def _read_values(
    stream: IO[bytes] | gzip.GzipFile, path: Path, num_axes: int, most: int
) -> npt.NDArray[np.uint8]:
    expected = bytes((0, 0, _UNSIGNED_BYTES, num_axes))
    magic = stream.read(4)
    if magic != expected:
        raise DataError(
            f"{path} is no IDX file of unsigned bytes with {num_axes} axes: "
            f"magic number {magic.hex()} instead of {expected.hex()}"
        )
    header = stream.read(4 * num_axes)
    shape = tuple(int(side) for side in np.frombuffer(header[: len(header) // 4 * 4], ">u4"))
    length = math.prod(shape)
    wrong = f"{path} declares {' x '.join(map(str, shape))} values but holds"
    if len(shape) < num_axes or length > most:
        raise DataError(f"{wrong} fewer")
    values = bytearray()
    while chunk := stream.read(min(_CHUNK_BYTES, length + 1 - len(values))):
        values += chunk
    if len(values) != length:
        raise DataError(f"{wrong} {'more' if len(values) > length else f'{len(values):,}'}")
    return np.frombuffer(values, np.uint8).reshape(shape)
