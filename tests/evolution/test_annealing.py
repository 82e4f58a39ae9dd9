"""Simulated annealing: what is accepted, how often, and by which chain."""

import math

import pytest

from evoconv.evolution.annealing import Annealing, acceptance
from evoconv.evolution.catalogue import METHODS
from evoconv.evolution.options import EvolutionOptions
from tests.simulation import SCORE, ToySpace, failed, measured


def strategy(seed: int = 1, **changes: float) -> Annealing:
    options = EvolutionOptions(**{**METHODS["annealing"].defaults, "chains": 1, **changes})
    return Annealing(ToySpace(limit=10_000), options, SCORE, seed)


@pytest.mark.parametrize(
    ("gain", "temperature", "expected"),
    [
        (3.0, 1.0, 1.0),
        (0.0, 0.0, 1.0),
        (-1.0, 1.0, math.exp(-1)),
        (-2.0, 0.5, math.exp(-4)),
        (-1e-9, 0.0, 0.0),
        (-1e300, 1e-300, 0.0),
    ],
)
def test_acceptance_is_that_of_metropolis(gain: float, temperature: float, expected: float) -> None:
    assert acceptance(gain, temperature) == pytest.approx(expected)


def first_loss_is_accepted(seed: int, temperature: float) -> bool:
    """Let a chain at 10 be offered 8: the only loss so far is its own median."""
    search = strategy(seed, temperature=temperature, cooling_half_life=1e9)
    (start,) = search.ask(1)
    search.tell(measured(start, 10.0))
    (neighbour,) = search.ask(1)
    assert neighbour.parents == (start.number,)
    search.tell(measured(neighbour, 8.0))
    return search.members()[0].number == neighbour.number


@pytest.mark.parametrize("temperature", [0.3, 1.0, 3.0])
def test_a_median_loss_is_accepted_as_often_as_the_temperature_says(temperature: float) -> None:
    n = 1000
    share = sum(first_loss_is_accepted(seed, temperature) for seed in range(n)) / n
    expected = math.exp(-1 / temperature)
    assert abs(share - expected) < 4 * math.sqrt(expected * (1 - expected) / n)


def test_one_neighbour_that_diverged_makes_no_random_walk() -> None:
    accepted = 0
    for seed in range(50):
        search = strategy(seed, cooling_half_life=1e9)
        for value in (10.0, 9.0, 8.0, 7.0, -1e6, 6.0, 5.0):  # small losses, and a huge one
            (one,) = search.ask(1)
            search.tell(measured(one, value))
        (worse,) = search.ask(1)
        search.tell(measured(worse, -100.0))  # far worse than usual
        accepted += search.members()[0].number == worse.number
    assert accepted == 0


def test_nothing_worse_is_accepted_without_temperature_and_anything_better_is() -> None:
    search = strategy(temperature=0.0)
    best = -math.inf
    for step in range(200):
        (one,) = search.ask(1)
        value = float(step * 37 % 101)
        search.tell(measured(one, value))
        best = max(best, value)
        (current,) = search.members()
        assert current.measurement is not None
        assert current.measurement.values["score"] == best


def test_it_cools_with_births() -> None:
    accepted = {}
    for half_life in (5.0, 1e9):
        taken = 0
        for seed in range(30):
            search = strategy(seed, cooling_half_life=half_life)
            previous = None
            for step in range(80):
                (one,) = search.ask(1)
                search.tell(measured(one, float(-step)))  # each is worse by about one
                (current,) = search.members()
                taken += step >= 40 and current.number != previous
                previous = current.number
        accepted[half_life] = taken
    assert accepted[5.0] == 0
    assert accepted[1e9] > 50


def test_chains_take_turns_and_step_from_where_they_are() -> None:
    search = strategy(chains=3)
    for one in search.ask(3):
        assert one.parents == ()
        search.tell(measured(one, float(one.number)))
    assert [one.number for one in search.members()] == [2, 1, 0]
    for one in search.ask(6):
        assert one.parents == (one.number % 3,)


def test_a_failed_neighbour_moves_nobody_and_a_failed_start_is_replaced() -> None:
    search = strategy()
    (start,) = search.ask(1)
    search.tell(failed(start))
    assert search.members() == []
    (again,) = search.ask(1)
    assert again.parents == ()
    search.tell(measured(again, 5.0))
    (neighbour,) = search.ask(1)
    search.tell(failed(neighbour))
    assert [one.number for one in search.members()] == [again.number]
