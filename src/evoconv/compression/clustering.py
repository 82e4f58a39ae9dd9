"""A layer's weights in clusters: exact K-means in one dimension, for all numbers of clusters.

Source: Wang & Song 2011, "Ckmeans.1d.dp: Optimal k-means Clustering in One Dimension by Dynamic
Programming", as the package ckwrap has it. Čoupek's poster has K-means from random starts, which
can miss the optimum by a third.

Clusters of numbers on a line lie side by side, so a clustering is told by where each one begins.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evoconv.compression.packages import find_package
from evoconv.errors import ConfigError

Floats = NDArray[np.floating]

# Layers with more different values are clustered as float16: memory and time stay bounded.
_MOST_VALUES = 1 << 14


@dataclass(frozen=True, eq=False)
class Clustering:
    """Clusters of one layer's weights, from the lowest to the highest.

    Attributes:
        centroids: the mean weight of each, float64, ascending.
        starts: the lowest value of each but the first.
        sizes: how many weights each has.
        error: sum of squared distances of all weights to their centroids.
    """

    centroids: NDArray[np.float64]
    starts: NDArray[np.float64]
    sizes: NDArray[np.int64]
    error: float

    def indices(self, weights: Floats) -> NDArray[np.int64]:
        """Return for each weight the number of its cluster; any shape."""
        return np.searchsorted(self.starts, weights, side="right")


class LayerClusterings:
    """All clusterings of one layer's weights that a search may ask for, each made once.

    Raises:
        ConfigError: weights that are not finite numbers, or none at all.
        MissingExtra: the package that clusters is not installed.
    """

    def __init__(self, weights: Floats, name: str = "the layer") -> None:
        flat = np.sort(np.asarray(weights, np.float64), axis=None)
        if not flat.size:
            raise ConfigError(f"{name} has no weights to share")
        if not np.isfinite(flat).all():
            raise ConfigError(f"{name} has weights that are not finite numbers")
        values, counts = np.unique(flat, return_counts=True)
        if values.size > _MOST_VALUES:
            values, counts = np.unique(_as_float16(flat), return_counts=True)
        self._name, self._sorted = name, flat
        self._values, self._counts = values, counts.astype(np.float64)
        self._ends = np.concatenate([[0], np.cumsum(counts)])
        self._sums = np.concatenate([[0.0], np.cumsum(flat)])
        self._squares = np.concatenate([[0.0], np.cumsum(flat**2)])
        self._known: dict[int, Clustering] = {}

    @property
    def most(self) -> int:
        """As many clusters as there are different weights."""
        return self._values.size

    def clustering(self, count: int) -> Clustering:
        """Return the best clustering into so many clusters.

        Raises:
            ConfigError: fewer than one, or more than there are different weights.
        """
        if not 1 <= count <= self.most:
            raise ConfigError(
                f"{self._name} has {self.most:,} different weights: its number of clusters must be"
                f" in [1, {self.most:,}], got {count:,}"
            )
        if count not in self._known:
            self._known[count] = self._clustered(count)
        return self._known[count]

    def _clustered(self, count: int) -> Clustering:
        ckwrap = find_package("ckwrap", "to share weights")
        labels = ckwrap.ckmeans(self._values, count, weights=self._counts).labels
        # Rounding keeps the order, so borders between rounded values are borders between weights.
        ends = self._ends[[0, *(np.flatnonzero(np.diff(labels)) + 1), -1]]
        sizes, sums = np.diff(ends), np.diff(self._sums[ends])
        error = float(np.sum(np.diff(self._squares[ends]) - sums**2 / sizes))
        return Clustering(sums / sizes, self._sorted[ends[1:-1]], sizes, max(0.0, error))


def _as_float16(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the values with eleven bits each, whatever their scale."""
    scale = 2.0 ** (14 - np.frexp(np.abs(values).max())[1])
    half: NDArray[np.float64] = (values * scale).astype(np.float16).astype(np.float64)
    return half / float(scale)
