import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.errors import ConfigError
from evoconv.records import CurvePoint
from evoconv.training.stopping import (
    CURVE_RULES,
    Stop,
    StoppingOptions,
    optimistic_error,
    stop_reason,
)
from tests.training import record_curves

CURVES = record_curves.read()
EVERY_RULE = StoppingOptions(epoch_patience=4, divergence=2.0, guessing_epochs=4, optimism=2.0)
recorded = pytest.mark.parametrize("name", CURVES)


def first_stop(
    curve: Sequence[CurvePoint],
    options: StoppingOptions,
    threshold: float | None = None,
    max_epochs: int | None = None,
    **more: Any,
) -> Stop | None:
    """Return the stop of a training that is asked about after every epoch."""
    for end in range(1, len(curve) + 1):
        stop = stop_reason(curve[:end], options, threshold, max_epochs or len(curve), 10, **more)
        if stop is not None:
            assert stop.epoch == curve[end - 1].epoch
            return stop
    return None


def epoch_of(stop: Stop | None) -> float:
    return math.inf if stop is None else stop.epoch


def make_curve(
    accuracies: Sequence[float], losses: Sequence[float] | None = None
) -> list[CurvePoint]:
    """Return a curve of these accuracies; both losses fall with them unless given."""
    points = []
    for index, accuracy in enumerate(accuracies):
        loss = 2.3 * (1 - accuracy) if losses is None else losses[index]
        points.append(
            CurvePoint(
                fold=0,
                epoch=index + 1,
                seconds=1.0 + index,
                train_loss=loss,
                validation_loss=loss,
                validation_accuracy=accuracy,
            )
        )
    return points


accuracies = st.lists(st.floats(0, 0.999), min_size=1, max_size=25)
curves = st.one_of(
    st.sampled_from(list(CURVES.values())),
    st.builds(make_curve, accuracies),
    st.lists(st.tuples(st.floats(0, 0.999), st.floats(0.01, 50)), min_size=1, max_size=25).map(
        lambda rows: make_curve([row[0] for row in rows], [row[1] for row in rows])
    ),
)
thresholds = st.one_of(st.none(), st.floats(0, 1))


@recorded
@pytest.mark.parametrize("optimism", [2.0, 4.0])
def test_no_recorded_curve_is_given_up_that_later_passes_the_threshold(
    name: str, optimism: float
) -> None:
    curve, options = CURVES[name], StoppingOptions(optimism=optimism)
    for end in range(1, len(curve)):
        later = max(one.validation_accuracy for one in curve[end:])
        assert stop_reason(curve[:end], options, later, len(curve), 10) is None
        # Nor one whose training might go on for longer than it was recorded.
        assert stop_reason(curve[:end], options, later, 3 * len(curve), 10) is None


@pytest.mark.parametrize(
    ("name", "threshold", "before"),
    [
        ("mnist-small-adagrad", 0.97, 15),
        ("mnist-small-adagrad", 0.95, 25),
        ("fashion-small-adamw", 0.90, 10),
        ("fashion-poor", 0.80, 25),
        ("digits-small-adagrad", 0.97, 12),
    ],
)
def test_a_hopeless_training_is_given_up_early(name: str, threshold: float, before: int) -> None:
    stop = first_stop(CURVES[name], StoppingOptions(optimism=2.0), threshold)
    assert stop is not None
    assert stop.rule == "extrapolation"
    assert stop.epoch < before
    assert f"not the {threshold:.4f} that is needed" in str(stop)


@recorded
def test_only_the_diverging_training_is_said_to_diverge(name: str) -> None:
    stop = first_stop(CURVES[name], StoppingOptions(divergence=1.5))
    assert (stop is not None) == (name == "digits-diverging")
    if stop is not None:
        assert (stop.rule, stop.epoch) == ("divergence", 3)


@recorded
def test_only_networks_that_do_not_learn_are_said_to_guess(name: str) -> None:
    stop = first_stop(CURVES[name], StoppingOptions(guessing_epochs=8))
    assert (stop is not None) == (name in ("digits-guessing", "digits-slow"))


@recorded
def test_a_training_stopped_for_patience_had_nearly_reached_its_best(name: str) -> None:
    curve = CURVES[name]
    stop = first_stop(curve, StoppingOptions(epoch_patience=8))
    if stop is not None:
        assert stop.rule == "patience"
        reached, best = (
            max(one.validation_accuracy for one in points)
            for points in (curve[: stop.epoch], curve)
        )
        assert best - reached < 0.1 * (1 - best)


