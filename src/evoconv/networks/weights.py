"""A network's weights as safetensors bytes, and back. Nothing in them can run code."""

from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import nn

from evoconv.errors import StudyError


def weights_to_bytes(network: nn.Module) -> bytes:
    """Return all parameters and statistics, float32 on the CPU, as a safetensors file."""
    return tensors_to_bytes(network.state_dict())


def tensors_to_bytes(
    tensors: Mapping[str, torch.Tensor], metadata: Mapping[str, str] | None = None
) -> bytes:
    """Return tensors by name as a safetensors file, with texts beside them if there are any."""
    plain = {name: one.detach().cpu().contiguous() for name, one in tensors.items()}
    return save(plain, None if metadata is None else dict(metadata))


def metadata_of(file: Path) -> dict[str, str]:
    """Return the texts in a safetensors file; ``StudyError`` if it is none."""
    try:
        with safe_open(file, framework="pt") as opened:
            return dict(opened.metadata() or {})
    except (SafetensorError, OSError) as error:
        raise StudyError(f"{file} can't be read: {error}") from error


def load_weights(network: nn.Module, content: bytes) -> None:
    """Set the network's weights from the bytes of a safetensors file.

    Raises:
        StudyError: not such a file, or its names, shapes or number formats are not the network's.
    """
    given = read_tensors(content)
    check_tensors(given, network.state_dict(), "the weights don't fit the network")
    network.load_state_dict(given)


def check_tensors(
    given: Mapping[str, torch.Tensor], wanted: Mapping[str, torch.Tensor], complaint: str
) -> None:
    """Raise ``StudyError`` unless both have the same names, shapes and number formats.

    Its sentence begins with the complaint.
    """
    for name in sorted(wanted.keys() ^ given.keys()):
        kind = "lack" if name in wanted else "have an unknown"
        raise StudyError(f"{complaint}: they {kind} tensor {name}")
    for name, tensor in wanted.items():
        if (given[name].shape, given[name].dtype) != (tensor.shape, tensor.dtype):
            raise StudyError(
                f"{complaint}: {name} is {_described(given[name])}, not {_described(tensor)}"
            )


def read_tensors(content: bytes) -> dict[str, torch.Tensor]:
    """Return the tensors of a safetensors file by name; ``StudyError`` for anything else."""
    try:
        return load(content)
    except (SafetensorError, KeyError) as error:  # or a number format that torch doesn't know
        raise StudyError(f"the weights are damaged: {error}") from error


def _described(tensor: torch.Tensor) -> str:
    return (
        f"{'×'.join(str(side) for side in tensor.shape)} {str(tensor.dtype).removeprefix('torch.')}"
    )
