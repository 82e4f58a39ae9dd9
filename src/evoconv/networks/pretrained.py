"""Weights from elsewhere: a file of a backbone, read without running what may be in it.

``.safetensors`` files hold numbers only. ``.pth`` files are pickles, which torch reads with nothing
but tensors and containers allowed.
"""

import warnings
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from evoconv.errors import DataError, StudyError
from evoconv.networks.weights import read_tensors

# What training scripts put a network's tensors under, beside epochs and optimisers.
_WRAPPERS = ("state_dict", "model", "model_state_dict")
_COUNTER = "num_batches_tracked"
_MOST_NAMED = 3


def read_weight_file(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a ``.safetensors``, ``.pth`` or ``.pt`` file by name, on the CPU.

    Raises:
        DataError: no such file, another kind of file, a damaged one, or one with code in it.
    """
    if not path.is_file():
        raise DataError(f"there is no weight file {path}")
    if path.suffix == ".safetensors":
        try:
            return read_tensors(path.read_bytes())
        except (StudyError, OSError) as error:
            raise DataError(f"{path} is no sound safetensors file: {error}") from error
    if path.suffix in (".pth", ".pt"):
        return _tensors(path, _unpickled(path))
    raise DataError(f"{path}: weights are .safetensors, .pth or .pt files")


def fitting(
    given: Mapping[str, Tensor], wanted: Mapping[str, Tensor], where: str
) -> dict[str, Tensor]:
    """Return the backbone's tensors from a file, named and shaped as they are wanted.

    The classifier is left out on both sides. A first convolution for another number of channels is
    adapted: its response to a grey image stays what it was to the same image in all channels.

    Args:
        given: the file's tensors, by the backbone's names.
        wanted: those of the whole network that the weights are of; batch counters don't matter.
        where: the file, for complaints.

    Raises:
        DataError: a tensor is missing, unknown, of another shape, or not finite.
    """
    backbone = {name: one for name, one in wanted.items() if _belongs(name)}
    named = {name: one for name, one in given.items() if _belongs(name)}
    for kind, names in (
        ("lacks", sorted(backbone.keys() - named.keys())),
        ("has unknown", sorted(named.keys() - backbone.keys())),
    ):
        if names:
            more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
            raise DataError(
                f"{where} doesn't fit the network: it {kind} {', '.join(names[:_MOST_NAMED])}{more}"
            )
    first = next(iter(backbone))
    if named[first].ndim == 4 and named[first].shape[1] in (1, 3):
        named[first] = with_channels(named[first], backbone[first].shape[1])
    for name, one in backbone.items():
        if named[name].shape != one.shape:
            shapes = " not ".join("×".join(map(str, t.shape)) for t in (named[name], one))
            raise DataError(f"{where} doesn't fit the network: {name} is {shapes}")
    check_numbers(named, where)
    return {name: named[name].to(one.dtype) for name, one in backbone.items()}


def check_numbers(tensors: Mapping[str, Tensor], where: str) -> None:
    """Raise ``DataError`` for numbers that no network can use; its sentence begins with the file.

    They are not finite, or variances below 0.
    """
    for name, one in tensors.items():
        if not torch.isfinite(one.float()).all():
            raise DataError(f"{where} can't be used: {name} holds numbers that are not finite")
        if name.endswith("running_var") and (one < 0).any():
            raise DataError(f"{where} can't be used: {name} holds variances below 0")


def with_channels(kernels: Tensor, channels: int) -> Tensor:
    """Return a first convolution's kernels, (filters, C, H, W), for another number of channels.

    One that has the same image in all channels gives the same maps as before.
    """
    if kernels.ndim != 4 or kernels.shape[1] == channels:
        return kernels
    shared = kernels.sum(dim=1, keepdim=True) / channels
    return shared.repeat(1, channels, 1, 1)


def _belongs(name: str) -> bool:
    return not name.startswith("classifier.") and _COUNTER not in name


def _unpickled(path: Path) -> object:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of unusual pickles: either they can be read or not
        try:
            return torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # a hostile file makes torch raise whatever it likes
            first = str(error).partition("\n")[0] or type(error).__name__
            raise DataError(
                f"{path} can't be read as weights: it is damaged, or holds more than tensors, and"
                f" evoconv runs no code from files ({first:.100})"
            ) from error


def _tensors(path: Path, content: object) -> dict[str, Tensor]:
    """Return the tensors of what a pickle held."""
    if isinstance(content, dict):
        for wrapper in _WRAPPERS:
            if isinstance(content.get(wrapper), dict):
                content = content[wrapper]
                break
    if not isinstance(content, dict) or not content:
        raise DataError(f"{path} holds no tensors by name")
    for name, one in content.items():
        if not isinstance(name, str) or not isinstance(one, Tensor):
            raise DataError(f"{path} holds no tensors by name: {name!r:.100} is none")
        if one.layout != torch.strided or one.is_quantized or one.is_meta or one.is_complex():
            raise DataError(f"{path} can't be used: {name:.100} is no plain tensor of numbers")
    # Networks trained on several GPUs are saved within a module of that name.
    return {name.removeprefix("module."): one for name, one in content.items()}