@given(curves, thresholds)
def test_nothing_stops_while_all_rules_are_off(
    curve: list[CurvePoint], threshold: float | None
) -> None:
    assert first_stop(curve, StoppingOptions(), threshold) is None


def test_options_know_whether_a_rule_is_on() -> None:
    assert not StoppingOptions(min_improvement=0.1, min_epochs=3).is_on
    for rule in ("epoch_patience", "divergence", "guessing_epochs", "optimism"):
        choice: dict[str, Any] = {rule: 2}
        assert StoppingOptions(**choice).is_on


@given(curves, thresholds, st.integers(1, 30))
def test_nothing_stops_before_the_first_epochs_or_at_the_end(
    curve: list[CurvePoint], threshold: float | None, min_epochs: int
) -> None:
    options = replace(EVERY_RULE, min_epochs=min_epochs)
    assert min_epochs <= epoch_of(first_stop(curve, options, threshold, 100))
    assert epoch_of(first_stop(curve, options, threshold)) != len(curve)


@given(
    st.lists(st.floats(0.011, 0.02), min_size=1, max_size=45),
    st.integers(1, 10),
)
def test_a_curve_that_keeps_improving_is_never_impatient(steps: list[float], patience: int) -> None:
    curve = make_curve([sum(steps[: end + 1]) for end in range(len(steps))])
    options = StoppingOptions(epoch_patience=patience, min_improvement=0.01)
    assert first_stop(curve, options, max_epochs=100) is None


@given(curves, st.integers(1, 10))
def test_patience_waits_for_its_epochs(curve: list[CurvePoint], patience: int) -> None:
    assert epoch_of(first_stop(curve, StoppingOptions(epoch_patience=patience))) > patience


def test_patience_counts_from_the_last_improvement() -> None:
    curve = make_curve([0.1, 0.5, 0.7, 0.7004, 0.69, 0.7009, 0.3, 0.2])
    stop = first_stop(curve, StoppingOptions(epoch_patience=3), max_epochs=100)
    assert stop == Stop(
        rule="patience",
        sentence="the last 3 epochs brought no improvement of 0.001 over 0.7000",
        epoch=6,
    )
    free = StoppingOptions(epoch_patience=3, min_improvement=0.0)
    assert epoch_of(first_stop(curve, free, max_epochs=100)) == math.inf
    assert epoch_of(first_stop(make_curve([0.5] * 9), free)) == 4


@given(curves, thresholds, st.data())
def test_a_laxer_limit_never_stops_earlier(
    curve: list[CurvePoint], threshold: float | None, data: st.DataObject
) -> None:
    name, limits = data.draw(
        st.sampled_from(
            [
                ("epoch_patience", st.integers(1, 12)),
                ("divergence", st.floats(1.1, 20)),
                ("guessing_epochs", st.integers(1, 12)),
                ("optimism", st.floats(1, 5)),
                ("min_epochs", st.integers(1, 12)),
            ]
        )
    )
    choices: list[dict[str, Any]] = [
        {name: one} for one in sorted(data.draw(st.tuples(limits, limits)))
    ]
    strict, lax = (
        epoch_of(first_stop(curve, replace(EVERY_RULE, **one), threshold)) for one in choices
    )
    assert strict <= lax


@given(curves, st.floats(0, 0.3), st.floats(0, 0.3))
def test_a_larger_improvement_asked_for_never_stops_later(
    curve: list[CurvePoint], one: float, other: float
) -> None:
    stops = [
        epoch_of(first_stop(curve, StoppingOptions(epoch_patience=3, min_improvement=least)))
        for least in sorted((one, other))
    ]
    assert stops[1] <= stops[0]


@given(curves, st.floats(0, 1), st.floats(0, 1), st.integers(1, 60))
def test_a_higher_threshold_never_stops_later(
    curve: list[CurvePoint], one: float, other: float, more: int
) -> None:
    options = StoppingOptions(optimism=1.5)
    low, high = sorted((one, other))
    end = len(curve) + more
    assert epoch_of(first_stop(curve, options, high, end)) <= epoch_of(
        first_stop(curve, options, low, end)
    )


@given(curves, st.floats(1, 5), st.integers(1, 60))
def test_the_optimistic_error_is_below_what_was_reached_and_falls_with_the_epochs(
    curve: list[CurvePoint], optimism: float, more: int
) -> None:
    errors = [(one.epoch, 1 - one.validation_accuracy) for one in curve]
    bound = optimistic_error(errors, len(curve), optimism)
    if bound is None:
        assert len(curve) < 6
        return
    assert 0 <= bound <= min(error for _, error in errors) * (1 + 1e-9)
    later = optimistic_error(errors, len(curve) + more, optimism)
    assert later is not None
    assert later <= bound


