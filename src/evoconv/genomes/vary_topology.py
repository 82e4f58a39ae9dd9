"""Mutation and crossover of topologies. Pure: values in, value out.

Source: Vidnerová & Neruda 2018, section 3.2. What is changed in a drawn layer is drawn uniformly
among the operators that the paper lists for its kind. Which part a layer is added to or deleted
from is a toss of a coin, as in the authors' code. Differs from that code: filters, units and
dropout mutate with a Gaussian (the paper's text; the code redraws), a layer can be added at the end
too, a deletion that would leave no convolution or too few dense layers is not drawn, crossing
points that would leave no convolution or too many layers are not drawn, and an operator that is
impossible leaves its share to the others.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from numpy.random import Generator

from evoconv.genomes.layers import Convolution, Dense, FeatureLayer, Layer, Pooling, Residual
from evoconv.genomes.search_space import (
    SpaceOptions,
    draw_activation,
    draw_dense,
    draw_feature_layer,
    draw_side_pair,
    fit_features,
)
from evoconv.genomes.topology import Topology

L = TypeVar("L", bound=Layer)
Change = Callable[[Any, SpaceOptions, Generator], Layer]


def cross(
    first: Topology,
    second: Topology,
    options: SpaceOptions,
    input_shape: tuple[int, int, int],
    rng: Generator,
) -> Topology:
    """Return the first offspring of one-point crossover, done per part at layer borders.

    A part with less than two layers in either parent is exchanged whole.
    """
    features = _cross_part(
        first.features, second.features, rng, lambda part: _is_feature_part(part, options)
    )
    classifier = _cross_part(
        first.classifier,
        second.classifier,
        rng,
        lambda part: len(part) <= options.max_classifier,
    )
    return Topology(
        features=fit_features(features, input_shape),
        classifier=classifier,
        reduction=first.reduction,
    )


def mutate(
    topology: Topology,
    options: SpaceOptions,
    input_shape: tuple[int, int, int],
    rng: Generator,
) -> tuple[Topology, str]:
    """Return a mutated topology and the name of the operator: change, add or delete.

    Redrawing can give what was there before, so the result may equal the topology given.
    """
    growable = _growable_parts(topology, options)
    deletable = _deletable_layers(topology, options)
    operators: dict[str, tuple[float, Callable[[], Topology]]] = {
        "change": (options.change_share, lambda: _change_layer(topology, options, rng)),
    }
    if growable:
        operators["add"] = (
            options.add_share,
            lambda: _add_layer(topology, growable, options, rng),
        )
    if deletable:
        operators["delete"] = (
            options.delete_share,
            lambda: _delete_layer(topology, deletable, rng),
        )
    name = _roulette({key: share for key, (share, _) in operators.items()}, rng)
    child = operators[name][1]()
    return replace(child, features=fit_features(child.features, input_shape)), name


def _cross_part(
    first: tuple[L, ...],
    second: tuple[L, ...],
    rng: Generator,
    is_allowed: Callable[[tuple[L, ...]], bool],
) -> tuple[L, ...]:
    """Return first[:i] + second[j:], i and j uniform among the inner borders that are allowed."""
    offspring = [
        first[:i] + second[j:] for i in range(1, len(first)) for j in range(1, len(second))
    ]
    allowed = [part for part in offspring if is_allowed(part)]
    return allowed[int(rng.integers(len(allowed)))] if allowed else second


def _is_feature_part(part: Sequence[FeatureLayer], options: SpaceOptions) -> bool:
    return len(part) <= options.max_features and _num_convolutions(part) > 0


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


def _change_layer(topology: Topology, options: SpaceOptions, rng: Generator) -> Topology:
    place = int(rng.integers(len(topology.features) + len(topology.classifier)))
    part = "features"
    if place >= len(topology.features):
        part, place = "classifier", place - len(topology.features)
    layers = list(getattr(topology, part))
    change = _pick(CHANGES[type(layers[place])], rng)
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
    return replace(layer, filters=round(_gauss(layer.filters, low, high, options, rng)))


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
    return replace(layer, size=draw_side_pair(options.min_pool, options.max_pool, options, rng))


def _change_units(layer: Dense, options: SpaceOptions, rng: Generator) -> Dense:
    low, high = options.min_units, options.max_units
    return replace(layer, units=round(_gauss(layer.units, low, high, options, rng)))


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
