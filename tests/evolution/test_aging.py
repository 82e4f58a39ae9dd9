"""Regularized evolution: the oldest goes, whatever it is worth."""

import pytest

from evoconv.errors import ConfigError
from evoconv.evolution.aging import Aging
from evoconv.evolution.options import EvolutionOptions
from tests.simulation import SCORE, ToySpace, failed, measured, options_of


def strategy(population: int = 5, min_population: int | None = None) -> Aging:
    options = EvolutionOptions(
        population=population,
        min_population=min_population,
        tournament=2,
        crossover=0.0,
        mutation=1.0,
    )
    return Aging(ToySpace(), options, SCORE, 1)


def test_the_population_is_filled_before_anything_is_bred() -> None:
    search = strategy()
    for told in range(9):
        (one,) = search.ask(1)
        assert (one.parents == ()) == (told < 5)
        search.tell(measured(one))


def test_a_smaller_first_population_is_an_option() -> None:
    search = strategy(min_population=2)
    for told in range(4):
        (one,) = search.ask(1)
        assert (one.parents == ()) == (told < 2)
        search.tell(measured(one))


def test_the_oldest_dies_however_fit_and_only_the_living_are_parents() -> None:
    search = strategy()
    living: list[tuple[float, int]] = []  # in the order of arrival
    for step in range(100):
        (one,) = search.ask(1)
        assert set(one.parents) <= {number for _, number in living}
        value = 1000.0 if step == 20 else float(step * 31 % 97)
        search.tell(measured(one, value))
        living = [*living, (value, one.number)][-5:]
        ranked = sorted(living, key=lambda member: (member[0], -member[1]), reverse=True)
        assert [one.number for one in search.members()] == [number for _, number in ranked]


def test_age_counts_from_the_arrival() -> None:
    search = strategy(population=2, min_population=2)
    first, second, third = search.ask(3)
    for one in (second, first, third):
        search.tell(measured(one))
    assert {one.number for one in search.members()} == {first.number, third.number}


def test_the_failed_neither_enter_nor_make_anybody_older() -> None:
    search = strategy(population=2, min_population=2)
    for one in search.ask(2):
        search.tell(measured(one))
    before = search.members()
    for one in search.ask(5):
        search.tell(failed(one))
    assert search.members() == before


def test_children_are_mutants_of_one_parent() -> None:
    options = options_of("aging")
    assert (options.crossover, options.mutation) == (0, 1)
    assert options.tournament * 4 == options.population
    search = Aging(ToySpace(), options, SCORE, 1)
    for one in search.ask(options.population):
        search.tell(measured(one))
    for one in search.ask(50):
        assert len(one.parents) == 1
        assert "crossover" not in one.operator


def test_a_tournament_larger_than_the_population_is_refused() -> None:
    with pytest.raises(ConfigError, match="tournament"):
        strategy(population=1)
