"""The four real sets; each test is skipped where its set isn't there."""

import numpy as np
import pytest

from evoconv.data.image_set import Declared
from evoconv.data.splits import SplitOptions, search_splits
from tests.data.files import load, real_set


@pytest.mark.parametrize(
    ("name", "train", "test"),
    [
        (
            "mnist",
            [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949],
            [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009],
        ),
        ("fashion-mnist", [6000] * 10, [1000] * 10),
    ],
)
def test_the_idx_sets_have_their_known_numbers(
    name: str, train: list[int], test: list[int]
) -> None:
    opened = load(real_set(name))
    assert opened.images.shape == (70_000, 28, 28, 1)
    is_test = opened.declared == Declared.TEST
    assert np.bincount(opened.labels[~is_test]).tolist() == train
    assert np.bincount(opened.labels[is_test]).tolist() == test


def test_neu_is_grey_has_64_pixels_and_its_copies_stay_together() -> None:
    opened = load(real_set("neu-cls.tar"))
    assert opened.images.shape == (1800, 64, 64, 1)
    assert opened.notes == (
        "Images of 200x200 were brought to 64x64 (height x width, fit).",
        "Images with three equal channels were read as one channel.",
    )
    assert np.bincount(opened.labels).tolist() == [300] * 6
    splits = search_splits(opened, SplitOptions(folds=5), 0)
    assert splits.notes == (
        "1 image is an exact copy of another, "
        "such as patches/patches_105.jpg of patches/patches_101.jpg.",
    )


@pytest.mark.slow
def test_cifar10_has_its_known_mean_and_deviation() -> None:
    opened = load(real_set("cifar10.zip"))
    assert opened.images.shape == (60_000, 32, 32, 3)
    train = opened.images[opened.declared == Declared.TRAIN].reshape(-1, 3)
    sample = train.astype(np.float32) / 255
    assert sample.mean(0, dtype=np.float64) == pytest.approx(
        [0.49139968, 0.48215841, 0.44653091], abs=1e-6
    )
    assert sample.std(0, dtype=np.float64) == pytest.approx(
        [0.24703223, 0.24348513, 0.26158784], abs=1e-6
    )
