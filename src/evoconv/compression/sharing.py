"""A network whose weights are shared: which tensors can be, into how many values, what that takes.

Source: Čoupek, "Evolutionary Optimization of Convolutional Neural Networks", steps 3 and 4. Shared
are the weights of convolutions and dense layers; biases and normalisations are stored one by one,
but for those whose values are all equal.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from math import log2

import numpy as np

from evoconv.compression.as_stored import Account, account_of, bits_of, cheapest
from evoconv.compression.clustering import LayerClusterings
from evoconv.compression.entropy import entropy_bits
from evoconv.compression.modulation import modulated_clusters
from evoconv.compression.number_formats import rounded
from evoconv.compression.tensors import Bits, DenseTensor, Floats, SharedTensor, StoredTensor
from evoconv.errors import ConfigError


class Shareable:
    """A trained network's tensors, of which some can be shared.

    Args:
        tensors: all parameters and statistics by name.
        shared: names of those whose values are to be shared.
        bits: of a shared value as it is stored.
        dense_bits: of the values of all other tensors.
        by_rows: shared ones of which each row (the first axis) has values of its own.

    Raises:
        ConfigError: there is nothing to share, or it holds values that are not finite.
    """

    def __init__(
        self,
        tensors: Mapping[str, Floats],
        shared: Sequence[str],
        *,
        bits: Bits = 32,
        dense_bits: Bits = 32,
        by_rows: Collection[str] = (),
    ) -> None:
        if not shared:
            raise ConfigError("the network has no weights that can be shared")
        self.names = tuple(shared)
        self._tensors = dict(tensors)
        self._bits = bits
        self._dense_bits = dense_bits
        self._by_rows = frozenset(by_rows)
        self.layers = tuple(LayerClusterings(tensors[name], name) for name in shared)

    def one_shared(self, place: int, count: int) -> dict[str, StoredTensor]:
        """Return all tensors as they are, but for one layer with so many values."""
        whole: dict[str, StoredTensor] = {
            name: DenseTensor(values=values) for name, values in self._tensors.items()
        }
        return whole | {self.names[place]: self._shared(place, count)}

    def stored(
        self, clusters: Sequence[int], modulation: Sequence[tuple[float, float]] = ()
    ) -> dict[str, StoredTensor]:
        """Return all tensors, the shared ones with so many values each.

        ``modulation``: spread and focus of each; empty for plain clusters, which are made once.
        """
        found: dict[str, StoredTensor] = {}
        for name, values in self._tensors.items():
            if name in self.names:
                place = self.names.index(name)
                how = modulation[place] if modulation else None
                found[name] = self._shared(place, clusters[place], how)
            else:
                found[name] = cheapest(values, self._dense_bits)
        return found

    def _shared(
        self, place: int, count: int, modulation: tuple[float, float] | None = None
    ) -> SharedTensor:
        weights = self._tensors[self.names[place]]
        if self.names[place] in self._by_rows:
            rows = weights.reshape(len(weights), -1)
            return _shared_by_rows(rows, count, self._bits, weights.shape)
        if modulation is None:
            clustering = self.layers[place].clustering(count)
            centroids, indices = clustering.centroids, clustering.indices(weights)
        else:
            centroids, indices = modulated_clusters(weights, count, *modulation)
        return SharedTensor(
            codebooks=rounded(centroids, self._bits)[None], indices=indices, bits=self._bits
        )

    def account(
        self, clusters: Sequence[int], modulation: Sequence[tuple[float, float]] = ()
    ) -> Account:
        """Return what the network takes with so many values in each layer."""
        return account_of(self.stored(clusters, modulation), self.names)

    def expected_bytes(
        self, clusters: Sequence[int], kept: Sequence[float], bias_clusters: int
    ) -> float:
        """Return about what the network will take after training: all clusters equally frequent.

        Args:
            clusters: values of each layer, zero among them where not all is kept.
            kept: share of each layer's weights that is not zero; empty for all.
            bias_clusters: values that other tensors have; 0 where they are stored one by one.
        """
        bits = 0.0
        for name, count, share in zip(
            self.names, clusters, kept or (1.0,) * len(clusters), strict=True
        ):
            values = max(1, count - (share < 1))
            parts = np.array([1 - share, *[share / values] * values])
            bits += values * self._bits + entropy_bits(parts * self._tensors[name].size)
        if bias_clusters:
            return (bits + self._num_dense * log2(bias_clusters)) / 8
        return (bits + self._dense_bits_stored) / 8

    @cached_property
    def _num_dense(self) -> int:
        return sum(one.size for name, one in self._tensors.items() if name not in self.names)

    @cached_property
    def _dense_bits_stored(self) -> float:
        """What all other tensors take."""
        others = [one for name, one in self._tensors.items() if name not in self.names]
        return sum(bits_of(cheapest(one, self._dense_bits)) for one in others)


def _shared_by_rows(rows: Floats, count: int, bits: Bits, shape: tuple[int, ...]) -> SharedTensor:
    """Return rows (R, n) with so many values each, or as many as a row has."""
    codebooks, indices = np.zeros((len(rows), count)), np.zeros(rows.shape, np.int64)
    for place, row in enumerate(rows):
        clusterings = LayerClusterings(row)
        clustering = clusterings.clustering(min(count, clusterings.most))
        codebooks[place, : clustering.centroids.size] = clustering.centroids
        indices[place] = clustering.indices(row)
    return SharedTensor(
        codebooks=rounded(codebooks, bits).reshape(codebooks.shape),
        indices=indices.reshape(shape),
        bits=bits,
    )
