import numpy as np
import pytest
import torch

from evoconv.genomes.layers import Convolution, Dense
from evoconv.genomes.topology import Topology
from evoconv.problems.subject import Subject
from evoconv.problems.training import stratified_subset
from evoconv.training.options import Recipe


def test_a_subset_keeps_the_shares_of_the_classes_and_is_always_the_same() -> None:
    labels = np.array([0] * 900 + [1] * 90 + [2] * 10)
    rows = np.arange(1000)
    some = stratified_subset(rows, labels, 100)
    assert np.bincount(labels[some]).tolist() == [90, 9, 1]
    assert some.tolist() == stratified_subset(rows, labels, 100).tolist()
    assert len(set(some.tolist())) == 100


def test_a_class_is_never_lost_from_a_subset() -> None:
    labels = np.array([0] * 999 + [1])
    assert set(labels[stratified_subset(np.arange(1000), labels, 10)]) == {0, 1}


@pytest.mark.parametrize("size", [None, 50, 60])
def test_a_small_set_is_used_whole(size: int | None) -> None:
    rows = np.arange(50)
    assert stratified_subset(rows, np.zeros(50, np.int64), size) is rows


def test_weights_are_fixed_by_the_seed_alone() -> None:
    topology = Topology(
        features=(Convolution(filters=4, kernel=(3, 3)),), classifier=(Dense(units=5),)
    )
    torch.manual_seed(99)
    subject = Subject(architecture=topology)
    first = subject.new_network((1, 8, 8), 3, Recipe(), seed=1)
    torch.manual_seed(7)
    second = subject.new_network((1, 8, 8), 3, Recipe(), seed=1)
    other = subject.new_network((1, 8, 8), 3, Recipe(), seed=2)
    pairs = list(zip(first.parameters(), second.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(one, same) for one, same, _ in pairs)
    assert not all(torch.equal(one, different) for one, _, different in pairs)


def test_recipes_count_their_image_passes() -> None:
    recipe = Recipe(image_passes=20_000, train_images=10_000)
    shape = (1, 28, 28)
    assert (recipe.search_epochs(50_000, shape), recipe.passes(50_000, shape)) == (2, 20_000)
    assert (recipe.search_epochs(1_000, shape), recipe.passes(1_000, shape)) == (20, 20_000)
    assert Recipe(epochs=3, train_images=None).passes(100, shape) == 300
    assert Recipe().passes(1_000, (3, 8, 8)) == Recipe().passes(1_000, shape) == 25_000
    assert Recipe().passes(1_000, (1, 56, 56)) == 12_000  # the half, in whole epochs
    assert recipe.longest_training(60_000) == 25
    assert recipe.longest_training(1_000) == 200
    assert recipe.longest_training(60_000, is_timed=True) == 75
    assert Recipe(final_length=2.0).longest_training(60_000, is_timed=True) == 50
    assert Recipe(final_length=3.0).longest_training(60_000) == 75
    assert Recipe(final_length=3.0).usual_training(60_000) == 25
    assert Recipe(final_length=0.1, final_epochs=7).longest_training(60_000) == 7
    assert Recipe(final_epochs=7).longest_training(60_000) == 7
