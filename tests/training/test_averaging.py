from dataclasses import replace

import pytest
import torch
from torch import nn

from evoconv.training.averaging import WeightAverage
from evoconv.training.loop import EpochReport, Training, predict_logits, train
from evoconv.training.precision import Precision
from tests.training.test_loop import RECIPE, Watching, batches, network

AVERAGED = replace(RECIPE, schedule="constant", weight_average=0.9)


def one_weight(value: float) -> nn.Linear:
    layer = nn.Linear(1, 1, bias=False)
    set_weight(layer, value)
    return layer


def set_weight(layer: nn.Linear, value: float) -> None:
    with torch.no_grad():
        layer.weight.fill_(value)


def test_the_average_is_the_recursion_with_a_growing_memory() -> None:
    layer, expected = one_weight(1.0), 1.0
    average = WeightAverage(layer, decay=0.5)
    for step, value in enumerate([4.0, -2.0, 7.0, 0.5, 3.0, 3.0, 1.0, 9.0, 2.0, 5.0], start=1):
        set_weight(layer, value)
        average.step()
        decay = min(0.5, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    average.show()
    assert layer.weight.item() == pytest.approx(expected, abs=1e-6)


def test_show_and_hide_change_places_and_may_be_repeated() -> None:
    layer = one_weight(0.0)
    average = WeightAverage(layer, decay=0.9)
    set_weight(layer, 1.0)
    average.step()
    shown = []
    for change in (average.show, average.show, average.hide, average.hide, average.show):
        change()
        shown.append(layer.weight.item())
    inside = 1 - 2 / 11
    assert shown == pytest.approx([inside, inside, 1.0, 1.0, inside])


def test_running_statistics_are_averaged_and_counts_are_not() -> None:
    layer = nn.BatchNorm1d(2)
    average = WeightAverage(layer, decay=0.9)
    layer(torch.tensor([[1.0, 3.0], [5.0, 7.0]]))
    assert layer.running_mean is not None
    learnt = layer.running_mean.clone()
    average.step()
    average.show()
    torch.testing.assert_close(layer.running_mean, learnt * (1 - 2 / 11))
    assert layer.num_batches_tracked == 1


def test_a_training_learns_as_without_an_average_and_ends_with_it() -> None:
    plain, averaged = network(), network()
    seen: list[torch.Tensor] = []
    weights: list[torch.Tensor] = []

    def after_epoch(_: EpochReport) -> None:
        seen.append(next(averaged.parameters()).detach().clone())

    reports = train(
        plain, batches(), replace(AVERAGED, weight_average=0.0), Precision(), Watching(), epochs=3
    )
    training = Training(
        averaged,
        batches(),
        AVERAGED,
        Precision(),
        Watching(),
        epochs=3,
        after_epoch=after_epoch,
    )
    training.run(averaged, batches(), until=3)
    weights = [one.detach() for one in averaged.parameters()]
    # What learns is untouched by the average: so are its losses.
    assert [one.train_loss for one in training.reports] == [one.train_loss for one in reports]
    assert torch.equal(seen[-1], weights[0])
    assert not torch.equal(weights[0], next(plain.parameters()))


def test_a_training_in_two_parts_goes_on_with_what_learns() -> None:
    whole, parts = network(), network()
    train(whole, data := batches(), AVERAGED, Precision(), Watching(), epochs=4)
    source = batches()
    training = Training(parts, source, AVERAGED, Precision(), Watching(), epochs=4)
    training.run(parts, source, until=2)
    training.run(parts, source, until=4)
    logits = [predict_logits(net, data.source, data.rows, Precision()) for net in (whole, parts)]
    assert torch.equal(*logits)


def test_an_average_of_noisy_steps_is_better_than_the_last_of_them() -> None:
    """The minimum of a quadratic, seen through noise, at a constant rate."""
    generator = torch.Generator().manual_seed(4)
    layer = one_weight(5.0)
    average = WeightAverage(layer, decay=0.99)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.2)
    away = []
    for _ in range(2_000):
        noise = torch.randn((), generator=generator)
        layer.weight.grad = layer.weight.detach() - noise
        optimizer.step()
        average.step()
        away.append(abs(layer.weight.item()))
    average.show()
    assert abs(layer.weight.item()) < sum(away[-500:]) / 500 / 2


def test_weights_that_are_arranged_anew_are_averaged_all_the_same() -> None:
    # Of such a shape torch never knows whether it is arranged already.
    layer = nn.Conv2d(1, 4, 1, bias=False)
    average = WeightAverage(layer, decay=0.5)
    before = layer.weight.detach().clone()
    layer.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    with torch.no_grad():
        layer.weight.add_(1.0)
    average.step()
    average.show()
    torch.testing.assert_close(layer.weight.detach(), before + (1 - 2 / 11))
    average.hide()
    torch.testing.assert_close(layer.weight.detach(), before + 1)
