"""CIFAR-10 as its authors distribute it in binary form: an archive of records.

Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; each record is
a label byte, then 32 x 32 bytes of red, of green, of blue.
"""

import tarfile
import zlib
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import numpy as np

from evoconv.data.arrays import Part, raw_set_of
from evoconv.data.image_set import Declared
from evoconv.data.raw_set import RawSet, Source, identity_of
from evoconv.errors import DataError

_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_FOLDER = "cifar-10-batches-bin"
_TRAIN_FILES = tuple(f"data_batch_{number}.bin" for number in range(1, 6))
_RECORD_BYTES = 1 + 3 * 32 * 32
_MAX_RECORDS = 100_000


def locate_cifar_binary(path: Path) -> Source:
    """Return the archive as a source."""

    def open_records() -> AbstractContextManager[RawSet]:
        try:
            with tarfile.open(path, "r:gz") as archive:
                parts = [
                    _part(archive, path, "train", _TRAIN_FILES, Declared.TRAIN),
                    _part(archive, path, "test", ("test_batch.bin",), Declared.TEST),
                ]
        except (tarfile.TarError, zlib.error, EOFError, KeyError, OSError) as error:
            raise DataError(f"{path} is no CIFAR-10 archive: {error}") from error
        return nullcontext(raw_set_of(parts, str(path), _CLASSES))

    return Source(title=str(path), identity=identity_of([path]), open=open_records)


def _part(
    archive: tarfile.TarFile, path: Path, name: str, files: tuple[str, ...], declared: Declared
) -> Part:
    data = b""
    for file_name in files:
        file = archive.extractfile(f"{_FOLDER}/{file_name}")
        if file is None:
            raise DataError(f"{file_name} in {path} is no file")
        data += file.read(_MAX_RECORDS * _RECORD_BYTES)
    if len(data) % _RECORD_BYTES:
        raise DataError(f"{path} doesn't hold whole records of {_RECORD_BYTES:,} bytes")
    records = np.frombuffer(data, np.uint8).reshape(-1, _RECORD_BYTES)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Part(name=name, images=images, labels=records[:, 0], declared=declared)