def test_a_power_law_of_the_odds_is_continued_at_its_own_rate() -> None:
    odds = {epoch: 0.5 * epoch**-0.8 for epoch in (*range(1, 11), 40)}
    errors = [(epoch, odds[epoch] / (1 + odds[epoch])) for epoch in range(1, 11)]
    assert optimistic_error(errors, 40, 1.0) == pytest.approx(odds[40] / (1 + odds[40]))
    losses = [(epoch, odds[epoch]) for epoch in range(1, 11)]
    assert optimistic_error(losses, 40, 1.0, math.inf) == pytest.approx(odds[40])
    twice = 0.5 * 10**-0.8 * 4**-1.6
    assert optimistic_error(losses, 40, 2.0, math.inf) == pytest.approx(twice)


def test_a_network_on_the_first_plateau_is_not_extrapolated() -> None:
    """All but guessing, then learning at once: what is past says nothing of what comes."""
    curve = CURVES["digits-late"]
    assert all(one.validation_accuracy < 0.5 for one in curve[:7])
    stop = stop_reason(curve[:7], StoppingOptions(optimism=1.0), 0.95, 12, 10)
    assert stop is None


def test_a_threshold_that_was_passed_is_no_reason() -> None:
    curve = make_curve([0.9] * 10)
    assert stop_reason(curve, StoppingOptions(optimism=1.0), 0.9, 20, 10) is None
    assert stop_reason(curve, StoppingOptions(optimism=1.0), 0.91, 20, 10) is not None
    assert stop_reason(curve, StoppingOptions(optimism=1.0), None, 20, 10) is None


def test_loss_that_rises_with_confidence_is_not_divergence() -> None:
    """Validation loss up fourfold, training loss down: overfitting, and patience's business."""
    curve = [
        replace(one, train_loss=0.5 / one.epoch, validation_loss=0.3 * one.epoch)
        for one in make_curve([0.9] * 4)
    ]
    assert first_stop(curve, StoppingOptions(divergence=1.5), max_epochs=9) is None


def test_small_losses_may_double() -> None:
    curve = make_curve([0.99] * 3, [0.01, 0.01, 0.2])
    assert first_stop(curve, StoppingOptions(divergence=2.0), max_epochs=9) is None


def test_other_measures_are_judged_by_their_own_values() -> None:
    curve = make_curve([0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 0.97])
    loss = [-1.0, -0.9, -0.9, -0.9, -0.9, -0.9, -0.9]
    options = StoppingOptions(epoch_patience=3)
    for end, stops in ((4, False), (5, True)):
        got = stop_reason(curve[:end], options, None, 9, 10, values=loss[:end], ceiling=0.0)
        assert (got is not None) == stops
    assert first_stop(curve, options, max_epochs=9) is None
    hopeless = stop_reason(
        curve, StoppingOptions(optimism=2.0), -0.1, 9, 10, values=loss, ceiling=0.0
    )
    assert hopeless is not None
    assert hopeless.rule in CURVE_RULES


def test_rules_look_only_at_what_came_after_the_thaw() -> None:
    curve = make_curve([0.7] * 6 + [0.6, 0.6, 0.6, 0.6, 0.6])
    options = StoppingOptions(epoch_patience=3)
    assert stop_reason(curve[:6], options, None, 20, 10) is not None
    for end in range(7, 10):
        assert stop_reason(curve[:end], options, None, 20, 10, since=6) is None
    assert stop_reason(curve[:10], options, None, 20, 10, since=6) is not None
    assert stop_reason(curve[:6], options, None, 20, 10, since=6) is None


def test_epochs_without_validation_are_passed_over() -> None:
    curve = make_curve([0.5, math.nan, math.nan, 0.5, math.nan, 0.5])
    options = StoppingOptions(epoch_patience=4)
    assert stop_reason(curve[:4], options, None, 20, 10) is None
    assert stop_reason(curve, options, None, 20, 10) is not None
    unseen = make_curve([math.nan] * 9)
    assert stop_reason(unseen, EVERY_RULE, 0.9, 20, 10) is None


@pytest.mark.parametrize(
    "given_",
    [{"epoch_patience": 0}, {"divergence": 1.0}, {"optimism": 0.5}, {"min_improvement": 2}],
)
def test_limits_out_of_range_are_refused(given_: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(given_))):
        StoppingOptions(**given_)
