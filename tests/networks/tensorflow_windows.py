"""TensorFlow's windows in plain numpy, written from its documentation: the referee of padding."""

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Pair = tuple[int, int]


def padded_sides(size: int, window: int, stride: int) -> tuple[int, int]:
    """Return values before and after, by the rule with the remainder of size and stride."""
    rest = size % stride
    total = max(window - (stride if rest == 0 else rest), 0)
    return total // 2, total - total // 2


def windows_of(maps: Array, window: Pair, stride: Pair, padding: str) -> Array:
    """Return all windows of maps (C, H, W), shape (rows, columns, C, h, w); padding is NaN."""
    sides = [(0, 0), (0, 0)]
    if padding == "same":
        sides = [padded_sides(maps.shape[1 + i], window[i], stride[i]) for i in range(2)]
    padded = np.pad(maps, ((0, 0), *sides), constant_values=np.nan)
    rows = range(0, padded.shape[1] - window[0] + 1, stride[0])
    columns = range(0, padded.shape[2] - window[1] + 1, stride[1])
    return np.array(
        [
            [padded[:, row : row + window[0], column : column + window[1]] for column in columns]
            for row in rows
        ]
    )


def convolve(maps: Array, weights: Array, bias: Array, stride: Pair, padding: str) -> Array:
    """Return maps (F, H', W') of weights (F, C, h, w); padding counts as zero."""
    windows = windows_of(maps, weights.shape[2:], stride, padding)
    summed = np.einsum("rkchw,fchw->frk", np.nan_to_num(windows), weights)
    return np.asarray(summed + bias[:, None, None])


def pool(maps: Array, kind: str, window: Pair, stride: Pair, padding: str) -> Array:
    """Return maps (C, H', W'); padding counts neither for the maximum nor for the average."""
    windows = windows_of(maps, window, stride, padding)
    pooled = (np.nanmax if kind == "max" else np.nanmean)(windows, axis=(3, 4))
    return np.asarray(pooled).transpose(2, 0, 1)
