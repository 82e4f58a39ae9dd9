"""Dominance and what follows from it: fronts, crowding, hypervolume.

An individual dominates another if it is no worse in any of its values and better in one. The Pareto
front are those that nothing dominates. Values are oriented so that higher is better; a function
takes them as an array of one row per individual and one column per value.

Source: Deb, Pratap, Agarwal & Meyarivan, "A Fast and Elitist Multiobjective Genetic Algorithm:
NSGA-II", IEEE Transactions on Evolutionary Computation 6(2), 2002.
"""

import numpy as np
from numpy.typing import NDArray

from evoconv.records import Measurement, Objective

Values = NDArray[np.float64]
Indices = NDArray[np.intp]

COSTS = ("parameters", "macs")
"""What counts beside the objective; lower is better. Where networks are only packed: bytes."""


def oriented(measurement: Measurement, objective: Objective) -> tuple[float, ...]:
    """Return the objective's value and the negated costs; one that isn't measured counts 0."""
    names = ("bytes",) if "bytes" in measurement.values else COSTS
    costs = (-measurement.values.get(name, 0.0) for name in names)
    return (objective.value(measurement), *costs)


def dominance(values: Values) -> NDArray[np.bool_]:
    """Return a square matrix: whether the row's individual dominates the column's."""
    shape = (len(values), len(values))
    nowhere_worse = np.ones(shape, dtype=bool)
    somewhere_better = np.zeros(shape, dtype=bool)
    for column in values.T:
        nowhere_worse &= column[:, None] >= column
        somewhere_better |= column[:, None] > column
    return np.logical_and(nowhere_worse, somewhere_better, out=nowhere_worse)


def fronts(values: Values) -> list[Indices]:
    """Return the rows of each front: what nothing dominates, what only that does, and so on.

    Memory and time grow with the square of the rows: one byte or two for each pair.
    """
    beats = dominance(values)
    dominators = beats.sum(axis=0, dtype=np.int64)
    found = []
    while (front := np.flatnonzero(dominators == 0)).size:
        found.append(front)
        dominators[front] = -1
        dominators -= beats[front].sum(axis=0, dtype=np.int64)
    return found


def crowding(values: Values) -> Values:
    """Return the crowding distance of each row among all rows, which should be of one front.

    That is the sum over columns of the gap between its two neighbours, as a fraction of the
    column's range; infinite for the ends of a column (Deb et al., section III-B).
    """
    distance = np.zeros(len(values))
    for column in values.T:
        order = np.argsort(column, kind="stable")
        span = column[order[-1]] - column[order[0]]
        distance[order[[0, -1]]] = np.inf
        if span > 0:
            distance[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / span
    return distance


def crowded_order(values: Values) -> Indices:
    """Return all rows, the best first: by front, then the less crowded, then as they came.

    It is the order of the crowded comparison (Deb et al., section III-B).
    """
    order = []
    for front in fronts(values):
        order.append(front[np.argsort(-crowding(values[front]), kind="stable")])
    return np.concatenate(order) if order else np.empty(0, dtype=np.intp)


def hypervolume(values: Values, reference: Values) -> float:
    """Return the volume of what the rows dominate and what itself dominates the reference point.

    Exact, by exclusive volumes (While, Bradstreet & Barone, "A Fast Way of Calculating Exact
    Hypervolumes", 2012). For fronts of up to some hundred rows; time grows fast with columns.
    """
    inside = values[np.all(values > reference, axis=1)]
    if len(inside) == 0:
        return 0.0
    front = inside[fronts(inside)[0]]
    total = 0.0
    for index, one in enumerate(front):
        # What the later ones have in common with it, they count themselves.
        common = np.minimum(front[index + 1 :], one)
        total += float(np.prod(one - reference)) - hypervolume(common, reference)
    return total
