"""What a search saved, counted from its evaluations."""

from collections.abc import Mapping

import pytest

from evoconv.records import Individual, Measurement, Trial, TrialState
from evoconv.report.savings import savings_of
from tests.report.studies import topology


def trial(number: int, values: Mapping[str, float] | None) -> Trial:
    measured = None if values is None else Measurement(values=values)
    individual = Individual(number=number, genome=topology(5), measurement=measured)
    return Trial(individual=individual, state=TrialState.COMPLETE if values else TrialState.FAILED)


def test_each_saving_is_counted_on_its_own() -> None:
    scratch = {"image_passes": 800.0, "planned_passes": 1000.0, "inherited_share": 0.0}
    heir = {
        "image_passes": 400.0,
        "planned_passes": 2000.0,
        "inherited_share": 0.7,
        "frozen_share": 0.3,
        "trainings": 2.0,
    }
    found = savings_of([trial(0, scratch), trial(1, heir), trial(2, None)])
    assert found.image_passes == 1200
    assert found.stopping == pytest.approx(1 - 1200 / 3000)
    assert found.freezing == pytest.approx(0.3 * 400 / 1200)
    assert found.inheritance == pytest.approx(1 - 200 / 800)


def test_longer_trainings_with_inherited_weights_are_said_so() -> None:
    scratch = {"image_passes": 100.0, "planned_passes": 100.0}
    heir = {"image_passes": 150.0, "planned_passes": 150.0, "inherited_share": 0.5}
    assert savings_of([trial(0, scratch), trial(1, heir)]).inheritance == pytest.approx(-0.5)


def test_of_nothing_nothing_is_known() -> None:
    found = savings_of([trial(0, None), trial(1, {"validation_accuracy": 0.5})])
    assert (found.stopping, found.freezing, found.inheritance) == (None, None, None)
    assert found.image_passes == 0
