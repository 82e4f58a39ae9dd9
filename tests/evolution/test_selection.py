"""Selection against exact probabilities and its own definition."""

from math import comb, sqrt

import numpy as np
import pytest

from evoconv.evolution.selection import Member, admit, rank, tournament
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
