from evoconv.genomes.fitting import fit_features
from evoconv.genomes.layers import Convolution, Pooling, Residual


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


def test_a_stride_is_cut_with_its_window() -> None:
    pooling = Pooling(size=(3, 2), stride=(3, 1), kind="average")
    assert fit_features([pooling], (1, 2, 8)) == (
        Pooling(size=(2, 2), stride=(2, 1), kind="average"),
    )
    layer = Convolution(filters=3, kernel=(5, 5), stride=(2, 3), padding="valid")
    assert fit_features([layer], (1, 1, 8)) == (
        Convolution(filters=3, kernel=(1, 5), stride=(1, 3), padding="valid"),
    )


def test_layers_that_fit_stay_the_same_values() -> None:
    layers = (Residual(filters=3, kernel=(9, 9), stride=(3, 3)), Pooling(size=(2, 2)))
    fitted = fit_features(layers, (1, 8, 8))
    assert all(after is before for after, before in zip(fitted, layers, strict=True))
