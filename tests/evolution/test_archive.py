"""The archive against the definition of dominance."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from evoconv.evolution.archive import Archive
from evoconv.records import Individual, Measurement, Objective
from tests.evolution.test_pareto import dominates
from tests.simulation import failed, individual

ACCURACY = Objective(name="validation_accuracy", direction="maximize")
LOSS = Objective(name="cross-entropy", direction="minimize")


triples = st.tuples(*[st.integers(0, 4)] * 3)


def told(number: int, accuracy: float, parameters: float, macs: float) -> Individual:
    values = {"validation_accuracy": accuracy, "parameters": parameters, "macs": macs}
    return replace(individual(number), measurement=Measurement(values=values))


@given(triples, triples, triples)
def test_dominance_is_a_strict_partial_order(
    a: tuple[int, ...], b: tuple[int, ...], c: tuple[int, ...]
) -> None:
    assert not dominates(a, a)
    assert not (dominates(a, b) and dominates(b, a))
    if dominates(a, b) and dominates(b, c):
        assert dominates(a, c)


@given(st.lists(triples, max_size=30))
def test_the_front_holds_exactly_what_nothing_dominates(points: list[tuple[int, ...]]) -> None:
    archive = Archive(ACCURACY)
    for number, (accuracy, parameters, macs) in enumerate(points):
        archive.add(told(number, accuracy, parameters, macs))
    oriented = [(a, -p, -m) for a, p, m in points]
    wanted = {
        oriented.index(one) for one in oriented if not any(dominates(two, one) for two in oriented)
    }
    assert {one.number for one in archive.front} == wanted


def test_the_front_goes_from_the_fittest_to_the_smallest() -> None:
    archive = Archive(ACCURACY)
    for one in (told(0, 0.9, 10, 10), told(1, 0.99, 500, 900), told(2, 0.95, 80, 90)):
        assert archive.add(one)
    assert [one.number for one in archive.front] == [1, 2, 0]


def test_what_is_beaten_leaves_and_what_beats_nothing_is_refused() -> None:
    archive = Archive(ACCURACY)
    archive.add(told(0, 0.9, 50, 50))
    assert not archive.add(told(1, 0.9, 50, 60))
    assert not archive.add(told(2, 0.9, 50, 50)), "an equal one comes too late"
    assert archive.add(told(3, 0.91, 50, 50))
    assert [one.number for one in archive.front] == [3]


def test_a_minimised_measure_is_turned_round() -> None:
    archive = Archive(LOSS)
    for number, loss in enumerate((0.5, 0.2)):
        values = {"cross-entropy": loss, "parameters": 5.0, "macs": 5.0}
        archive.add(replace(individual(number), measurement=Measurement(values=values)))
    assert [one.number for one in archive.front] == [1]


def test_a_failed_individual_is_never_taken() -> None:
    archive = Archive(ACCURACY)
    assert not archive.add(failed(individual(0)))
    assert archive.front == []
