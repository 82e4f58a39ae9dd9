"""A network's tensors as they are stored: whole, or as a codebook and which value is where."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from evoconv.compression.entropy import entropy_bits

Bits = Literal[32, 16, 8]
Floats = NDArray[np.float32]
# Names of tensors by the name of the codebook that they have together: their own name, if alone.
Codebooks = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, eq=False, kw_only=True)
class DenseTensor:
    """A tensor whose values are stored one by one, each in so many bits."""

    values: Floats
    bits: Bits = 32


@dataclass(frozen=True, eq=False, kw_only=True)
class SharedTensor:
    """A tensor with few different values.

    Attributes:
        codebooks: the values, (1, k) for all of the tensor or (rows, k) for each row its own.
            Tensors that are coupled to one codebook hold the same array, and it counts once.
        indices: which value is where, whole numbers of any width; the tensor's shape, each in
            [0, k).
        has_zero: the first value is 0, which is not stored.
        bits: of each value as it is stored.
    """

    codebooks: Floats
    indices: NDArray[Any]
    has_zero: bool = False
    bits: Bits = 32

    @property
    def values(self) -> Floats:
        """The tensor itself."""
        if len(self.codebooks) == 1:
            return np.take(self.codebooks[0], self.indices)
        flat = self.indices.reshape(len(self.indices), -1)
        return np.take_along_axis(self.codebooks, flat, 1).reshape(self.indices.shape)


StoredTensor = DenseTensor | SharedTensor


def codebook_holders(tensors: Iterable[StoredTensor]) -> list[int]:
    """Return for each tensor the place of the first with its codebook: its own, unless coupled."""
    first: dict[int, int] = {}
    return [
        place
        if isinstance(one, DenseTensor) or len(one.codebooks) > 1
        else first.setdefault(id(one.codebooks), place)
        for place, one in enumerate(tensors)
    ]


def bits_of_each(tensors: Sequence[StoredTensor]) -> list[float]:
    """Return what each tensor takes, by the entropy of its indices.

    A codebook that several have counts with the first of them.
    """
    found = []
    for place, (one, holder) in enumerate(zip(tensors, codebook_holders(tensors), strict=True)):
        if isinstance(one, DenseTensor):
            found.append(float(one.values.size * one.bits))
            continue
        bits = entropy_bits(np.bincount(one.indices.reshape(-1)))
        if holder == place:
            bits += (one.codebooks.size - len(one.codebooks) * one.has_zero) * one.bits
        found.append(bits)
    return found
