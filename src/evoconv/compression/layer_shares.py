"""How much of each layer to keep, when so much of all weights is kept.

Source: Lee et al. 2021, "Layer-adaptive Sparsity for the Magnitude-based Pruning" (LAMP): a
weight's score is its square over the sum of those squares in its layer that are not smaller. Scores
of all layers are compared with each other, and the highest stay.

Differs: what is limited is bytes, not weights, so a score is divided by the bits that the weight
takes. Where few are kept, each needs many that say where it is: -log2 d + log2 (1 - d) more of a
layer that keeps a share of d (the derivative of their entropy), and none where most are kept.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_POINTS = 128  # between one weight in all and all of them, evenly by the logarithm
_BITS_OF_VALUE = 1.6  # which of three values it has


class LayerShares:
    """Shares of layers that are worth keeping, by those of the weights of a trained network.

    Args:
        layers: their weights, of any shapes; each has some.
    """

    def __init__(self, layers: Sequence[NDArray[np.floating]]) -> None:
        self._sizes = np.array([one.size for one in layers], np.float64)
        scores = [_scores(one) for one in layers]
        ordered = np.sort(np.concatenate(scores))[::-1]
        counts = np.unique(np.geomspace(1, ordered.size, _POINTS).astype(np.int64))
        kept = [
            [one.size - np.searchsorted(one, ordered[count - 1]) for one in scores]
            for count in counts
        ]
        self._totals = np.log(counts / ordered.size)
        self._shares = np.log(np.maximum(kept, 1) / self._sizes)

    def at(self, total: float) -> tuple[float, ...]:
        """Return the share of each layer, in (0, 1], when this one of all weights is kept."""
        place = np.log(total)
        return tuple(
            float(np.exp(np.interp(place, self._totals, column))) for column in self._shares.T
        )

    def total(self, shares: Sequence[float]) -> float:
        """Return the share of all weights, when these of the layers are kept."""
        return float(self._sizes @ np.asarray(shares) / self._sizes.sum())


def _scores(weights: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the scores of a layer's weights, ascending: by the bit."""
    squares = np.sort(np.square(weights, dtype=np.float64), axis=None)[::-1]
    # Of each and all above it.
    sums = np.cumsum(squares)
    scores = np.divide(squares, sums, np.zeros_like(squares), where=sums > 0)
    kept = (np.arange(squares.size) + 0.5) / squares.size
    bits = _BITS_OF_VALUE + np.maximum(np.log2((1 - kept) / kept), 0.0)
    # Bits become fewer where more is kept, but who is smaller isn't worth more for that.
    by_bit: NDArray[np.float64] = np.minimum.accumulate(scores / bits)[::-1]
    return by_bit
