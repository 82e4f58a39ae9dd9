"""Crossover of topologies: segments of two parents in turn, cut at layer borders.

Source: one point per part: Vidnerová & Neruda 2018, section 3.2; a configurable number of points:
Litzinger, Klos & Schiffmann. Differs: cuts that would leave no convolution or too many layers are
not drawn.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import TypeVar

from numpy.random import Generator

from evoconv.genomes.draw_topology import assemble
from evoconv.genomes.layers import Layer, Pooling
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology

L = TypeVar("L", bound=Layer)

# So often cuts at several points are drawn; if none is allowed, it is tried with one point less.
_MAX_DRAWS = 20


def cross(
    first: Topology,
    second: Topology,
    options: SpaceOptions,
    input_shape: tuple[int, int, int],
    rng: Generator,
) -> Topology:
    """Return the first offspring of k-point crossover, done per part at layer borders.

    Each part of either parent is cut at ``crossover_points`` inner borders, at fewer where a part
    is short. A part with less than two layers in either parent is exchanged whole.
    """
    features = _cross_part(
        first.features,
        second.features,
        options.crossover_points,
        rng,
        range(1, options.max_features + 1),
        lambda layer: not isinstance(layer, Pooling),
    )
    classifier = _cross_part(
        first.classifier,
        second.classifier,
        options.crossover_points,
        rng,
        range(options.min_classifier, options.max_classifier + 1),
        lambda _: True,
    )
    return assemble(features, classifier, first.reduction, options, input_shape)


def _cross_part(
    first: tuple[L, ...],
    second: tuple[L, ...],
    num_points: int,
    rng: Generator,
    lengths: range,
    is_core: Callable[[L], bool],
) -> tuple[L, ...]:
    """Return segments of both in turn, cut uniformly where the offspring is allowed.

    It must have one of the lengths and a layer of the core. The pairs of borders for one point are
    enumerated. There are too many for more points: then cuts are drawn until they are allowed.
    """
    for count in range(min(num_points, len(first) - 1, len(second) - 1), 1, -1):
        for _ in range(_MAX_DRAWS):
            part = join_in_turn(
                first, second, _draw_cuts(first, count, rng), _draw_cuts(second, count, rng)
            )
            if len(part) in lengths and any(map(is_core, part)):
                return part
    # Where the first core layer and the last one are; part of every birth, so nothing is joined
    # before it is chosen.
    first_core = next((i for i, layer in enumerate(first) if is_core(layer)), len(first))
    last_core = next((j for j in range(len(second) - 1, -1, -1) if is_core(second[j])), -1)
    allowed = [
        (i, j)
        for i in range(1, len(first))
        for j in range(1, len(second))
        if i + len(second) - j in lengths and (first_core < i or last_core >= j)
    ]
    if not allowed:
        return second
    i, j = allowed[int(rng.integers(len(allowed)))]
    return first[:i] + second[j:]


def _draw_cuts(part: Sequence[L], count: int, rng: Generator) -> list[int]:
    """Return that many different inner borders in order."""
    return sorted(1 + int(cut) for cut in rng.choice(len(part) - 1, size=count, replace=False))


def join_in_turn(
    first: tuple[L, ...],
    second: tuple[L, ...],
    first_cuts: Sequence[int],
    second_cuts: Sequence[int],
) -> tuple[L, ...]:
    """Return the first segment of ``first``, the second one of ``second``, and so on.

    >>> join_in_turn(tuple("abcdef"), tuple("123"), [2, 5], [1, 2])
    ('a', 'b', '2', 'f')
    """
    borders = zip(
        pairwise((0, *first_cuts, len(first))),
        pairwise((0, *second_cuts, len(second))),
        strict=True,
    )
    part: tuple[L, ...] = ()
    for index, (of_first, of_second) in enumerate(borders):
        part += second[slice(*of_second)] if index % 2 else first[slice(*of_first)]
    return part
