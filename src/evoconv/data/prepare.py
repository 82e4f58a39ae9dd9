"""A raw set → the files of an image set: each image decoded, brought to one form, hashed."""

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from evoconv.data.cache import Notify, PixelFile
from evoconv.data.decode import bring_to
from evoconv.data.decode_all import work_on_images
from evoconv.data.image_set import FACTS, FORMAT, Pixels, Preprocessing
from evoconv.data.raw_set import Item, RawSet, shortened
from evoconv.data.survey import Survey, as_picture
from evoconv.errors import DataError

_QUIET_S = 2.0  # at least so long between two messages


@dataclass(frozen=True, kw_only=True)
class _Decoded:
    """One image in the form of the set, and what was left out of its file."""

    pixels: Pixels
    fingerprint: bytes
    had_alpha: bool
    had_more_pages: bool


def write_set(
    raw: RawSet, plan: Survey, folder: Path, *, skip_bad_images: bool, notify: Notify
) -> None:
    """Decode the plan's rows into the files ``open_image_set`` reads.

    Raises:
        DataError: an image can't be decoded, unless ``skip_bad_images``; or none can.
    """
    errors = list(plan.errors)
    kept: list[int] = []
    fingerprints: list[bytes] = []
    num_alpha = num_pages = 0
    progress = _Progress(len(plan.rows), notify)

    def decode(item: Item, name: str) -> _Decoded:
        picture = as_picture(item, name)
        pixels = np.ascontiguousarray(bring_to(picture.pixels, plan.preprocessing, name))
        return _Decoded(
            pixels=pixels,
            fingerprint=hashlib.blake2b(pixels.data, digest_size=16).digest(),
            had_alpha=picture.had_alpha,
            had_more_pages=picture.had_more_pages,
        )

    with PixelFile(folder / "images.npy", plan.preprocessing) as file:
        done = work_on_images(raw, plan.rows, decode)
        for position, (row, result) in enumerate(done, start=1):
            progress.update(position)
            if isinstance(result, _Decoded):
                file.append(result.pixels)
                kept.append(row)
                fingerprints.append(result.fingerprint)
                num_alpha += result.had_alpha
                num_pages += result.had_more_pages
            elif skip_bad_images:
                errors.append(result)
            else:
                raise result
    if not kept:
        raise DataError(f"none of the {len(errors):,} images can be read; the first: {errors[0]}")
    notes = (*raw.notes, *plan.notes, *_left_out(num_alpha, num_pages), *_skipped(errors))
    _write_facts(raw, np.array(kept), b"".join(fingerprints), plan.preprocessing, notes, folder)


def _write_facts(
    raw: RawSet,
    kept: npt.NDArray[np.int64],
    fingerprints: bytes,
    preprocessing: Preprocessing,
    notes: Sequence[str],
    folder: Path,
) -> None:
    arrays: dict[str, npt.NDArray[np.generic]] = {
        "labels": raw.labels[kept].astype(np.int64),
        "declared": raw.declared[kept].astype(np.int8),
        "fingerprints": np.frombuffer(fingerprints, np.uint64).reshape(-1, 2),
    }
    content = {
        "format": FORMAT,
        "preprocessing": preprocessing.to_dict(),
        "classes": list(raw.classes),
        "names": [raw.names[row] for row in kept],
    }
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode())
    for name, values in arrays.items():
        digest.update(values.tobytes())
        with (folder / f"{name}.npy").open("wb") as file:
            np.save(file, values, allow_pickle=False)
    content |= {"notes": list(notes), "digest": digest.hexdigest()}
    (folder / FACTS).write_text(json.dumps(content), encoding="utf-8")


class _Progress:
    """Tells of each tenth that is done, unless it told of another one just now."""

    def __init__(self, total: int, notify: Notify) -> None:
        self._total = total
        self._notify = notify
        self._tenths = 0
        self._told_at = time.monotonic()

    def update(self, done: int) -> None:
        """Take how many images are done."""
        tenths = done * 10 // self._total
        if self._tenths < tenths < 10 and time.monotonic() - self._told_at >= _QUIET_S:
            self._tenths, self._told_at = tenths, time.monotonic()
            self._notify(f"decoding {self._total:,} images: {tenths * 10} %")


def _left_out(num_alpha: int, num_pages: int) -> list[str]:
    notes = []
    if num_alpha:
        notes.append(f"Transparency (alpha) was dropped from {_images(num_alpha)}.")
    if num_pages:
        notes.append(f"Only the first page or frame was read of {_images(num_pages)}.")
    return notes


def _skipped(errors: Sequence[DataError]) -> list[str]:
    if not errors:
        return []
    return [
        f"{_images(len(errors))} skipped that can't be read: "
        f"{shortened([str(error) for error in errors])}."
    ]


def _images(count: int) -> str:
    return f"{count:,} image{'s' * (count > 1)}"
