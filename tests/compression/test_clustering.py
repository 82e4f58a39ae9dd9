"""Clusters of weights: exact in one dimension, drawn to some of them in two."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.compression.clustering import LayerClusterings
from evoconv.compression.modulation import modulated_clusters, modulation
from evoconv.compression.ratios import SharedLayer, layer_mean_ratio, true_ratio
from evoconv.errors import ConfigError

WEIGHTS = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=9)
LENET = (150, 2_400, 48_000, 10_080, 840)
BIASES = 236


def least_error(weights: list[float], count: int) -> float:
    """Return the least sum of squares of all ways to cut the sorted weights into clusters."""
    ordered = np.sort(np.array(weights, np.float64))
    errors = []
    for cuts in combinations(range(1, len(ordered)), count - 1):
        parts = np.split(ordered, cuts)
        errors.append(sum(float(((part - part.mean()) ** 2).sum()) for part in parts))
    return min(errors)


@given(WEIGHTS, st.integers(1, 5))
def test_no_other_clustering_has_a_smaller_error(weights: list[float], count: int) -> None:
    layer = LayerClusterings(np.array(weights, np.float32))
    assert layer.most == len(set(weights))
    if count > layer.most:
        with pytest.raises(ConfigError, match=f"must be in .1, {layer.most}., got {count}"):
            layer.clustering(count)
        return
    found = layer.clustering(count)
    assert found.error == pytest.approx(least_error(weights, count), abs=1e-6)
    indices = found.indices(np.array(weights, np.float32))
    assert sorted(set(indices.tolist())) == list(range(count))
    distances = np.array(weights) - found.centroids[indices]
    assert float((distances**2).sum()) == pytest.approx(found.error, abs=1e-6)
    for number, centroid in enumerate(found.centroids):
        assert np.mean(np.array(weights)[indices == number]) == pytest.approx(centroid, abs=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_large_layers_are_clustered_as_well_as_if_all_weights_were_compared(scale: float) -> None:
    weights = np.random.default_rng(0).normal(size=40_000) * scale
    layer = LayerClusterings(weights)
    assert layer.most < 40_000
    for count in (2, 7, 32):
        found = layer.clustering(count)
        centroids = found.centroids
        for _ in range(20):  # Lloyd's algorithm from there, with weights as they are
            indices = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, weights)
            error = float(((weights - centroids[indices]) ** 2).sum())
            centroids = np.bincount(indices, weights) / np.bincount(indices)
        assert error > 0.9999 * found.error


@pytest.mark.parametrize(
    ("weights", "complaint"),
    [
        ([], "conv1 has no weights to share"),
        ([1.0, float("nan")], "conv1 has weights that are not finite numbers"),
        ([1.0, float("inf")], "conv1 has weights that are not finite numbers"),
    ],
)
def test_weights_that_cannot_be_shared_are_refused(weights: list[float], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        LayerClusterings(np.array(weights), "conv1")


def test_a_constant_layer_has_one_cluster_and_negative_weights_have_negative_centroids() -> None:
    constant = LayerClusterings(np.full((3, 4), 0.25))
    assert constant.most == 1
    assert constant.clustering(1).centroids.tolist() == [0.25]
    assert constant.clustering(1).error == 0
    negative = LayerClusterings(np.array([-4.0, -3.9, -1.0])).clustering(2)
    assert negative.centroids.tolist() == pytest.approx([-3.95, -1.0])


def test_clusterings_are_made_once() -> None:
    layer = LayerClusterings(np.arange(10.0))
    assert layer.clustering(3) is layer.clustering(3)


def test_the_modulation_is_equation_3() -> None:
    weights = np.array([-1.0, 0.0, 3.0])  # range 4, mean 2/3
    expected = 0.5 * 4 * np.tanh(2.0 * (np.array([1.0]) - 2 / 3))
    assert modulation(np.array([1.0]), weights, 0.5, 2.0) == pytest.approx(expected)


def test_without_spread_it_is_k_means_of_the_weights() -> None:
    weights = np.random.default_rng(1).normal(size=(20, 30))
    centroids, indices = modulated_clusters(weights, 4, spread=0.0, focus=1.0)
    exact = LayerClusterings(weights).clustering(4)
    assert indices.shape == weights.shape
    assert ((weights - centroids[indices]) ** 2).sum() == pytest.approx(exact.error, rel=0.02)


def test_a_focus_draws_clusters_to_the_mean() -> None:
    weights = np.random.default_rng(1).normal(size=2_000)
    plain, _ = modulated_clusters(weights, 6, spread=0.0, focus=1.0)
    drawn, _ = modulated_clusters(weights, 6, spread=1.0, focus=4.0)
    assert np.ptp(drawn[1:-1]) < np.ptp(plain[1:-1])
    assert (np.diff(drawn) > 0).all()


def test_more_clusters_than_weights_are_refused_in_two_dimensions() -> None:
    with pytest.raises(ConfigError, match="2 different weights can't have 3 clusters"):
        modulated_clusters(np.array([1.0, 1.0, 2.0]), 3, spread=1.0, focus=1.0)


@pytest.mark.parametrize(
    ("clusters", "bits", "published", "true"),
    [
        ([3, 4, 6, 4, 7], 32, 12.753, 10.96),
        ([3, 3, 7, 2, 2], 32, 19.943, 11.74),
        ([3, 5, 3, 2, 2], 16, 20.545, 16.15),
        ([11, 13, 2, 2, 18], 32, 16.34, 24.17),
    ],
)
def test_the_published_ratios_and_what_they_are_in_truth(
    clusters: list[int], bits: int, published: float, true: float
) -> None:
    layers = [
        SharedLayer(weights=weights, clusters=count, bits=bits)
        for weights, count in zip(LENET, clusters, strict=True)
    ]
    assert layer_mean_ratio(layers) == pytest.approx(published, abs=5e-3)
    assert true_ratio(layers, num_dense=BIASES) == pytest.approx(true, abs=5e-3)


def test_a_single_cluster_still_has_a_key_of_one_bit() -> None:
    assert SharedLayer(weights=100, clusters=1).shared_bits == 100 + 33
