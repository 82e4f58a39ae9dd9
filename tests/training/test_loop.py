import math
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Batches, ImageTensor, Standardisation
from evoconv.execution.executor import Cancelled, JobFailed
from evoconv.records import FailureKind
from evoconv.training.loop import (
    EpochReport,
    build_optimizer,
    predict_logits,
    rate_factor,
    train,
)
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision, measure_precision
from evoconv.training.stopping import Stop

CPU = torch.device("cpu")
RECIPE = Recipe(batch_size=16, learning_rate=0.01)


class Watching:
    """A control that counts, and cancels after so many batches."""

    def __init__(self, cancel_after: float = math.inf) -> None:
        self.num_checks, self.reports = 0, list[float]()
        self._cancel_after = cancel_after

    def checkpoint(self) -> None:
        self.num_checks += 1
        if self.num_checks >= self._cancel_after:
            raise Cancelled

    def report(self, progress: float, message: str = "") -> None:
        self.reports.append(progress)


def stripes(num_images: int) -> tuple[np.ndarray, np.ndarray]:
    """Images of horizontal or vertical stripes: easy for a convolution, hopeless for a mean."""
    rng = np.random.default_rng(3)
    labels = rng.integers(2, size=num_images)
    images = rng.integers(0, 40, size=(num_images, 8, 8, 1), dtype=np.uint8)
    images[labels == 0, ::2] += 150
    images[labels == 1, :, ::2] += 150
    return images, labels


def batches(num_images: int = 128) -> Batches:
    images, labels = stripes(num_images)
    rows = np.arange(num_images)
    source = ImageTensor(images, labels, Standardisation.of(images, rows), CPU)
    return Batches(
        source=source,
        rows=torch.from_numpy(rows),
        batch_size=16,
        augmentation=Augmentation(),
        generator=torch.Generator().manual_seed(1),
    )


def network() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, 2),
    )  # fmt: skip


@pytest.mark.parametrize("optimizer", ["sgd", "rmsprop", "adam", "adamw", "adagrad"])
def test_every_optimizer_learns_stripes(optimizer: str) -> None:
    torch.set_num_threads(1)
    data, net = batches(), network()
    recipe = replace(RECIPE, optimizer=optimizer, learning_rate=0.02, label_smoothing=0.0)
    reports = train(net, data, recipe, Precision(), Watching(), epochs=12)
    logits = predict_logits(net, data.source, data.rows, Precision())
    assert (logits.argmax(1) == data.source.cut(data.rows)[1]).float().mean() > 0.95
    assert [one.epoch for one in reports] == list(range(1, 13))
    assert reports[-1].train_loss < reports[0].train_loss


def test_the_same_seed_gives_the_same_weights() -> None:
    first, second = network(), network()
    for net in (first, second):
        train(net, batches(), RECIPE, Precision(), Watching(), epochs=2)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_time_limit_ends_the_training_with_an_annealed_rate() -> None:
    started = time.monotonic()
    reports = train(
        network(), batches(), RECIPE, Precision(), Watching(), epochs=100_000, time_limit_s=0.5
    )
    assert time.monotonic() - started < 5
    assert reports[-1].progress == 1.0
    assert rate_factor(RECIPE, reports[-1].progress) == pytest.approx(0, abs=1e-9)


def test_a_loss_that_is_not_finite_fails_the_job() -> None:
    data = batches()
    recipe = replace(RECIPE, optimizer="sgd", learning_rate=100.0, warm_up=0.0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Linear(64, 64), nn.Linear(64, 2))
    with pytest.raises(JobFailed) as caught:
        train(net, data, recipe, Precision(), Watching(), epochs=200)
    assert caught.value.failure.kind is FailureKind.NOT_FINITE


def test_cancelling_ends_the_training_at_the_next_batch() -> None:
    control = Watching(cancel_after=5)
    with pytest.raises(Cancelled):
        train(network(), batches(), RECIPE, Precision(), control, epochs=100)
    assert control.num_checks == 5


def test_progress_is_reported_up_to_the_end() -> None:
    control = Watching()
    train(network(), batches(), RECIPE, Precision(), control, epochs=3)
    assert control.reports == sorted(control.reports)
    assert control.reports[-1] == 1.0


def test_a_stop_ends_the_training_and_is_recorded() -> None:
    seen: list[int] = []
    reason = Stop(rule="patience", sentence="enough", epoch=3)

    def after_epoch(report: EpochReport) -> Stop | None:
        seen.append(report.epoch)
        return reason if report.epoch == 3 else None

    reports = train(
        network(), batches(), RECIPE, Precision(), Watching(), epochs=9, after_epoch=after_epoch
    )
    assert seen == [1, 2, 3]
    assert [one.stop for one in reports] == [None, None, reason]
    assert not any(one.frozen for one in reports)
    assert reports[-1].progress == pytest.approx(1 / 3)


def test_validating_after_an_epoch_changes_nothing() -> None:
    """Batch normalisation would stand still if a validation left the network in use."""
    first, second, data = network(), network(), batches()

    def after_epoch(report: EpochReport) -> None:
        predict_logits(first, data.source, data.rows, Precision())

    train(first, data, RECIPE, Precision(), Watching(), epochs=3, after_epoch=after_epoch)
    train(second, batches(), RECIPE, Precision(), Watching(), epochs=3)
    for key, one in first.state_dict().items():
        assert torch.equal(one, second.state_dict()[key])


