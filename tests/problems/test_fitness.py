"""Formulas by name, a person's own, and a function: what they make of measurements."""

import math

import pytest

from evoconv.errors import ConfigError
from evoconv.problems.fitness import (
    FITNESS,
    MEASURED,
    FitnessOptions,
    Judged,
    choose_objective,
    judge,
)
from evoconv.problems.objectives import PricedObjective, TargetAccuracy
from evoconv.records import Measurement, Objective


def chosen(fitness: str, **options: float) -> Objective:
    return choose_objective("accuracy", FitnessOptions(fitness=fitness, **options))


def measured(accuracy: float = 0.9, loss: float = 0.5, macs: float = 4e6) -> Measurement:
    values = {"validation_accuracy": accuracy, "validation_cross_entropy": loss, "macs": macs}
    return Measurement(values=values)


def test_the_fitness_of_mitschke_et_al_by_hand() -> None:
    # a = 0.9, l = 0.5, m = 4 M
    assert chosen("gradient").fitness(measured()) == pytest.approx(1 / 0.11 + 9 + 1 / 0.51 - 2)


def test_its_constants_are_options() -> None:
    objective = chosen("gradient", fitness_epsilon=0.1, fitness_c=2.0, fitness_m=4e6)
    assert objective.fitness(measured()) == pytest.approx(1 / 0.2 + 1.8 + 1 / 0.6 - 1)


@pytest.mark.parametrize("name", FITNESS)
@pytest.mark.parametrize("accuracy", [0.0, 1.0])
@pytest.mark.parametrize("loss", [0.0, 1e3])
def test_every_formula_has_a_value_at_its_edges(name: str, accuracy: float, loss: float) -> None:
    assert math.isfinite(chosen(name).fitness(measured(accuracy, loss)))


def test_a_perfect_network_is_fitter_than_a_good_one() -> None:
    objective = chosen("gradient")
    assert objective.fitness(measured(1.0, 0.0)) > objective.fitness(measured(0.999, 0.001))
    assert objective.fitness(measured(macs=1e6)) > objective.fitness(measured(macs=2e6))


def test_a_formula_of_ones_own_takes_any_measured_name() -> None:
    objective = chosen("accuracy - 0.1 * log10(macs)")
    assert objective.fitness(measured(macs=1e5)) == pytest.approx(0.9 - 0.5)
    assert objective.value(measured()) == 0.9, "what is reported stays the metric"
    assert objective.needed(0.5, {"macs": 1.0}) == -math.inf
    everything = " + ".join(MEASURED)
    values = dict.fromkeys(MEASURED.values(), 0.5)
    assert chosen(everything).fitness(Measurement(values=values)) == len(MEASURED) / 2


@pytest.mark.parametrize(
    ("fitness", "said"),
    [
        ("1 / (1 - accuracy)", "'1 / (1 - accuracy)' is not finite at accuracy 1"),
        ("1 / cross_entropy", "is not finite at cross_entropy 0"),
        ("log10(accuracy) - macs", "is not finite at accuracy 0, macs 1"),
        ("exp(macs)", "is not finite at macs 1e+12"),
        ("1 / 0", "is not finite at all"),
        ("acuracy", "--fitness: nothing is called acuracy; there are C, M, accuracy"),
        ("print(1)", "--fitness: no function print"),
        ("compact", "--fitness compact needs --target-accuracy or --size-price"),
    ],
)
def test_a_formula_that_may_fail_is_refused_before_anything_is_trained(
    fitness: str, said: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        chosen(fitness)
    assert said in str(caught.value)


def test_a_value_missed_by_all_checks_is_less_than_any_other() -> None:
    objective = chosen("1 / (accuracy - 0.25)")
    assert objective.fitness(measured(0.25)) < objective.fitness(measured(0.24)) < -99


def test_compact_is_made_of_its_options() -> None:
    assert isinstance(chosen("compact", target_accuracy=0.99), TargetAccuracy)
    assert isinstance(chosen("compact", size_price=0.01), PricedObjective)


@pytest.mark.parametrize("options", [{"target_accuracy": 0.99}, {"size_price": 0.01}])
def test_a_target_or_price_is_nothing_beside_a_formula(options: dict[str, float]) -> None:
    with pytest.raises(ConfigError, match="can't be combined with --fitness accuracy"):
        chosen("accuracy", **options)


def test_a_function_judges_figures_by_name() -> None:
    def function(figures: object) -> float:
        assert figures == {"accuracy": 0.9, "cross_entropy": 0.5, "macs": 4e6}
        return 42

    objective = chosen("function")
    assert isinstance(objective, Judged)
    judged = judge(measured(), function)
    assert objective.fitness(judged) == judged.values["fitness"] == 42.0
    assert objective.value(judged) == 0.9
    assert objective.needed(42, {}) == -math.inf
