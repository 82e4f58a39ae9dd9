"""Layers held still for the first part of a training, and what that saves.

A frozen layer isn't updated and behaves as in use: batch normalisation with its stored statistics,
no dropout. Frozen layers before all that learn need no backward pass; without augmentation their
outputs never change either, so they can be computed once and the rest be trained on them.

Source: Litzinger, Klos & Schiffmann, "Compute-efficient neural network architecture optimization by
a genetic algorithm", which names layer freezing without details; the rest is the house's own.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any, Self

from torch import Tensor, nn

from evoconv.data.batches import Batches
from evoconv.errors import ConfigError
from evoconv.execution.executor import Control
from evoconv.training.features import Features, LeadingLayers, named_layers, rest_after
from evoconv.training.freeze_savings import is_worth_caching, saved_share_of, work_of
from evoconv.training.loop import AfterEpoch, EpochReport, Training
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision
from evoconv.training.stopping import CURVE_RULES


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
        saved_share=saved_share_of(work, frozen, num_leading, num_cached, training.reports)
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
    leading = LeadingLayers.of(network, count, batches.source, precision)
    outputs = Features.computed(leading, batches.rows, control)
    return rest_after(network, count), replace(batches, source=outputs)


def _is_fixed(layer: nn.Module) -> bool:
    draws = any(isinstance(one, nn.Dropout) for one in layer.modules())
    return not draws and next(layer.parameters(), None) is None


def _be_in_use(layer: nn.Module, _: Any) -> None:
    if layer.training:
        layer.eval()
