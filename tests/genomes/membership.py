"""Whether a topology is in a search space, by the words of the options."""

from evoconv.genomes.layers import Convolution, Dense, FeatureLayer, Pooling, Residual
from evoconv.genomes.rules import Frame, broken_rules
from evoconv.genomes.shapes import cost
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology


def check_membership(one: Topology, options: SpaceOptions, shape: tuple[int, int, int]) -> None:
    """Assert that the topology fits the images and keeps every range and rule."""
    cost(one, shape, 10)
    frame = Frame(input_shape=shape, least_side=options.least_side)
    assert broken_rules(one, options.rules, frame) == []
    assert any(isinstance(layer, Convolution | Residual) for layer in one.features)
    assert len(one.features) <= options.max_features
    assert options.min_classifier <= len(one.classifier) <= options.max_classifier
    for layer in one.features:
        _check_feature_layer(layer, options, shape)
    for dense in one.classifier:
        _check_dense(dense, options)


def _check_feature_layer(
    layer: FeatureLayer, options: SpaceOptions, shape: tuple[int, int, int]
) -> None:
    # Only where maps are small, or rectangular and not padded, windows are cut below the smallest.
    is_padded = options.pool_padding == "same"
    is_cut = (
        min(shape[1:]) < 28
        or options.least_side > 1
        or options.padding == "valid"
        or not (options.square or is_padded)
    )
    if isinstance(layer, Pooling):
        assert is_cut or min(layer.size) >= options.min_pool
        assert max(layer.size) <= options.max_pool
        for side, step in zip(layer.size, layer.steps, strict=True):
            assert step == side or (step == 1 and options.pool_stride == "either")
        assert layer.padding == options.pool_padding
        assert layer.kind == "max" or options.average_share > 0
        assert layer.kind == "average" or options.average_share < 1
        return
    assert isinstance(layer, Residual) <= (options.residual_share > 0)
    assert isinstance(layer, Convolution) <= (options.residual_share < 1)
    assert options.min_filters <= layer.filters <= options.max_filters
    assert is_cut or options.min_kernel <= min(layer.kernel)
    assert max(layer.kernel) <= options.max_kernel
    assert max(layer.stride) <= options.max_stride
    assert layer.activation in options.activations
    assert layer.normalisation == options.normalisation
    if options.square and not is_cut:
        assert layer.kernel[0] == layer.kernel[1]
        assert layer.stride[0] == layer.stride[1]


def _check_dense(dense: Dense, options: SpaceOptions) -> None:
    assert options.min_units <= dense.units <= options.max_units
    assert 0 <= dense.dropout <= options.max_dropout
    assert dense.activation in options.activations
