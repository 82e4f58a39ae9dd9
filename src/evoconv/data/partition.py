"""Stratified parts of a set of images in which some images must stay together.

Units of several images are dealt first, largest first, each to the part where it leaves the classes
it holds least filled; then the single images of each class fill what is missing. Without larger
units the parts are stratified exactly. Written here because scikit-learn's StratifiedGroupKFold
makes equal parts only, and takes over ten seconds for the 60,000 units of MNIST, where nothing is
grouped.
"""

import numpy as np
import numpy.typing as npt
from numpy.random import Generator

from evoconv.errors import DataError

Indices = npt.NDArray[np.int64]


def partition(
    labels: Indices,
    units: Indices,
    shares: npt.NDArray[np.float64],
    rng: Generator,
    *,
    classes: tuple[str, ...],
    purpose: str,
) -> Indices:
    """Return the part of each image, shape (N,).

    Every part but the first gets at least one image of each class, whatever its share.

    Args:
        labels: class of each image, shape (N,).
        units: images with equal numbers stay in one part, shape (N,).
        shares: of each part, positive, with sum 1.
        rng: decides among equals.
        classes: names for messages.
        purpose: what the parts are for, for messages.

    Raises:
        DataError: a class can't be in every part.
    """
    _check_enough(labels, units, len(shares), classes, purpose)
    totals = np.bincount(labels, minlength=len(classes)).astype(np.float64)
    wanted = np.maximum(shares[:, None] * totals, 1.0)
    wanted[0] = np.maximum(totals - wanted[1:].sum(axis=0), 1.0)
    _, unit, sizes = np.unique(units, return_inverse=True, return_counts=True)
    parts = np.full(len(labels), -1, dtype=np.int64)
    placed = np.zeros_like(wanted)
    is_single = sizes[unit] == 1
    _deal_units(labels, unit, is_single, wanted, placed, parts, rng)
    for label in range(len(classes)):
        singles = rng.permutation(np.flatnonzero(is_single & (labels == label)))
        counts = _share_out(len(singles), wanted[:, label], placed[:, label], rng)
        parts[singles] = np.repeat(np.arange(len(shares)), counts)
    _check_all_present(labels, parts, len(shares), classes, purpose)
    return parts


def _deal_units(
    labels: Indices,
    unit: Indices,
    is_single: npt.NDArray[np.bool_],
    wanted: npt.NDArray[np.float64],
    placed: npt.NDArray[np.float64],
    parts: Indices,
    rng: Generator,
) -> None:
    """Give every unit of several images its part; fills ``placed`` and ``parts``."""
    rows = np.flatnonzero(~is_single)
    rows = rows[np.argsort(unit[rows], kind="stable")]
    members = np.split(rows, np.flatnonzero(np.diff(unit[rows])) + 1) if len(rows) else []
    pairs = np.unique(np.stack([labels, unit]), axis=1)
    num_left = np.bincount(pairs[0], minlength=wanted.shape[1])  # units not yet dealt, per class
    # Shuffled, then sorted by size only: chance decides among equals.
    for which in sorted(rng.permutation(len(members)), key=lambda one: -len(members[one])):
        held, counts = np.unique(labels[members[which]], return_counts=True)
        is_lacking = placed[:, held] == 0
        # As many units left as parts without the class: from here on each of these must get one.
        is_urgent = num_left[held] <= is_lacking.sum(axis=0)
        num_urgent = (is_lacking & is_urgent).sum(axis=1)
        fill = (placed[:, held] + counts) / wanted[:, held] @ counts
        part = int(np.argmin(np.where(num_urgent == num_urgent.max(), fill, np.inf)))
        placed[part, held] += counts
        num_left[held] -= 1
        parts[members[which]] = part


def _share_out(
    count: int,
    wanted: npt.NDArray[np.float64],
    placed: npt.NDArray[np.float64],
    rng: Generator,
) -> Indices:
    """Return how many of a class's single images each part gets: first one where it has none."""
    counts: Indices = (placed == 0).astype(np.int64)
    counts[np.cumsum(counts) > count] = 0
    missing = np.maximum(wanted - placed - counts, 0.0)
    if not missing.any():
        missing = wanted
    counts += _whole_shares(missing / missing.sum() * (count - counts.sum()), rng)
    return counts


def _whole_shares(shares: npt.NDArray[np.float64], rng: Generator) -> Indices:
    """Return whole numbers with the same sum; the shares with the largest remainders get more."""
    # A sum of tenths may fall short of a whole number by an error in the last digit.
    counts = np.floor(shares + 1e-9).astype(np.int64)
    num_left = round(float(shares.sum())) - int(counts.sum())
    shuffled = rng.permutation(len(shares))
    by_remainder = shuffled[np.argsort((counts - shares)[shuffled].round(9), kind="stable")]
    counts[by_remainder[:num_left]] += 1
    return counts


def _check_enough(
    labels: Indices, units: Indices, num_parts: int, classes: tuple[str, ...], purpose: str
) -> None:
    pairs = np.unique(np.stack([labels, units]), axis=1)
    num_units = np.bincount(pairs[0], minlength=len(classes))
    scarce = int(np.argmin(num_units))
    if num_units[scarce] < num_parts:
        count = int((labels == scarce).sum())
        held = f"{count} image{'s' * (count != 1)}"
        if num_units[scarce] < count:
            held += f" in only {num_units[scarce]} group{'s' * bool(num_units[scarce] != 1)}"
        raise DataError(
            f"class {classes[scarce]!r} has {held}, too few for {purpose}: "
            f"at least {num_parts} are needed"
        )


def _check_all_present(
    labels: Indices, parts: Indices, num_parts: int, classes: tuple[str, ...], purpose: str
) -> None:
    present = np.zeros((num_parts, len(classes)), dtype=bool)
    present[parts, labels] = True
    if not present.all():
        missing = classes[int(np.argwhere(~present)[0, 1])]
        raise DataError(
            f"class {missing!r} can't be in every part of {purpose}, "
            "because whole groups must stay together"
        )
