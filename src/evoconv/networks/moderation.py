"""Networks from anywhere, tried on torch's ``meta`` device: are they too large to be built?"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from evoconv.errors import ConfigError

MOST_WEIGHTS = 1 << 28
MOST_TENSORS = 10_000
MOST_VALUES = 1 << 30
"""Of one image, in all operations together."""

# Even a tensor of one value takes time: an operation about half a millisecond on ``meta``. So a
# network of one's own does some ten thousand.
_LEAST = 25_000


def require_moderate(network: nn.Module, input_shape: tuple[int, int, int]) -> None:
    """Raise ``ConfigError`` if a network on the ``meta`` device has too many weights or values."""
    check_weights(network)
    with torch.device("meta"), torch.inference_mode(), Counted(MOST_VALUES):
        network.eval()(torch.zeros(1, *input_shape))


def check_weights(network: nn.Module, name: str = "the network") -> None:
    """Raise ``ConfigError`` if a network has too many weights, or too many tensors of them."""
    tensors = network.state_dict().values()
    if len(tensors) > MOST_TENSORS:
        raise ConfigError(
            f"{name} has {len(tensors):,} tensors of weights, more than {MOST_TENSORS:,}"
        )
    num_weights = sum(one.numel() for one in tensors)
    if num_weights > MOST_WEIGHTS:
        raise ConfigError(f"{name} has {num_weights:,} weights, more than {MOST_WEIGHTS:,}")


class Counted(TorchDispatchMode):
    """Raises ``ConfigError`` once operations have made too many values, within layers, too."""

    def __init__(self, most: int) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._most = most
        self._num_values = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run the operation, and count what it made."""
        result = function(*args, **(kwargs or {}))
        made = (one for one in tree_leaves(result) if isinstance(one, Tensor))
        self._num_values += sum(max(_LEAST, one.numel()) for one in made)
        if self._num_values > self._most:
            raise ConfigError(f"the network makes more than {self._most:,} values of one image")
        return result
