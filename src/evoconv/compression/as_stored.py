"""Tensors of a trained network as they are best stored: which have few values shows in them."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np

from evoconv.compression.entropy import LARGEST_ALPHABET, entropy_bits
from evoconv.compression.number_formats import rounded
from evoconv.compression.ratios import SharedLayer, layer_mean_ratio, true_ratio
from evoconv.compression.tensor_stream import write_tensors
from evoconv.compression.tensors import Bits, DenseTensor, Floats, SharedTensor, StoredTensor


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a shared network takes.

    Attributes:
        ratio_layer_mean: the published figure: the unweighted mean of the layers' ratios.
        ratio_formula: the same formula over all parameters, biases included.
        bytes: what its tensors take in a file; estimated by entropies before there is one.
    """

    ratio_layer_mean: float
    ratio_formula: float
    bytes: float


def as_stored(
    tensors: Mapping[str, Floats], shared: Collection[str], *, bits: Bits, dense_bits: Bits
) -> dict[str, StoredTensor]:
    """Return each tensor with a codebook where that takes less, else value by value.

    Args:
        tensors: all of a network's, by name.
        shared: those whose values are stored in ``bits``; all others are in ``dense_bits``.
        bits: of a shared value.
        dense_bits: of any other.
    """
    return {
        name: cheapest(values, bits if name in shared else dense_bits)
        for name, values in tensors.items()
    }


def account_of(
    stored: Mapping[str, StoredTensor], shared: Collection[str], *, exact: bool = False
) -> Account:
    """Return what the tensors take, of which those named are layers with shared weights.

    ``exact``: bytes as they are in a file, not by the entropy of indices: where pruning left rows
    and columns without a weight, they are fewer.
    """
    layers = [_layer(one) for name, one in stored.items() if name in shared]
    num_dense = sum(one.values.size for name, one in stored.items() if name not in shared)
    return Account(
        ratio_layer_mean=layer_mean_ratio(layers),
        ratio_formula=true_ratio(layers, num_dense),
        bytes=(
            float(len(write_tensors(list(stored.values()))))
            if exact
            else sum(map(bits_of, stored.values())) / 8
        ),
    )


def cheapest(values: Floats, bits: Bits) -> StoredTensor:
    """Return a tensor, rounded to so many bits, with a codebook or value by value."""
    stored = rounded(values, bits).reshape(values.shape)
    found, places = np.unique(stored, return_inverse=True)
    dense = DenseTensor(values=stored, bits=bits)
    if not 0 < found.size <= LARGEST_ALPHABET or not np.isfinite(found).all():
        return dense
    # Zero comes first, where it is one of them.
    order = np.argsort(found != 0, kind="stable")
    ranks = np.empty(found.size, np.int64)
    ranks[order] = np.arange(found.size)
    shared = SharedTensor(
        codebooks=found[order][None],
        indices=ranks[places].reshape(values.shape),
        has_zero=bool((found == 0).any()),
        bits=bits,
    )
    return shared if bits_of(shared) < bits_of(dense) else dense


def bits_of(tensor: StoredTensor) -> float:
    """Return what a tensor takes, by the entropy of its indices."""
    if isinstance(tensor, DenseTensor):
        return float(tensor.values.size * tensor.bits)
    num_stored = tensor.codebooks.size - len(tensor.codebooks) * tensor.has_zero
    return num_stored * tensor.bits + entropy_bits(np.bincount(tensor.indices.reshape(-1)))


def _layer(tensor: StoredTensor) -> SharedLayer:
    size = tensor.values.size
    if not isinstance(tensor, SharedTensor):
        return SharedLayer(weights=size, clusters=np.unique(tensor.values).size, bits=tensor.bits)
    codebooks, clusters = tensor.codebooks.shape
    return SharedLayer(weights=size, clusters=clusters, bits=tensor.bits, codebooks=codebooks)