def test_a_network_that_was_validated_in_another_layout_can_learn_on() -> None:
    net, data = network(), batches()
    predict_logits(net, data.source, data.rows, Precision(channels_last=True))
    for parameter in net.parameters():
        assert not parameter.is_inference()
        parameter.requires_grad_(False)
        parameter.requires_grad_(True)
    reports = train(net, data, RECIPE, Precision(channels_last=True), Watching(), epochs=2)
    assert reports[1].train_loss < reports[0].train_loss


def test_rates_that_know_no_end_depend_on_the_epochs_alone() -> None:
    inverse = replace(RECIPE, schedule="inverse", half_life=3.0)
    exponential = replace(RECIPE, schedule="exponential", half_life=3.0)
    for progress in (0.0, 0.5, 1.0):
        assert [rate_factor(inverse, progress, n) for n in (0, 3, 9)] == [1.0, 0.5, 0.25]
        assert [rate_factor(exponential, progress, n) for n in (0, 3, 9)] == [1.0, 0.5, 0.125]
    assert rate_factor(exponential, 1.0, 1e6) == 0.0


@pytest.mark.parametrize("schedule", ["inverse", "exponential"])
def test_a_training_stopped_early_took_the_same_steps(schedule: str) -> None:
    """Where the rate knows no end, a longer plan makes no difference."""
    recipe = replace(RECIPE, schedule=schedule, half_life=2.0)
    short, long = network(), network()
    train(short, batches(), recipe, Precision(), Watching(), epochs=3)

    def after_epoch(report: EpochReport) -> Stop | None:
        return Stop(rule="test", sentence="", epoch=3) if report.epoch == 3 else None

    train(long, batches(), recipe, Precision(), Watching(), epochs=99, after_epoch=after_epoch)
    for one, other in zip(short.parameters(), long.parameters(), strict=True):
        assert torch.equal(one, other)


def test_weight_decay_spares_biases_and_norms() -> None:
    kernels, others = build_optimizer(network(), RECIPE).param_groups
    assert kernels["weight_decay"] == RECIPE.weight_decay > 0
    assert others["weight_decay"] == 0
    assert [one.ndim for one in others["params"]] == [1, 1, 1, 1]


def test_class_weights_move_the_loss_to_the_rare_class() -> None:
    images, _ = stripes(200)
    labels = np.array([0] * 190 + [1] * 10)
    images[:] = np.random.default_rng(0).integers(0, 255, images.shape)
    source = ImageTensor(images, labels, Standardisation.of(images, np.arange(200)), CPU)
    data = replace(batches(), source=source, rows=torch.arange(200))

    def share_of_rare(weights: torch.Tensor | None) -> float:
        net = network()
        train(net, data, RECIPE, Precision(), Watching(), epochs=2, class_weights=weights)
        logits = predict_logits(net, source, data.rows, Precision())
        return float(logits.softmax(1)[:, 1].mean())

    assert share_of_rare(torch.tensor([0.5, 10.0])) > 2 * share_of_rare(None)


@pytest.mark.parametrize("schedule", ["constant", "cosine", "one-cycle"])
def test_rates_stay_in_range(schedule: str) -> None:
    recipe = replace(RECIPE, schedule=schedule)
    factors = [rate_factor(recipe, step / 100) for step in range(101)]
    assert min(factors) >= 0
    assert max(factors) == pytest.approx(1.0)
    if schedule != "constant":
        assert factors[-1] == pytest.approx(0, abs=1e-9)


def test_rmsprop_takes_the_steps_of_keras() -> None:
    """Keras 2: v ← ρ·v + (1 − ρ)·g²; w ← w − rate·g / (√v + ε), worked out here in numpy."""
    weight = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    holder = nn.ParameterList([weight])
    recipe = Recipe(
        optimizer="rmsprop", learning_rate=0.001, momentum=0.0, weight_decay=0.0, rho=0.9
    )
    optimizer = build_optimizer(holder, recipe)
    expected, square = np.array([1.0, -2.0]), np.zeros(2)
    for _ in range(5):
        optimizer.zero_grad()
        (weight**2).sum().backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        gradient = 2 * expected
        square = 0.9 * square + 0.1 * gradient**2
        expected = expected - 0.001 * gradient / (np.sqrt(square) + 1e-7)
    assert weight.detach().numpy()[0] == pytest.approx(expected, rel=1e-5)


def test_precision_is_measured_on_every_choice() -> None:
    chosen, speeds = measure_precision(CPU, 1, seconds=0.2)
    assert len(speeds) == 3
    assert all(speed > 0 for speed in speeds.values())
    assert Precision.from_dict(chosen.to_dict()) == chosen


@pytest.mark.parametrize(
    "precision",
    [Precision(channels_last=True), Precision(channels_last=True, bfloat16=True)],
)
def test_every_precision_learns(precision: Precision) -> None:
    data, net = batches(), network()
    train(net, data, replace(RECIPE, learning_rate=0.02), precision, Watching(), epochs=12)
    logits = predict_logits(net, data.source, data.rows, precision)
    assert logits.dtype == torch.float32
    assert (logits.argmax(1) == data.source.cut(data.rows)[1]).float().mean() > 0.95
