"""What a network costs, found out by running it: for networks that no arithmetic here knows.

Counted as in ``genomes.shapes``, but for the peak of activations: that is of the operations as
torch runs them in evaluation, in which a normalisation before a convolution makes a copy.
"""

import weakref
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from evoconv.genomes.shapes import Cost
from evoconv.networks.evaluation_mode import in_evaluation

_BITS_OF_FLOAT = 32


def measured_cost(network: nn.Module, input_shape: tuple[int, int, int], bits: int = 32) -> Cost:
    """Return the cost of a network for one image of shape (C, H, W), which is on its device.

    On torch's ``meta`` device nothing is computed.
    """
    macs: list[int] = []

    def count(module: nn.Module, _: Any, output: Tensor) -> None:
        macs.append(macs_of(module, output))

    kernels = [one for one in network.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
    hooks = [one.register_forward_hook(count) for one in kernels]
    image = torch.zeros(1, *input_shape, device=next(network.parameters()).device)
    try:
        with (
            in_evaluation(network),
            torch.inference_mode(),
            LiveTensors(network, image) as live,
        ):
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    parameters = sum(one.numel() for one in network.parameters())
    return Cost(
        parameters=parameters,
        macs=sum(macs),
        weight_bytes=parameters * bits // 8,
        peak_activation_bytes=live.peak * bits // _BITS_OF_FLOAT,
    )


def macs_of(module: nn.Module, output: Tensor) -> int:
    """Return a convolution's or dense layer's multiply-accumulates for each input of its batch."""
    made = output.shape[-1] if isinstance(module, nn.Linear) else output.shape[1]
    return cast(Tensor, module.weight).numel() * (output[0].numel() // made)


class LiveTensors(TorchDispatchMode):
    """Counts the bytes of all activations that live after each operation, and the most of them."""

    def __init__(self, network: nn.Module, image: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        # A storage's place in memory would not do: on the meta device none has any.
        self._weights = {
            one.untyped_storage()._cdata for one in (*network.parameters(), *network.buffers())
        }
        self._seen = [weakref.ref(image)]
        self.peak: int = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run the operation, then look at what lives."""
        result = function(*args, **(kwargs or {}))
        # A pooling also tells where its maxima were; nobody keeps that.
        made = [one for one in tree_leaves(result) if isinstance(one, Tensor)]
        self._seen += [weakref.ref(one) for one in made if one.is_floating_point()]
        self.peak = max(self.peak, self._live_bytes())
        return result

    def _live_bytes(self) -> int:
        self._seen = [one for one in self._seen if one() is not None]
        alive = {}
        for reference in self._seen:
            if (tensor := reference()) is not None:
                storage = tensor.untyped_storage()
                alive[storage._cdata] = storage.nbytes()
        return sum(size for place, size in alive.items() if place not in self._weights)
