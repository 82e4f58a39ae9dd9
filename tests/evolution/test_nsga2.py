"""NSGA-II: who survives, who breeds."""

from dataclasses import replace

import numpy as np

from evoconv.evolution.nsga2 import NSGA2
from evoconv.evolution.options import EvolutionOptions
from evoconv.records import Individual, Measurement
from tests.evolution.test_pareto import dominates
from tests.simulation import SCORE, ToySpace, failed, options_of, values_of

SIZE = 8


def strategy(population: int = SIZE) -> NSGA2:
    return NSGA2(ToySpace(), EvolutionOptions(population=population, tournament=2), SCORE, 1)


def facts(one: Individual) -> tuple[float, ...]:
    """Return three values at odds with each other, oriented."""
    first, second, third, *_ = values_of(one.genome)
    return (first + second, -second - third, -first)


def told(one: Individual) -> Individual:
    score, parameters, macs = facts(one)
    values = {"score": float(score), "parameters": float(-parameters), "macs": float(-macs)}
    return replace(one, measurement=Measurement(values=values))


def test_parents_and_children_compete_and_the_better_half_by_fronts_survives() -> None:
    search = strategy()
    pool: list[Individual] = []
    survivors: list[Individual] = []
    for index in range(12):
        born = search.ask(1000)
        assert len(born) == SIZE
        living = {one.number for one in survivors}
        assert all(set(one.parents) <= living for one in born)
        assert all((one.parents == ()) == (index == 0) for one in born)
        for one in born:
            search.tell(told(one))
        pool = [*survivors, *born]
        survivors = search.members()[:SIZE]
        kept = {one.number for one in survivors}
        dead = [one for one in pool if one.number not in kept]
        for one in dead:
            for two in survivors:
                assert not dominates(facts(one), facts(two))


def test_members_are_all_that_may_still_breed_the_best_front_first() -> None:
    search = strategy()
    born = search.ask(1000)
    for one in born:
        search.tell(told(one))
    order = search.members()
    assert {one.number for one in order} == {one.number for one in born}
    for place, one in enumerate(order):
        assert not any(dominates(facts(later), facts(one)) for later in order[place:])


def test_the_order_of_arrival_within_a_generation_changes_nothing() -> None:
    in_order, shuffled = strategy(), strategy()
    rng = np.random.default_rng(5)
    for _ in range(10):
        born = in_order.ask(1000)
        assert born == shuffled.ask(1000)
        for one in born:
            in_order.tell(told(one))
        for place in rng.permutation(len(born)):
            shuffled.tell(told(born[place]))


def test_a_generation_that_failed_is_followed_by_a_random_one_or_by_more_children() -> None:
    search = strategy()
    for one in search.ask(1000):
        search.tell(failed(one))
    assert search.members() == []
    second = search.ask(1000)
    assert all(one.parents == () for one in second)
    for one in second:
        search.tell(told(one))
    for one in search.ask(1000):
        search.tell(failed(one))
    numbers = {one.number for one in second}
    assert all(set(one.parents) <= numbers for one in search.ask(1000))


def test_its_tournaments_are_binary() -> None:
    assert options_of("nsga2").tournament == 2
