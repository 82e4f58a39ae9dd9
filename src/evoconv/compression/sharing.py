"""A network whose weights are shared: which tensors can be, into how many values, what that takes.

Source: Čoupek, "Evolutionary Optimization of Convolutional Neural Networks", steps 3 and 4. Shared
are the weights of convolutions and dense layers; biases and normalisations are stored one by one,
but for those whose values are all equal.
"""

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property
from math import log2

import numpy as np

from evoconv.compression.as_stored import Account, account_of, cheapest, split_like, width_of
from evoconv.compression.clustering import LayerClusterings
from evoconv.compression.entropy import entropy_bits
from evoconv.compression.layer_shares import LayerShares
from evoconv.compression.modulation import modulated_clusters
from evoconv.compression.number_formats import rounded
from evoconv.compression.tensors import (
    Bits,
    Codebooks,
    DenseTensor,
    Floats,
    SharedTensor,
    StoredTensor,
    bits_of_each,
)
from evoconv.errors import ConfigError


class Shareable:
    """A trained network's tensors, of which some can be shared.

    Args:
        tensors: all parameters and statistics by name.
        codebooks: those whose values are to be shared, by the codebook that they have together.
        bits: of a shared value as it is stored.
        dense_bits: of the values of all other tensors.
        by_rows: codebooks of which each row (the first axis) has values of its own.

    Raises:
        ConfigError: there is nothing to share, or it holds values that are not finite.
    """

    def __init__(
        self,
        tensors: Mapping[str, Floats],
        codebooks: Codebooks,
        *,
        bits: Bits = 32,
        dense_bits: Bits = 32,
        by_rows: Collection[str] = (),
    ) -> None:
        if not codebooks:
            raise ConfigError("the network has no weights that can be shared")
        self.codebooks = dict(codebooks)
        self.layers = tuple(name for names in codebooks.values() for name in names)
        self._tensors = dict(tensors)
        self._bits = bits
        self._dense_bits = dense_bits
        self._by_rows = frozenset(by_rows)
        self.clusterings = {
            book: LayerClusterings(
                np.concatenate([tensors[one].reshape(-1) for one in names]), book
            )
            for book, names in codebooks.items()
        }

    def most_clusters(self, book: str) -> int:
        """Return how many different values a codebook may have."""
        most = self.clusterings[book].most
        if book not in self._by_rows:
            return most
        weights = self._tensors[book]
        return min(most, weights.size // len(weights))

    def one_shared(self, book: str, count: int) -> dict[str, StoredTensor]:
        """Return all tensors as they are, but for those of one codebook, with so many values."""
        return self.as_it_is() | self._shared(book, count)

    def as_it_is(self) -> dict[str, StoredTensor]:
        """Return all tensors with none of them shared."""
        return {name: DenseTensor(values=values) for name, values in self._tensors.items()}

    def stored(
        self, clusters: Sequence[int], modulation: Sequence[tuple[float, float]] = ()
    ) -> dict[str, StoredTensor]:
        """Return all tensors, the shared ones with so many values in each codebook.

        ``modulation``: spread and focus of each; empty for plain clusters, which are made once.
        """
        found = dict(self._others)
        for place, (book, count) in enumerate(zip(self.codebooks, clusters, strict=True)):
            found |= self._shared(book, count, modulation[place] if modulation else None)
        return {name: found[name] for name in self._tensors}

    def _shared(
        self, book: str, count: int, modulation: tuple[float, float] | None = None
    ) -> dict[str, StoredTensor]:
        """Return the tensors of a codebook with so many values."""
        tensors = {name: self._tensors[name] for name in self.codebooks[book]}
        if book in self._by_rows:
            weights = tensors[book]
            rows = weights.reshape(len(weights), -1)
            return {book: _shared_by_rows(rows, count, self._bits, weights.shape)}
        if modulation is None:
            clustering = self.clusterings[book].clustering(count)
            centroids = clustering.centroids
            indices = {name: clustering.indices(weights) for name, weights in tensors.items()}
        else:
            together = np.concatenate([weights.reshape(-1) for weights in tensors.values()])
            centroids, flat = modulated_clusters(together, count, *modulation)
            indices = split_like(flat, tensors)
        values = rounded(centroids, self._bits)[None]
        return {
            name: SharedTensor(codebooks=values, indices=places, bits=self._bits)
            for name, places in indices.items()
        }

    def account(
        self, clusters: Sequence[int], modulation: Sequence[tuple[float, float]] = ()
    ) -> Account:
        """Return what the network takes with so many values in each codebook."""
        return account_of(self.stored(clusters, modulation), self.layers)

    def expected_bytes(
        self, clusters: Sequence[int], kept: Sequence[float], bias_clusters: int
    ) -> float:
        """Return about what the network will take after training: all clusters equally frequent.

        Args:
            clusters: values of each codebook, zero among them where not all is kept.
            kept: share of each layer's weights that is not zero; empty for all.
            bias_clusters: values that other tensors have; 0 where they are stored one by one.
        """
        bits = 0.0
        shares = dict(zip(self.layers, kept or (1.0,) * len(self.layers), strict=True))
        for names, count in zip(self.codebooks.values(), clusters, strict=True):
            values = max(1, count - any(shares[name] < 1 for name in names))
            bits += values * self._bits
            for name in names:
                parts = np.array([1 - shares[name], *[shares[name] / values] * values])
                bits += entropy_bits(parts * self._tensors[name].size)
        if bias_clusters:
            return (bits + self._num_dense * log2(bias_clusters)) / 8
        return (bits + self._dense_bits_stored) / 8

    @cached_property
    def proportions(self) -> LayerShares:
        """How much of each layer to keep, when so much of all is kept."""
        return LayerShares([self._tensors[name] for name in self.layers])

    @cached_property
    def _num_dense(self) -> int:
        return sum(one.size for name, one in self._tensors.items() if name not in self.layers)

    @cached_property
    def _dense_bits_stored(self) -> float:
        """What all other tensors take."""
        return sum(bits_of_each(list(self._others.values())))

    @cached_property
    def _others(self) -> dict[str, StoredTensor]:
        """All other tensors, as they are stored whatever is shared."""
        return {
            name: cheapest(values, width_of(name, values, self._dense_bits))
            for name, values in self._tensors.items()
            if name not in self.layers
        }


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
