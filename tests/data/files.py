"""Real files for the tests of sources: images of every kind, trees, archives, IDX."""

import gzip
import os
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from evoconv.data.image_set import ImageSet, Pixels
from evoconv.data.sources import DataOptions, load_image_set

# Before any test changes the environment.
_REAL_SETS = Path(os.environ.get("EVOCONV_DATA", Path(__file__).parents[3] / "shared" / "data"))

Bytes = npt.NDArray[np.uint8]


def draw(seed: int, *shape: int) -> Bytes:
    """Return random bytes of a shape."""
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def encode(pixels: Pixels, kind: str = "png", **how: Any) -> bytes:
    """Return pixels (H, W) or (H, W, C) as an image file that Pillow writes."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, {"jpg": "jpeg", "tif": "tiff"}.get(kind, kind), **how)
    return file.getvalue()


def encode_png_16(pixels: npt.NDArray[np.uint16], filter_type: int = 0) -> bytes:
    """Return (H, W, 1 to 4) as a PNG of 16 bits, which Pillow can't write in colour.

    Rows are filtered by type 0 (none), 1 (left) or 2 (up).
    """
    height, width, channels = pixels.shape
    rows = pixels.astype(">u2").reshape(height, -1).view(np.uint8)
    filtered = rows.copy()
    if filter_type == 1:
        filtered[:, 2 * channels :] -= rows[:, : -2 * channels]
    elif filter_type == 2:
        filtered[1:] -= rows[:-1]
    body = b"".join(bytes([filter_type]) + row.tobytes() for row in filtered)
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(body)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )


def encode_tiff(
    samples: bytes,
    shape: tuple[int, int, int],
    bits: int,
    *,
    order: str = "<",
    packed: bool = False,
) -> bytes:
    """Return a TIFF of one strip around ready-made samples of any number of bits."""
    height, width, channels = shape
    data = zlib.compress(samples) if packed else samples
    depths = struct.pack(f"{order}{channels}H", *[bits] * channels)
    after = 8 + 2 + 12 * 10 + 4
    short, long = 3, 4
    entries = (
        (256, short, 1, width),
        (257, short, 1, height),
        (258, short, channels, after if channels > 2 else bits),
        (259, short, 1, 8 if packed else 1),
        (262, short, 1, 2 if channels == 3 else 1),
        (273, long, 1, after + len(depths)),
        (277, short, 1, channels),
        (278, short, 1, height),
        (279, long, 1, len(data)),
        (284, short, 1, 1),
    )
    table = b"".join(
        struct.pack(f"{order}HHI", tag, kind, count)
        + (
            struct.pack(f"{order}HH", value, 0)
            if kind == short and count == 1
            else struct.pack(f"{order}I", value)
        )
        for tag, kind, count, value in entries
    )
    start = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(entries))
    return start + table + struct.pack(f"{order}I", 0) + depths + data


def tree_of(
    classes: Sequence[str] = ("cat", "dog"),
    count: int = 6,
    splits: Sequence[str] = ("",),
    size: tuple[int, int] = (8, 10),
) -> dict[str, bytes]:
    """Return image files by path, all different: ``split/class/number.png``."""
    paths = [
        "/".join(part for part in (split, name, f"{number}.png") if part)
        for split in splits
        for name in classes
        for number in range(count)
    ]
    return {path: encode(draw(seed, *size)) for seed, path in enumerate(paths)}


def write_tree(folder: Path, files: Mapping[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def write_tar(path: Path, files: Mapping[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, BytesIO(data))
    return path


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


def encode_idx(values: Bytes) -> bytes:
    header = struct.pack(f">BBBB{values.ndim}I", 0, 0, 8, values.ndim, *values.shape)
    return header + values.tobytes()


def write_idx_pair(
    folder: Path,
    prefix: str,
    images: Bytes,
    labels: Bytes,
    *,
    dot: bool = False,
    pack: bool = True,
) -> None:
    folder.mkdir(exist_ok=True)
    for kind, values in (("images", images), ("labels", labels)):
        name = f"{prefix}-{kind}{'.' if dot else '-'}idx{values.ndim}-ubyte"
        data = encode_idx(values)
        (folder / (name + ".gz" * pack)).write_bytes(gzip.compress(data) if pack else data)


def load(source: Path | str, **options: Any) -> ImageSet:
    return load_image_set(source, DataOptions(**options), notify=lambda _: None)


def real_set(name: str) -> Path:
    """Return a real data set in EVOCONV_DATA or beside the repository; skip without it."""
    path = _REAL_SETS / name
    if not path.exists():
        pytest.skip(f"{path} isn't here")
    return path
