"""Stop rules, each with its sentence, and the tally they look at."""

from dataclasses import replace

import pytest

from evoconv.records import FailureKind, Individual, Measurement
from evoconv.study.stop import MAX_COPIES_IN_A_ROW, StopRules, Tally
from tests.simulation import SCORE, failed, individual, measured


def tally_of(*told: Individual) -> Tally:
    tally = Tally(SCORE)
    for one in told:
        tally.add(one)
    return tally


def copy(number: int) -> Individual:
    return measured(replace(individual(number), copy_of=0), 1.0)


def accurate(number: int, accuracy: float) -> Individual:
    values = {"score": accuracy, "validation_accuracy": accuracy}
    return replace(individual(number), measurement=Measurement(values=values))


def test_without_limits_a_search_goes_on() -> None:
    tally = tally_of(accurate(0, 1.0), failed(individual(1)))
    assert StopRules().reason(tally, 1e9) is None
    assert StopRules().num_left(tally) is None


def test_evaluations_count_failed_ones_but_not_copies() -> None:
    told = [measured(individual(0)), failed(individual(1)), copy(2), copy(3)]
    tally = tally_of(*told)
    assert (tally.num_evaluations, tally.num_failed, tally.num_copies) == (2, 1, 2)
    assert StopRules(evaluations=3).num_left(tally) == 1
    assert StopRules(evaluations=3).reason(tally, 0.0) is None
    assert StopRules(evaluations=2).reason(tally, 0.0) == "all 2 evaluations are done"
    assert StopRules(evaluations=1).num_left(tally) == 0


def test_the_deadline_is_a_reading_of_the_clock() -> None:
    stop = StopRules(deadline=10.0)
    tally = tally_of(measured(individual(0)))
    assert stop.reason(tally, 9.9) is None
    assert stop.reason(tally, 10.0) == "the time for the search is over"


def test_with_empty_hands_a_search_goes_on_to_the_last_call() -> None:
    stop = StopRules(deadline=10.0, last_call=20.0)
    tally = tally_of(failed(individual(0)))
    assert stop.reason(tally, 19.9) is None
    assert stop.reason(tally, 20.0) == "the time for the search is over"


def test_the_best_validation_accuracy_is_compared_with_the_wanted_one() -> None:
    stop = StopRules(stop_at=0.993)
    assert stop.reason(tally_of(accurate(0, 0.9929)), 0.0) is None
    reason = stop.reason(tally_of(accurate(0, 0.9), accurate(1, 0.9931)), 0.0)
    assert reason == "the best has a validation accuracy of 99.31 %, 99.30 % was asked for"
    assert stop.reason(tally_of(measured(individual(0), 5)), 0.0) is None  # accuracy not measured


def test_patience_counts_evaluations_since_the_best_was_found() -> None:
    stop = StopRules(patience=2)
    tally = tally_of(measured(individual(0), 5), measured(individual(1), 5), copy(2))
    assert tally.num_since_best == 1  # an equal is no better one, a copy is no evaluation
    assert stop.reason(tally, 0.0) is None
    tally.add(failed(individual(3)))
    assert stop.reason(tally, 0.0) == "2 evaluations in a row found nothing better"
    assert tally.add(measured(individual(4), 6))
    assert tally.num_since_best == 0


def test_of_equals_the_older_is_the_best_whenever_it_is_told() -> None:
    tally = tally_of(measured(individual(3), 5))
    assert not tally.add(measured(individual(1), 5))
    assert tally.best == measured(individual(1), 5)


def test_nothing_but_copies_means_that_the_space_is_exhausted() -> None:
    tally = tally_of(measured(individual(0), 1))
    for number in range(1, MAX_COPIES_IN_A_ROW):
        tally.add(copy(number))
    assert StopRules().reason(tally, 0.0) is None
    tally.add(copy(MAX_COPIES_IN_A_ROW))
    assert "brought no new network" in str(StopRules().reason(tally, 0.0))
    tally.add(measured(individual(9999)))
    assert StopRules().reason(tally, 0.0) is None


def test_all_failing_in_the_same_way_is_hopeless_once_there_are_enough() -> None:
    memory = FailureKind.OUT_OF_MEMORY
    tally = tally_of(*(failed(individual(n), memory) for n in range(7)))
    assert not tally.is_hopeless(2)
    tally.add(failed(individual(7), memory))
    assert tally.is_hopeless(2)
    assert not tally.is_hopeless(5)  # with more slots it takes two for each


@pytest.mark.parametrize("other", [measured(individual(9)), failed(individual(9))])
def test_one_that_did_not_fail_in_that_way_is_a_hope(other: Individual) -> None:
    rest = [failed(individual(n), FailureKind.OUT_OF_MEMORY) for n in range(20)]
    assert not tally_of(other, *rest).is_hopeless(1)
