"""Contradictory sizes and probabilities are refused."""

from typing import Any

import pytest

from evoconv.errors import ConfigError
from evoconv.evolution.options import EvolutionOptions


def test_the_defaults_are_the_papers() -> None:
    options = EvolutionOptions()
    assert (options.population, options.num_before_breeding, options.tournament) == (20, 10, 3)
    assert (options.crossover, options.mutation) == (0.6, 0.2)


@pytest.mark.parametrize(("population", "minimal"), [(1, 1), (2, 1), (3, 1), (20, 10), (21, 10)])
def test_the_minimal_population_is_half_unless_given(population: int, minimal: int) -> None:
    options = EvolutionOptions(population=population, tournament=1, elitism=0)
    assert options.num_before_breeding == minimal
    given = EvolutionOptions(population=population, tournament=1, elitism=0, min_population=1)
    assert given.num_before_breeding == 1


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"tournament": 21}, r"tournament must be in \[1, population=20\], got 21"),
        ({"min_population": 21}, r"min_population must be in \[1, population=20\], got 21"),
        ({"elitism": 20}, "elitism must be below population=20, got 20"),
        ({"population": 0}, "population must be in"),
        ({"min_population": 0}, "min_population must be in"),
        ({"crossover": 1.1}, r"crossover must be in \[0, 1\], got 1.1"),
        ({"mutation": float("nan")}, r"mutation must be in \[0, 1\], got nan"),
        ({"crossover": 0, "mutation": 0}, "crossover and mutation must not both be 0"),
    ],
)
def test_contradictions_are_refused_with_a_sentence(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        EvolutionOptions(**given)


def test_steps_halve_with_each_half_life_and_never_vanish() -> None:
    options = EvolutionOptions(step_half_life=40)
    assert [options.step_scale(number) for number in (0, 40, 80)] == [1.0, 0.5, 0.25]
    assert options.step_scale(10**9) > 0
    assert EvolutionOptions().step_scale(10**6) == 1.0
