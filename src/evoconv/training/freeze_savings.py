"""What freezing layers saves: the work of each layer, and whether to keep what frozen ones give."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Batches, Source
from evoconv.networks.measured_cost import macs_of
from evoconv.training.features import named_layers
from evoconv.training.loop import EpochReport

UNCHANGED = Augmentation(shift=0.0)
_BYTES_PER_VALUE = 4
# Fetching a stored value took one core as long as 0.1 to 0.7 multiply-accumulates of a first
# convolution on 28×28 pixels; more where the values are not in the processor's cache.
_MACS_PER_VALUE = 1


@dataclass(frozen=True, kw_only=True)
class LayerWork:
    """One layer's multiply-accumulates and output values, for one image."""

    name: str
    macs: int
    num_values: int


def is_worth_caching(
    head: Sequence[LayerWork], batches: Batches, epochs: int, limit_bytes: int
) -> bool:
    """Return whether the leading layers' outputs can be computed once, fit, and save time.

    They are computed in one epoch instead of all. Against that, each value is stored once and
    fetched in every epoch.
    """
    if not head or batches.augmentation != UNCHANGED:
        return False
    num_values = head[-1].num_values
    if batches.num_images * num_values * _BYTES_PER_VALUE > limit_bytes:
        return False
    saved_macs = sum(one.macs for one in head) * (epochs - 1)
    return saved_macs > _MACS_PER_VALUE * num_values * (epochs + 1)


def work_of(network: nn.Module, source: Source, rows: Tensor) -> list[LayerWork]:
    """Return the work of each layer, counted while the first of the rows passes through."""
    network.to(source.device).eval()
    values, _ = source.cut(rows[:1].to(source.device))
    work: list[LayerWork] = []
    with torch.no_grad():
        for name, layer in named_layers(network):
            counts: list[int] = []

            def count(
                module: nn.Module, _: Any, output: Tensor, counts: list[int] = counts
            ) -> None:
                counts.append(macs_of(module, output))

            kernels = [one for one in layer.modules() if isinstance(one, nn.Conv2d | nn.Linear)]
            hooks = [one.register_forward_hook(count) for one in kernels]
            values = layer(values)
            for hook in hooks:
                hook.remove()
            work.append(LayerWork(name=name, macs=sum(counts), num_values=values[0].numel()))
    return work


def saved_share_of(
    work: Sequence[LayerWork],
    frozen: Collection[str],
    num_leading: int,
    num_cached: int,
    reports: Sequence[EpochReport],
) -> float:
    """Return the share of multiply-accumulates saved; per layer: 1 forward, 2 for its gradients.

    Args:
        work: of all layers, in order.
        frozen: the names of frozen ones.
        num_leading: how many of the first layers give the same in every frozen epoch.
        num_cached: how many of these were computed once.
        reports: of all epochs.
    """
    frozen_epochs = sum(one.frozen for one in reports)
    saved = 0
    for index, one in enumerate(work):
        if index < num_cached:
            saved += one.macs * (3 * frozen_epochs - 1)
        elif index < num_leading:
            saved += one.macs * 2 * frozen_epochs
        elif one.name in frozen:
            # The gradient still passes through it; only that of its own weights is left out.
            saved += one.macs * frozen_epochs
    return saved / (3 * sum(one.macs for one in work) * len(reports))
