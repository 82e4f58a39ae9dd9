import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.data.partition import Indices, partition
from evoconv.errors import DataError

CLASSES = tuple("abcdefgh")


def deal(
    labels: Indices, units: Indices, shares: list[float], seed: int = 0, classes: int = 8
) -> Indices:
    return partition(
        labels,
        units,
        np.array(shares),
        np.random.default_rng(seed),
        classes=CLASSES[:classes],
        purpose="a test of 20 %",
    )


@given(
    st.lists(st.integers(5, 80), min_size=2, max_size=8),
    st.sampled_from([[0.8, 0.2], [0.85, 0.15], [0.5, 0.5], [0.2] * 5, [1 / 3] * 3]),
    st.integers(0, 2**32),
)
def test_without_groups_every_class_is_divided_to_within_one_image(
    sizes: list[int], shares: list[float], seed: int
) -> None:
    labels = np.repeat(np.arange(len(sizes)), sizes)
    np.random.default_rng(seed).shuffle(labels)
    parts = deal(labels, np.arange(len(labels)), shares, seed, len(sizes))
    for label, size in enumerate(sizes):
        counts = np.bincount(parts[labels == label], minlength=len(shares))
        assert np.abs(counts - np.maximum(np.array(shares) * size, 1)).max() < 1.5
        assert counts.sum() == size
        assert counts.min() >= 1


@given(st.integers(0, 2**32), st.integers(2, 12), st.sampled_from([[0.8, 0.2], [0.25] * 4]))
def test_units_are_never_torn_and_shares_stay_near(
    seed: int, largest: int, shares: list[float]
) -> None:
    rng = np.random.default_rng(seed)
    units = np.repeat(np.arange(150), rng.integers(1, largest + 1, 150))
    labels = rng.integers(0, 3, 150)[units]
    parts = deal(labels, units, shares, seed, 3)
    assert all(len(set(parts[units == unit])) == 1 for unit in range(150))
    for label in range(3):
        counts = np.bincount(parts[labels == label], minlength=len(shares))
        assert np.abs(counts - np.array(shares) * counts.sum()).max() <= largest


def test_units_of_several_classes_stay_together_too() -> None:
    units = np.repeat(np.arange(40), 5)
    labels = np.tile([0, 0, 1, 1, 2], 40)
    parts = deal(labels, units, [0.75, 0.25], classes=3)
    assert np.array_equal(parts, np.repeat(parts[::5], 5))
    assert np.bincount(parts).tolist() == [150, 50]


def test_the_seed_decides_and_nothing_else_does() -> None:
    labels, units = np.arange(200) % 4, np.arange(200) // 2 * 2
    first, again, other = (deal(labels, units, [0.8, 0.2], seed, 4) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_the_odd_images_of_all_classes_do_not_go_to_the_same_fold() -> None:
    labels = np.repeat(np.arange(8), 11)
    sizes = [
        np.bincount(deal(labels, np.arange(88), [0.2] * 5, seed)).tolist() for seed in range(20)
    ]
    assert all(max(one) - min(one) < 8 for one in sizes)


def test_a_rare_class_is_on_both_sides() -> None:
    labels = np.array([0] * 1000 + [1] * 2)
    parts = deal(labels, np.arange(1002), [0.85, 0.15], classes=2)
    assert sorted(parts[labels == 1]) == [0, 1]


@pytest.mark.parametrize(("count", "text"), [(1, "1 image,"), (4, "4 images,")])
def test_a_class_with_fewer_images_than_parts_is_refused(count: int, text: str) -> None:
    labels = np.array([0] * 50 + [1] * count)
    with pytest.raises(DataError, match=f"class 'b' has {text} too few for a test of 20 %"):
        deal(labels, np.arange(len(labels)), [1 / (count + 1)] * (count + 1), classes=2)


def test_a_class_with_fewer_groups_than_parts_is_refused() -> None:
    labels = np.array([0] * 50 + [1] * 30)
    units = np.array([*range(50), *[99] * 30])
    with pytest.raises(DataError, match="class 'b' has 30 images in only 1 group, too few"):
        deal(labels, units, [0.8, 0.2], classes=2)


@pytest.mark.parametrize(("lots", "shares"), [(3, [0.8, 0.2]), (2, [0.99, 0.01]), (5, [0.2] * 5)])
def test_few_large_groups_still_reach_every_part(lots: int, shares: list[float]) -> None:
    units = np.repeat(np.arange(lots), 100)
    parts = deal(np.tile([0, 1], lots * 50), units, shares, classes=2)
    counts = np.bincount(parts)
    assert counts.min() == 100
    assert len(counts) == len(shares)


@given(st.integers(0, 2**32))
def test_a_few_single_images_go_where_their_class_is_lacking(seed: int) -> None:
    labels = np.array([0] * 60 + [1] * 60)
    units = np.array([0] * 30 + [1] * 28 + [2, 3, *range(100, 160)])
    parts = deal(labels, units, [0.25] * 4, seed, classes=2)
    assert sorted(parts[[0, 30, 58, 59]]) == [0, 1, 2, 3]


def test_groups_that_cannot_be_divided_are_refused() -> None:
    # Each class is in two groups, but any two parts of the three leave one without a class.
    labels = np.array([0, 1, 1, 2, 2, 0])
    units = np.array([0, 0, 1, 1, 2, 2])
    with pytest.raises(DataError, match=r"can't be in every part of .*whole groups must stay"):
        deal(labels, units, [0.5, 0.5], classes=3)
