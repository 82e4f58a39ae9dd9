"""Dominance, fronts, crowding and hypervolume against their definitions, by brute force."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.evolution.pareto import (
    crowded_order,
    crowding,
    dominance,
    fronts,
    hypervolume,
    oriented,
)
from evoconv.records import Measurement, Objective

Point = tuple[int, ...]


def dominates(one: Sequence[float], other: Sequence[float]) -> bool:
    """Return whether the values of ``one`` are nowhere lower and somewhere higher: the definition.

    >>> dominates((2, 1), (1, 1)), dominates((2, 0), (1, 1)), dominates((1, 1), (1, 1))
    (True, False, False)
    """
    pairs = list(zip(one, other, strict=True))
    return all(mine >= theirs for mine, theirs in pairs) and any(
        mine > theirs for mine, theirs in pairs
    )


def points(num_columns: int, max_size: int = 12) -> st.SearchStrategy[list[Point]]:
    return st.lists(st.tuples(*[st.integers(0, 4)] * num_columns), min_size=1, max_size=max_size)


def array(rows: Sequence[Sequence[float]]) -> np.ndarray:
    return np.array(rows, dtype=float)


@given(points(3))
def test_the_matrix_says_who_dominates_whom(rows: list[Point]) -> None:
    wanted = [[dominates(one, other) for other in rows] for one in rows]
    assert dominance(array(rows)).tolist() == wanted


@given(points(3))
def test_a_front_is_what_those_left_do_not_dominate(rows: list[Point]) -> None:
    left = list(range(len(rows)))
    for front in fronts(array(rows)):
        wanted = [i for i in left if not any(dominates(rows[j], rows[i]) for j in left)]
        assert front.tolist() == wanted
        left = [i for i in left if i not in wanted]
    assert left == []


def test_nobody_has_no_front() -> None:
    assert fronts(np.empty((0, 3))) == []
    assert crowded_order(np.empty((0, 3))).tolist() == []


@given(points(1, 30))
def test_one_objective_is_sorting(rows: list[Point]) -> None:
    order = crowded_order(array(rows)).tolist()
    values = [rows[place] for place in order]
    assert values == sorted(values, reverse=True)
    assert sorted(order) == list(range(len(rows)))


def test_crowding_by_hand() -> None:
    # Gaps between neighbours, as fractions of the ranges 10 and 8: (3-0)/10 + (8-2)/8, and so on.
    rows = [(0, 8), (1, 5), (3, 2), (10, 0)]
    assert crowding(array(rows)) == pytest.approx([np.inf, 0.3 + 0.75, 0.9 + 0.625, np.inf])


@given(points(2))
def test_crowding_by_its_definition(rows: list[Point]) -> None:
    values = array(rows)
    wanted = np.zeros(len(rows))
    for column in range(2):
        order = sorted(range(len(rows)), key=lambda i: values[i, column])
        span = values[:, column].max() - values[:, column].min()
        wanted[order[0]] = wanted[order[-1]] = np.inf
        for before, here, after in zip(order, order[1:], order[2:], strict=False):
            wanted[here] += (values[after, column] - values[before, column]) / (span or np.inf)
    assert crowding(values) == pytest.approx(wanted)


def test_of_a_front_the_less_crowded_come_first() -> None:
    rows = [(0, 8), (1, 5), (3, 2), (10, 0), (1, 1), (0, 0)]
    assert crowded_order(array(rows)).tolist() == [0, 3, 2, 1, 4, 5]


@given(points(3, 6))
def test_the_hypervolume_counts_unit_cubes(rows: list[Point]) -> None:
    cubes = {
        cube
        for one in rows
        for cube in product(*(range(value) for value in one))  # from the reference point 0, 0, 0
    }
    assert hypervolume(array(rows), np.zeros(3)) == len(cubes)


def test_what_does_not_dominate_the_reference_has_no_volume() -> None:
    assert hypervolume(array([(1, 3), (0, 9)]), np.ones(2)) == 0
    assert hypervolume(array([(3, 2), (2, 5), (9, 1)]), np.ones(2)) == 5


def test_values_are_oriented_so_that_higher_is_better() -> None:
    measurement = Measurement(values={"loss": 0.5, "parameters": 10.0})
    assert oriented(measurement, Objective(name="loss", direction="minimize")) == (-0.5, -10, 0)
