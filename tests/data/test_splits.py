from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from evoconv.data.image_set import Declared, ImageSet, Preprocessing
from evoconv.data.partition import Indices
from evoconv.data.splits import SearchSplits, SplitOptions, search_splits, training_indices
from evoconv.data.test_split import test_indices
from evoconv.errors import ConfigError, DataError
from tests.data.files import draw, encode, load, tree_of, write_tree


def image_set(
    labels: Sequence[int],
    declared: Sequence[int] | None = None,
    pictures: Sequence[int] | None = None,
) -> ImageSet:
    """Return a set in memory; ``pictures`` with equal numbers are copies."""
    count = len(labels)
    shown = np.array(range(count) if pictures is None else pictures)
    return ImageSet(
        folder=Path(),
        images=np.zeros((count, 1, 1, 1), np.uint8),
        labels=np.array(labels, np.int64),
        declared=np.array(declared or [Declared.ANY] * count, np.int8),
        fingerprints=np.stack([shown, shown], axis=1).astype(np.uint64),
        classes=tuple("abcdefgh"[: max(labels) + 1]),
        names=tuple(f"lot{row // 5}/{row}.png" for row in range(count)),
        preprocessing=Preprocessing(height=1, width=1, channels=1),
        notes=(),
        digest="",
    )


def held_out(images: ImageSet, options: SplitOptions, seed: int) -> Indices:
    return test_indices(images, training_indices(images, options, seed))


def check(images: ImageSet, options: SplitOptions, splits: SearchSplits, seed: int) -> None:
    """Hold what is true of all splits: nothing twice, nothing lost, everything sorted."""
    test = held_out(images, options, seed)
    everything = np.concatenate([splits.training, test])
    assert sorted(everything) == list(range(len(images)))
    for training, validation in splits.folds:
        assert sorted([*training, *validation]) == splits.training.tolist()
        assert (np.diff(training) > 0).all()
        assert (np.diff(validation) > 0).all()
    if len(splits.folds) > 1:
        validated = np.concatenate([validation for _, validation in splits.folds])
        assert sorted(validated) == splits.training.tolist()


