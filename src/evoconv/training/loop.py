"""The only training loop.

It trains one network on batches for so many epochs, until a time limit, or until the caller says to
stop after an epoch, whichever is first. Annealed learning rates follow the progress, which is the
larger of the share of steps done and the share of time used: a training that is slower than hoped
still ends with an annealed rate, not in mid-flight.

Shapes: B batch, C channels, H height, W width, K classes, N images.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evoconv.data.batches import Batches, Source, inference_batches
from evoconv.execution.executor import Control, JobFailed
from evoconv.records import Failure, FailureKind
from evoconv.training.averaging import WeightAverage
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision
from evoconv.training.stopping import Stop

_STEPS_BETWEEN_CHECKS = 50


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """What one epoch gave: its number from 1, the mean training loss, seconds since the start.

    Attributes:
        progress: how far the training was after it, in [0, 1].
        frozen: whether some layers were held still.
        stop: why the training, or the part of it with frozen layers, ended after this epoch; None
            where it went on or had reached its planned end.
    """

    epoch: int
    train_loss: float
    seconds: float
    progress: float
    frozen: bool = False
    stop: Stop | None = None


_LEAST_LIMIT_S = 1e-3

# Told of each epoch; may validate the network, and says why to stop or None.
AfterEpoch = Callable[[EpochReport], Stop | None]


class Epochs(Protocol):
    """What yields the inputs and labels of an epoch: images, or what frozen layers made of them."""

    def epoch(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield inputs (B, ...) and labels (B,), on the network's device."""


