"""Images that come as whole arrays: IDX, npz and the built-in sets all end here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evoconv.data.image_set import Declared, Pixels
from evoconv.data.raw_set import RawSet, in_natural_order
from evoconv.errors import DataError


@dataclass(frozen=True, kw_only=True)
class Part:
    """Images (N, H, W, C) and labels (N,) of one split; ``name`` begins the images' names."""

    name: str
    images: Pixels
    labels: npt.NDArray[np.generic]
    declared: Declared


def raw_set_of(
    parts: Sequence[Part],
    title: str,
    classes: tuple[str, ...] | None = None,
    notes: tuple[str, ...] = (),
) -> RawSet:
    """Return the parts as one raw set.

    A class is called by its label unless ``classes`` names the labels 0, 1, ….

    Raises:
        DataError: no images, labels that don't match them, or parts of different sizes.
    """
    for part in parts:
        if len(part.images) != len(part.labels):
            raise DataError(
                f"{title} has {len(part.images):,} {part.name} images "
                f"but {len(part.labels):,} labels for them"
            )
        if part.images.shape[1:] != parts[0].images.shape[1:] or 0 in part.images.shape[1:]:
            raise DataError(f"{title} has {part.name} images of shape {part.images.shape[1:]}")
    texts = np.concatenate([part.labels.astype(np.str_) for part in parts])
    if not len(texts):
        raise DataError(f"{title} holds no images")
    found, inverse = np.unique(texts, return_inverse=True)
    if classes is None:
        classes = tuple(in_natural_order(found.tolist()))
        index = {name: number for number, name in enumerate(classes)}
    else:
        index = {str(number): number for number in range(len(classes))}
        unknown = [text for text in found.tolist() if text not in index]
        if unknown:
            raise DataError(f"{title} has the label {unknown[0]}, but {len(classes)} classes")
    to_label = np.array([index[text] for text in found.tolist()], dtype=np.int64)
    starts = np.cumsum([0, *(len(part.images) for part in parts)])

    def fetch(row: int) -> Pixels:
        which = int(np.searchsorted(starts, row, side="right")) - 1
        pixels: Pixels = parts[which].images[row - starts[which]]
        return pixels

    return RawSet(
        names=tuple(f"{part.name}/{row}" for part in parts for row in range(len(part.images))),
        labels=to_label[inverse],
        classes=classes,
        declared=np.concatenate(
            [np.full(len(part.images), part.declared, np.int8) for part in parts]
        ),
        fetch=fetch,
        notes=notes,
    )
