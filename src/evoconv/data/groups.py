"""Which images must stay on one side of a split: those of one group, and exact copies.

Groups come from a person: a regular expression on each image's path, or a CSV file. Copies are
found by the hash of the decoded pixels, wherever they lie and whatever they are labelled.
"""

import csv
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from evoconv.data.image_set import ImageSet
from evoconv.data.partition import Indices
from evoconv.data.raw_set import shortened
from evoconv.errors import ConfigError, DataError
from evoconv.paths import expanded


@dataclass(frozen=True, kw_only=True)
class Belonging:
    """What each image belongs to: numbers of shape (N,), equal for what belongs together.

    Attributes:
        groups: a person's groups; None if there are none.
        copies: images with the same pixels.
        together: images connected by groups and copies.
    """

    groups: Indices | None
    copies: Indices
    together: Indices


def belonging(image_set: ImageSet, group_by: str | None) -> Belonging:
    """Return what each image belongs to; ``group_by`` as in ``group_numbers``, which raises."""
    copies = copy_numbers(image_set)
    if group_by is None:
        return Belonging(groups=None, copies=copies, together=copies)
    groups = group_numbers(image_set.names, group_by)
    return Belonging(groups=groups, copies=copies, together=joined(groups, copies))


def group_numbers(names: tuple[str, ...], group_by: str) -> Indices:
    """Return a number per image, equal for images of one group, shape (N,).

    ``group_by`` is a CSV file with the columns path and group if it ends in .csv, else a regular
    expression searched for in each path: its first group, or all it matched, is the group's name.

    Raises:
        ConfigError: no regular expression.
        DataError: an image without a group, or a CSV file that can't be read.
    """
    if group_by.lower().endswith(".csv"):
        groups = _read_csv(expanded(group_by), names)
    else:
        groups = _match(names, group_by)
    return np.unique(np.array(groups), return_inverse=True)[1].astype(np.int64)


def copy_numbers(image_set: ImageSet) -> Indices:
    """Return a number per image, equal for images with the same pixels, shape (N,)."""
    # One column of 16 bytes sorts much faster than rows of two numbers.
    prints = np.ascontiguousarray(image_set.fingerprints).view("V16").ravel()
    return np.unique(prints, return_inverse=True)[1].astype(np.int64)


def joined(first: Indices, second: Indices) -> Indices:
    """Return a number per image, equal where a chain of equal numbers connects them."""
    number = np.arange(len(first), dtype=np.int64)
    while True:
        smaller = _smallest_within(second, _smallest_within(first, number))
        if np.array_equal(smaller, number):
            return number
        number = smaller


def _smallest_within(groups: Indices, number: Indices) -> Indices:
    smallest = np.full(groups.max(initial=-1) + 1, len(number), dtype=np.int64)
    np.minimum.at(smallest, groups, number)
    return smallest[groups]


def _match(names: tuple[str, ...], expression: str) -> list[str]:
    try:
        pattern = re.compile(expression)
    except re.error as error:
        raise ConfigError(
            f"--group-by is no regular expression: {error}, got {expression}"
        ) from error
    groups = []
    for name in names:
        found = pattern.search(name)
        # A first group that took no part in the match names nothing.
        group = found and (found[1] if pattern.groups else found[0])
        if group is None:
            raise DataError(f"--group-by {expression!r} finds no group in {name}")
        groups.append(group)
    return groups


def _read_csv(path: Path, names: tuple[str, ...]) -> list[str]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file)
            if not {"path", "group"} <= set(reader.fieldnames or ()):
                raise DataError(f"{path} must have the columns path and group")
            group_of = {str(row["path"]): row["group"] for row in reader}
    except (OSError, UnicodeError, csv.Error) as error:
        raise DataError(f"can't read {path}: {error}") from error
    missing = [name for name in names if not group_of.get(name)]
    if missing:
        raise DataError(f"{path} gives no group for {shortened(missing)}")
    return [str(group_of[name]) for name in names]