def train(
    network: nn.Module,
    batches: Batches,
    recipe: Recipe,
    precision: Precision,
    control: Control,
    *,
    epochs: int,
    time_limit_s: float | None = None,
    class_weights: Tensor | None = None,
    after_epoch: AfterEpoch | None = None,
) -> list[EpochReport]:
    """Train the network in place; return a report per epoch, the last one possibly cut short.

    Raises:
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
    training.run(network, batches, until=epochs)
    return training.reports


class Training:
    """A training under way: optimiser, clock and reports, kept while what is trained changes."""

    def __init__(
        self,
        network: nn.Module,
        batches: Batches,
        recipe: Recipe,
        precision: Precision,
        control: Control,
        *,
        epochs: int,
        time_limit_s: float | None = None,
        class_weights: Tensor | None = None,
        after_epoch: AfterEpoch | None = None,
    ) -> None:
        device = batches.source.device
        network.to(device, memory_format=precision.memory_format)  # type: ignore[call-overload]
        self.reports: list[EpochReport] = []
        self._device, self._recipe, self._precision = device, recipe, precision
        self._control, self._class_weights = control, class_weights
        self._after_epoch = after_epoch
        self._optimizer = build_optimizer(network, recipe)
        decay = recipe.weight_average
        self._average = WeightAverage(network, decay) if decay else None
        self._clock = _Progress(epochs, batches.num_batches, time_limit_s)

    def run(self, network: nn.Module, source: Epochs, *, until: int, frozen: bool = False) -> None:
        """Train up to and with an epoch, unless ``after_epoch`` or the time limit ends it before.

        The network may be a part of the whole one; parameters without a gradient stay as they are,
        and so do their moments in the optimiser. Where weights are averaged, ``after_epoch`` sees
        the average, and the network has it in the end.
        """
        while len(self.reports) < until and self._clock.fraction < 1.0:
            report = self._epoch(network, source, frozen)
            self.reports.append(report)
            self._control.report(self._clock.fraction)
            if self._after_epoch is not None:
                stop = self._after_epoch(report)
                if stop is not None:
                    self.reports[-1] = replace(report, stop=stop)
                    return

    def _epoch(self, network: nn.Module, source: Epochs, frozen: bool) -> EpochReport:
        network.train()  # a validation after the last epoch may have changed that
        if self._average is not None:
            self._average.hide()
        epoch = len(self.reports) + 1
        loss_sum = torch.zeros((), device=self._device)
        num_steps = 0
        for inputs, labels in source.epoch():
            loss_sum += self._step(network, inputs, labels)
            num_steps += 1
            self._clock.step()
            self._control.checkpoint()
            if num_steps % _STEPS_BETWEEN_CHECKS == 0:
                _require_finite(loss_sum, epoch)
                self._control.report(self._clock.fraction)
            if self._clock.fraction >= 1.0:
                break
        _require_finite(loss_sum, epoch)
        if self._average is not None:
            self._average.show()
        return EpochReport(
            epoch=epoch,
            train_loss=float(loss_sum) / num_steps,
            seconds=self._clock.seconds,
            progress=self._clock.fraction,
            frozen=frozen,
        )

    def _step(self, network: nn.Module, inputs: Tensor, labels: Tensor) -> Tensor:
        rate = rate_factor(self._recipe, self._clock.fraction, self._clock.epochs)
        for group in self._optimizer.param_groups:
            group["lr"] = self._recipe.learning_rate * rate
        with self._precision.autocast(self._device):
            logits = network(self._precision.arranged(inputs))
        loss = F.cross_entropy(
            logits.float(),
            labels,
            self._class_weights,
            label_smoothing=self._recipe.label_smoothing,
        )
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self._optimizer.step()
        if self._average is not None:
            self._average.step()
        return loss.detach()


class _Progress:
    """How far a training is, in [0, 1]: the larger of steps done and time used."""

    def __init__(self, num_epochs: int, num_batches: int, time_limit_s: float | None) -> None:
        self._num_epochs, self._num_batches = num_epochs, num_batches
        # Who asks for a training when no time is left gets a step of one.
        self._time_limit_s = None if time_limit_s is None else max(time_limit_s, _LEAST_LIMIT_S)
        self._done, self._started = 0, time.monotonic()
        self.fraction = 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    @property
    def epochs(self) -> float:
        """Epochs done, with the fraction of the present one."""
        return self._done / self._num_batches

    def step(self) -> None:
        self._done += 1
        fraction = self._done / (self._num_epochs * self._num_batches)
        if self._time_limit_s is not None:
            fraction = max(fraction, self.seconds / self._time_limit_s)
        self.fraction = min(1.0, fraction)


def _require_finite(loss: Tensor, epoch: int) -> None:
    if not math.isfinite(float(loss)):
        raise JobFailed(
            Failure(
                kind=FailureKind.NOT_FINITE,
                message=f"the training loss left the finite numbers in epoch {epoch}",
            )
        )


def rate_factor(recipe: Recipe, progress: float, epochs: float = 0.0) -> float:
    """Return the learning rate's factor in [0, 1] at a progress in [0, 1], after so many epochs.

    ``one-cycle``: up in a straight line during the warm-up, then down along half a cosine (Smith &
    Topin 2018, "Super-convergence", with the cosine of Loshchilov & Hutter 2016 instead of a line).
    ``inverse`` and ``exponential`` need not know where the training will end: 1 / (1 + n) and 2^-n
    after n times ``half_life`` epochs.
    """
    match recipe.schedule:
        case "constant":
            return 1.0
        case "inverse":
            return 1.0 / (1.0 + epochs / recipe.half_life)
        case "exponential":
            return float(0.5 ** (epochs / recipe.half_life))
    warm_up = recipe.warm_up if recipe.schedule == "one-cycle" else 0.0
    if progress < warm_up:
        return 0.04 + 0.96 * progress / warm_up
    return 0.5 + 0.5 * math.cos(math.pi * (progress - warm_up) / max(1.0 - warm_up, 1e-9))


def build_optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """Return the recipe's optimiser; weight decay acts on kernels, not on biases and norms."""
    parameters = [one for one in network.parameters() if one.requires_grad]
    groups = [
        {
            "params": [one for one in parameters if one.ndim > 1],
            "weight_decay": recipe.weight_decay,
        },
        {"params": [one for one in parameters if one.ndim <= 1], "weight_decay": 0.0},
    ]
    rate, betas = recipe.learning_rate, (recipe.momentum, 0.999)
    match recipe.optimizer:
        case "sgd":
            return torch.optim.SGD(
                groups, rate, momentum=recipe.momentum, nesterov=recipe.momentum > 0, fused=True
            )
        case "rmsprop":
            return torch.optim.RMSprop(
                groups, rate, alpha=recipe.rho, eps=recipe.epsilon, momentum=recipe.momentum
            )
        case "adam":
            return torch.optim.Adam(groups, rate, betas=betas, eps=recipe.epsilon, fused=True)
        case "adamw":
            return torch.optim.AdamW(groups, rate, betas=betas, eps=recipe.epsilon, fused=True)
        case _:
            return torch.optim.Adagrad(groups, rate, eps=recipe.epsilon)


def predict_logits(
    network: nn.Module,
    source: Source,
    rows: Tensor,
    precision: Precision,
    control: Control | None = None,
) -> Tensor:
    """Return the network's logits for the rows, float32 (N, K) on the CPU."""
    # Not in inference mode: parameters that it rearranges could never learn again.
    network.to(source.device, memory_format=precision.memory_format)  # type: ignore[call-overload]
    network.eval()
    parts: list[Tensor] = []
    with torch.inference_mode():
        for images, _ in inference_batches(source, rows):
            if control is not None:
                control.checkpoint()
            with precision.autocast(source.device):
                parts.append(network(precision.arranged(images)).float().cpu())
    return torch.cat(parts)
