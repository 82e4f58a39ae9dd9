"""Layers held still for the first part of a training, and what that saves.

A frozen layer isn't updated and behaves as in use: batch normalisation with its stored statistics,
no dropout. Frozen layers before all that learn need no backward pass; without augmentation their
outputs never change either, so they can be computed once and the rest be trained on them.

Source: Litzinger, Klos & Schiffmann, "Compute-efficient neural network architecture optimization by
a genetic algorithm", which names layer freezing without details; the rest is the house's own.

Shapes: N training images, C channels, H height, W width.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import torch
from torch import Tensor, nn

from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Batches, Source, inference_batch
from evoconv.errors import ConfigError
from evoconv.execution.executor import Control
from evoconv.networks.cnn import Steps
from evoconv.networks.measured_cost import macs_of
from evoconv.training.loop import AfterEpoch, EpochReport, Training
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision
from evoconv.training.stopping import CURVE_RULES

UNCHANGED = Augmentation(shift=0.0)
_BYTES_PER_VALUE = 4
# Fetching a stored value took one core as long as 0.1 to 0.7 multiply-accumulates of a first
# convolution on 28×28 pixels; more where the values are not in the processor's cache.
_MACS_PER_VALUE = 1


class Frozen:
    """Named layers (``features.0``, ``classifier.1``, …) that are held still.

    They are until ``unfreeze``, or the end of a ``with`` block.

    Raises:
        ConfigError: the network has no layer of that name.
    """

    def __init__(self, network: nn.Module, names: Collection[str]) -> None:
        parts = dict(named_layers(network))
        for name in names:
            if name not in parts:
                raise ConfigError(f"no layer is called {name}; there are {', '.join(parts)}")
        held = [parts[name] for name in names]
        self._parameters = [p for part in held for p in part.parameters() if p.requires_grad]
        for parameter in self._parameters:
            parameter.requires_grad_(False)
            parameter.grad = None
        # Network.train() reaches every layer. A frozen one turns back just before it is used.
        self._hooks = [part.register_forward_pre_hook(_be_in_use) for part in held]

    def unfreeze(self) -> None:
        """Let the layers learn again, from the next ``network.train()`` on. Safe to call twice."""
        for parameter in self._parameters:
            parameter.requires_grad_(True)
        for hook in self._hooks:
            hook.remove()
        self._parameters, self._hooks = [], []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.unfreeze()


def named_layers(network: nn.Module) -> list[tuple[str, nn.Module]]:
    """Return the layers of a network that is a row of them, in order of execution."""
    found: list[tuple[str, nn.Module]] = []
    for part, module in network.named_children():
        if isinstance(module, Steps):
            found += [(f"{part}.{name}", layer) for name, layer in named_layers(module)]
        else:
            found.append((part, module))
    return found


def leading_frozen(network: nn.Module, names: Collection[str]) -> int:
    """Return how many leading layers give the same output in every epoch if these are frozen.

    The reduction counts as a layer. One that isn't named, yet learns nothing and draws nothing,
    such as a pooling, doesn't end the count.
    """
    count = 0
    for name, layer in named_layers(network):
        if name not in names and not _is_fixed(layer):
            break
        count += 1
    return count


@dataclass(frozen=True, kw_only=True)
class Course:
    """How a training with frozen layers went.

    Attributes:
        cached_layers: how many leading layers were computed once instead of in every frozen epoch.
        saved_share: share of multiply-accumulates saved, in [0, 1), of those that as many epochs
            take with no layer frozen, a backward pass counting twice a forward pass.
    """

    reports: list[EpochReport]
    cached_layers: int
    saved_share: float

    @property
    def frozen_epochs(self) -> int:
        """Return how many epochs had frozen layers."""
        return sum(one.frozen for one in self.reports)


def train_thawing(
    network: nn.Module,
    batches: Batches,
    recipe: Recipe,
    precision: Precision,
    control: Control,
    *,
    frozen: Collection[str],
    epochs: int,
    time_limit_s: float | None = None,
    class_weights: Tensor | None = None,
    after_epoch: AfterEpoch | None = None,
) -> Course:
    """Train the network in place: the named layers are frozen at first, for the recipe's share.

    What the optimiser knows of the other layers is kept when all begin to learn. A stop by a rule
    that judges the curve ends the frozen part early, not the training: what a network can't reach
    with frozen layers it may reach without. Where no other layer learns, none is frozen.

    Raises:
        ConfigError: the network has no layer of that name.
        JobFailed: the loss is no longer finite.
        Cancelled: the coordinator asked for it.
    """
    training = Training(
        network,
        batches,
        recipe,
        precision,
        control,
        epochs=epochs,
        time_limit_s=time_limit_s,
        class_weights=class_weights,
        after_epoch=after_epoch,
    )
    work = work_of(network, batches.source, batches.rows) if frozen else []
    num_leading = leading_frozen(network, frozen)
    num_cached = 0
    with Frozen(network, frozen):
        frozen_epochs = round(recipe.freeze_share * epochs)
        if not frozen or not any(one.requires_grad for one in network.parameters()):
            frozen_epochs = 0
        if is_worth_caching(work[:num_leading], batches, frozen_epochs, recipe.freeze_cache):
            num_cached = num_leading
        if frozen_epochs:
            tail, source = split(network, num_cached, batches, precision, control)
            training.run(tail, source, until=frozen_epochs, frozen=True)
    stop = training.reports[-1].stop if frozen_epochs else None
    if frozen_epochs < epochs and (stop is None or stop.rule in CURVE_RULES):
        training.run(network, batches, until=epochs)
    return Course(
        reports=training.reports,
        cached_layers=num_cached,
        saved_share=_saved_share(work, frozen, num_leading, num_cached, training.reports)
        if work
        else 0.0,
    )


def split(
    network: nn.Module, count: int, batches: Batches, precision: Precision, control: Control
) -> tuple[nn.Module, Batches]:
    """Return the network without its first ``count`` layers, and batches of what those give.

    The batches come in the same order, from the same generator, as images would. The tail shares
    its layers with the network. With a count of 0 both are what they were.
    """
    if count == 0:
        return network, batches
    parts = [layer for _, layer in named_layers(network)]
    outputs = _Outputs(nn.Sequential(*parts[:count]), batches, precision, control)
    positions = torch.arange(batches.num_images)
    return nn.Sequential(*parts[count:]), replace(batches, source=outputs, rows=positions)


class _Outputs:
    """What leading layers make of every training image, by its position among them."""

    def __init__(
        self, head: nn.Module, batches: Batches, precision: Precision, control: Control
    ) -> None:
        self.device = batches.source.device
        head.eval()
        parts: list[Tensor] = []
        labels: list[Tensor] = []
        for some in torch.split(batches.rows, inference_batch(batches.source, batches.rows)):
            control.checkpoint()
            images, labels_B = batches.source.cut(some.to(self.device))
            labels.append(labels_B)
            # Not inference_mode: what it makes can't be learnt from.
            with torch.no_grad(), precision.autocast(self.device):
                outputs = head(precision.arranged(images))
            # Channels last in memory where they are so in use: no batch needs to be rearranged.
            self._is_last = precision.channels_last and outputs.ndim == 4
            parts.append(outputs.permute(0, 2, 3, 1).contiguous() if self._is_last else outputs)
        self._outputs = torch.cat(parts)
        self._labels_N = torch.cat(labels)

    def cut(self, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Return outputs (B, C, H, W) or (B, units), and labels (B,)."""
        outputs = self._outputs.index_select(0, positions)
        if self._is_last:
            outputs = outputs.permute(0, 3, 1, 2)
        return outputs, self._labels_N[positions]


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


def _saved_share(
    work: Sequence[LayerWork],
    frozen: Collection[str],
    num_leading: int,
    num_cached: int,
    reports: Sequence[EpochReport],
) -> float:
    """Return the share of multiply-accumulates saved; per layer: 1 forward, 2 for its gradients."""
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


def _is_fixed(layer: nn.Module) -> bool:
    draws = any(isinstance(one, nn.Dropout) for one in layer.modules())
    return not draws and next(layer.parameters(), None) is None


def _be_in_use(layer: nn.Module, _: Any) -> None:
    if layer.training:
        layer.eval()
