"""Gradient evolution: the formula, the rounding, who is replaced, who is trained on."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.evolution.gradient import Gradient, gradient, round_stochastically
from evoconv.evolution.options import EvolutionOptions
from evoconv.records import Individual
from tests.simulation import SCORE, ToySpace, failed, measured, values_of

SIZE, OFFSPRING = 6, 2


def strategy(*, train_on: bool = True, similarity: int = 2) -> Gradient:
    options = EvolutionOptions(
        population=SIZE, offspring=OFFSPRING, train_on=train_on, similarity=similarity
    )
    return Gradient(ToySpace(limit=60), options, SCORE, 1)


def lot(search: Gradient) -> list[Individual]:
    """Ask for a whole lot."""
    return search.ask(1000)


def tell_all(search: Gradient, born: Sequence[Individual]) -> None:
    for one in born:
        search.tell(measured(one))


def test_the_gradient_by_hand() -> None:
    # F = 3, 1, 2 and [c, d] = [4, 0], [2, 1], [3, 1]:
    # g_0 = 1/3 (2 [2, -1] + 1 [1, -1]) = [5/3, -1]
    # g_1 = 1/3 (-2 [-2, 1] - 1 [-1, 0]) = [5/3, -2/3]
    # g_2 = 1/3 (-1 [-1, 1] + 1 [1, 0]) = [2/3, -1/3]
    found = gradient(np.array([3.0, 1.0, 2.0]), np.array([[4.0, 0.0], [2.0, 1.0], [3.0, 1.0]]))
    assert found.ravel() == pytest.approx([5 / 3, -1, 5 / 3, -2 / 3, 2 / 3, -1 / 3])


@given(st.lists(st.tuples(*[st.integers(-9, 9)] * 3), min_size=1, max_size=8))
def test_the_gradient_by_its_definition(rows: list[tuple[int, int, int]]) -> None:
    fitness = np.array([row[0] for row in rows], dtype=float)
    points = np.array([row[1:] for row in rows], dtype=float)
    wanted = [
        sum((fitness[i] - fitness[p]) * (points[i] - points[p]) for p in range(len(rows)))
        / len(rows)
        for i in range(len(rows))
    ]
    assert gradient(fitness, points).ravel() == pytest.approx(np.array(wanted).ravel())


def test_equals_do_not_pull_each_other() -> None:
    assert not gradient(np.ones(3), np.array([[1.0], [5.0], [9.0]])).any()


def test_the_mean_of_stochastic_rounding_is_the_value() -> None:
    rng = np.random.default_rng(0)
    values = np.array([0.0, 0.25, -0.75, 2.5, 7.0, -3.0])
    drawn = np.array([round_stochastically(values, rng) for _ in range(20_000)])
    assert drawn.mean(axis=0) == pytest.approx(values, abs=0.02)
    assert (np.abs(drawn - values) < 1).all()
    assert (drawn[:, [0, 4, 5]] == [0, 7, -3]).all()


def test_an_immense_gradient_goes_to_an_end_and_not_to_the_other() -> None:
    rounded = round_stochastically(np.array([1e100, -1e100]), np.random.default_rng(0))
    assert rounded[0] >= 1000
    assert rounded[1] <= -1000


def test_an_iteration_is_a_step_of_all_then_children_then_mutants() -> None:
    search = strategy()
    first = lot(search)
    assert len(first) == SIZE
    assert all(one.parents == () for one in first)
    tell_all(search, first)
    for _ in range(4):
        steps = lot(search)
        assert len(steps) == SIZE
        assert all(one.operator.startswith(("step", "train on")) for one in steps)
        assert lot(search) == []
        tell_all(search, steps)
        children = lot(search)
        assert [one.operator for one in children] == ["crossover"] * OFFSPRING
        tell_all(search, children)
        mutants = lot(search)
        assert [one.operator for one in mutants] == ["mutation"] * OFFSPRING
        tell_all(search, mutants)


@pytest.mark.parametrize(
    ("least", "sizes", "offspring"),
    [
        (5, [12, 9, 7, 6, 5, 5], [4, 3, 3, 2, 2, 2]),
        (12, [12] * 6, [4] * 6),
        (99, [12] * 6, [4] * 6),
    ],
)
def test_the_least_fit_leave_until_so_few_are_left(
    least: int, sizes: list[int], offspring: list[int]
) -> None:
    options = EvolutionOptions(population=12, offspring=4, least_population=least)
    search = Gradient(ToySpace(limit=60), options, SCORE, 1)
    tell_all(search, lot(search))
    for size, num_offspring in zip(sizes, offspring, strict=True):
        everyone = search.members()
        steps = lot(search)
        assert len(steps) == len(search.members()) == size
        assert search.members()[: size // 2] == everyone[: size // 2]
        tell_all(search, steps)
        for _ in range(2):  # children, mutants
            newcomers = lot(search)
            assert len(newcomers) == num_offspring
            tell_all(search, newcomers)


def test_a_step_replaces_whom_it_changed_and_follows_the_fitter() -> None:
    search = strategy()
    first = lot(search)
    for one in first:  # the more convolutions, the fitter
        search.tell(measured(one, float(values_of(one.genome)[0])))
    steps = lot(search)
    assert [one.parents for one in steps] == [(one.number,) for one in first]
    moved = [
        values_of(step.genome)[0] - max(1, values_of(one.genome)[0])
        for step, one in zip(steps, first, strict=True)
    ]
    assert sum(moved) > 0
    for one in steps[1:]:
        search.tell(measured(one))
    search.tell(failed(steps[0]))
    living = {one.number for one in search.members()}
    lot(search)
    assert {one.number for one in search.members()} == {
        first[0].number,
        *(one.number for one in steps[1:]),
    }
    assert first[0].number in living


def test_who_is_not_moved_is_trained_on_as_a_new_individual() -> None:
    search = strategy()
    first = lot(search)
    for one in first:
        search.tell(measured(one, 1.0))  # no gradient at all
    steps = lot(search)
    for one, before in zip(steps, first, strict=True):
        assert one.operator == "train on"
        assert one.genome == before.genome
        assert one.parents == (before.number,)
        assert one.copy_of is None


def test_without_training_on_the_record_answers() -> None:
    search = strategy(train_on=False)
    first = lot(search)
    for one in first:
        search.tell(measured(one, 1.0))
    assert [one.copy_of for one in lot(search)] == [one.number for one in first]


def test_offspring_replace_the_least_fit_whatever_they_are_worth() -> None:
    search = strategy()
    first = lot(search)
    for one in first:
        search.tell(measured(one, 1.0))
    steps = lot(search)
    for value, one in enumerate(steps):
        search.tell(measured(one, float(value)))
    children = lot(search)
    for one in children:
        search.tell(measured(one, -100.0))
    mutants = lot(search)
    living = {one.number for one in search.members()}
    assert living == {one.number for one in [*steps[OFFSPRING:], *children]}
    for one in mutants:
        search.tell(failed(one))
    lot(search)
    assert {one.number for one in search.members()} == living


@pytest.mark.parametrize("ties", ["older", "younger"])
def test_of_equals_the_older_stay_or_the_younger(ties: str) -> None:
    options = EvolutionOptions(population=SIZE, offspring=OFFSPRING, train_on=True, ties=ties)
    search = Gradient(ToySpace(limit=60), options, SCORE, 1)
    steps: list[Individual] = []
    for _ in range(2):
        steps = lot(search)
        for one in steps:
            search.tell(measured(one, 1.0))
    children = lot(search)
    for one in children:
        search.tell(measured(one, 1.0))
    lot(search)
    living = {one.number for one in search.members()}
    stay = steps[:-OFFSPRING] if ties == "older" else steps[OFFSPRING:]
    assert living == {one.number for one in [*stay, *children]}


def test_what_exceeds_a_limit_is_shrunk_as_blocks() -> None:
    space = ToySpace(limit=14)
    search = Gradient(space, EvolutionOptions(population=20, train_on=True), SCORE, 1)
    born = lot(search)
    assert all(sum(values_of(one.genome)) <= space.limit for one in born)
    repaired = [values_of(one.genome) for one in born if one.operator == "random+repair"]
    narrow = [values for values in repaired if values[2:4] == (0, 0)]
    # The others have so many blocks that no model fits them in.
    assert len(narrow) > len(repaired) / 2


def test_a_population_of_failures_is_drawn_again_and_a_gap_is_filled() -> None:
    search = strategy()
    for one in lot(search):
        search.tell(failed(one))
    second = lot(search)
    assert all(one.parents == () for one in second)
    tell_all(search, second[:2])
    for one in second[2:]:
        search.tell(failed(one))
    tell_all(search, lot(search))
    tell_all(search, lot(search))
    lot(search)
    assert len(search.members()) == 2 + OFFSPRING


def test_only_similar_cnns_cross() -> None:
    search = strategy(similarity=1)
    first = lot(search)
    tell_all(search, first)
    for _ in range(12):
        tell_all(search, lot(search))
        children = lot(search)
        living = {one.number: counts(one) for one in search.members()}
        for one in children:
            parent, mate = one.parents
            if parent == mate:
                continue
            others = [place for number, place in living.items() if number != parent]
            nearest = min(distance(living[parent], other) for other in others)
            assert distance(living[parent], living[mate]) <= max(1, nearest)
        tell_all(search, children)
        tell_all(search, lot(search))


def counts(one: Individual) -> tuple[int, int]:
    blocks = ToySpace().encode(one.genome)  # type: ignore[arg-type]
    return blocks.counts


def distance(one: tuple[int, int], other: tuple[int, int]) -> int:
    return abs(one[0] - other[0]) + abs(one[1] - other[1])


def test_the_scale_of_fitness_changes_nothing_unless_it_is_wanted() -> None:
    def moved(factor: float, scale: str) -> list[str]:
        options = EvolutionOptions(population=SIZE, gradient_scale=scale, train_on=True)
        search = Gradient(ToySpace(limit=60), options, SCORE, 1)
        for one in lot(search):
            search.tell(measured(one, factor * sum(values_of(one.genome))))
        return [one.genome.to_json() for one in lot(search)]

    assert moved(1.0, "standard") == moved(1000.0, "standard")
    assert moved(1.0, "raw") != moved(0.001, "raw")


def test_a_single_member_goes_on_alone() -> None:
    search = Gradient(
        ToySpace(limit=60),
        EvolutionOptions(population=3, offspring=1, train_on=True),
        SCORE,
        1,
    )
    first = lot(search)
    search.tell(measured(first[0]))
    for one in first[1:]:
        search.tell(failed(one))
    (step,) = lot(search)
    assert step.operator == "train on"
    search.tell(replace(measured(step)))
    (child,) = lot(search)
    assert child.parents == (step.number, step.number)
