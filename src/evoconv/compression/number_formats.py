"""Numbers as they are stored: in 32, 16 or 8 bits each. Torch knows all three formats."""

import numpy as np
import torch
from numpy.typing import NDArray

from evoconv.compression.tensors import Bits, Floats

_TYPES = {32: torch.float32, 16: torch.float16, 8: torch.float8_e4m3fn}


def rounded(values: NDArray[np.floating], bits: Bits) -> Floats:
    """Return the values as they are after being stored in so many bits.

    What is beyond the largest number of the format becomes that number.
    """
    return from_bytes(to_bytes(values, bits), bits)


def round_tensor(values: torch.Tensor, bits: Bits) -> torch.Tensor:
    """Return the values of a float32 tensor as they are after being stored in so many bits."""
    largest = torch.finfo(_TYPES[bits]).max
    return values.clamp(-largest, largest).to(_TYPES[bits]).to(values.dtype)


def to_bytes(values: NDArray[np.floating], bits: Bits) -> NDArray[np.uint8]:
    """Return the values as bytes, flat, little-endian; 8 bits are float8 e4m3fn."""
    largest = torch.finfo(_TYPES[bits]).max
    flat = torch.from_numpy(np.ascontiguousarray(values, np.float32).reshape(-1).copy())
    stored = flat.clamp(-largest, largest).to(_TYPES[bits])
    return stored.view(torch.uint8).numpy()


def from_bytes(content: NDArray[np.uint8], bits: Bits) -> Floats:
    """Return the values, flat; of 32 bits they are the bytes themselves, not a copy."""
    return torch.from_numpy(content).view(_TYPES[bits]).to(torch.float32).numpy()
