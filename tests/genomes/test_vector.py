"""Vectors: ranges, text, drawing, mutation and crossover."""

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.errors import ConfigError
from evoconv.genomes.vary_vector import cross_vectors, mutate_vector
from evoconv.genomes.vector import Cell, Vector, draw_vector

PLAN = (
    Cell(name="included", low=1, high=58),
    Cell(name="frozen", low=0, high=18),
    Cell(name="rate", low=1e-6, high=0.1, kind="logarithmic"),
    Cell(name="dropout", low=0.1, high=0.9, kind="linear"),
)
seeds = st.integers(0, 2**32).map(np.random.default_rng)


def holds(vector: Vector) -> bool:
    return all(cell.holds(one) for cell, one in zip(PLAN, vector.values, strict=True))


def test_integers_are_drawn_uniformly_with_both_ends() -> None:
    rng = np.random.default_rng(1)
    cell = Cell(name="n", low=-2, high=2)
    counts = Counter(cell.at(rng.random()) for _ in range(5000))
    assert sorted(counts) == [-2, -1, 0, 1, 2]
    assert all(abs(one - 1000) < 4 * math.sqrt(5000 * 0.2 * 0.8) for one in counts.values())


def test_orders_of_magnitude_are_alike() -> None:
    rng = np.random.default_rng(2)
    drawn = [PLAN[2].at(rng.random()) for _ in range(5000)]
    decades = Counter(math.floor(math.log10(one)) for one in drawn)
    assert sorted(decades) == [-6, -5, -4, -3, -2]
    assert all(abs(one - 1000) < 4 * math.sqrt(5000 * 0.2 * 0.8) for one in decades.values())


@pytest.mark.parametrize("cell", PLAN)
def test_a_place_leads_back_to_its_value(cell: Cell) -> None:
    for place in (0.0, 0.1, 0.5, 0.99):
        value = cell.at(place)
        assert cell.holds(value)
        again = cell.at(cell.place(value))
        assert again == pytest.approx(value)


@given(seeds)
def test_draws_mutants_and_children_keep_the_ranges(rng: np.random.Generator) -> None:
    first, second = draw_vector(PLAN, rng), draw_vector(PLAN, rng)
    before = first.values
    mutant, operator = mutate_vector(first, PLAN, rng, scale=float(rng.uniform(1e-3, 1)))
    child = cross_vectors(first, second, rng)
    assert holds(first)
    assert holds(mutant)
    assert holds(child)
    assert first.values == before
    named = operator.removeprefix("redraw ").split(", ")
    changed = [c.name for c, a, b in zip(PLAN, first.values, mutant.values, strict=True) if a != b]
    assert changed
    assert set(changed) <= set(named)


@given(seeds)
def test_a_child_has_one_stretch_of_the_second_parent(rng: np.random.Generator) -> None:
    first, second = Vector((0,) * 6), Vector((1,) * 6)
    child = cross_vectors(first, second, rng).values
    assert "".join(map(str, child)).strip("0") in ("", "1", "11", "111", "1111", "11111", "111111")


def test_every_pair_of_points_is_drawn() -> None:
    rng = np.random.default_rng(3)
    first, second = Vector((0,) * 3), Vector((1,) * 3)
    counts = Counter(cross_vectors(first, second, rng).values for _ in range(8000))
    # Of 16 pairs of points 4 are equal, and each other stretch has two.
    assert abs(counts[0, 0, 0] - 2000) < 4 * math.sqrt(8000 * 0.25 * 0.75)
    for low, high in ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)):
        stretch = tuple(int(low <= place < high) for place in range(3))
        assert abs(counts[stretch] - 1000) < 4 * math.sqrt(8000 / 8 * 7 / 8)


def test_short_steps_stay_near_and_integers_still_move() -> None:
    rng = np.random.default_rng(4)
    start = Vector((30, 9, 1e-3, 0.5))
    for _ in range(300):
        values = mutate_vector(start, PLAN, rng, scale=0.01)[0].values
        assert abs(values[0] - 30) <= 1
        assert abs(values[1] - 9) <= 1
        assert abs(math.log10(values[2] / 1e-3)) <= 0.05 + 1e-9
        assert abs(values[3] - 0.5) <= 0.008 + 1e-9
    alone = Cell(name="n", low=3, high=3)
    assert mutate_vector(Vector((3,)), (alone,), rng)[0] == Vector((3,))


def test_text_and_digest_are_those_of_the_values() -> None:
    vector = Vector((58, 0, 0.001, 0.25))
    assert vector.to_json() == "[58,0,0.001,0.25]"
    assert Vector.from_json(vector.to_json()) == vector
    assert Vector.from_json(vector.to_json()).digest == vector.digest
    assert Vector((58, 1, 0.001, 0.25)).digest != vector.digest


@pytest.mark.parametrize(
    "text",
    [
        *("", "3", "{}", "[]", "[null]", "[true]", '["3"]', "[NaN]", "[1e999]", "[[1]]"),
        *("[" * 10_000, "[" + "1," * 10_000 + "1]", "[1" + "0" * 400 + "]", "[" + "9" * 5000 + "]"),
    ],
)
def test_hostile_text_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="genome"):
        Vector.from_json(text)


@pytest.mark.parametrize(
    ("low", "high", "kind", "complaint"),
    [
        (2, 1, "integer", "the range of n is upside down: 2 to 1"),
        (0.0, math.inf, "linear", "upside down"),
        (math.nan, 1.0, "linear", "upside down"),
        (0.0, 1.0, "logarithmic", "must be above 0, got 0.0"),
    ],
)
def test_ranges_that_are_none_are_refused(
    low: float, high: float, kind: str, complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        Cell(name="n", low=low, high=high, kind=kind)
