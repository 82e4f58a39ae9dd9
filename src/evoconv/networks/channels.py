"""Which channel of a parent each channel of a child carries: the map that inheritance hands on.

A layer that reads channels copies, for each of its inputs, the parent's weights for that input's
source, times the input's share. Where each of the parent's channels has shares that add up to 1,
the sum over the inputs is the parent's.

Source: Chen, Goodfellow & Shlens 2016, Net2Net, section 2.3. Differs: copies of one channel get
unequal shares, so that they learn different things without noise that would break equality.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

# C channels of the child, P channels of the parent, H rows, W columns
_LOWEST_DRAW, _HIGHEST_DRAW = 0.3, 0.7
Size = tuple[int, int]


@dataclass(frozen=True, kw_only=True, eq=False)
class ChannelMap:
    """Per channel of the child its source in the parent, or -1 for none, and its share of it.

    ``num_sources`` is the number of the parent's channels. The map is not known where the channels
    are not the parent's, and positions are only matched by their index.
    """

    source_C: Tensor
    share_C: Tensor
    num_sources: int
    is_known: bool = True

    def __len__(self) -> int:
        return len(self.source_C)

    @property
    def has_source_C(self) -> Tensor:
        """True for each channel of the child that has a source."""
        return self.source_C >= 0

    @property
    def is_complete(self) -> bool:
        """True if every channel of the parent is there, with shares that add up to 1."""
        if not self.is_known or not bool(self.has_source_C.all()):
            return False
        total_P = torch.zeros(self.num_sources).index_add_(0, self.source_C, self.share_C)
        return bool(((total_P - 1).abs() < 1e-5).all())

    @property
    def is_identity(self) -> bool:
        """True if each channel is the parent's channel of the same index."""
        return (
            self.is_known
            and len(self) == self.num_sources
            and torch.equal(self.source_C, torch.arange(len(self)))
            and bool((self.share_C == 1).all())
        )

    def after(self, earlier: "ChannelMap") -> "ChannelMap":
        """Return the map to the sources of ``earlier``, whose channels are this map's sources."""
        return ChannelMap(
            source_C=earlier.source_C[self.source_C],
            share_C=earlier.share_C[self.source_C] * self.share_C,
            num_sources=earlier.num_sources,
            is_known=earlier.is_known,
        )


def identity(num_channels: int) -> ChannelMap:
    """Return the map of channels that stay what they are."""
    return ChannelMap(
        source_C=torch.arange(num_channels),
        share_C=torch.ones(num_channels),
        num_sources=num_channels,
    )


def by_index(num_channels: int, num_sources: int) -> ChannelMap:
    """Return the map for channels that are not the parent's: matched as far as indices reach."""
    index_C = torch.arange(num_channels)
    return ChannelMap(
        source_C=torch.where(index_C < num_sources, index_C, -1),
        share_C=torch.ones(num_channels),
        num_sources=num_sources,
        is_known=False,
    )


def resized(
    num_sources: int,
    num_channels: int,
    strength_P: Callable[[], Tensor],
    generator: torch.Generator,
) -> ChannelMap:
    """Return the map of a layer's own channels from a parent's layer with more or fewer.

    A wider layer keeps all channels and copies drawn ones; the copies of one channel share what it
    gave unequally. A narrower layer keeps the strongest channels, in their order.
    """
    if num_channels == num_sources:
        return identity(num_channels)
    if num_channels < num_sources:
        order_P = strength_P().argsort(descending=True, stable=True)
        source_C = order_P[:num_channels].sort().values
        return ChannelMap(
            source_C=source_C, share_C=torch.ones(num_channels), num_sources=num_sources
        )
    device = generator.device
    extra = num_channels - num_sources
    copied = torch.randint(num_sources, (extra,), generator=generator, device=device).cpu()
    drawn_C = torch.rand(num_channels, generator=generator, device=device).cpu()
    weight_C = _LOWEST_DRAW + (_HIGHEST_DRAW - _LOWEST_DRAW) * drawn_C
    source_C = torch.cat((torch.arange(num_sources), copied))
    total_P = torch.zeros(num_sources).index_add_(0, source_C, weight_C)
    return ChannelMap(
        source_C=source_C, share_C=weight_C / total_P[source_C], num_sources=num_sources
    )


def flattened(channels: ChannelMap, size: Size, parent_size: Size) -> ChannelMap:
    """Return the map of flattened maps: positions that both have, channel by channel."""
    rows_HW, columns_HW = torch.meshgrid(
        torch.arange(size[0]), torch.arange(size[1]), indexing="ij"
    )
    place_HW = rows_HW * parent_size[1] + columns_HW
    is_shared_HW = (rows_HW < parent_size[0]) & (columns_HW < parent_size[1])
    num_places = parent_size[0] * parent_size[1]
    source_CHW = channels.source_C[:, None, None] * num_places + place_HW
    is_shared_CHW = is_shared_HW & channels.has_source_C[:, None, None]
    return ChannelMap(
        source_C=torch.where(is_shared_CHW, source_CHW, -1).flatten(),
        share_C=channels.share_C.repeat_interleave(size[0] * size[1]),
        num_sources=channels.num_sources * num_places,
        is_known=channels.is_known,
    )


def spread(channels: ChannelMap, size: Size) -> ChannelMap:
    """Return the map of flattened maps whose mean was the parent's value: all places share it."""
    num_places = size[0] * size[1]
    return ChannelMap(
        source_C=channels.source_C.repeat_interleave(num_places),
        share_C=channels.share_C.repeat_interleave(num_places) / num_places,
        num_sources=channels.num_sources,
        is_known=channels.is_known,
    )
