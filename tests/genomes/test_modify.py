from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoconv.genomes.draw_topology import draw_dense, draw_feature_layer
from evoconv.genomes.layers import LAYER_KINDS, Convolution, Dense, Layer, Pooling, Residual
from evoconv.genomes.modify import (
    MODIFICATIONS,
    is_modifiable,
    modify_layer,
    resize_pooling,
    scale_layers,
)
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology

OPTIONS = SpaceOptions(
    min_filters=2,
    max_filters=64,
    min_kernel=1,
    max_stride=2,
    average_share=0.5,
    residual_share=0.3,
    pool_stride="either",
    pool_padding="same",
    square=False,
)
NAMES = ("filters", "kernel", "stride", "size", "kind", "units", "dropout", "activation")


def modified(layer: Layer, options: SpaceOptions, scale: float = 1.0) -> dict[str, Layer]:
    rng = np.random.default_rng(1)
    drawn = [modify_layer(layer, options, rng, scale) for _ in range(500)]
    return {text: after for after, text in drawn}


@pytest.mark.parametrize("kind", LAYER_KINDS.values())
def test_every_kind_of_layer_can_be_modified(kind: type) -> None:
    assert MODIFICATIONS[kind]


def test_a_convolution_moves_in_every_direction() -> None:
    layer = Convolution(filters=30, kernel=(3, 4), stride=(1, 2), activation="relu")
    results = modified(layer, OPTIONS)
    assert set(results) == {
        "filters by 16",  # 25 % of 62
        "filters by -16",
        "kernel height by 1",
        "kernel height by -1",
        "kernel width by 1",
        "kernel width by -1",
        "stride height by 1",
        "stride width by -1",
        "activation",
    }
    assert results["kernel width by -1"] == Convolution(filters=30, kernel=(3, 3), stride=(1, 2))
    assert results["filters by 16"] == Convolution(filters=46, kernel=(3, 4), stride=(1, 2))


def test_square_windows_stay_square() -> None:
    options = SpaceOptions(max_stride=2, pool_stride="either", pool_padding="same")
    layer = Residual(filters=10, kernel=(3, 3))
    assert {"kernel by 1", "kernel by -1", "stride by 1"} <= modified(layer, options).keys()
    assert modified(layer, options)["stride by 1"] == Residual(
        filters=10, kernel=(3, 3), stride=(2, 2)
    )
    pooling = Pooling(size=(2, 2), padding="same")
    assert modified(pooling, options) == {
        "pool by 1": Pooling(size=(3, 3), padding="same"),
        "pool stride": Pooling(size=(2, 2), stride=(1, 1), padding="same"),
    }


def test_a_pooling_changes_its_size_stride_and_kind() -> None:
    layer = Pooling(size=(2, 3), stride=(1, 3), kind="average", padding="same")
    assert modified(layer, OPTIONS) == {
        "pool height by 1": Pooling(size=(3, 3), stride=(1, 3), kind="average", padding="same"),
        "pool width by -1": Pooling(size=(2, 2), stride=(1, 2), kind="average", padding="same"),
        "pool stride": modified(layer, OPTIONS)["pool stride"],
        "pool kind": Pooling(size=(2, 3), stride=(1, 3), kind="max", padding="same"),
    }


def test_dropout_moves_by_whole_percents() -> None:
    layer = Dense(units=290, dropout=0.29)
    options = SpaceOptions(step_share=0.1, max_dropout=0.5, activations=("relu",))
    assert modified(layer, options) == {
        "units by 10": Dense(units=300, dropout=0.29),  # no further than the range
        "units by -29": Dense(units=261, dropout=0.29),
        "dropout by 5%": Dense(units=290, dropout=0.34),
        "dropout by -5%": Dense(units=290, dropout=0.24),
    }


@pytest.mark.parametrize(
    ("filters", "steps"), [(2, {2}), (8, {8, -4}), (32, {32, -16}), (50, {14, -25}), (64, {-32})]
)
def test_sizes_in_proportion_go_by_a_factor(filters: int, steps: set[int]) -> None:
    # A fifth of the five octaves: a factor of two.
    options = replace(OPTIONS, sizes="log", step_share=0.2)
    texts = modified(Convolution(filters=filters, kernel=(3, 3)), options).keys()
    assert {one for one in texts if "filters" in one} == {f"filters by {step}" for step in steps}


