"""Mutation of topologies. Pure: values in, value out.

Source: Vidnerová & Neruda 2018, section 3.2. What is changed in a drawn layer is drawn uniformly
among the operators that the paper lists for its kind. Which part a layer is added to or deleted
from is a toss of a coin, as in the authors' code. Differs from that code: filters, units and
dropout mutate with a Gaussian (the paper's text; the code redraws), a layer can be added at the end
too, a deletion that would leave no convolution or too few dense layers is not drawn, and an
operator that is impossible leaves its share to the others.

Stepwise modification (modify.py) and the exchange of two layers are those of Litzinger, Klos &
Schiffmann. Which layers change places is not published: here two unequal ones of the same part.
Scaling all layers at once is the house's own.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any, TypeVar

from numpy.random import Generator

from evoconv.errors import ConfigError
from evoconv.genomes.draw_topology import (
    assemble,
    draw_activation,
    draw_dense,
    draw_feature_layer,
    draw_pool_strides,
    draw_side_pair,
    draw_strides,
)
from evoconv.genomes.layers import Convolution, Dense, Layer, Pooling, Residual
from evoconv.genomes.modify import is_modifiable, modify_layer, resize_pooling, scale_layers
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology

L = TypeVar("L", bound=Layer)
Change = Callable[[Any, SpaceOptions, Generator], Layer]


def mutate(
    topology: Topology,
    options: SpaceOptions,
    input_shape: tuple[int, int, int],
    rng: Generator,
    scale: float = 1.0,
) -> tuple[Topology, str]:
    """Return a mutated topology and the name of the operator.

    Operators are change, add, delete, switch and scale; with stepwise modification insert, delete,
    switch, scale and what is modified, e.g. ``modify filters by -8``. ``scale`` in (0, 1] is the
    share of the largest step that is taken then, and when scaling.

    Redrawing can give what was there before, so the result may equal the topology given.
    """
    if not 0 < scale <= 1:
        raise ConfigError(f"the scale of a mutation must be in (0, 1], got {scale}")
    growable = _growable_parts(topology, options)
    deletable = _deletable_layers(topology, options)
    shares = {"change": options.change_share}
    if growable:
        shares["add"] = options.add_share
    if deletable:
        shares["delete"] = options.delete_share
    # Asked only where it matters: pairs are many.
    switchable = _switchable_pairs(topology) if options.switch_share else {}
    if switchable:
        shares["switch"] = options.switch_share
    is_stepwise = options.modification == "stepwise"
    if options.scale_share:
        shares["scale"] = options.scale_share
    match name := _roulette(shares, rng):
        case "change" if is_stepwise:
            child, name = _modify_layer(topology, options, rng, scale)
        case "change":
            child = _change_layer(topology, options, rng)
        case "add":
            child = _add_layer(topology, growable, options, rng)
            name = "insert" if is_stepwise else name
        case "delete":
            child = _delete_layer(topology, deletable, rng)
        case "scale":
            child, name = scale_layers(topology, options, rng, scale)
        case _:
            child = _switch_two(topology, switchable, rng)
    return assemble(child.features, child.classifier, child.reduction, options, input_shape), name


def switch_layers(part: tuple[L, ...], first: int, second: int) -> tuple[L, ...]:
    """Return the part with the layers of two places exchanged; the same again undoes it."""
    layers = list(part)
    layers[first], layers[second] = layers[second], layers[first]
    return tuple(layers)


def _num_convolutions(part: Sequence[Layer]) -> int:
    return sum(isinstance(layer, Convolution | Residual) for layer in part)


def _growable_parts(topology: Topology, options: SpaceOptions) -> list[str]:
    parts = []
    if len(topology.features) < options.max_features:
        parts.append("features")
    if len(topology.classifier) < options.max_classifier:
        parts.append("classifier")
    return parts


def _deletable_layers(topology: Topology, options: SpaceOptions) -> dict[str, list[int]]:
    """Return the indices that may be deleted, per part that has any."""
    last_convolution = _num_convolutions(topology.features) == 1
    deletable = {
        "features": [
            index
            for index, layer in enumerate(topology.features)
            if not (last_convolution and isinstance(layer, Convolution | Residual))
        ],
    }
    if len(topology.classifier) > options.min_classifier:
        deletable["classifier"] = list(range(len(topology.classifier)))
    return {part: indices for part, indices in deletable.items() if indices}


def _switchable_pairs(topology: Topology) -> dict[str, list[tuple[int, int]]]:
    """Return the places of two different layers, per part that has any."""
    pairs = {
        part: [
            (first, second)
            for first, second in combinations(range(len(layers)), 2)
            if layers[first] != layers[second]
        ]
        for part, layers in (("features", topology.features), ("classifier", topology.classifier))
    }
    return {part: places for part, places in pairs.items() if places}


def _add_layer(
    topology: Topology, parts: Sequence[str], options: SpaceOptions, rng: Generator
) -> Topology:
    part = _pick(parts, rng)
    layers = getattr(topology, part)
    place = int(rng.integers(len(layers) + 1))
    layer = draw_dense(options, rng) if part == "classifier" else draw_feature_layer(options, rng)
    return _with_part(topology, part, (*layers[:place], layer, *layers[place:]))


def _delete_layer(
    topology: Topology, deletable: Mapping[str, Sequence[int]], rng: Generator
) -> Topology:
    part = _pick(list(deletable), rng)
    place = _pick(deletable[part], rng)
    layers = getattr(topology, part)
    return _with_part(topology, part, (*layers[:place], *layers[place + 1 :]))


def _switch_two(
    topology: Topology, switchable: Mapping[str, Sequence[tuple[int, int]]], rng: Generator
) -> Topology:
    part = _pick(list(switchable), rng)
    first, second = _pick(switchable[part], rng)
    return _with_part(topology, part, switch_layers(getattr(topology, part), first, second))


def _modify_layer(
    topology: Topology, options: SpaceOptions, rng: Generator, scale: float
) -> tuple[Topology, str]:
    places = [
        (part, place)
        for part in ("features", "classifier")
        for place, layer in enumerate(getattr(topology, part))
        if is_modifiable(layer, options)
    ]
    if not places:
        return topology, "modify nothing"
    part, place = _pick(places, rng)
    layers = list(getattr(topology, part))
    layers[place], text = modify_layer(layers[place], options, rng, scale)
    return _with_part(topology, part, tuple(layers)), f"modify {text}"


def _change_layer(topology: Topology, options: SpaceOptions, rng: Generator) -> Topology:
    place = int(rng.integers(len(topology.features) + len(topology.classifier)))
    part = "features"
    if place >= len(topology.features):
        part, place = "classifier", place - len(topology.features)
    layers = list(getattr(topology, part))
    change = _pick(_changes_of(layers[place], options), rng)
    layers[place] = change(layers[place], options, rng)
    return _with_part(topology, part, tuple(layers))


def _with_part(topology: Topology, part: str, layers: tuple[Any, ...]) -> Topology:
    if part == "features":
        return replace(topology, features=layers)
    return replace(topology, classifier=layers)


def _change_filters(
    layer: Convolution | Residual, options: SpaceOptions, rng: Generator
) -> Convolution | Residual:
    low, high = options.min_filters, options.max_filters
    return replace(layer, filters=_gauss_size(layer.filters, low, high, options, rng))


def _change_kernel(
    layer: Convolution | Residual, options: SpaceOptions, rng: Generator
) -> Convolution | Residual:
    return replace(
        layer, kernel=draw_side_pair(options.min_kernel, options.max_kernel, options, rng)
    )


def _change_activation(
    layer: Convolution | Residual | Dense, options: SpaceOptions, rng: Generator
) -> Convolution | Residual | Dense:
    return replace(layer, activation=draw_activation(options, rng))


def _change_size(layer: Pooling, options: SpaceOptions, rng: Generator) -> Pooling:
    size = draw_side_pair(options.min_pool, options.max_pool, options, rng)
    return resize_pooling(layer, size)


def _change_stride(
    layer: Convolution | Residual, options: SpaceOptions, rng: Generator
) -> Convolution | Residual:
    return replace(layer, stride=draw_strides(options, rng))


def _change_pool_stride(layer: Pooling, options: SpaceOptions, rng: Generator) -> Pooling:
    return replace(layer, stride=draw_pool_strides(layer.size, options, rng))


def _change_units(layer: Dense, options: SpaceOptions, rng: Generator) -> Dense:
    low, high = options.min_units, options.max_units
    return replace(layer, units=_gauss_size(layer.units, low, high, options, rng))


def _change_dropout(layer: Dense, options: SpaceOptions, rng: Generator) -> Dense:
    # Two decimals: finer differences can't be measured, and repeated networks are recognised.
    dropout = round(_gauss(layer.dropout, 0.0, options.max_dropout, options, rng), 2)
    return replace(layer, dropout=min(dropout, options.max_dropout))


CHANGES: Mapping[type, tuple[Change, ...]] = {
    Convolution: (_change_filters, _change_kernel, _change_activation),
    Residual: (_change_filters, _change_kernel, _change_activation),
    Pooling: (_change_size,),
    Dense: (_change_units, _change_dropout, _change_activation),
}


def _changes_of(layer: Layer, options: SpaceOptions) -> tuple[Change, ...]:
    """Return the changes of the layer's kind, and of strides where the options have several."""
    changes = CHANGES[type(layer)]
    if isinstance(layer, Pooling) and options.pool_stride == "either":
        return (*changes, _change_pool_stride)
    if isinstance(layer, Convolution | Residual) and options.max_stride > 1:
        return (*changes, _change_stride)
    return changes


def _gauss_size(value: int, low: int, high: int, options: SpaceOptions, rng: Generator) -> int:
    """Return the size moved by a Gaussian step in its range, or in the range's logarithm."""
    if options.sizes == "linear":
        return round(_gauss(value, low, high, options, rng))
    moved = _gauss(math.log(value), math.log(low), math.log(high), options, rng)
    return round(math.exp(moved))


def _gauss(value: float, low: float, high: float, options: SpaceOptions, rng: Generator) -> float:
    """Return the value moved by a Gaussian step and kept in [low, high]."""
    moved = float(rng.normal(value, options.mutation_spread * (high - low)))
    return min(max(moved, low), high)


def _pick(choices: Sequence[Any], rng: Generator) -> Any:
    return choices[int(rng.integers(len(choices)))]


def _roulette(shares: Mapping[str, float], rng: Generator) -> str:
    ball = float(rng.random()) * sum(shares.values())
    for name, share in shares.items():
        if ball < share:
            return name
        ball -= share
    return name  # rounding can leave a last grain of the sum
