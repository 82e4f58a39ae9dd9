"""The only training loop.

It trains one network on batches for so many epochs, or until a time limit whichever is first. The
learning rate follows the progress, which is the larger of the share of steps done and the share
of time used: a training that is slower than hoped still ends with an annealed rate, not in mid-
flight.

Shapes: B batch, C channels, H height, W width, K classes, N images.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evoconv.data.batches import Batches, ImageTensor
from evoconv.execution.executor import Control, JobFailed
from evoconv.records import Failure, FailureKind
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision

_EVALUATION_BATCH = 500
_STEPS_BETWEEN_CHECKS = 50


@dataclass(frozen=True, kw_only=True)
class EpochReport:
    """What one epoch gave: its number from 1, the mean training loss, seconds since the start."""

    epoch: int
    train_loss: float
    seconds: float
    progress: float


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
    after_epoch: Callable[[EpochReport], None] | None = None,
) -> list[EpochReport]:
    """Train the network in place; return a report per epoch, the last one possibly cut short.

    Raises:
        JobFailed: the loss is no longer finite.
        Cancelled: the coordinator asked for it.
    """
    network.to(batches.source.device, memory_format=precision.memory_format)  # type: ignore[call-overload]
    network.train()
    optimizer = build_optimizer(network, recipe)
    clock = _Progress(epochs * batches.num_batches, time_limit_s)
    reports: list[EpochReport] = []
    for epoch in range(1, epochs + 1):
        loss_sum = torch.zeros((), device=batches.source.device)
        num_steps = 0
        for images, labels in batches.epoch():
            rate = recipe.learning_rate * rate_factor(recipe, clock.fraction)
            for group in optimizer.param_groups:
                group["lr"] = rate
            images = images.contiguous(memory_format=precision.memory_format)
            with precision.autocast(images.device):
                logits = network(images)
            loss = F.cross_entropy(
                logits.float(), labels, class_weights, label_smoothing=recipe.label_smoothing
            )
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            loss_sum += loss.detach()
            num_steps += 1
            clock.step()
            control.checkpoint()
            if num_steps % _STEPS_BETWEEN_CHECKS == 0:
                _require_finite(loss_sum, epoch)
                control.report(clock.fraction)
            if clock.fraction >= 1.0:
                break
        _require_finite(loss_sum, epoch)
        report = EpochReport(
            epoch=epoch,
            train_loss=float(loss_sum) / num_steps,
            seconds=clock.seconds,
            progress=clock.fraction,
        )
        reports.append(report)
        control.report(clock.fraction)
        if after_epoch is not None:
            after_epoch(report)
        if clock.fraction >= 1.0:
            break
    return reports


class _Progress:
    """How far a training is, in [0, 1]: the larger of steps done and time used."""

    def __init__(self, num_steps: int, time_limit_s: float | None) -> None:
        self._num_steps, self._time_limit_s = num_steps, time_limit_s
        self._done, self._started = 0, time.monotonic()
        self.fraction = 0.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def step(self) -> None:
        self._done += 1
        fraction = self._done / self._num_steps
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


def rate_factor(recipe: Recipe, progress: float) -> float:
    """Return the learning rate's factor in [0, 1] at a progress in [0, 1].

    ``one-cycle``: up in a straight line during the warm-up, then down along half a cosine (Smith &
    Topin 2018, "Super-convergence", with the cosine of Loshchilov & Hutter 2016 instead of a line).
    """
    if recipe.schedule == "constant":
        return 1.0
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


@torch.inference_mode()
def predict_logits(
    network: nn.Module,
    source: ImageTensor,
    rows: Tensor,
    precision: Precision,
    control: Control | None = None,
) -> Tensor:
    """Return the network's logits for the rows, float32 (N, K) on the CPU."""
    network.to(source.device, memory_format=precision.memory_format)  # type: ignore[call-overload]
    network.eval()
    parts: list[Tensor] = []
    for some in torch.split(rows, _EVALUATION_BATCH):
        if control is not None:
            control.checkpoint()
        images, _ = source.cut(some.to(source.device))
        images = images.contiguous(memory_format=precision.memory_format)
        with precision.autocast(source.device):
            parts.append(network(images).float().cpu())
    return torch.cat(parts)
