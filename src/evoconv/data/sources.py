"""The way in: a path or a name → a decoded, cached image set."""

import hashlib
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL

from evoconv.data.cache import Notify, cached_set
from evoconv.data.image_set import (
    FORMAT,
    MAX_SIDE,
    RESIZE_POLICIES,
    Declared,
    ImageSet,
    Preprocessing,
)
from evoconv.data.locate import locate_path
from evoconv.data.named_sets import KNOWN_NAMES, locate_named
from evoconv.data.prepare import write_set
from evoconv.data.raw_set import RawSet, Source, shortened
from evoconv.data.survey import Survey, survey
from evoconv.errors import ConfigError, DataError
from evoconv.options import Options, option
from evoconv.paths import expanded, is_there

MIN_SIDE = 4


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """How image files become arrays."""

    image_size: str | None = option(
        None,
        "size all images are brought to: 48, or 48x64 (height x width); "
        "default: their median size, scaled down to 64 at most, in a transfer to no less than the"
        " pretraining's",
    )
    least_size: str | None = option(
        None, "size that a default one is raised to: 32, or 32x64; in a transfer the pretraining's"
    )
    resize: str = option(
        "fit",
        "how: fit keeps the whole image and its aspect ratio, stretch the whole image, "
        "crop the aspect ratio",
        choices=RESIZE_POLICIES,
    )
    skip_bad_images: bool = option(False, "go on without images that can't be read")

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` naming the option, the limit and the value."""
        super().__post_init__()
        for name in ("image_size", "least_size"):
            if (text := getattr(self, name)) is not None:
                _parse_size(name, text)

    @property
    def size(self) -> tuple[int, int] | None:
        """The chosen (height, width); None for the default."""
        return None if self.image_size is None else _parse_size("image_size", self.image_size)

    @property
    def least(self) -> tuple[int, int] | None:
        """The (height, width) that a default size has at least; None where that doesn't count."""
        if self.image_size is not None or self.least_size is None:
            return None
        return _parse_size("least_size", self.least_size)


def load_image_set(source: str | Path, options: DataOptions, *, notify: Notify) -> ImageSet:
    """Return the images of a path or a known name, decoded into the cache once.

    Args:
        source: a tree of class folders, an archive of one, a folder of IDX files, an .npz file, or
            one of ``KNOWN_NAMES``.
        options: how images are brought to one form.
        notify: called with a few words about what takes long.

    Raises:
        DataError: nothing usable is there; one clear sentence.
    """
    found = _locate(source, notify)

    def plan(raw: RawSet) -> tuple[RawSet, Survey]:
        _check_classes(raw.labels, raw.declared, raw.classes, found.title)
        seen = survey(
            raw,
            options.size,
            options.resize,
            skip_bad_images=options.skip_bad_images,
            least=options.least,
        )
        return raw, seen

    asked = [options.size, options.resize]
    if options.least is not None:
        asked.append(options.least)
    image_set = _load(found, asked, plan, options.skip_bad_images, notify)
    # Again: the skipped images may have been all of a class.
    _check_classes(image_set.labels, image_set.declared, image_set.classes, found.title)
    return image_set


def load_labelled(
    source: str | Path,
    preprocessing: Preprocessing,
    classes: Sequence[str],
    *,
    skip_bad_images: bool = False,
    notify: Notify = lambda _: None,
) -> ImageSet:
    """Return labelled images in a given form, their labels those of given classes.

    All splits of the source are in it, told apart by ``declared``. Not every class need occur.

    Raises:
        DataError: as ``load_image_set``, and for a class that isn't among those given.
    """
    found = _locate(source, notify)

    def plan(raw: RawSet) -> tuple[RawSet, Survey]:
        rows = tuple(range(len(raw.names)))
        seen = Survey(preprocessing=preprocessing, rows=rows, errors=(), notes=())
        return _with_classes(raw, tuple(classes), found.title), seen

    asked = [preprocessing.to_dict(), list(classes)]
    return _load(found, asked, plan, skip_bad_images, notify)


def _locate(source: str | Path, notify: Notify) -> Source:
    path = expanded(source)
    if is_there(path):
        if str(source) in KNOWN_NAMES:
            notify(f"reading the path {path} here, not the known set of that name")
        return locate_path(path)
    if str(source) in KNOWN_NAMES:
        return locate_named(str(source), notify)
    raise DataError(
        f"no such file or folder: {source}, and no known set of that name "
        f"({', '.join(KNOWN_NAMES)})"
    )


def _load(
    found: Source,
    asked: list[Any],
    plan: Callable[[RawSet], tuple[RawSet, Survey]],
    skip_bad_images: bool,
    notify: Notify,
) -> ImageSet:
    # Another Pillow may decode to other pixels.
    facts = [FORMAT, PIL.__version__, found.identity, asked, skip_bad_images]
    key = hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]

    def make(folder: Path) -> None:
        with found.open() as opened:
            raw, seen = plan(opened)
            write_set(raw, seen, folder, skip_bad_images=skip_bad_images, notify=notify)

    return cached_set(key, make, notify)


def _parse_size(name: str, text: object) -> tuple[int, int]:
    match = re.fullmatch(r"([0-9]{1,6})(?:\s*[x×]\s*([0-9]{1,6}))?", str(text).strip().lower())
    sides = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in sides):
        raise ConfigError(
            f"{name} is written 48 or 48x64 (height x width), each in "
            f"[{MIN_SIDE}, {MAX_SIDE}], got {text}"
        )
    return sides


def _check_classes(
    labels: npt.NDArray[np.int64],
    declared: npt.NDArray[np.int8],
    classes: tuple[str, ...],
    title: str,
) -> None:
    """Raise ``DataError`` unless there are two classes, and training images of each."""
    if len(classes) < 2:
        raise DataError(f"{title} has only one class, {classes[0]!r}; at least two are needed")
    can_train = np.isin(declared, (Declared.ANY, Declared.TRAIN))
    counts = np.bincount(labels[can_train], minlength=len(classes))
    missing = [classes[label] for label in np.flatnonzero(counts == 0)]
    if missing:
        raise DataError(f"{title} has no training images of {shortened(missing)}")


def _with_classes(raw: RawSet, classes: tuple[str, ...], title: str) -> RawSet:
    """Return the raw set with its labels as indices into other classes."""
    unknown = [name for name in raw.classes if name not in classes]
    if unknown:
        raise DataError(
            f"{title} has images of {shortened(unknown)}, but the known classes are "
            f"{shortened(classes, limit=20)}"
        )
    index = np.array([classes.index(name) for name in raw.classes], dtype=np.int64)
    return replace(raw, labels=index[raw.labels], classes=classes)
