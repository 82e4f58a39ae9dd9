"""A network whose weights are shared: which tensors can be, into how many values, what that takes.

Source: Čoupek, "Evolutionary Optimization of Convolutional Neural Networks", steps 3 and 4. Shared
are the weights of convolutions and dense layers; biases and normalisations are stored one by one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from evoconv.compression.clustering import LayerClusterings
from evoconv.compression.entropy import entropy_bits
from evoconv.compression.number_formats import rounded
from evoconv.compression.ratios import SharedLayer, layer_mean_ratio, true_ratio
from evoconv.compression.tensors import Bits, DenseTensor, Floats, SharedTensor, StoredTensor
from evoconv.errors import ConfigError


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a shared network takes.

    Attributes:
        ratio_layer_mean: the published figure: the unweighted mean of the layers' ratios.
        ratio_formula: the same formula over all parameters, biases included.
        bytes: what its tensors take in a file, estimated by the entropy of the indices.
    """

    ratio_layer_mean: float
    ratio_formula: float
    bytes: float


class Shareable:
    """A trained network's tensors, of which some can be shared.

    Args:
        tensors: all parameters and statistics by name.
        shared: names of those whose values are to be shared.
        bits: of a shared value as it is stored.
        dense_bits: of the values of all other tensors.

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
    ) -> None:
        if not shared:
            raise ConfigError("the network has no weights that can be shared")
        self.names = tuple(shared)
        self._tensors = dict(tensors)
        self._bits = bits
        self._dense_bits = dense_bits
        self.layers = tuple(LayerClusterings(tensors[name], name) for name in shared)

    def one_shared(self, place: int, count: int) -> dict[str, StoredTensor]:
        """Return all tensors as they are, but for one layer with so many values."""
        whole: dict[str, StoredTensor] = {
            name: DenseTensor(values=values) for name, values in self._tensors.items()
        }
        return whole | {self.names[place]: self._shared(place, count)}

    def stored(self, clusters: Sequence[int]) -> dict[str, StoredTensor]:
        """Return all tensors, the shared ones with so many values each."""
        found: dict[str, StoredTensor] = {}
        for name, values in self._tensors.items():
            if name in self.names:
                place = self.names.index(name)
                found[name] = self._shared(place, clusters[place])
            else:
                stored = rounded(values, self._dense_bits).reshape(values.shape)
                found[name] = DenseTensor(values=stored, bits=self._dense_bits)
        return found

    def _shared(self, place: int, count: int) -> SharedTensor:
        clustering = self.layers[place].clustering(count)
        return SharedTensor(
            codebooks=rounded(clustering.centroids, self._bits)[None],
            indices=clustering.indices(self._tensors[self.names[place]]),
            bits=self._bits,
        )

    def account(self, clusters: Sequence[int]) -> Account:
        """Return what the network takes with so many values in each layer."""
        layers = [
            SharedLayer(weights=self._tensors[name].size, clusters=count, bits=self._bits)
            for name, count in zip(self.names, clusters, strict=True)
        ]
        bits = float(self._num_dense * self._dense_bits)
        for layer, count in zip(self.layers, clusters, strict=True):
            bits += count * self._bits + entropy_bits(layer.clustering(count).sizes)
        return Account(
            ratio_layer_mean=layer_mean_ratio(layers),
            ratio_formula=true_ratio(layers, self._num_dense),
            bytes=bits / 8,
        )

    @cached_property
    def _num_dense(self) -> int:
        return sum(one.size for name, one in self._tensors.items() if name not in self.names)
