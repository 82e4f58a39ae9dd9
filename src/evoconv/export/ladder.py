"""Which sizes to try next, when the smallest network that reaches a target is sought.

Among candidates to which none as small is as accurate, accuracy rises with size, so the sizes
between the largest that failed and the smallest that reached the target are divided again and
again, as in a search by halving.
"""

import math
from collections.abc import Collection, Sequence

from evoconv.problems.objectives import TargetAccuracy
from evoconv.records import Individual

# A full training leaves half to three quarters of the errors that a search sees. Who has more than
# so many times the target's is not tried.
_HOPELESS = 4.0


def plausible(front: Sequence[Individual], objective: TargetAccuracy) -> list[Individual]:
    """Return the members whose error in the search leaves hope, all if none does, by size.

    Left out are those that are on the front for other costs than size: another one is as small and
    as accurate.
    """
    most = _HOPELESS * (1 - objective.target)
    hopeful = [one for one in front if 1 - _value(one, objective) <= most] or list(front)
    rising: list[Individual] = []
    for one in sorted(hopeful, key=lambda one: (parameters_of(one), -_value(one, objective))):
        if not rising or _value(one, objective) > _value(rising[-1], objective):
            rising.append(one)
    return rising


def next_sizes(
    ladder: Sequence[Individual],
    reached: Collection[Individual],
    failed: Collection[Individual],
    count: int,
) -> list[Individual]:
    """Return up to ``count`` untried members that divide the sizes still in question evenly.

    Sizes are parameters, even on a logarithmic scale. Nobody is returned once all is known.
    """
    high = min((parameters_of(one) for one in reached), default=math.inf)
    low = max((size for one in failed if (size := parameters_of(one)) < high), default=0.0)
    between = [one for one in ladder if low < parameters_of(one) < high]
    chosen: list[Individual] = []
    if not between:
        return chosen
    sizes = [math.log(parameters_of(one)) for one in between]
    for step in range(1, count + 1):
        wanted = min(sizes) + (max(sizes) - min(sizes)) * step / (count + 1)
        left = [one for one in between if one not in chosen]
        if left:
            chosen.append(min(left, key=lambda one: abs(math.log(parameters_of(one)) - wanted)))
    return chosen


def parameters_of(individual: Individual) -> float:
    """Return the measured parameters, at least 1."""
    assert individual.measurement is not None, "the front is measured"
    return max(1.0, individual.measurement.values.get("parameters", 1.0))


def _value(individual: Individual, objective: TargetAccuracy) -> float:
    assert individual.measurement is not None, "the front is measured"
    return objective.value(individual.measurement)
