"""A network's tensors: which it has, which can be shared, and others put in their place."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from evoconv.compression.tensors import StoredTensor


def number_tensors(network: nn.Module) -> dict[str, Tensor]:
    """Return the network's parameters and statistics, in their order; counters are left out."""
    state = network.state_dict()
    return {name: one for name, one in state.items() if one.is_floating_point()}


def shareable_names(network: nn.Module) -> list[str]:
    """Return the names of the weights of convolutions and dense layers, in their order."""
    return [
        f"{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d | nn.Linear)
    ]


def depthwise_names(network: nn.Module) -> list[str]:
    """Return those of them that are of depthwise convolutions: each map has its own kernel."""
    return [
        f"{name}.weight"
        for name, module in network.named_modules()
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
    ]


def set_tensors(network: nn.Module, tensors: Mapping[str, StoredTensor]) -> None:
    """Give the network the tensors' values; its counters of batches stay."""
    values = {name: torch.from_numpy(one.values) for name, one in tensors.items()}
    network.load_state_dict(values, strict=False)
