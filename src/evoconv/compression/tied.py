"""Tensors whose values are held at zero, or are those of a codebook, while a network learns.

Sources: Han et al. 2015, "Deep Compression": a shared value learns by the sum of the gradients of
all weights that have it. Guo, Yao & Chen 2016, "Dynamic Network Surgery": what is pruned learns on
behind its zero, and may come back.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from evoconv.compression.clustering import LayerClusterings
from evoconv.compression.number_formats import round_tensor
from evoconv.compression.tensors import Bits


class Codebook(nn.Module):
    """Values that tensors share, once they are found; they learn from then on.

    Args:
        most: how many there may be.
        like: says on which device they are.
        bits: of a value as it will be stored.
    """

    def __init__(self, most: int, like: Tensor, bits: Bits) -> None:
        super().__init__()
        self.values = nn.Parameter(like.new_zeros(most))
        self.count = 0
        self.zero = most  # the place of a value that is always 0
        self._bits = bits

    def forward(self) -> Tensor:
        """Return the values (most + 1,), rounded; the gradient is that of the exact ones."""
        exact = self.values.detach()
        rounded = self.values + (round_tensor(exact, self._bits) - exact)
        return torch.cat([rounded, rounded.new_zeros(1)])


class Tie(nn.Module):
    """From a tensor's free values to those that the network uses.

    At first these are the same. After ``keep`` some are zero, and their free values learn on by the
    gradients of these zeros. Once its codebook is found, zeros stay, and the others have values of
    that.

    Args:
        free: the tensor.
        reassigns: whether each free value goes on learning by its own gradient, so that it may go
            over to another shared one.
    """

    is_kept: Tensor
    places: Tensor

    def __init__(self, free: Tensor, codebook: Codebook, *, reassigns: bool) -> None:
        super().__init__()
        self.codebook = codebook
        self._reassigns = reassigns
        self.register_buffer("is_kept", torch.ones_like(free))
        self.register_buffer("places", torch.zeros_like(free, dtype=torch.int64))

    def forward(self, free: Tensor) -> Tensor:
        """Return the values that are used; the shape stays."""
        kept = free * self.is_kept
        if not self.codebook.count:
            return free + (kept - free).detach()
        used: Tensor = self.codebook()[self.places]
        return used + (kept - kept.detach()) if self._reassigns else used

    def right_inverse(self, used: Tensor) -> Tensor:
        """Return free values that give these."""
        return used


class Coupled:
    """Tensors of a network that will have their values from one codebook.

    Args:
        network: is altered until ``end``.
        names: of its tensors.
        most: how many different values they may have, zero among them where any is held at that.
        bits: of a shared value as it will be stored.
        reassigns: whether values may go over to other shared ones (``reassign``), instead of
            staying with those that they began with.
    """

    def __init__(
        self,
        network: nn.Module,
        names: Sequence[str],
        most: int,
        bits: Bits,
        *,
        reassigns: bool = False,
    ) -> None:
        self.names = tuple(names)
        self._network, self._most, self._reassigns = network, most, reassigns
        self._codebook = Codebook(most, network.get_parameter(names[0]), bits)
        self._ties = {name: self._tied(name) for name in names}

    def _tied(self, name: str) -> Tie:
        module, tensor = _owner(self._network, name)
        own = Tie(getattr(module, tensor), self._codebook, reassigns=self._reassigns)
        parametrize.register_parametrization(module, tensor, own)
        return own

    @property
    def is_shared(self) -> bool:
        """Whether they have their values from the codebook already."""
        return self._codebook.count > 0

    def free(self, name: str) -> Tensor:
        """Return the free values of a tensor."""
        module, tensor = _owner(self._network, name)
        found: Tensor = module.parametrizations[tensor].original  # type: ignore[index, union-attr]
        return found

    def kept(self, name: str) -> Tensor:
        """Return ones where a tensor isn't held at zero, and zeros."""
        return self._ties[name].is_kept

    def keep(self, name: str, is_kept: Tensor) -> None:
        """Hold at zero what isn't kept: a tensor of the same shape, of ones and zeros."""
        self._ties[name].is_kept.copy_(is_kept)

    def share(self) -> None:
        """Let what is kept have the values that K-means finds, as many as there may be."""
        book, zero = self._codebook, self._codebook.zero
        book.count = 1  # and be it for nothing
        kept = {name: one.is_kept.bool() for name, one in self._ties.items()}
        chosen = torch.cat([self.free(name).detach()[kept[name]] for name in self.names])
        for one in self._ties.values():
            one.places.fill_(zero)
        if not chosen.numel():
            return
        clusterings = LayerClusterings(chosen.cpu().numpy())
        count = max(1, self._most - any(not one.all() for one in kept.values()))
        found = clusterings.clustering(min(count, clusterings.most))
        book.count = found.centroids.size
        with torch.no_grad():
            book.values[: book.count] = torch.from_numpy(found.centroids).to(book.values)
        for name, one in self._ties.items():
            free = self.free(name).detach()
            indices = torch.from_numpy(found.indices(free.cpu().numpy())).to(free.device)
            one.places.copy_(indices.where(kept[name], zero))

    def reassign(self) -> None:
        """Let each kept value that may go over have the nearest shared one."""
        if not (self.is_shared and self._reassigns):
            return
        shared, order = self._codebook.values.detach()[: self._codebook.count].sort()
        borders = (shared[1:] + shared[:-1]) / 2
        for name, one in self._ties.items():
            nearest = order[torch.bucketize(self.free(name).detach().contiguous(), borders)]
            one.places.copy_(nearest.where(one.is_kept.bool(), self._codebook.zero))

    def end(self) -> None:
        """Let the tensors be the values that were used at the end."""
        for name in self.names:
            parametrize.remove_parametrizations(*_owner(self._network, name))


def _owner(network: nn.Module, name: str) -> tuple[nn.Module, str]:
    path, _, tensor = name.rpartition(".")
    return network.get_submodule(path), tensor
