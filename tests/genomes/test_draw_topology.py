from collections import Counter
from typing import Any

import numpy as np
import pytest

from evoconv.errors import ConfigError
from evoconv.genomes.draw_topology import (
    draw_convolution,
    draw_dense,
    draw_feature_layer,
    draw_topology,
)
from evoconv.genomes.layers import Convolution, Dense, Pooling, Residual
from evoconv.genomes.shapes import cost
from evoconv.genomes.space_options import SpaceOptions

INPUT_SHAPES = [(1, 28, 28), (3, 32, 32), (1, 8, 8), (1, 64, 64), (1, 3, 40), (2, 1, 1)]


def test_the_defaults_are_those_of_the_paper() -> None:
    options = SpaceOptions()
    assert (options.min_filters, options.max_filters) == (10, 50)
    assert (options.min_kernel, options.max_kernel) == (2, 5)
    assert (options.min_pool, options.max_pool) == (2, 3)
    assert (options.min_units, options.max_units) == (10, 300)
    assert options.dropouts == (0, 0.2, 0.3, 0.4)
    assert options.max_dropout == 0.9
    assert options.activations == ("relu", "tanh", "sigmoid", "hard-sigmoid", "linear")
    assert (options.min_features_at_birth, options.max_features_at_birth) == (1, 3)
    assert (options.min_classifier, options.max_classifier_at_birth) == (1, 3)
    assert options.convolution_share == 0.7
    assert (options.change_share, options.add_share, options.delete_share) == (0.5, 0.25, 0.25)


@pytest.mark.parametrize("input_shape", INPUT_SHAPES)
def test_random_topologies_are_in_range_and_fit(input_shape: tuple[int, int, int]) -> None:
    options = SpaceOptions(padding="valid")
    rng = np.random.default_rng(1)
    seen: set[object] = set()
    for _ in range(500):
        one = draw_topology(options, input_shape, rng)
        cost(one, input_shape, 10)
        assert 1 <= len(one.features) <= 3
        assert 1 <= len(one.classifier) <= 3
        assert any(isinstance(layer, Convolution) for layer in one.features)
        for layer in one.features:
            if isinstance(layer, Convolution):
                assert 10 <= layer.filters <= 50
                assert max(layer.kernel) <= 5
                seen |= {layer.activation, ("filters", layer.filters), ("kernel", layer.kernel)}
            else:
                assert isinstance(layer, Pooling)
                assert max(layer.size) <= 3
        for dense in one.classifier:
            assert isinstance(dense, Dense)
            assert 10 <= dense.units <= 300
            seen |= {dense.activation, dense.dropout}
    assert seen >= {*options.activations, *options.dropouts}
    assert {("filters", 10), ("filters", 50)} <= seen
    if min(input_shape[1:]) > 10:
        assert {("kernel", (side, side)) for side in (2, 3, 4, 5)} <= seen


def test_sides_are_drawn_apart_when_they_need_not_be_square() -> None:
    rng = np.random.default_rng(1)
    options = SpaceOptions(square=False, convolution_share=1.0)
    layers = [draw_feature_layer(options, rng) for _ in range(400)]
    assert len({layer.kernel for layer in layers if isinstance(layer, Convolution)}) == 16


def test_in_proportion_each_octave_of_sizes_is_as_likely() -> None:
    rng = np.random.default_rng(1)
    options = SpaceOptions(min_filters=2, max_filters=63, sizes="log")
    num_draws = 5_000
    octaves = Counter(
        int(np.log2(draw_convolution(options, rng).filters)) for _ in range(num_draws)
    )
    assert set(octaves) == {1, 2, 3, 4, 5}
    sigma = (num_draws * 0.2 * 0.8) ** 0.5
    assert all(abs(count - num_draws / 5) < 4 * sigma for count in octaves.values())


def test_in_proportion_the_ends_of_the_range_are_drawn_too() -> None:
    rng = np.random.default_rng(1)
    options = SpaceOptions(min_units=3, max_units=6, sizes="log")
    assert {draw_dense(options, rng).units for _ in range(300)} == {3, 4, 5, 6}


def test_the_share_of_convolutions_is_kept() -> None:
    rng = np.random.default_rng(1)
    num_draws = 5_000
    layers = [draw_feature_layer(SpaceOptions(), rng) for _ in range(num_draws)]
    num_convolutions = sum(isinstance(layer, Convolution) for layer in layers)
    sigma = (num_draws * 0.7 * 0.3) ** 0.5
    assert abs(num_convolutions - 0.7 * num_draws) < 4 * sigma


def test_by_default_nothing_of_the_compact_method_is_drawn() -> None:
    rng = np.random.default_rng(1)
    for _ in range(300):
        layer = draw_feature_layer(SpaceOptions(), rng)
        assert isinstance(layer, Convolution | Pooling)
        if isinstance(layer, Convolution):
            assert layer.stride == (1, 1)
        else:
            assert (layer.kind, layer.stride) == ("max", None)


