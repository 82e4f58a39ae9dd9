"""Mutation and crossover of vectors.

Source: Safiuddin 2021, "Genetic Algorithm for Transfer Learning in a Deep CNN", section 4.2:
two-point crossover; mutation alters the values of cells at random in their ranges.
Differs: how many cells a mutation draws again is not given; here each is with a probability of one
in as many as there are, and one at least. Where steps decay, a redrawn value goes only that share
of the way to what was drawn.
"""

import math
from collections.abc import Sequence
from typing import TypeVar

from numpy.random import Generator

from evoconv.genomes.vector import Cell, Value, Vector

T = TypeVar("T")


def mutate_vector(
    vector: Vector, cells: Sequence[Cell], rng: Generator, scale: float = 1.0
) -> tuple[Vector, str]:
    """Return the vector with some cells drawn again, and which ones, as an operator's name.

    Args:
        vector: is not altered.
        cells: what its values are.
        rng: all randomness.
        scale: share of the way, in (0, 1], that a value goes to what is drawn; 1 is all of it. An
            integer moves by 1 at least where its range has more than one value.
    """
    chosen = [place for place in range(len(cells)) if rng.random() < 1 / len(cells)]
    chosen = chosen or [int(rng.integers(len(cells)))]
    values = list(vector.values)
    for place in chosen:
        values[place] = _redrawn(values[place], cells[place], rng, scale)
    return Vector(tuple(values)), "redraw " + ", ".join(cells[place].name for place in chosen)


def cross_vectors(first: Vector, second: Vector, rng: Generator) -> Vector:
    """Return the first vector with the cells between two random points taken from the second."""
    return Vector(cross_at_two_points(first.values, second.values, rng))


def cross_uniformly(first: Vector, second: Vector, rng: Generator) -> Vector:
    """Return a vector whose values are each taken from either, as a coin says."""
    pairs = zip(first.values, second.values, strict=True)
    return Vector(tuple(pair[int(rng.integers(2))] for pair in pairs))


def cross_at_two_points(
    first: tuple[T, ...], second: tuple[T, ...], rng: Generator
) -> tuple[T, ...]:
    """Return the first with what is between two random points, within both, from the second."""
    shared = min(len(first), len(second))
    low, high = sorted(int(point) for point in rng.integers(0, shared + 1, 2))
    return (*first[:low], *second[low:high], *first[high:])


def _redrawn(value: Value, cell: Cell, rng: Generator, scale: float) -> Value:
    here, there = cell.place(value), float(rng.random())
    moved = cell.at(min(here + scale * (there - here), math.nextafter(1.0, 0.0)))
    if cell.kind != "integer" or moved != value or cell.low == cell.high:
        return moved
    # Too short a step for an integer, or the same one drawn again: to a neighbour.
    ways = [step for step in (-1, 1) if cell.holds(value + step)]
    return value + ways[int(rng.integers(len(ways)))]
