"""Births: what a child is made of, and when a draft is dropped, repaired or known already."""

from collections import Counter
from math import sqrt

import pytest
from numpy.random import Generator

from evoconv.evolution.breeding import Nursery, breed, draw_random
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.selection import rank
from evoconv.records import Individual
from tests.simulation import SCORE, ToyGenome, ToySpace, individual, measured, values_of

OPTIONS = EvolutionOptions()
PARENTS = [
    rank(measured(individual(number, *values), number), SCORE)
    for number, values in enumerate(
        [
            (1, 2, 3, 4, 5, 6),
            (6, 5, 4, 3, 2, 1),
            (0, 0, 9, 9, 0, 0),
            (9, 0, 1, 0, 9, 2),
            (2, 8, 0, 7, 1, 3),
            (5, 0, 0, 2, 2, 8),
        ]
    )
]
SEEN = {one.individual.genome.digest: one.individual.number for one in PARENTS}


def child(number: int, options: EvolutionOptions = OPTIONS, limit: int = 30) -> Individual:
    return breed(number, PARENTS, ToySpace(limit=limit), options, 1, SEEN)


class Stubborn(ToySpace):
    """Whatever is done, the same genome comes out."""

    def sample(self, rng: Generator) -> ToyGenome:
        return ToyGenome(values=(1, 2, 3, 4, 5, 6))

    def mutate(
        self, genome: ToyGenome, rng: Generator, scale: float = 1.0
    ) -> tuple[ToyGenome, str]:
        return ToyGenome(values=(1, 2, 3, 4, 5, 6)), "none"


def test_a_birth_depends_on_seed_and_number_only() -> None:
    assert child(7) == child(7)
    assert child(7).genome != child(8).genome
    space = ToySpace()
    assert draw_random(7, space, OPTIONS, 1, {}) == draw_random(7, space, OPTIONS, 1, {})
    assert draw_random(7, space, OPTIONS, 1, {}) != draw_random(7, space, OPTIONS, 2, {})


def test_crossover_and_mutation_are_as_frequent_as_asked() -> None:
    # A draft without either is no draft: hence the division. Crossing with oneself, or a step of 0,
    # gives a repeated phenotype, so the space here never repeats and every first draft counts.
    class Fresh(ToySpace):
        def is_feasible(self, genome: ToyGenome) -> bool:
            return True

    num_births = 4000
    births = [breed(n, PARENTS, Fresh(), OPTIONS, 1, {}) for n in range(num_births)]
    kinds = Counter(("crossover" in one.operator, one.operator != "crossover") for one in births)
    some = 1 - 0.4 * 0.8
    for kind, chance in {
        (True, False): 0.6 * 0.8 / some,
        (False, True): 0.4 * 0.2 / some,
        (True, True): 0.6 * 0.2 / some,
    }.items():
        sigma = sqrt(chance * (1 - chance) / num_births)
        assert abs(kinds[kind] / num_births - chance) <= 4 * sigma


def test_a_child_names_its_parents_and_its_operators() -> None:
    births = [child(number) for number in range(200)]
    assert {one.operator for one in births} >= {"crossover", "step", "crossover+step"}
    for one in births:
        assert len(one.parents) == (2 if "crossover" in one.operator else 1)
        assert set(one.parents) <= set(range(6))


def test_a_child_differs_from_all_that_was_seen() -> None:
    births = [child(number) for number in range(200)]
    assert all(one.genome.digest not in SEEN and one.copy_of is None for one in births)
    assert any(one.redraws > 0 for one in births)


def test_a_child_keeps_the_limits_and_is_repaired_when_redrawing_does_not_help() -> None:
    redrawn = [child(number, limit=21) for number in range(200)]
    repaired = [child(number, limit=12) for number in range(200)]
    assert all(sum(values_of(one.genome)) <= 12 for one in repaired)
    assert any(one.operator.endswith("+repair") for one in repaired)
    assert all(sum(values_of(one.genome)) <= 21 for one in redrawn)
    assert sum("repair" in one.operator for one in redrawn) < 20


def test_a_random_genome_over_the_limit_is_repaired_at_once() -> None:
    births = [draw_random(n, ToySpace(limit=12), OPTIONS, 1, {}) for n in range(100)]
    assert {one.operator for one in births} == {"random", "random+repair"}
    assert all(one.redraws == 0 and sum(values_of(one.genome)) <= 12 for one in births)


@pytest.mark.parametrize("told", [0, None])
def test_what_cannot_be_new_is_answered_by_the_one_that_was_measured(told: int | None) -> None:
    options = EvolutionOptions(crossover=0, mutation=1)
    seen = {"1-2-3-4-5": told}
    bred = breed(9, PARENTS, Stubborn(), options, 1, seen)
    drawn = draw_random(9, Stubborn(), options, 1, seen)
    assert bred.copy_of == drawn.copy_of == told
    assert drawn.redraws == options.max_repeated
    assert bred.redraws == 2 * options.max_repeated + 1


def test_parents_with_nothing_new_to_give_make_room_for_a_random_individual() -> None:
    class Worn(ToySpace):
        def mutate(
            self, genome: ToyGenome, rng: Generator, scale: float = 1.0
        ) -> tuple[ToyGenome, str]:
            return genome, "none"

    stranger = breed(9, PARENTS, Worn(), EvolutionOptions(crossover=0, mutation=1), 1, SEEN)
    assert (stranger.operator, stranger.parents, stranger.copy_of) == ("random", (), None)
    assert stranger.genome.digest not in SEEN
    assert stranger.redraws > 0


def test_the_steps_of_a_birth_hang_on_its_number_alone() -> None:
    scales: list[float] = []

    class Noting(ToySpace):
        def mutate(
            self, genome: ToyGenome, rng: Generator, scale: float = 1.0
        ) -> tuple[ToyGenome, str]:
            scales.append(scale)
            return super().mutate(genome, rng, scale)

    options = EvolutionOptions(crossover=0, mutation=1, step_half_life=10)
    for number in (0, 20, 10, 20):
        scales.clear()
        breed(number, PARENTS, Noting(), options, 1, {})
        assert set(scales) == {0.5 ** (number / 10)}


def test_the_nursery_lets_the_first_measured_one_answer() -> None:
    nursery = Nursery(Stubborn(), EvolutionOptions(max_repeated=0), 1)
    first, second = nursery.random(), nursery.random()
    assert (first.number, second.number) == (0, 1)
    assert second.copy_of is None  # the first is still under way
    nursery.remember(first)  # it failed: no measurement
    assert nursery.random().copy_of is None
    nursery.remember(measured(second))
    nursery.remember(measured(first))
    assert nursery.random().copy_of == 1
