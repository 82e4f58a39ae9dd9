from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoconv.genomes.fitting import fit_features
from evoconv.genomes.layers import Convolution, Dense, FeatureLayer, Pooling, Residual
from evoconv.genomes.rules import RULES, Frame, broken_rules, enforce_rules, nearest_rising
from evoconv.genomes.shapes import feature_shapes
from evoconv.genomes.topology import Topology
from tests.genomes.strategies import topologies

FRAME = Frame(input_shape=(1, 28, 28), least_side=4)
SMALL, LARGE = Pooling(size=(2, 2)), Pooling(size=(3, 3), kind="average")


def convolution(filters: int = 8, side: int = 3, stride: int = 1) -> Convolution:
    return Convolution(filters=filters, kernel=(side, side), stride=(stride, stride))


def block(filters: int = 8) -> Residual:
    return Residual(filters=filters, kernel=(3, 3))


def enforced(name: str, *features: FeatureLayer, frame: Frame = FRAME) -> tuple[FeatureLayer, ...]:
    topology = Topology(features=features)
    after = enforce_rules(topology, (name,), frame)
    assert broken_rules(after, (name,), frame) == []
    assert (after is topology) == (not broken_rules(topology, (name,), frame))
    return after.features


def test_of_poolings_in_a_row_the_first_stays() -> None:
    name = "no-consecutive-poolings"
    one, two = convolution(1), block(2)
    assert enforced(name, SMALL, LARGE, one, LARGE, SMALL, SMALL, two) == (SMALL, one, LARGE, two)
    assert enforced(name, one, SMALL, two, LARGE) == (one, SMALL, two, LARGE)


def test_the_first_convolution_moves_before_poolings_of_the_image() -> None:
    name = "convolution-first"
    one, two = block(1), convolution(2)
    assert enforced(name, SMALL, LARGE, one, two) == (one, SMALL, LARGE, two)
    assert enforced(name, one, SMALL) == (one, SMALL)


def test_filters_become_the_nearest_that_never_shrink() -> None:
    layers = enforced(
        "filters-never-shrink", convolution(10), SMALL, block(31), convolution(20), block(40)
    )
    assert layers == (convolution(10), SMALL, block(25), convolution(25), block(40))


def test_units_become_the_nearest_that_never_grow() -> None:
    units = (10, 40, 21, 5)
    topology = Topology(features=(), classifier=tuple(Dense(units=one) for one in units))
    after = enforce_rules(topology, ("units-never-grow",), FRAME)
    assert [dense.units for dense in after.classifier] == [25, 25, 21, 5]


def test_strides_are_cut_to_their_windows() -> None:
    name = "strides-within-windows"
    pooling = Pooling(size=(2, 3), stride=(3, 1))
    layer = Convolution(filters=4, kernel=(1, 5), stride=(2, 2))
    assert enforced(name, layer, pooling, SMALL) == (
        Convolution(filters=4, kernel=(1, 5), stride=(1, 2)),
        Pooling(size=(2, 3), stride=(2, 1)),
        SMALL,
    )


def test_resolution_is_kept_by_shorter_strides_and_smaller_windows() -> None:
    name = "least-resolution"
    # 28, 14, 7, 4, and no further.
    strided = [convolution(stride=2)] * 4
    assert enforced(name, *strided) == (*strided[:3], convolution())
    # 28, 9; a pooling by three would leave 3, one by two leaves 4, and then none is possible.
    assert enforced(name, LARGE, LARGE, LARGE) == (LARGE, Pooling(size=(2, 2), kind="average"))
    unpadded = Convolution(filters=4, kernel=(3, 3), padding="valid")
    assert enforced(name, LARGE, LARGE, unpadded)[1:] == (
        Pooling(size=(2, 2), kind="average"),
        Convolution(filters=4, kernel=(1, 1), padding="valid"),
    )
    overlapping = Pooling(size=(3, 3), stride=(1, 1), padding="valid")
    assert enforced(name, SMALL, SMALL, overlapping, overlapping)[2:] == (
        overlapping,
        Pooling(size=(2, 2), stride=(1, 1)),
    )


