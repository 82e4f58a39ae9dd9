"""Algorithm 1, step by step."""

from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.steady_state import SteadyState
from evoconv.records import Individual
from tests.simulation import SCORE, ToySpace, failed, measured


def strategy(population: int = 6, min_population: int | None = None) -> SteadyState:
    options = EvolutionOptions(population=population, min_population=min_population)
    return SteadyState(ToySpace(), options, SCORE, 1)


def is_random(one: Individual) -> bool:
    return one.parents == () and one.operator.startswith("random")


def test_births_are_random_until_the_minimal_population_is_evaluated_then_children() -> None:
    search = strategy(population=6)
    for told in range(12):
        (one,) = search.ask(1)
        assert is_random(one) == (told < 3)
        search.tell(measured(one))


def test_with_more_workers_than_the_population_all_of_them_get_random_individuals() -> None:
    search = strategy(population=6)
    first = search.ask(64)
    assert len(first) == 64
    assert all(is_random(one) for one in first)
    for one in first[:3]:
        search.tell(measured(one))
        (_,) = search.ask(1)
    assert not is_random(search.ask(1)[0])


def test_failed_ones_neither_enter_nor_count_and_nobody_waits_for_them() -> None:
    search = strategy(population=6)
    for _ in range(20):
        (one,) = search.ask(1)
        assert is_random(one)
        search.tell(failed(one))
    assert search.members() == []
    for _ in range(3):
        (one,) = search.ask(1)
        assert is_random(one)
        search.tell(measured(one))
    assert not is_random(search.ask(1)[0])


def test_the_worst_is_discarded_and_only_the_living_are_parents() -> None:
    search = strategy(population=4, min_population=4)
    living: list[tuple[float, int]] = []
    for step in range(200):
        (one,) = search.ask(1)
        assert {-n for _, n in living} >= set(one.parents)
        value = float(step * 31 % 97)
        search.tell(measured(one, value))
        living = sorted([*living, (value, -one.number)])[-4:]
        assert [one.number for one in search.members()] == [-n for _, n in reversed(living)]


def test_the_newborn_of_one_answer_differ_from_each_other() -> None:
    search = strategy(population=6)
    for one in search.ask(8):
        search.tell(measured(one))
    digests = [one.genome.digest for one in search.ask(200)]
    assert len(set(digests)) == 200
