import numpy as np
import pytest

from evoconv.errors import ConfigError
from evoconv.genomes.layers import Convolution, Dense, Pooling, Residual
from evoconv.genomes.search_space import (
    SpaceOptions,
    draw_feature_layer,
    draw_topology,
    fit_features,
)
from evoconv.genomes.shapes import cost

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


def test_the_share_of_convolutions_is_kept() -> None:
    rng = np.random.default_rng(1)
    num_draws = 5_000
    layers = [draw_feature_layer(SpaceOptions(), rng) for _ in range(num_draws)]
    num_convolutions = sum(isinstance(layer, Convolution) for layer in layers)
    sigma = (num_draws * 0.7 * 0.3) ** 0.5
    assert abs(num_convolutions - 0.7 * num_draws) < 4 * sigma


def test_normalised_convolutions_have_no_bias() -> None:
    rng = np.random.default_rng(1)
    options = SpaceOptions(normalisation="batch", reduction="global-average")
    one = draw_topology(options, (1, 28, 28), rng)
    assert one.reduction == "global-average"
    for layer in one.features:
        if isinstance(layer, Convolution):
            assert layer.normalisation == "batch"
            assert not layer.bias


def test_poolings_are_cut_to_their_input_and_left_out_when_nothing_is_pooled() -> None:
    pooling = Pooling(size=(3, 3))
    fitted = fit_features([pooling, pooling, pooling], (1, 8, 8))
    assert fitted == (pooling, Pooling(size=(2, 2)))
    assert fit_features([pooling], (1, 1, 5)) == (Pooling(size=(1, 3)),)
    rounding_up = Pooling(size=(3, 3), padding="same")
    assert fit_features([rounding_up] * 4, (1, 8, 8)) == (rounding_up,) * 2


def test_unpadded_kernels_are_cut_to_their_input() -> None:
    layer = Convolution(filters=3, kernel=(5, 4), padding="valid")
    block = Residual(filters=3, kernel=(5, 5), stride=(4, 1))
    assert fit_features([block, layer], (1, 8, 8)) == (
        block,
        Convolution(filters=3, kernel=(2, 4), padding="valid"),
    )


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
        ({"change_share": 0.6}, "must add up to 100 %"),
        ({"min_pool": 1}, "min_pool must be in"),
    ],
)
def test_contradictory_options_are_refused(options: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        SpaceOptions(**options)  # type: ignore[arg-type]
