"""Which layer of which parent each layer of a child comes from, found by comparing layers.

Lineage is not stored: a child and its parents are all that is needed. Their layers are aligned by
dynamic programming, in the manner of Needleman & Wunsch 1970: equal layers gain most, layers of one
kind gain a little, and following one parent onwards is free, so that a deletion costs nothing.
Differs: there may be several parents, and a jump from one to another costs something, so that the
border of a crossover is found. Switched layers are out of order: layers that got no equal one are
therefore compared once more, and paired with an equal one that no equal layer has, wherever it is.

The gains and the cost say what is preferred. Leaving a parent for a single layer and coming back
(2 jumps) pays for an equal layer, never for a merely similar one: that is an insertion.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from evoconv.genomes.layers import Dense, Layer, Pooling
from evoconv.genomes.topology import Topology

_EQUAL = 100.0
_SIMILAR = 10.0  # a kind in common; with everything else but one field, below 30
_JUMP = 20.0
_SAME = ("kernel", "stride", "activation")


@dataclass(frozen=True, kw_only=True, slots=True)
class Origin:
    """A layer of a parent: the parent's number, and the layer's index within its part."""

    parent: int
    index: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Alignment:
    """For each layer of a child where it comes from, or None for a new layer.

    ``output`` is the number of the parent that the output layer comes from.
    """

    features: tuple[Origin | None, ...]
    classifier: tuple[Origin | None, ...]
    output: int


@dataclass(frozen=True, slots=True)
class _Path:
    """The choices so far, newest first: the place in the parents' layers, or None for new."""

    place: int | None
    before: "_Path | None"


def align(child: Topology, parents: Sequence[Topology]) -> Alignment:
    """Return the best alignment of a child with its parents; ties go to the first parent and layer.

    No layer of a parent is used twice.

    Raises:
        ValueError: there are no parents.
    """
    if not parents:
        raise ValueError("a child is aligned with one parent or more, got none")
    chains = [_chain(parent) for parent in parents]
    layers = _chain(child)
    where = [(number, index) for number, chain in enumerate(chains) for index in range(len(chain))]
    origins: list[Origin | None] = []
    for place in _with_switched(layers, chains, _best_places(layers, chains)):
        if place is None:
            origins.append(None)
            continue
        number, index = where[place]
        offset = 0 if len(origins) < len(child.features) else len(parents[number].features)
        origins.append(Origin(parent=number, index=index - offset))
    output = origins.pop()
    assert output is not None, "an output layer always gains"
    return Alignment(
        features=tuple(origins[: len(child.features)]),
        classifier=tuple(origins[len(child.features) :]),
        output=output.parent,
    )


def _chain(topology: Topology) -> list[Layer | None]:
    """All layers in order; None is the output layer."""
    return [*topology.features, *topology.classifier, None]


def _best_places(
    child: Sequence[Layer | None], chains: Sequence[Sequence[Layer | None]]
) -> list[int | None]:
    """Return per layer of the child its place in the concatenated chains, or None for new."""
    num_places = sum(map(len, chains))
    start: _Path | None = None
    # Per place: the best gain of alignments whose newest aligned layer is there, and their path.
    gains = [float("-inf")] * num_places
    paths: list[_Path | None] = [None] * num_places
    for layer in child:
        next_gains = list(gains)
        next_paths: list[_Path | None] = [_Path(None, path) for path in paths]
        for place, other, arrivals in _arrivals(gains, chains):
            likeness = _similarity(layer, other)
            for gain, left in arrivals if likeness else []:
                path = start if left is None else paths[left]
                if place in _places_of(path):
                    continue  # after two jumps a layer could be met again
                if gain + likeness > next_gains[place]:
                    next_gains[place], next_paths[place] = gain + likeness, _Path(place, path)
                break
        start = _Path(None, start)
        gains, paths = next_gains, next_paths
    best = max(range(num_places), key=lambda place: gains[place])
    return list(_places_of(paths[best]))[::-1]


def _with_switched(
    child: Sequence[Layer | None],
    chains: Sequence[Sequence[Layer | None]],
    places: Sequence[int | None],
) -> list[int | None]:
    """Return the places with layers that have no equal one paired to those that are left.

    A place that is taken over so is lost to the similar layer that had it.
    """
    theirs = [layer for chain in chains for layer in chain]
    is_settled = [
        place is not None and theirs[place] == layer
        for place, layer in zip(places, child, strict=True)
    ]
    settled = {place for place, sure in zip(places, is_settled, strict=True) if sure}
    left = [place for place in range(len(theirs)) if place not in settled]
    switched: dict[int, int] = {}
    for index, layer in enumerate(child):
        found = None if is_settled[index] else next((p for p in left if theirs[p] == layer), None)
        if found is not None:
            switched[index] = found
            left.remove(found)
    taken = set(switched.values())
    return [
        switched.get(index, None if place in taken else place) for index, place in enumerate(places)
    ]


def _places_of(path: _Path | None) -> Iterator[int | None]:
    while path is not None:
        yield path.place
        path = path.before


def _arrivals(
    gains: Sequence[float], chains: Sequence[Sequence[Layer | None]]
) -> Iterator[tuple[int, Layer | None, list[tuple[float, int | None]]]]:
    """Yield each place, its layer and the ways to it: (gain on arrival, place left), best first.

    One way leaves no place: nothing was aligned before.
    """
    first = 0
    for chain in chains:
        last = first + len(chain)
        outside = _best_of(gains, [*range(first), *range(last, len(gains))])
        before: int | None = None
        for index, other in enumerate(chain):
            place = first + index
            ways: list[tuple[float, int | None]] = [(0.0, None)]
            if before is not None:
                ways.append((gains[before], before))
            if outside is not None:
                ways.append((gains[outside] - _JUMP, outside))
            ways.sort(key=lambda way: (-way[0], -1 if way[1] is None else way[1]))
            yield place, other, ways
            if before is None or gains[place] > gains[before]:
                before = place
        first = last


def _best_of(gains: Sequence[float], places: Sequence[int]) -> int | None:
    return max(places, key=lambda place: gains[place], default=None)


def _similarity(layer: Layer | None, other: Layer | None) -> float:
    """Return 0 for different kinds, _EQUAL for equal layers, else a gain in [10, 30)."""
    if type(layer) is not type(other):
        return 0.0
    if layer == other:
        return _EQUAL
    one: Any = layer
    two: Any = other
    gain: float = _SIMILAR
    if isinstance(layer, Pooling):
        gain += 5 * sum([one.size == two.size, one.steps == two.steps, one.kind == two.kind])
    elif isinstance(layer, Dense):
        gain += 12 * _ratio(one.units, two.units) + 5 * (one.activation == two.activation)
    else:
        same = [getattr(one, name) == getattr(two, name) for name in _SAME]
        gain += 4 * sum(same) + 6 * _ratio(one.filters, two.filters)
    return gain


def _ratio(one: int, two: int) -> float:
    return min(one, two) / max(one, two)
