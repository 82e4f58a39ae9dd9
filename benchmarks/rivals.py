"""What else makes indices small or weights few: general compressors, scikit-learn's K-means."""

import lzma
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.cluster import KMeans

from evoconv.compression.entropy import Symbols
from evoconv.compression.number_formats import rounded
from evoconv.compression.tensors import Bits, Floats, SharedTensor

Compress = Callable[[bytes], bytes]

_PRESET = 9 | lzma.PRESET_EXTREME
# Indices hardly depend on those before or on their places: without contexts less is to be learned.
_NO_CONTEXT = {"lc": 0, "pb": 0}
_ZSTANDARD_LEVEL = 22


def compressors() -> dict[str, Compress | None]:
    """Return general compressors by name at their best; None for one that isn't installed."""
    return {
        "zlib": partial(zlib.compress, level=9, wbits=-15),
        "lzma": _lzma,
        "zstandard": _zstandard(),
    }


def plain_forms(arrays: Sequence[Symbols], bits: int) -> tuple[bytes, bytes]:
    """Return arrays of symbols below 2^bits, at most 8, one to a byte and one to so many bits."""
    flat = np.concatenate([one.reshape(-1) for one in arrays]).astype(np.uint8)
    each_bit = flat[:, None] >> np.arange(bits, dtype=np.uint8) & 1
    return flat.tobytes(), np.packbits(each_bit).tobytes()


def means(weights: NDArray[np.floating], count: int, starts: int, seed: int) -> KMeans:
    """Return scikit-learn's K-means of the weights, from so many starts, in their precision."""
    return KMeans(count, n_init=starts, random_state=seed).fit(weights.reshape(-1, 1))


def shared_by_means(weights: Floats, count: int, bits: Bits, seed: int) -> SharedTensor:
    """Return the weights shared in so many values by scikit-learn's K-means from one start."""
    found = means(weights, count, 1, seed)
    indices: NDArray[np.int64] = found.labels_.astype(np.int64).reshape(weights.shape)
    codebook = rounded(found.cluster_centers_.reshape(-1), bits)
    return SharedTensor(codebooks=codebook[None], indices=indices, bits=bits)


def _lzma(content: bytes) -> bytes:
    """Return the smaller of two raw streams, which have no header."""
    chains: list[dict[str, Any]] = [
        {"id": lzma.FILTER_LZMA1, "preset": _PRESET, **more} for more in ({}, _NO_CONTEXT)
    ]
    streams = [lzma.compress(content, lzma.FORMAT_RAW, filters=[one]) for one in chains]
    return min(streams, key=len)


def _zstandard() -> Compress | None:
    """Return it from its package, or from Python 3.14's own modules."""
    try:
        compress: Compress = (
            import_module("zstandard")
            .ZstdCompressor(level=_ZSTANDARD_LEVEL, write_content_size=False)
            .compress
        )
        return compress
    except ImportError:
        pass
    try:
        return partial(import_module("compression.zstd").compress, level=_ZSTANDARD_LEVEL)
    except ImportError:
        return None
