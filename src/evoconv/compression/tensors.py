"""A network's tensors as they are stored: whole, or as a codebook and which value is where."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

Bits = Literal[32, 16, 8]
Floats = NDArray[np.float32]

_TYPES = {32: torch.float32, 16: torch.float16, 8: torch.float8_e4m3fn}
_NONE = torch.zeros(0)


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
        indices: which value is where; the tensor's shape, each in [0, k).
        has_zero: the first value is 0, which is not stored.
        bits: of each value as it is stored.
    """

    codebooks: Floats
    indices: NDArray[np.int64]
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


def rounded(values: NDArray[np.floating], bits: Bits) -> Floats:
    """Return the values as they are after being stored in so many bits.

    What is beyond the largest number of the format becomes that number.
    """
    return from_bytes(to_bytes(values, bits), bits)


def to_bytes(values: NDArray[np.floating], bits: Bits) -> NDArray[np.uint8]:
    """Return the values as bytes, flat, little-endian; 8 bits are float8 e4m3fn."""
    largest = torch.finfo(_TYPES[bits]).max
    flat = torch.from_numpy(np.ascontiguousarray(values, np.float32).reshape(-1).copy())
    stored = flat.clamp(-largest, largest).to(_TYPES[bits])
    return stored.view(torch.uint8).numpy()


def from_bytes(content: NDArray[np.uint8], bits: Bits) -> Floats:
    """Return the values, flat."""
    stored = torch.frombuffer(bytearray(content), dtype=_TYPES[bits]) if content.size else _NONE
    return stored.to(torch.float32).numpy()
