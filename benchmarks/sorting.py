"""NSGA-II's sorting: how long a population of thousands takes. Aim: 10,000 × 3 in under 2 s.

Random values, which give many small fronts; values of one front, as a search has them in the end;
and a chain, where each individual is a front of its own.
"""

import time
from functools import partial
from typing import Any

import numpy as np

from benchmarks.cells import Cells, print_table, spread
from evoconv.evolution.pareto import Values, crowded_order, fronts

_SIZE, _COLUMNS, _REPEATS = 10_000, 3, 5


def _random(rng: np.random.Generator) -> Values:
    return rng.random((_SIZE, _COLUMNS))


def _one_front(rng: np.random.Generator) -> Values:
    values: Values = rng.random((_SIZE, _COLUMNS))
    values /= values.sum(axis=1, keepdims=True)
    return values


def _chain(rng: np.random.Generator) -> Values:
    return np.repeat(rng.random((_SIZE, 1)), _COLUMNS, axis=1)


_SHAPES = {"random": _random, "one front": _one_front, "chain": _chain}


def run() -> None:
    """Measure the missing cells."""
    cells = Cells("sorting")
    for name, draw in _SHAPES.items():
        cells.measure(name, partial(_measure, draw(np.random.default_rng(0))))


def tables() -> None:
    """Print the table of the stored cells."""
    cells = Cells("sorting")
    rows = []
    for name in _SHAPES:
        if (got := cells.get(name)) is not None:
            seconds = spread(got["seconds"], ".2f")
            rows.append((name, f"{got['size']:,} × {_COLUMNS}", got["fronts"], seconds, got["n"]))
    head = ("values", "size", "fronts", "s", "n")
    print_table("Sorting by fronts and crowding (medians, extremes)", head, rows)


def _measure(values: Values) -> dict[str, Any]:
    seconds = []
    for _ in range(_REPEATS):
        started = time.perf_counter()
        crowded_order(values)
        seconds.append(time.perf_counter() - started)
    return {"size": _SIZE, "fronts": len(fronts(values)), "n": _REPEATS, "seconds": seconds}