def test_the_shares_of_residual_blocks_and_average_poolings_are_kept() -> None:
    rng = np.random.default_rng(1)
    options = SpaceOptions(convolution_share=0.5, residual_share=0.2, average_share=0.7)
    num_draws = 6_000
    layers = [draw_feature_layer(options, rng) for _ in range(num_draws)]
    num_residual = sum(isinstance(layer, Residual) for layer in layers)
    num_average = sum(isinstance(one, Pooling) and one.kind == "average" for one in layers)
    for count, share in ((num_residual, 0.5 * 0.2), (num_average, 0.5 * 0.7)):
        sigma = (num_draws * share * (1 - share)) ** 0.5
        assert abs(count - share * num_draws) < 4 * sigma


@pytest.mark.parametrize("square", [True, False])
def test_strides_are_drawn_up_to_the_longest(square: bool) -> None:
    rng = np.random.default_rng(1)
    options = SpaceOptions(max_stride=3, square=square, residual_share=0.5, pool_stride="either")
    layers = [draw_feature_layer(options, rng) for _ in range(500)]
    strides = {one.stride for one in layers if not isinstance(one, Pooling)}
    assert strides == {(i, j) for i in (1, 2, 3) for j in (1, 2, 3) if i == j or not square}
    for kind in (Convolution, Residual):
        assert {one.stride for one in layers if isinstance(one, kind)} == strides
    pooled = {(one.size, one.steps) for one in layers if isinstance(one, Pooling)}
    sizes = {(i, j) for i in (2, 3) for j in (2, 3) if i == j or not square}
    steps_of = {
        (i, j): {(1, 1), (i, j)} if square else {(1, 1), (1, j), (i, 1), (i, j)} for i, j in sizes
    }
    assert pooled == {(size, steps) for size in sizes for steps in steps_of[size]}


def test_a_topology_without_a_layer_that_convolves_gets_one_of_the_kinds_that_there_are() -> None:
    rng = np.random.default_rng(1)
    options = SpaceOptions(convolution_share=0.0, residual_share=1.0)
    for _ in range(20):
        kinds = [type(layer) for layer in draw_topology(options, (1, 28, 28), rng).features]
        assert kinds.count(Residual) == 1
        assert Convolution not in kinds


@pytest.mark.parametrize(
    ("choice", "shape", "born"),
    [
        ("either", (1, 28, 28), {"flatten", "global-average"}),
        ("by-size", (3, 32, 32), {"flatten"}),
        ("by-size", (3, 32, 33), {"flatten", "global-average"}),
        ("flatten", (1, 64, 64), {"flatten"}),
        ("global-average", (1, 28, 28), {"global-average"}),
    ],
)
def test_what_becomes_of_the_last_maps_is_chosen_at_birth(
    choice: Any, shape: tuple[int, int, int], born: set[str]
) -> None:
    rng = np.random.default_rng(1)
    options = SpaceOptions(reduction=choice)
    assert {draw_topology(options, shape, rng).reduction for _ in range(20)} == born


def test_normalised_convolutions_have_no_bias() -> None:
    rng = np.random.default_rng(1)
    options = SpaceOptions(normalisation="batch", reduction="global-average")
    one = draw_topology(options, (1, 28, 28), rng)
    assert one.reduction == "global-average"
    for layer in one.features:
        if isinstance(layer, Convolution):
            assert layer.normalisation == "batch"
            assert not layer.bias


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"min_filters": 60}, "min_filters 60 must not be above max_filters 50"),
        ({"min_units": 0}, "min_units must be in"),
        ({"max_features": 2}, "max_features_at_birth 3 must not be above max_features 2"),
        ({"activations": ("relu", "step")}, "activations must be one of"),
        ({"activations": ()}, "activations must name at least one"),
        ({"dropouts": (0.2, 0.95)}, "dropouts must be in"),
        ({"dropouts": (0.2, 0.6), "max_dropout": 0.5}, "max_dropout=0.5"),
        ({"change_share": 0.6}, "must add up to 100 %, got 110 %"),
        ({"switch_share": 0.1}, "must add up to 100 %, got 110 %"),
        ({"scale_share": 0.1}, "must add up to 100 %, got 110 %"),
        ({"max_stride": 0}, "max_stride must be in"),
        ({"crossover_points": 0}, "crossover_points must be in"),
        ({"modification": "random"}, "modification must be one of gaussian, stepwise"),
        ({"rules": ("poolings-first",)}, "rules must be one of convolution-first, .*resolution"),
        ({"rules": ("least-resolution",)}, "least_side must be above 1 with the rule"),
        ({"least_side": 3}, "and 1 without it, got 3"),
        ({"min_pool": 1}, "min_pool must be in"),
    ],
)
def test_contradictory_options_are_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        SpaceOptions(**options)  # type: ignore[arg-type]