def test_all_layers_are_scaled_by_one_factor_within_their_ranges() -> None:
    options = replace(OPTIONS, max_filters=32, min_units=10, max_units=40, step_share=0.25)
    topology = Topology(
        features=(
            Convolution(filters=4, kernel=(3, 3)),
            Pooling(size=(2, 2)),
            Residual(filters=30, kernel=(3, 3)),
        ),
        classifier=(Dense(units=20),),
        reduction="flatten",
    )
    drawn = {}
    for seed in range(20):
        scaled, text = scale_layers(topology, options, np.random.default_rng(seed), 1.0)
        drawn[text] = [
            *(one.filters for one in scaled.features if not isinstance(one, Pooling)),
            scaled.classifier[0].units,
        ]
        assert scaled.features[1] == topology.features[1]
    # A quarter of four octaves of filters, and of two of units.
    assert drawn == {"scale up": [8, 32, 28], "scale down": [2, 15, 14]}


@pytest.mark.parametrize(("scale", "step"), [(1.0, 16), (0.5, 8), (0.1, 2), (0.001, 1)])
def test_the_step_is_a_share_of_the_largest_and_at_least_one(scale: float, step: int) -> None:
    layer = Convolution(filters=30, kernel=(3, 3))
    assert {f"filters by {step}", f"filters by -{step}"} <= modified(layer, OPTIONS, scale).keys()


def test_what_is_modified_and_the_direction_are_drawn_uniformly() -> None:
    rng = np.random.default_rng(1)
    layer = Convolution(filters=30, kernel=(3, 3), stride=(1, 1))
    num_draws = 4_000
    drawn = Counter(modify_layer(layer, OPTIONS, rng, 1.0)[1] for _ in range(num_draws))
    kinds = Counter[str]()
    for text, count in drawn.items():
        kinds[text.split()[0]] += count
    sigma = (num_draws * (1 / 4) * (3 / 4)) ** 0.5
    assert len(kinds) == 4
    assert all(abs(count - num_draws / 4) < 4 * sigma for count in kinds.values())
    assert abs(drawn["filters by 16"] - drawn["filters by -16"]) < 4 * (num_draws / 4) ** 0.5


def test_a_window_cut_below_its_range_only_grows() -> None:
    options = SpaceOptions(min_filters=9, max_filters=9, activations=("relu",))
    layer = Convolution(filters=9, kernel=(1, 1), padding="valid")
    assert set(modified(layer, options)) == {"kernel by 1"}


def test_a_layer_of_single_values_is_not_modifiable() -> None:
    options = SpaceOptions(min_pool=2, max_pool=2)
    assert not is_modifiable(Pooling(size=(2, 2)), options)
    assert is_modifiable(Convolution(filters=20, kernel=(3, 3)), options)


def test_a_resized_pooling_strides_as_before() -> None:
    assert resize_pooling(Pooling(size=(2, 2)), (3, 2)) == Pooling(size=(3, 2))
    assert resize_pooling(Pooling(size=(2, 3), stride=(2, 1)), (3, 2)) == Pooling(
        size=(3, 2), stride=(3, 1)
    )


@settings(max_examples=200)
@given(
    seed=st.integers(0, 2**32),
    scale=st.floats(0, 1, exclude_min=True),
    square=st.booleans(),
    step_share=st.sampled_from((0.01, 0.25, 1.0)),
)
def test_a_modification_changes_one_property_and_says_by_how_much(
    seed: int, scale: float, square: bool, step_share: float
) -> None:
    rng = np.random.default_rng(seed)
    options = SpaceOptions(
        max_stride=3,
        average_share=0.5,
        residual_share=0.5,
        pool_stride="either",
        square=square,
        step_share=step_share,
    )
    layer: Layer = draw_dense(options, rng) if seed % 3 == 0 else draw_feature_layer(options, rng)
    after, text = modify_layer(layer, options, rng, scale)
    assert type(after) is type(layer)
    changed = [name for name in NAMES if getattr(after, name, None) != getattr(layer, name, None)]
    if text == "pool stride":
        assert set(changed) <= {"stride"}
        assert isinstance(layer, Pooling)
        assert isinstance(after, Pooling)
        assert after.steps != layer.steps
    else:
        # The stride of a pooling follows its size.
        assert len(changed) == 1 or changed == ["stride", "size"]
    if "filters" in text:
        assert isinstance(layer, Convolution | Residual)
        assert isinstance(after, Convolution | Residual)
        assert int(text.split()[2]) == after.filters - layer.filters
