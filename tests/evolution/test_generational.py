"""Generations: the barrier, elitism, and what failures do to them."""

import numpy as np

from evoconv.evolution.generational import Generational
from evoconv.evolution.options import EvolutionOptions
from evoconv.records import Individual
from tests.simulation import SCORE, ToySpace, failed, measured


def strategy(population: int = 6, elitism: int = 1) -> Generational:
    options = EvolutionOptions(population=population, elitism=elitism, max_repeated=200)
    return Generational(ToySpace(), options, SCORE, 1)


def generation(search: Generational) -> list[Individual]:
    """Ask for a whole generation."""
    return search.ask(1000)


def tell_all(search: Generational, born: list[Individual]) -> None:
    for one in born:
        search.tell(measured(one))


def test_a_generation_is_handed_out_in_portions_and_then_comes_the_barrier() -> None:
    search = strategy(population=5)
    first, second, rest = search.ask(2), search.ask(2), search.ask(2)
    assert [len(first), len(second), len(rest)] == [2, 2, 1]
    assert search.ask(2) == []
    for one in [*first, *second]:
        search.tell(measured(one))
        assert search.ask(2) == []
    search.tell(measured(rest[0]))
    assert len(search.ask(2)) == 2


def test_parents_are_the_generation_before_and_its_elite() -> None:
    search = strategy(population=6, elitism=2)
    members: set[int] = set()
    elite: set[int] = set()
    scores: dict[int, float] = {}
    for index in range(10):
        born = generation(search)
        assert len(born) == (6 if index == 0 else 4)
        for one in born:
            assert set(one.parents) <= members | elite
            assert (one.parents == ()) == (index == 0)
            scores[one.number] = float(one.number * 31 % 17)
            search.tell(measured(one, scores[one.number]))
        members = {one.number for one in born} | elite
        elite = set(sorted(members, key=lambda n: (scores[n], -n))[-2:])


def test_the_order_of_arrival_within_a_generation_changes_nothing() -> None:
    in_order, shuffled = strategy(), strategy()
    rng = np.random.default_rng(5)
    for _ in range(20):
        born = generation(in_order)
        assert born == generation(shuffled)
        tell_all(in_order, born)
        tell_all(shuffled, [born[i] for i in rng.permutation(len(born))])


def test_failures_shrink_the_pool_of_parents_but_not_the_next_generation() -> None:
    search = strategy(population=6)
    born = generation(search)
    for one in born[1:]:
        search.tell(failed(one))
    search.tell(measured(born[0]))
    children = generation(search)
    assert len(children) == 5  # and one elite
    assert all(set(one.parents) == {0} for one in children)


def test_after_a_generation_without_a_survivor_comes_a_random_one() -> None:
    search = strategy(population=6)
    for one in generation(search):
        search.tell(failed(one))
    assert search.members() == []
    second = generation(search)
    assert len(second) == 6
    assert all(one.parents == () for one in second)
    tell_all(search, second)
    for one in generation(search):
        search.tell(failed(one))
    third = generation(search)
    assert len(third) == 5  # the elite lives on
    assert all(one.parents == () for one in third)


def test_whoever_bred_a_generation_is_kept_until_all_of_it_is_told() -> None:
    search = strategy(population=8)
    tell_all(search, generation(search))
    for _ in range(20):
        born = search.ask(2)
        settled = search.settled()
        for one in born:
            assert set(one.parents) <= {living.number for living in search.members()}
            search.tell(measured(one))
            # What comes back doesn't change what may depend on no worker's speed.
            assert search.settled() == settled
