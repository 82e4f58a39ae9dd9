"""Tensors of a trained network as they are best stored: which have few values shows in them."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from evoconv.compression.entropy import LARGEST_ALPHABET
from evoconv.compression.number_formats import rounded
from evoconv.compression.ratios import SharedLayer, layer_mean_ratio, true_ratio
from evoconv.compression.tensor_stream import write_tensors
from evoconv.compression.tensors import (
    Bits,
    DenseTensor,
    Floats,
    SharedTensor,
    StoredTensor,
    bits_of_each,
    codebook_holders,
)


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
    tensors: Mapping[str, Floats],
    shared: Collection[str],
    *,
    bits: Bits,
    dense_bits: Bits,
    together: Iterable[Sequence[str]] = (),
) -> dict[str, StoredTensor]:
    """Return each tensor with a codebook where that takes less, else value by value.

    Args:
        tensors: all of a network's, by name.
        shared: those whose values are stored in ``bits``; all others are in ``dense_bits``.
        bits: of a shared value.
        dense_bits: of any other.
        together: names of tensors that have one codebook; all others have their own.
    """
    widths = {
        name: bits if name in shared else width_of(name, values, dense_bits)
        for name, values in tensors.items()
    }
    found: dict[str, StoredTensor] = {}
    for names in together:
        width = bits if names[0] in shared else dense_bits
        alike = {name: tensors[name] for name in names if widths[name] == width}
        if len(alike) > 1:
            found |= _cheapest_together(alike, width)
    return {
        name: found[name] if name in found else cheapest(values, widths[name])
        for name, values in tensors.items()
    }


def width_of(name: str, values: Floats, bits: Bits) -> Bits:
    """Return in how many bits the values of a tensor that isn't shared are stored.

    Running statistics have 16 at least: in 8, a small variance is 0. Those of a normalisation that
    was folded are all equal, and need no more than others.
    """
    is_statistic = name.endswith(("running_mean", "running_var"))
    is_constant = values.size > 1 and bool((values == values.flat[0]).all())
    return 16 if is_statistic and bits == 8 and not is_constant else bits


def account_of(
    stored: Mapping[str, StoredTensor], shared: Collection[str], *, exact: bool = False
) -> Account:
    """Return what the tensors take, of which those named are layers with shared weights.

    ``exact``: bytes as they are in a file, not by the entropy of indices: where pruning left rows
    and columns without a weight, they are fewer.
    """
    holders = codebook_holders(stored.values())
    layers = [
        _layer(one, is_coupled=holder != place)
        for place, ((name, one), holder) in enumerate(zip(stored.items(), holders, strict=True))
        if name in shared
    ]
    num_dense = sum(one.values.size for name, one in stored.items() if name not in shared)
    return Account(
        ratio_layer_mean=layer_mean_ratio(layers),
        ratio_formula=true_ratio(layers, num_dense),
        bytes=(
            float(len(write_tensors(list(stored.values()))))
            if exact
            else sum(bits_of_each(list(stored.values()))) / 8
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
    takes, takes_dense = bits_of_each([shared, dense])
    return shared if takes < takes_dense else dense


def _cheapest_together(tensors: Mapping[str, Floats], bits: Bits) -> dict[str, StoredTensor]:
    """Return tensors with one codebook; none where values one by one take less."""
    whole = cheapest(np.concatenate([one.reshape(-1) for one in tensors.values()]), bits)
    if isinstance(whole, DenseTensor):
        return {}
    parts = split_like(whole.indices, tensors)
    return {name: replace(whole, indices=part) for name, part in parts.items()}


def split_like(
    flat: NDArray[np.int64], tensors: Mapping[str, Floats]
) -> dict[str, NDArray[np.int64]]:
    """Return what was made for tensors one after the other, in the shape of each."""
    parts = np.split(flat, np.cumsum([one.size for one in tensors.values()])[:-1])
    return {
        name: part.reshape(one.shape)
        for (name, one), part in zip(tensors.items(), parts, strict=True)
    }


def _layer(tensor: StoredTensor, *, is_coupled: bool) -> SharedLayer:
    """Return what the formula asks; a codebook counts with the first tensor that has it."""
    size = tensor.values.size
    if not isinstance(tensor, SharedTensor):
        return SharedLayer(weights=size, clusters=np.unique(tensor.values).size, bits=tensor.bits)
    codebooks, clusters = tensor.codebooks.shape
    return SharedLayer(
        weights=size,
        clusters=clusters,
        bits=tensor.bits,
        codebooks=0 if is_coupled else codebooks,
    )