def test_each_axis_keeps_its_own_resolution() -> None:
    frame = Frame(input_shape=(1, 9, 40), least_side=5)
    layers = enforced("least-resolution", convolution(stride=2), SMALL, SMALL, frame=frame)
    assert layers == (convolution(stride=2), Pooling(size=(1, 2)), Pooling(size=(1, 2)))


@settings(max_examples=200)
@given(st.lists(st.integers(1, 6), min_size=1, max_size=5))
def test_no_rising_sequence_is_nearer(values: list[int]) -> None:
    def error(sequence: tuple[float, ...]) -> float:
        return sum((a - b) ** 2 for a, b in zip(values, sequence, strict=True))

    rising = [one for one in product(range(1, 7), repeat=len(values)) if list(one) == sorted(one)]
    nearest = nearest_rising(values)
    assert nearest == sorted(nearest)
    assert min(values) <= nearest[0]
    assert nearest[-1] <= max(values)
    # Rounding down can cost up to 1 per value, a whole sequence no less than the unrounded mean.
    assert error(tuple(nearest)) <= min(map(error, rising)) + len(values)
    if list(values) == sorted(values):
        assert nearest == values


@settings(max_examples=200)
@given(st.lists(st.integers(2, 30), min_size=1, max_size=6), st.data())
def test_what_is_taken_from_one_layer_is_not_given_to_others(
    values: list[int], data: st.DataObject
) -> None:
    rising = nearest_rising(values)
    place = data.draw(st.integers(0, len(values) - 1))
    fewer = [*rising]
    fewer[place] -= data.draw(st.integers(1, fewer[place] - 1))
    after = nearest_rising(fewer)
    assert all(new <= old for new, old in zip(after, rising, strict=True))
    assert sum(after) < sum(rising)


@settings(max_examples=150)
@given(
    topology=topologies((1, 13, 9)),
    names=st.lists(st.sampled_from(tuple(RULES)), unique=True),
    least_side=st.integers(1, 5),
)
def test_rules_hold_together_once_enforced_whatever_they_are_and_after_fitting(
    topology: Topology, names: list[str], least_side: int
) -> None:
    frame = Frame(input_shape=(1, 13, 9), least_side=least_side)
    text = topology.to_json()
    if not any(isinstance(layer, Convolution | Residual) for layer in topology.features):
        topology = Topology(features=(*topology.features, convolution()))
    after = enforce_rules(topology, names, frame)
    fitted = Topology(
        features=fit_features(after.features, frame.input_shape), classifier=after.classifier
    )
    assert broken_rules(fitted, names, frame) == []
    assert any(isinstance(layer, Convolution | Residual) for layer in after.features)
    assert enforce_rules(after, names, frame) == after
    if "least-resolution" in names:
        assert min(min(shape[1:]) for shape in feature_shapes(fitted, frame.input_shape)) >= (
            least_side
        )
    assert Topology.from_json(text).to_json() == text


def test_a_topology_that_keeps_the_rules_is_left_alone() -> None:
    topology = Topology(
        features=(convolution(4, 5, 2), block(6), SMALL, convolution(6)),
        classifier=(Dense(units=20), Dense(units=10)),
    )
    assert enforce_rules(topology, RULES, FRAME) is topology


@pytest.mark.parametrize("name", RULES)
def test_every_rule_is_broken_by_some_random_topology(name: str) -> None:
    rng = np.random.default_rng(1)
    layers = (SMALL, convolution(5, 1, 3), convolution(3), block(9), LARGE)
    found = False
    for _ in range(50):
        features = tuple(layers[int(rng.integers(5))] for _ in range(5))
        classifier = tuple(Dense(units=int(rng.integers(1, 9))) for _ in range(3))
        topology = Topology(features=fit_features(features, (1, 28, 28)), classifier=classifier)
        found |= bool(broken_rules(topology, (name,), FRAME))
    assert found
