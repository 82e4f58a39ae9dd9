"""Selection against exact probabilities and its own definition."""

from math import comb, sqrt

import numpy as np
import pytest

from evoconv.evolution.options import PARENT_SELECTION_NAMES, EvolutionOptions
from evoconv.evolution.selection import (
    PARENT_SELECTIONS,
    Member,
    admit,
    probabilistic_tournament,
    rank,
    roulette,
    select_parent,
    tournament,
)
from evoconv.records import Objective
from evoconv.seeds import Purpose, stream
from tests.simulation import SCORE, individual, measured

NUM_DRAWS = 20_000


def members(*scores: float) -> list[Member]:
    """Return members numbered in the order given, ranked."""
    return sorted(rank(measured(individual(n), value), SCORE) for n, value in enumerate(scores))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
def test_a_member_wins_as_often_as_the_others_drawn_with_it_are_worse(size: int) -> None:
    ranked = members(0, 1, 2, 3, 4, 5, 6)
    rng = stream(1, Purpose.BIRTH, size)
    wins = np.bincount(
        [tournament(ranked, rng, size=size).number for _ in range(NUM_DRAWS)], minlength=7
    )
    for place, won in enumerate(wins):
        chance = comb(place, size - 1) / comb(7, size)
        assert abs(won / NUM_DRAWS - chance) <= 4 * sqrt(chance * (1 - chance) / NUM_DRAWS)


@pytest.mark.parametrize("win", [0.0, 0.3, 0.8, 1.0])
def test_a_probabilistic_tournament_of_all_is_won_down_the_ranks(win: float) -> None:
    ranked = members(0, 1, 2, 3)
    rng = stream(2, Purpose.BIRTH, 0)
    wins = np.bincount(
        [probabilistic_tournament(ranked, rng, size=4, win=win).number for _ in range(NUM_DRAWS)],
        minlength=4,
    )
    chances = [(1 - win) ** 3, win * (1 - win) ** 2, win * (1 - win), win]
    assert_frequencies(wins, chances)


def test_a_sure_winner_makes_both_tournaments_the_same() -> None:
    ranked = members(5, 3, 8, 1, 9)
    plain, sure = stream(3, Purpose.BIRTH, 0), stream(3, Purpose.BIRTH, 0)
    for _ in range(50):
        one = tournament(ranked, plain, size=3)
        assert probabilistic_tournament(ranked, sure, size=3, win=1.0) == one
        sure.bit_generator.state = plain.bit_generator.state


def test_the_roulette_gives_shares_in_proportion_to_the_fitness_above_the_worst() -> None:
    ranked = members(10, 11, 13, 16)
    rng = stream(4, Purpose.BIRTH, 0)
    wins = np.bincount([roulette(ranked, rng).number for _ in range(NUM_DRAWS)], minlength=4)
    assert_frequencies(wins, [0, 0.1, 0.3, 0.6])


def test_the_roulette_treats_equals_alike() -> None:
    ranked = members(7, 7, 7)
    rng = stream(5, Purpose.BIRTH, 0)
    wins = np.bincount([roulette(ranked, rng).number for _ in range(NUM_DRAWS)], minlength=3)
    assert_frequencies(wins, [1 / 3] * 3)


@pytest.mark.parametrize("name", PARENT_SELECTION_NAMES)
def test_any_selection_finds_the_only_member(name: str) -> None:
    options = EvolutionOptions(parent_selection=name, population=5)
    assert select_parent(members(4), stream(6, Purpose.BIRTH, 0), options).number == 0


def test_every_name_of_a_selection_has_one() -> None:
    assert set(PARENT_SELECTIONS) == set(PARENT_SELECTION_NAMES)


def assert_frequencies(counts: "np.typing.NDArray[np.int64]", chances: list[float]) -> None:
    """Hold counts against exact probabilities, to four standard deviations."""
    for won, chance in zip(counts, chances, strict=True):
        assert abs(won / NUM_DRAWS - chance) <= 4 * sqrt(chance * (1 - chance) / NUM_DRAWS)


def test_a_tournament_larger_than_the_pool_is_won_by_the_best() -> None:
    assert tournament(members(2, 5, 3), stream(1, Purpose.BIRTH, 0), size=20).number == 1


def test_of_equals_the_older_wins() -> None:
    assert tournament(members(1, 4, 4, 4), stream(1, Purpose.BIRTH, 0), size=4).number == 1


def test_a_minimised_objective_ranks_the_other_way_round() -> None:
    loss = Objective(name="score", direction="minimize")
    low, high = measured(individual(0), 1), measured(individual(1), 2)
    assert rank(low, loss) > rank(high, loss)


def test_only_measured_individuals_can_be_ranked() -> None:
    with pytest.raises(AssertionError, match="individual 3 was not measured"):
        rank(individual(3), SCORE)


def test_the_worst_is_discarded() -> None:
    ranked = members(3, 1, 2)
    admit(ranked, rank(measured(individual(3), 2.5), SCORE), capacity=3)
    assert [one.individual.number for one in ranked] == [2, 3, 0]


def test_the_newcomer_is_discarded_if_it_is_the_worst() -> None:
    ranked = members(3, 1, 2)
    admit(ranked, rank(measured(individual(3), 0), SCORE), capacity=3)
    assert [one.individual.number for one in ranked] == [1, 2, 0]


def test_of_equally_bad_ones_the_younger_is_discarded() -> None:
    ranked = [rank(measured(individual(5), 1), SCORE)]
    admit(ranked, rank(measured(individual(2), 1), SCORE), capacity=1)
    assert ranked[0].individual.number == 2
    admit(ranked, rank(measured(individual(9), 1), SCORE), capacity=1)
    assert ranked[0].individual.number == 2


def test_nobody_is_discarded_while_there_is_room() -> None:
    ranked = members(3, 1)
    admit(ranked, rank(measured(individual(2), -9), SCORE), capacity=3)
    assert [one.individual.number for one in ranked] == [2, 1, 0]
