"""Random topologies and layers, as the options of the space have them.

Source: Vidnerová & Neruda 2018, section 3.
Differs: every random topology has a convolution, and a pooling that does not fit its input is made
smaller or left out where the topology is made, not silently skipped where it is built.
"""

import math
from collections.abc import Iterable

from numpy.random import Generator

from evoconv.genomes.fitting import fit_features
from evoconv.genomes.layers import Convolution, Dense, FeatureLayer, Pair, Pooling, Residual
from evoconv.genomes.rules import Frame, enforce_rules
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Reduction, Topology


def draw_side_pair(low: int, high: int, options: SpaceOptions, rng: Generator) -> Pair:
    """Return the sides (height, width) of a kernel or pool, drawn uniformly from [low, high]."""
    height = int(rng.integers(low, high + 1))
    return height, height if options.square else int(rng.integers(low, high + 1))


def draw_size(low: int, high: int, options: SpaceOptions, rng: Generator) -> int:
    """Return a number of filters or units in [low, high]: any alike, or each octave alike."""
    if options.sizes == "linear":
        return int(rng.integers(low, high + 1))
    drawn = math.exp(rng.uniform(math.log(low), math.log(high + 1)))
    return min(int(drawn), high)


def nearest_within(value: float, low: int, high: int) -> int:
    """Return the whole number in [low, high] that is nearest to a value."""
    return min(max(round(value), low), high)


def draw_activation(options: SpaceOptions, rng: Generator) -> str:
    """Return one of the activations."""
    return options.activations[int(rng.integers(len(options.activations)))]


def draw_strides(options: SpaceOptions, rng: Generator) -> Pair:
    """Return the strides of a convolution, drawn uniformly from 1 to the longest."""
    return (
        (1, 1) if options.max_stride == 1 else draw_side_pair(1, options.max_stride, options, rng)
    )


def draw_convolution(options: SpaceOptions, rng: Generator) -> Convolution | Residual:
    """Return a random convolution or residual block."""
    return make_convolution(
        options,
        is_residual=options.residual_share > 0 and rng.random() < options.residual_share,
        filters=draw_size(options.min_filters, options.max_filters, options, rng),
        kernel=draw_side_pair(options.min_kernel, options.max_kernel, options, rng),
        stride=draw_strides(options, rng),
        activation=draw_activation(options, rng),
    )


def make_convolution(
    options: SpaceOptions,
    *,
    is_residual: bool,
    filters: int,
    kernel: Pair,
    stride: Pair,
    activation: str = "relu",
) -> Convolution | Residual:
    """Return a convolution or residual block with the padding and normalisation of the space.

    It has a bias unless normalisation makes that useless.
    """
    bias = options.normalisation == "none"
    if is_residual:
        return Residual(
            filters=filters,
            kernel=kernel,
            stride=stride,
            activation=activation,
            bias=bias,
            normalisation=options.normalisation,
        )
    return Convolution(
        filters=filters,
        kernel=kernel,
        stride=stride,
        padding=options.padding,
        activation=activation,
        bias=bias,
        normalisation=options.normalisation,
    )


def draw_pooling(size: Pair, options: SpaceOptions, rng: Generator) -> Pooling:
    """Return a pooling of that size and of random kind and strides."""
    is_average = options.average_share > 0 and rng.random() < options.average_share
    return Pooling(
        size=size,
        kind="average" if is_average else "max",
        stride=draw_pool_strides(size, options, rng),
        padding=options.pool_padding,
    )


def make_pooling(options: SpaceOptions, side: int) -> Pooling:
    """Return a pooling that strides by its size, of the maximum where the space has that."""
    return Pooling(
        size=(side, side),
        kind="average" if options.average_share == 1 else "max",
        padding=options.pool_padding,
    )


def draw_pool_strides(size: Pair, options: SpaceOptions, rng: Generator) -> Pair | None:
    """Return 1 or the size, per axis unless sides are equal; None, the size, where that is all."""
    if options.pool_stride == "size":
        return None
    height = bool(rng.integers(2))
    width = height if options.square else bool(rng.integers(2))
    return size[0] if height else 1, size[1] if width else 1


def draw_feature_layer(options: SpaceOptions, rng: Generator) -> FeatureLayer:
    """Return a random convolution, residual block or pooling."""
    if rng.random() < options.convolution_share:
        return draw_convolution(options, rng)
    size = draw_side_pair(options.min_pool, options.max_pool, options, rng)
    return draw_pooling(size, options, rng)


def draw_dense(options: SpaceOptions, rng: Generator) -> Dense:
    """Return a random hidden dense layer."""
    return make_dense(
        options,
        units=draw_size(options.min_units, options.max_units, options, rng),
        activation=draw_activation(options, rng),
        dropout=options.dropouts[int(rng.integers(len(options.dropouts)))],
    )


def make_dense(
    options: SpaceOptions, *, units: int, activation: str = "relu", dropout: float = 0.0
) -> Dense:
    """Return a hidden dense layer with the normalisation of the space.

    It has a bias unless normalisation makes that useless.
    """
    return Dense(
        units=units,
        activation=activation,
        dropout=dropout,
        bias=options.normalisation == "none",
        normalisation=options.normalisation,
    )


def draw_topology(
    options: SpaceOptions, input_shape: tuple[int, int, int], rng: Generator
) -> Topology:
    """Return a random topology that has a convolution, fits the input and keeps the rules."""
    num_features = int(
        rng.integers(options.min_features_at_birth, options.max_features_at_birth + 1)
    )
    features = [draw_feature_layer(options, rng) for _ in range(num_features)]
    if all(isinstance(layer, Pooling) for layer in features):
        features[int(rng.integers(num_features))] = draw_convolution(options, rng)
    num_dense = int(rng.integers(options.min_classifier, options.max_classifier_at_birth + 1))
    classifier = tuple(draw_dense(options, rng) for _ in range(num_dense))
    known = options.reductions(input_shape)
    return assemble(
        features,
        classifier,
        known[int(rng.integers(len(known)))] if len(known) > 1 else known[0],
        options,
        input_shape,
    )


def assemble(
    features: Iterable[FeatureLayer],
    classifier: tuple[Dense, ...],
    reduction: Reduction,
    options: SpaceOptions,
    input_shape: tuple[int, int, int],
) -> Topology:
    """Return the topology of these layers that keeps the rules and fits the input."""
    if options.rules:
        frame = Frame(input_shape=input_shape, least_side=options.least_side)
        whole = Topology(features=tuple(features), classifier=classifier, reduction=reduction)
        whole = enforce_rules(whole, options.rules, frame)
        features, classifier = whole.features, whole.classifier
    return Topology(
        features=fit_features(features, input_shape), classifier=classifier, reduction=reduction
    )
