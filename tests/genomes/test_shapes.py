import pytest

from evoconv.errors import ConfigError
from evoconv.genomes.layers import Convolution, Dense, Pooling, Residual
from evoconv.genomes.shapes import cost, layer_table, output_size, same_padding
from evoconv.genomes.topology import Topology


def test_poolings_round_down_or_up() -> None:
    assert output_size(28, 3, 3, "valid") == 9
    assert output_size(28, 3, 3, "same") == 10
    assert output_size(7, 2, 2, "valid") == 3
    assert output_size(7, 2, 2, "same") == 4


def test_same_padding_puts_the_larger_half_after() -> None:
    assert same_padding(28, 3, 1) == (1, 1)
    assert same_padding(28, 4, 1) == (1, 2)
    assert same_padding(28, 3, 2) == (0, 1)
    assert same_padding(27, 3, 2) == (1, 1)
    assert same_padding(9, 1, 4) == (0, 0)


def test_a_network_is_counted_by_hand() -> None:
    topology = Topology(
        features=(
            Convolution(filters=4, kernel=(5, 3), stride=(2, 1), normalisation="batch"),
            Pooling(size=(2, 2)),
        ),
        classifier=(Dense(units=6, normalisation="batch", bias=False),),
    )
    first, pooling, reduction, dense, output = layer_table(topology, (3, 11, 8), 10)
    assert first.name == "features.0"
    assert first.output_shape == (4, 6, 8)
    assert first.parameters == 3 * 4 * 15 + 4 + 2 * 4
    assert first.macs == 3 * 4 * 15 * 6 * 8
    assert pooling.output_shape == (4, 3, 4)
    assert (pooling.parameters, pooling.macs) == (0, 0)
    assert (reduction.name, reduction.output_shape) == ("reduction", (48,))
    assert (dense.name, dense.parameters, dense.macs) == ("classifier.0", 48 * 6 + 12, 48 * 6)
    assert (output.name, output.parameters, output.macs) == ("output", 70, 60)
    total = cost(topology, (3, 11, 8), 10)
    assert total.parameters == first.parameters + dense.parameters + output.parameters
    assert total.macs == first.macs + dense.macs + output.macs
    assert total.weight_bytes == 4 * total.parameters
    # The first convolution's input and output are the most that lives at once.
    assert total.peak_activation_bytes == 4 * (3 * 11 * 8 + 4 * 6 * 8)
    assert total.memory_bytes == total.weight_bytes + total.peak_activation_bytes
    assert total.as_values()["memory_bytes"] == total.memory_bytes


def test_a_residual_block_keeps_its_input_alive() -> None:
    projected = Topology(features=(Residual(filters=8, kernel=(3, 3), stride=(2, 2)),))
    (block, *_) = layer_table(projected, (2, 9, 9), 10)
    assert block.output_shape == (8, 5, 5)
    assert block.parameters == (2 * 8 * 9 + 8) + (8 * 8 * 9 + 8) + (2 * 8 + 8)
    assert block.macs == 25 * (2 * 8 * 9 + 8 * 8 * 9 + 2 * 8)
    assert block.peak_values == 2 * 81 + 2 * 8 * 25
    plain = Topology(features=(Residual(filters=2, kernel=(3, 3), bias=False),))
    (block, *_) = layer_table(plain, (2, 9, 9), 10)
    assert block.parameters == 2 * (2 * 2 * 9)
    assert block.peak_values == 3 * 2 * 81


def test_averaging_maps_leaves_one_value_each() -> None:
    topology = Topology(
        features=(Convolution(filters=7, kernel=(3, 3)),), reduction="global-average"
    )
    _, reduction, output = layer_table(topology, (1, 6, 6), 3)
    assert reduction.description == "global-average"
    assert reduction.output_shape == (7,)
    assert output.parameters == 7 * 3 + 3


def test_a_window_that_does_not_fit_is_named() -> None:
    topology = Topology(features=(Pooling(size=(2, 2)), Pooling(size=(2, 5))))
    with pytest.raises(ConfigError, match=r"features\.1 \(max pooling 2×5\) doesn't fit .* 4×4"):
        cost(topology, (1, 8, 8), 10)
