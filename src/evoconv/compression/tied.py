"""Tensors whose values are held at zero, or equal to others, while a network learns.

Source: Han et al. 2015, "Deep Compression": what shares a value learns by the sum of its gradients.
Here a shared value is the mean of the free values behind it, so each of these gets the same part of
that sum, and they move alike.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils import parametrize

from evoconv.compression.clustering import LayerClusterings
from evoconv.compression.number_formats import round_tensor
from evoconv.compression.tensors import Bits


class Tie(nn.Module):
    """From a tensor's free values to those that the network uses.

    At first these are the same. After ``keep`` some are zero; after ``share`` the others have few
    different values, each rounded to ``bits``, while its gradient is that of the exact one.

    Args:
        free: the tensor.
        bits: of a shared value as it will be stored.
        reassigns: whether each free value learns by its own gradient and may go over to another
            shared one (``reassign``), instead of staying with those that it began with.
    """

    is_kept: Tensor
    places: Tensor
    sizes: Tensor

    def __init__(self, free: Tensor, bits: Bits, *, reassigns: bool = False) -> None:
        super().__init__()
        self.num_shared = 0
        self._bits, self._reassigns = bits, reassigns
        self.register_buffer("is_kept", torch.ones_like(free))
        self.register_buffer("places", torch.zeros(free.numel(), dtype=torch.int64))
        self.register_buffer("sizes", torch.zeros(1))

    def forward(self, free: Tensor) -> Tensor:
        """Return the values that are used; the shape stays."""
        kept = free * self.is_kept
        if not self.num_shared:
            return kept
        shared = self._values(kept)
        # One more value, for what is zero.
        used = torch.cat([shared, shared.new_zeros(1)])[self.places].reshape(free.shape)
        if not self._reassigns:
            return used
        return kept + (used - kept).detach()

    def right_inverse(self, used: Tensor) -> Tensor:
        """Return free values that give these."""
        return used

    def keep(self, is_kept: Tensor) -> None:
        """Hold at zero what isn't kept: a tensor of the same shape, of ones and zeros."""
        self.is_kept.copy_(is_kept)

    def share(self, free: Tensor, count: int) -> None:
        """Let what is kept have at most so many different values, as K-means finds them."""
        values = free.detach().flatten()
        kept = self.is_kept.flatten().bool()
        self.places.fill_(0)
        if not kept.any():
            self.places.fill_(1)
            self.num_shared = 1
            self._count()
            return
        chosen: NDArray[np.float32] = values[kept].cpu().numpy()
        clusterings = LayerClusterings(chosen)
        clustering = clusterings.clustering(max(1, min(count, clusterings.most)))
        self.num_shared = clustering.centroids.size
        self.places[~kept] = self.num_shared
        self.places[kept] = torch.from_numpy(clustering.indices(chosen)).to(self.places.device)
        self._count()

    def reassign(self, free: Tensor) -> None:
        """Let each kept value go over to the nearest shared one: a step of Lloyd's algorithm."""
        if not (self.num_shared and self._reassigns):
            return
        values = free.detach().flatten()
        shared, order = self._values(values.reshape(free.shape) * self.is_kept).detach().sort()
        borders = (shared[1:] + shared[:-1]) / 2
        nearest = order[torch.bucketize(values, borders)]
        self.places.copy_(torch.where(self.is_kept.flatten().bool(), nearest, self.num_shared))
        self._count()

    def _count(self) -> None:
        """Note how many free values each shared one stands for; that is needed in every step."""
        self.sizes = torch.bincount(self.places, minlength=self.num_shared + 1).clamp(min=1)

    def _values(self, kept: Tensor) -> Tensor:
        """Return the shared values, (k,), rounded; the last of k + 1 sums is of what is zero."""
        sums = kept.new_zeros(self.num_shared + 1).index_add(0, self.places, kept.flatten())
        means = (sums / self.sizes)[:-1]
        return means + (round_tensor(means.detach(), self._bits) - means.detach())


def tie(network: nn.Module, name: str, bits: Bits, *, reassigns: bool = False) -> Tie:
    """Put a tie between the free values of a network's tensor, by its name, and those it uses."""
    path, _, tensor = name.rpartition(".")
    module = network.get_submodule(path)
    own = Tie(getattr(module, tensor), bits, reassigns=reassigns)
    parametrize.register_parametrization(module, tensor, own)
    return own


def free_values(network: nn.Module, name: str) -> Tensor:
    """Return the free values of a tensor that has a tie."""
    path, _, tensor = name.rpartition(".")
    ties = network.get_submodule(path).parametrizations
    found: Tensor = ties[tensor].original  # type: ignore[index, union-attr]
    return found


def untie(network: nn.Module, name: str) -> None:
    """Let a tensor be the values that were used at the end."""
    path, _, tensor = name.rpartition(".")
    parametrize.remove_parametrizations(network.get_submodule(path), tensor)
