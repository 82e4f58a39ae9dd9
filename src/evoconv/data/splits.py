"""Which images a search trains on and which it measures on; never the test split.

What the source declares is kept: its test split, and for a single hold-out its validation split.
What it doesn't declare is made here, stratified and seeded, with groups and exact copies on one
side. The images that aren't in ``training`` are the test split, and ``test_split`` is the place to
ask for them.
"""

import hashlib
import json
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from evoconv.data.groups import Belonging, belonging
from evoconv.data.image_set import Declared, ImageSet
from evoconv.data.leaks import describe_leaks
from evoconv.data.partition import Indices, partition
from evoconv.options import Options, option
from evoconv.seeds import Purpose, stream
from evoconv.units import format_percent

Fold = tuple[Indices, Indices]

# A hold-out of fewer images can't tell candidates apart; so many folds can.
_FEW_IMAGES, _FOLDS = 50, 5

# Numbers of the streams with the purpose SPLIT: never renumber them.
_TEST_STREAM, _VALIDATION_STREAM = 0, 1


@dataclass(frozen=True, kw_only=True)
class SplitOptions(Options):
    """How images are divided where the source doesn't say."""

    test_share: float = option(
        0.2,
        "share of the images held out for the test, if the source has no test split",
        at_least=0.01,
        at_most=0.5,
        unit="percent",
    )
    validation_share: float = option(
        0.15,
        "share of the training images a search measures on, if the source has no validation split",
        at_least=0.01,
        at_most=0.5,
        unit="percent",
    )
    max_validation: int = option(
        10_000, "validation images are at most so many", at_least=1, unit="count"
    )
    folds: int | None = option(
        1,
        f"folds of cross-validation; 1 is a single hold-out; unset: that, or {_FOLDS} where it has"
        f" fewer than {_FEW_IMAGES} images",
        at_least=1,
        at_most=100,
    )
    group_by: str | None = option(
        None,
        "keep images of one group on one side: a regular expression that finds the group's name in "
        "the path, or a .csv file with the columns path and group",
    )
    split_seed: int | None = option(
        None, "fixes which images are held out; unset: --seed does", at_least=0
    )

    def seed(self, study_seed: int) -> int:
        """Return what fixes the parts."""
        return study_seed if self.split_seed is None else self.split_seed


@dataclass(frozen=True, kw_only=True)
class SearchSplits:
    """Indices into an image set, sorted.

    Attributes:
        training: all images that are not in the test split; a final network is trained on them.
        folds: (training, validation) for each fold of a search.
        notes: sentences about copies and groups across splits.
    """

    training: Indices
    folds: tuple[Fold, ...]
    notes: tuple[str, ...] = ()

    @property
    def num_trained(self) -> int:
        """Images that one network is trained on, all folds together."""
        return sum(len(training) for training, _ in self.folds)

    @property
    def num_validated(self) -> int:
        """Images that one network is validated on, all folds together."""
        return sum(len(validation) for _, validation in self.folds)

    @property
    def digest(self) -> str:
        """The SHA-256 of all indices."""
        parts = [self.training, *(part for fold in self.folds for part in fold)]
        listed = json.dumps([part.tolist() for part in parts])
        return hashlib.sha256(listed.encode()).hexdigest()


def search_splits(image_set: ImageSet, options: SplitOptions, study_seed: int) -> SearchSplits:
    """Return what a search may see, fixed by the study's seed, or one of its own.

    Raises:
        DataError: a class has too few images or groups, or an image has no group.
        ConfigError: ``group_by`` is no regular expression.
    """
    units = belonging(image_set, options.group_by)
    seed = options.seed(study_seed)
    training = _training(image_set, options, seed, units)
    validation = training[image_set.declared[training] == Declared.VALIDATION]
    notes = []
    num_folds = options.folds or _usual_folds(image_set, options, training, validation, units)
    if num_folds == 1 and len(validation):
        folds: tuple[Fold, ...] = ((np.setdiff1d(training, validation), validation),)
    else:
        folds = _make_folds(image_set, options, num_folds, seed, training, units)
        if len(validation):
            notes.append("The validation images the source declares are among all folds.")
    notes += describe_leaks(image_set, units, training, validation if num_folds == 1 else None)
    return SearchSplits(training=training, folds=folds, notes=tuple(notes))


def _usual_folds(
    image_set: ImageSet,
    options: SplitOptions,
    training: Indices,
    validation: Indices,
    units: Belonging,
) -> int:
    """Return 1 for a hold-out of enough images, else more, as far as the smallest class allows."""
    if (len(validation) or options.validation_share * len(training)) >= _FEW_IMAGES:
        return 1
    labels, together = image_set.labels[training], units.together[training]
    smallest = min(len(np.unique(together[labels == one])) for one in np.unique(labels))
    return max(1, min(_FOLDS, smallest))


def training_indices(image_set: ImageSet, options: SplitOptions, study_seed: int) -> Indices:
    """Return the indices of all images that are not in the test split, sorted; raises as above."""
    seed = options.seed(study_seed)
    return _training(image_set, options, seed, belonging(image_set, options.group_by))


def _training(image_set: ImageSet, options: SplitOptions, seed: int, units: Belonging) -> Indices:
    declared = image_set.declared
    if (declared == Declared.TEST).any():
        return np.flatnonzero(declared != Declared.TEST)
    # What goes with a declared validation image must not be tested on.
    with_validation = units.together[declared == Declared.VALIDATION]
    free = np.flatnonzero(~np.isin(units.together, with_validation))
    is_test = _hold_out(
        image_set,
        free,
        units,
        seed,
        _TEST_STREAM,
        share=options.test_share,
        purpose=f"a test split of {format_percent(options.test_share, 0)}",
    )
    return np.setdiff1d(np.arange(len(image_set)), free[is_test])


def _make_folds(
    image_set: ImageSet,
    options: SplitOptions,
    num_folds: int,
    seed: int,
    training: Indices,
    units: Belonging,
) -> tuple[Fold, ...]:
    if num_folds == 1:
        share = min(options.validation_share, options.max_validation / len(training))
        is_validation = _hold_out(
            image_set,
            training,
            units,
            seed,
            _VALIDATION_STREAM,
            share=share,
            purpose=f"a validation split of {format_percent(share, 0)}",
        )
        return ((training[~is_validation], training[is_validation]),)
    part = partition(
        image_set.labels[training],
        units.together[training],
        np.full(num_folds, 1 / num_folds),
        stream(seed, Purpose.SPLIT, _VALIDATION_STREAM),
        classes=image_set.classes,
        purpose=f"{num_folds} folds",
    )
    return tuple((training[part != fold], training[part == fold]) for fold in range(num_folds))


def _hold_out(
    image_set: ImageSet,
    rows: Indices,
    units: Belonging,
    seed: int,
    number: int,
    *,
    share: float,
    purpose: str,
) -> npt.NDArray[np.bool_]:
    """Return which of the rows are held out."""
    part = partition(
        image_set.labels[rows],
        units.together[rows],
        np.array([1 - share, share]),
        stream(seed, Purpose.SPLIT, number),
        classes=image_set.classes,
        purpose=purpose,
    )
    held_out: npt.NDArray[np.bool_] = part == 1
    return held_out
