"""Hypothesis strategies: topologies of every layer kind and option, and search spaces."""

from typing import Any

from hypothesis import strategies as st

from evoconv.genomes.layers import (
    ACTIVATIONS,
    Convolution,
    Dense,
    FeatureLayer,
    Pooling,
    Residual,
)
from evoconv.genomes.rules import RULES
from evoconv.genomes.shapes import output_size
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology

Size = tuple[int, int]

activations = st.sampled_from(ACTIVATIONS)
normalisations: st.SearchStrategy[Any] = st.sampled_from(("none", "batch"))
paddings: st.SearchStrategy[Any] = st.sampled_from(("same", "valid"))
dropouts = st.sampled_from((0.0, 0.2, 0.5))
strides = st.tuples(st.integers(1, 3), st.integers(1, 3))


def windows(size: Size, padding: str) -> st.SearchStrategy[Size]:
    """Return windows up to 5, and no larger than the map where nothing is padded."""
    highest = [5 if padding == "same" else min(5, side) for side in size]
    return st.tuples(st.integers(1, highest[0]), st.integers(1, highest[1]))


@st.composite
def feature_layers(draw: st.DrawFn, size: Size) -> FeatureLayer:
    kind = draw(st.sampled_from(("convolution", "residual", "pooling")))
    padding = draw(paddings)
    if kind == "convolution":
        return Convolution(
            filters=draw(st.integers(1, 5)),
            kernel=draw(windows(size, padding)),
            stride=draw(strides),
            padding=padding,
            activation=draw(activations),
            bias=draw(st.booleans()),
            normalisation=draw(normalisations),
            dropout=draw(dropouts),
        )
    if kind == "residual":
        return Residual(
            filters=draw(st.integers(1, 5)),
            kernel=draw(windows(size, "same")),
            stride=draw(strides),
            activation=draw(activations),
            bias=draw(st.booleans()),
            normalisation=draw(normalisations),
            dropout=draw(dropouts),
        )
    return Pooling(
        kind=draw(st.sampled_from(("max", "average"))),
        size=draw(windows(size, padding)),
        stride=draw(st.none() | strides),
        padding=padding,
        dropout=draw(dropouts),
    )


@st.composite
def topologies(draw: st.DrawFn, input_shape: tuple[int, int, int]) -> Topology:
    _, height, width = input_shape
    features: list[FeatureLayer] = []
    for _ in range(draw(st.integers(0, 4))):
        layer = draw(feature_layers((height, width)))
        window, stride, padding = (
            (layer.size, layer.steps, layer.padding)
            if isinstance(layer, Pooling)
            else (layer.kernel, layer.stride, getattr(layer, "padding", "same"))
        )
        height = output_size(height, window[0], stride[0], padding)
        width = output_size(width, window[1], stride[1], padding)
        features.append(layer)
    dense = st.builds(
        Dense,
        units=st.integers(1, 6),
        activation=activations,
        dropout=dropouts,
        bias=st.booleans(),
        normalisation=normalisations,
    )
    return Topology(
        features=tuple(features),
        classifier=tuple(draw(st.lists(dense, max_size=2))),
        reduction=draw(st.sampled_from(("flatten", "global-average"))),
    )


input_shapes = st.tuples(st.integers(1, 3), st.integers(1, 17), st.integers(1, 17))


@st.composite
def space_options(draw: st.DrawFn) -> SpaceOptions:
    """Return options with any of the layers, operators and rules of the compact method."""
    rules = tuple(draw(st.lists(st.sampled_from(tuple(RULES)), unique=True)))
    return SpaceOptions(
        min_filters=2,
        max_filters=20,
        min_kernel=draw(st.integers(1, 2)),
        square=draw(st.booleans()),
        padding=draw(paddings),
        pool_padding=draw(paddings),
        normalisation=draw(normalisations),
        max_stride=draw(st.integers(1, 3)),
        pool_stride=draw(st.sampled_from(("size", "either"))),
        residual_share=draw(st.sampled_from((0.0, 0.5, 1.0))),
        average_share=draw(st.sampled_from((0.0, 0.5, 1.0))),
        convolution_share=draw(st.sampled_from((0.0, 0.5, 1.0))),
        min_classifier=draw(st.integers(0, 1)),
        max_features=draw(st.integers(3, 7)),
        change_share=0.25,
        add_share=0.25,
        delete_share=0.25,
        switch_share=0.15,
        scale_share=0.1,
        sizes=draw(st.sampled_from(("linear", "log"))),
        modification=draw(st.sampled_from(("gaussian", "stepwise"))),
        crossover_points=draw(st.integers(1, 4)),
        mutation_spread=1.0,
        rules=rules,
        least_side=draw(st.integers(2, 5)) if "least-resolution" in rules else 1,
    )
