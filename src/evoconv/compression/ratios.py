"""What shared weights are worth in bits, by the published formula.

Source: Čoupek, "Evolutionary Optimization of Convolutional Neural Networks", equation 2. The
published figure of a network is the unweighted mean of its layers' ratios, without biases: a layer
of 150 weights counts as much as one of 48,000. ``true_ratio`` is the same formula over all
parameters; what a file really takes is neither.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

_BITS = 32  # of a weight before it is shared


@dataclass(frozen=True, kw_only=True)
class SharedLayer:
    """How one layer's weights are shared.

    Attributes:
        weights: how many there are.
        clusters: how many different values they have.
        bits: of one such value: 32, 16 or 8.
        codebooks: how many sets of so many values there are: one, or one for each row.
    """

    weights: int
    clusters: int
    bits: int = _BITS
    codebooks: int = 1

    @property
    def shared_bits(self) -> int:
        """A key per weight, and the codebook of keys and values: the denominator of equation 2."""
        key = max(1, (self.clusters - 1).bit_length())  # ⌈log2 clusters⌉
        return self.weights * key + self.codebooks * self.clusters * (self.bits + key)

    @property
    def ratio(self) -> float:
        """Equation 2: bits before over bits after."""
        return self.weights * _BITS / self.shared_bits


def layer_mean_ratio(layers: Sequence[SharedLayer]) -> float:
    """Return the mean of the layers' ratios, the figure that is published for a network."""
    return fmean(layer.ratio for layer in layers)


def true_ratio(layers: Sequence[SharedLayer], num_dense: int, bits: int = _BITS) -> float:
    """Return bits before over bits after for all parameters.

    Args:
        layers: whose weights are shared.
        num_dense: how many parameters are not: biases, and layers that can't be shared.
        bits: of each of those after.
    """
    before = (sum(layer.weights for layer in layers) + num_dense) * _BITS
    after = sum(layer.shared_bits for layer in layers) + num_dense * bits
    return before / after