def refusal(images: ImageSet, options: SplitOptions, seed: int) -> str:
    try:
        search_splits(images, options, seed)
    except DataError as error:
        return str(error)
    return ""


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**40),
    folds=st.integers(1, 5),
    group_by=st.sampled_from([None, r"lot\d+"]),
    kinds=st.sampled_from([(0,), (1, 3), (1, 2), (1, 2, 3)]),
    repeat=st.integers(1, 3),
)
def test_no_image_is_lost_and_what_belongs_together_stays_together(
    seed: int, folds: int, group_by: str | None, kinds: tuple[int, ...], repeat: int
) -> None:
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(400) % 3).tolist()
    declared = rng.choice(kinds, 400).tolist()
    pictures = rng.integers(0, 400 * repeat, 400).tolist()
    images = image_set(labels, declared, pictures)
    # With lots, copies connect nearly everything; that is another test's matter.
    images = images if group_by is None else image_set(labels, declared)
    options = SplitOptions(folds=folds, group_by=group_by)
    if group_by is not None and kinds == (1, 2):
        # Few groups hold no validation image, so there may be none left to test on.
        assume(not refusal(images, options, seed))
    splits = search_splits(images, options, seed)
    check(images, options, splits, seed)
    unit = np.array([row // 5 for row in range(400)] if group_by else pictures)
    sides = []
    if 3 not in kinds:
        sides.append((splits.training, held_out(images, options, seed)))
    if folds > 1 or 2 not in kinds:
        sides.extend(splits.folds)
    for one, other in sides:
        assert not set(unit[one]) & set(unit[other])


def test_splits_are_stratified_and_of_the_asked_size() -> None:
    images = image_set([0] * 1000 + [1] * 100)
    splits = search_splits(images, SplitOptions(test_share=0.2, validation_share=0.25), 0)
    training, validation = splits.folds[0]
    assert np.bincount(images.labels[splits.training]).tolist() == [800, 80]
    assert np.bincount(images.labels[validation]).tolist() == [200, 20]
    assert len(training) == 660


def test_the_seed_fixes_the_splits() -> None:
    images = image_set([0, 1] * 100)
    first, again, other = (search_splits(images, SplitOptions(), seed) for seed in (1, 1, 2))
    assert np.array_equal(first.training, again.training)
    assert np.array_equal(first.folds[0][1], again.folds[0][1])
    assert not np.array_equal(first.training, other.training)


def test_splits_may_have_a_seed_of_their_own() -> None:
    images = image_set([0, 1] * 100)
    own = SplitOptions(split_seed=1)
    plain = search_splits(images, SplitOptions(), 1)
    for study_seed in (1, 2):
        found = search_splits(images, own, study_seed)
        assert np.array_equal(found.training, plain.training)
        assert np.array_equal(found.folds[0][1], plain.folds[0][1])
        tested = held_out(images, own, study_seed)
        assert np.array_equal(tested, held_out(images, SplitOptions(), 1))


@pytest.mark.parametrize(
    ("per_class", "num_folds"), [((400, 60), 1), ((150, 30), 5), ((150, 4), 3), ((150, 3), 2)]
)
def test_unset_there_are_folds_where_a_hold_out_is_small(
    per_class: tuple[int, int], num_folds: int
) -> None:
    images = image_set([0] * per_class[0] + [1] * per_class[1])
    splits = search_splits(images, SplitOptions(folds=None), 0)
    assert len(splits.folds) == num_folds
    again = search_splits(images, SplitOptions(folds=num_folds), 0)
    for found, wanted in zip(splits.folds, again.folds, strict=True):
        assert np.array_equal(found[1], wanted[1])


def test_declared_validation_images_that_are_enough_are_kept() -> None:
    for count, num_folds in ((60, 1), (20, 5)):
        declared = [Declared.TRAIN] * 200 + [Declared.VALIDATION] * count + [Declared.TEST] * 20
        images = image_set([0, 1] * (len(declared) // 2), declared)
        assert len(search_splits(images, SplitOptions(folds=None), 0).folds) == num_folds


def test_validation_is_no_larger_than_useful() -> None:
    images = image_set([0, 1] * 1000, [Declared.TRAIN] * 1990 + [Declared.TEST] * 10)
    splits = search_splits(images, SplitOptions(max_validation=100), 0)
    assert len(splits.folds[0][1]) == 100


def test_declared_splits_are_kept_for_a_hold_out() -> None:
    declared = [Declared.TRAIN] * 20 + [Declared.VALIDATION] * 10 + [Declared.TEST] * 10
    images = image_set([0, 1] * 20, declared)
    splits = search_splits(images, SplitOptions(), 0)
    assert splits.training.tolist() == list(range(30))
    assert splits.folds[0][0].tolist() == list(range(20))
    assert splits.folds[0][1].tolist() == list(range(20, 30))
    assert held_out(images, SplitOptions(), 0).tolist() == list(range(30, 40))
    assert splits.notes == ()


def test_declared_validation_images_join_the_folds_with_a_note() -> None:
    declared = [Declared.TRAIN] * 20 + [Declared.VALIDATION] * 10 + [Declared.TEST] * 10
    images = image_set([0, 1] * 20, declared)
    splits = search_splits(images, SplitOptions(folds=3), 0)
    assert [len(validation) for _, validation in splits.folds] == [10, 10, 10]
    assert splits.notes == ("The validation images the source declares are among all folds.",)


def test_a_test_split_is_never_held_out_of_declared_validation_images_or_their_copies() -> None:
    declared = [Declared.TRAIN] * 90 + [Declared.VALIDATION] * 10
    pictures = list(range(90)) + list(range(10))
    images = image_set([0, 1] * 50, declared, pictures)
    test = held_out(images, SplitOptions(), 0)
    assert len(test) == 16
    assert set(test) <= set(range(10, 90))


def test_copies_between_declared_splits_are_kept_and_told() -> None:
    declared = [Declared.TRAIN] * 20 + [Declared.VALIDATION] * 4 + [Declared.TEST] * 4
    pictures = [*range(20), 0, 1, 22, 23, 2, 3, 20, 27]
    pictures[26] = 22
    images = image_set([0, 1] * 14, declared, pictures)
    splits = search_splits(images, SplitOptions(), 0)
    assert splits.notes == (
        "5 images are an exact copy of another, such as lot4/20.png of lot0/0.png.",
        "3 images are in both the declared test split and the training split.",
        "2 images are in both the declared validation split and the training split.",
    )
    assert len(held_out(images, SplitOptions(), 0)) == 4


def test_copies_with_different_labels_are_told() -> None:
    images = image_set([0, 1] * 20, pictures=[*range(38), 0, 0])
    notes = search_splits(images, SplitOptions(), 0).notes
    assert notes == (
        "2 images are an exact copy of another, such as lot7/38.png of lot0/0.png.",
        "Of these, 1 occur with different labels.",
    )


def test_groups_on_both_sides_of_declared_splits_are_told() -> None:
    declared = [Declared.TRAIN] * 18 + [Declared.VALIDATION] * 4 + [Declared.TEST] * 8
    images = image_set([0, 1] * 15, declared)
    splits = search_splits(images, SplitOptions(group_by=r"lot\d+"), 0)
    assert splits.notes == (
        "1 group is in both the declared test split and the training split.",
        "1 group is in both the declared validation split and the training split.",
    )


def test_a_class_with_fewer_images_than_folds_is_refused() -> None:
    declared = [Declared.TRAIN] * 44 + [Declared.TEST] * 2
    images = image_set([0] * 40 + [1] * 4 + [0, 1], declared)
    with pytest.raises(
        DataError, match="class 'b' has 4 images, too few for 5 folds: at least 5 are needed"
    ):
        search_splits(images, SplitOptions(folds=5), 0)


@pytest.mark.parametrize(
    ("count", "reason"),
    [(1, "1 image, too few for a test split of 20 %"), (2, "1 image, too few for a validation")],
)
def test_a_class_too_small_to_be_split_is_refused(count: int, reason: str) -> None:
    with pytest.raises(DataError, match=f"class 'b' has {reason}"):
        search_splits(image_set([0] * 40 + [1] * count), SplitOptions(), 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"test_share": 0.0},
        {"test_share": 0.9},
        {"validation_share": -1.0},
        {"folds": 0},
        {"max_validation": 0},
    ],
)
def test_nonsense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} must be in"):
        SplitOptions(**wrong)  # type: ignore[arg-type]


def test_copies_are_found_in_real_files_whatever_their_format_and_folder(tmp_path: Path) -> None:
    files = tree_of(count=10) | {"dog/copy.bmp": encode(draw(0, 8, 10), "bmp")}
    images = load(write_tree(tmp_path, files))
    splits = search_splits(images, SplitOptions(), 0)
    assert splits.notes == (
        "1 image is an exact copy of another, such as dog/copy.bmp of cat/0.png.",
        "Of these, 1 occur with different labels.",
    )
    pair = {images.names.index(name) for name in ("cat/0.png", "dog/copy.bmp")}
    for seed in range(10):
        test = set(held_out(images, SplitOptions(), seed))
        assert len(pair & test) in (0, 2)
