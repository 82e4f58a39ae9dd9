"""Clusters that are drawn to some weights: a second dimension beside the weight itself.

Source: Čoupek, "Evolutionary Optimization of Convolutional Neural Networks", equation 3:
y = spread · (max(w) − min(w)) · tanh(focus · (x − mean(w))). Where y is steep, weights are pulled
apart and get more clusters: around the mean the more, the greater the focus; a spread of 0 is
K-means of the weights alone.
"""

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from evoconv.errors import ConfigError

Floats = NDArray[np.float64]

_STARTS = 4


def modulation(values: Floats, weights: Floats, spread: float, focus: float) -> Floats:
    """Return the second coordinate of each value, by equation 3, in a layer of these weights."""
    height = spread * (weights.max() - weights.min())
    modulated: Floats = height * np.tanh(focus * (values - weights.mean()))
    return modulated


def modulated_clusters(
    weights: NDArray[np.floating], count: int, spread: float, focus: float, seed: int = 0
) -> tuple[Floats, NDArray[np.int64]]:
    """Return the mean weight of each cluster, ascending, and the cluster of each weight.

    K-means in two dimensions from several seeded starts, as there is no exact way.

    Raises:
        ConfigError: fewer clusters than one, or more than there are different weights.
    """
    flat = np.asarray(weights, np.float64).reshape(-1)
    values, places, counts = np.unique(flat, return_inverse=True, return_counts=True)
    if not 1 <= count <= values.size:
        raise ConfigError(f"{values.size:,} different weights can't have {count:,} clusters")
    points = np.stack([values, modulation(values, flat, spread, focus)], 1)
    means = KMeans(count, n_init=_STARTS, random_state=seed)
    labels = means.fit_predict(points, sample_weight=counts)
    sums = np.bincount(labels, values * counts, count)
    centroids = sums / np.bincount(labels, counts, count)
    order = np.argsort(centroids)
    ranks = np.empty(count, np.int64)
    ranks[order] = np.arange(count)
    return centroids[order], ranks[labels][places].reshape(np.shape(weights))
