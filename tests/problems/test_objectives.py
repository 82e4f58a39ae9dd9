"""What a search ranks by, in the two scenarios of few parameters."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.errors import ConfigError
from evoconv.problems.fitness import FitnessOptions, choose_objective
from evoconv.problems.objectives import (
    OBJECTIVES,
    MovingTargets,
    TargetAccuracy,
    moving_targets,
)
from evoconv.records import Measurement
from evoconv.training.options import METRICS

TARGET = choose_objective("accuracy", FitnessOptions(target_accuracy=0.99))

accuracies = st.floats(0, 1)
sizes = st.integers(1, 10**8)


def measured(accuracy: float, parameters: float, error: float = 0.001) -> Measurement:
    return Measurement(
        values={
            "validation_accuracy": accuracy,
            "validation_accuracy_error": error,
            "parameters": parameters,
        }
    )


def test_every_measure_has_an_objective() -> None:
    assert set(OBJECTIVES) == set(METRICS)


@given(accuracies, accuracies, sizes, sizes)
def test_whoever_reaches_the_target_beats_whoever_does_not(
    one: float, other: float, size: int, other_size: int
) -> None:
    assert isinstance(TARGET, TargetAccuracy)
    first, second = measured(one, size), measured(other, other_size)
    if TARGET.is_reached(first) and not TARGET.is_reached(second):
        assert TARGET.merit(first) > TARGET.merit(second)


@given(sizes, sizes)
def test_of_two_that_reach_it_the_smaller_is_fitter(one: int, other: int) -> None:
    first, second = measured(0.995, one), measured(1.0, other)
    assert (TARGET.fitness(first) > TARGET.fitness(second)) == (one < other)
    assert (TARGET.merit(first) > TARGET.merit(second)) == (one < other)


@given(accuracies, accuracies, sizes, sizes)
def test_below_the_target_only_accuracy_makes_the_best(
    one: float, other: float, size: int, other_size: int
) -> None:
    first, second = measured(one * 0.98, size), measured(other * 0.98, other_size)
    if first.values["validation_accuracy"] >= second.values["validation_accuracy"]:
        assert TARGET.merit(first) >= TARGET.merit(second)


@given(accuracies, accuracies, sizes)
def test_of_one_size_the_more_accurate_is_never_less_fit(
    one: float, other: float, size: int
) -> None:
    first, second = measured(max(one, other), size), measured(min(one, other), size)
    assert TARGET.fitness(first) >= TARGET.fitness(second)


def test_below_the_target_size_counts_too() -> None:
    # Twice the error is worth a sixteenth of the parameters.
    accurate = measured(0.98, 16_000, error=0.0)
    assert TARGET.fitness(accurate) < TARGET.fitness(measured(0.96, 999, error=0.0))
    assert TARGET.fitness(accurate) > TARGET.fitness(measured(0.96, 1_001, error=0.0))


@given(accuracies, sizes)
def test_what_is_needed_for_a_fitness_gives_it(accuracy: float, size: int) -> None:
    one = measured(accuracy, size, error=0.0)
    needed = TARGET.needed(TARGET.fitness(one), one.values)
    assert needed == pytest.approx(min(accuracy, 0.99))


@given(accuracies, sizes)
def test_a_larger_network_needs_more(accuracy: float, size: int) -> None:
    fitness = TARGET.fitness(measured(accuracy, size, error=0.0))
    larger = TARGET.needed(fitness, measured(0.5, 2 * size).values)
    assert larger >= TARGET.needed(fitness, measured(0.5, size).values)


def test_a_target_of_no_error_can_be_aimed_at() -> None:
    perfect = choose_objective("accuracy", FitnessOptions(target_accuracy=1.0))
    assert perfect.fitness(measured(0.99, 100)) < perfect.fitness(measured(0.999, 100))


def test_slack_leaves_error_to_the_full_training_and_counts_nothing_as_reached() -> None:
    slack = choose_objective("accuracy", FitnessOptions(target_accuracy=0.99, target_slack=2.0))
    assert isinstance(slack, TargetAccuracy)
    small, accurate = measured(0.985, 999, error=0.005), measured(0.999, 1_000, error=0.005)
    assert slack.fitness(small) > slack.fitness(accurate)
    assert TARGET.fitness(small) < TARGET.fitness(accurate)
    assert not slack.is_reached(small)
    assert slack.merit(small) < slack.merit(accurate)


def test_a_target_is_reached_only_with_a_standard_error_to_spare() -> None:
    assert isinstance(TARGET, TargetAccuracy)
    assert not TARGET.is_reached(measured(0.9905, 10))
    assert TARGET.is_reached(measured(0.9911, 10))
    assert TARGET.is_reached(measured(0.9905, 10, error=0.0004))


def test_a_price_weighs_size_against_the_measure() -> None:
    priced = choose_objective("accuracy", FitnessOptions(size_price=0.001))
    assert priced.fitness(measured(0.99, 1_000)) == pytest.approx(0.987)
    # Ten times as many parameters are worth a tenth of a point, and not less.
    assert priced.fitness(measured(0.9911, 10_000)) > priced.fitness(measured(0.99, 1_000))
    assert priced.fitness(measured(0.9909, 10_000)) < priced.fitness(measured(0.99, 1_000))


def test_a_price_on_a_loss_makes_it_worse_too() -> None:
    priced = choose_objective("cross-entropy", FitnessOptions(size_price=0.01))
    small = Measurement(values={"validation_cross_entropy": 0.1, "parameters": 100})
    large = Measurement(values={"validation_cross_entropy": 0.1, "parameters": 1000})
    assert priced.fitness(small) > priced.fitness(large)


@pytest.mark.parametrize(
    ("metric", "price", "sentence"),
    [
        ("macro-f1", 0.0, "--target-accuracy can't be combined with --metric macro-f1"),
        ("accuracy", 0.1, "--target-accuracy can't be combined with --size-price"),
    ],
)
def test_a_target_allows_nothing_beside_it(metric: str, price: float, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        choose_objective(metric, FitnessOptions(target_accuracy=0.9, size_price=price))


@pytest.mark.parametrize("wrong", [{"target_accuracy": 1.2}, {"size_price": -0.1}])
def test_nonsense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=r"must be in \[0, 1\]"):
        FitnessOptions(**wrong)


def shared(accuracy: float, ratio: float, size: float = 1000.0) -> Measurement:
    return Measurement(
        values={"validation_accuracy": accuracy, "ratio_formula": ratio, "bytes": size}
    )


def published(accuracy: float = 0.98, ratio: float = 10.0) -> MovingTargets:
    smallest = TargetAccuracy(
        name="validation_accuracy", direction="maximize", target=0.97, size="bytes"
    )
    return moving_targets(smallest, accuracy, ratio)


def test_what_is_too_large_is_kept_only_if_all_are() -> None:
    objective = replace(
        TargetAccuracy(name="validation_accuracy", direction="maximize", target=0.9, size="bytes"),
        most=1000,
    )
    ranked = [
        shared(0.2, 1.0, 5000),
        shared(0.99, 1.0, 1001),
        shared(0.0, 1.0, 500),
        shared(0.5, 1.0, 1000),
        shared(0.9, 1.0, 1000),
        shared(0.95, 1.0, 999),
    ]
    merits = [objective.merit(one) for one in ranked]
    assert merits == sorted(set(merits))
    assert moving_targets(objective, 0.9, 10.0).merit(ranked[1]) == merits[1]


def test_the_published_fitness_by_hand() -> None:
    # 1 - 0.49 / 0.98 = 0.5 and 1 - 5 / 10 = 0.5
    assert published().fitness(shared(0.49, 5.0)) == pytest.approx(1 / 0.5**0.5)
    assert published().fitness(shared(0.98, 8.0)) == pytest.approx(5.0)


def test_targets_move_when_they_are_surpassed_and_only_then() -> None:
    objective = published()
    objective.told(shared(0.97, 9.0))
    assert objective.fitness(shared(0.98, 8.0)) == pytest.approx(5.0)
    objective.told(shared(0.90, 16.0))
    assert objective.fitness(shared(0.98, 8.0)) == pytest.approx(2.0)
    objective.told(shared(0.99, 1.0))
    assert objective.fitness(shared(0.99, 8.0)) == pytest.approx(2.0)


def test_at_the_targets_the_fitness_is_high_and_finite() -> None:
    objective = published()
    objective.told(shared(0.99, 12.0))
    assert objective.fitness(shared(0.99, 12.0)) == pytest.approx(1e6)


def test_those_who_were_fit_may_not_be_when_targets_have_moved() -> None:
    objective = published(ratio=4.0)
    near, far = shared(0.90, 4.0), shared(0.60, 16.0)
    assert objective.fitness(near) > objective.fitness(far)
    objective.told(far)
    assert objective.fitness(near) < objective.fitness(far)


def test_what_is_kept_is_the_smallest_that_is_accurate_enough() -> None:
    objective = published()
    assert objective.merit(shared(0.971, 5.0, 900)) > objective.merit(shared(0.99, 4.0, 1000))
    assert objective.merit(shared(0.971, 5.0, 900)) > objective.merit(shared(0.96, 50.0, 100))
