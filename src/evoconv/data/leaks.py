"""What a person should know of copies, and of what is on both sides of a declared split.

Splits made here have no such leaks; declared ones are kept as they are, and told.
"""

from collections.abc import Iterator

import numpy as np

from evoconv.data.groups import Belonging
from evoconv.data.image_set import Declared, ImageSet
from evoconv.data.partition import Indices


def describe_leaks(
    image_set: ImageSet, units: Belonging, training: Indices, validation: Indices | None
) -> list[str]:
    """Return sentences; none if there is nothing to tell.

    Args:
        image_set: the images.
        units: what they belong to.
        training: all images but the test split.
        validation: the declared validation images, if they are used as such.
    """
    notes = list(_copies(image_set, units.copies))
    if (image_set.declared == Declared.TEST).any():
        test = np.flatnonzero(image_set.declared == Declared.TEST)
        notes += _shared(units, test, training, "test")
    if validation is not None and len(validation):
        notes += _shared(units, validation, np.setdiff1d(training, validation), "validation")
    return notes


def _copies(image_set: ImageSet, copies: Indices) -> Iterator[str]:
    _, first, counts = np.unique(copies, return_index=True, return_counts=True)
    num_copies = len(copies) - len(counts)
    if not num_copies:
        return
    original = int(first[counts > 1].min())
    copy = int(np.flatnonzero(copies == copies[original])[1])
    yield (
        f"{_images(num_copies)} an exact copy of another, such as {image_set.names[copy]} of "
        f"{image_set.names[original]}."
    )
    # A picture with two labels teaches nothing, and no network can get both right.
    pairs = np.unique(np.stack([copies, image_set.labels]), axis=1)
    num_disputed = int((np.bincount(pairs[0]) > 1).sum())
    if num_disputed:
        yield f"Of these, {num_disputed:,} occur with different labels."


def _shared(units: Belonging, some: Indices, others: Indices, split: str) -> Iterator[str]:
    num_images = int(np.isin(units.copies[some], units.copies[others]).sum())
    if num_images:
        yield f"{_images(num_images)} in both the declared {split} split and the training split."
    if units.groups is not None:
        num_groups = len(np.intersect1d(units.groups[some], units.groups[others]))
        if num_groups:
            yield (
                f"{num_groups:,} group{'s are' if num_groups > 1 else ' is'} in both the declared "
                f"{split} split and the training split."
            )


def _images(count: int) -> str:
    return f"{count:,} images are" if count > 1 else "1 image is"
