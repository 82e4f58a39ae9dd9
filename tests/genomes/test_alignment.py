from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoconv.genomes.alignment import Alignment, Origin, align
from evoconv.genomes.cross_topology import cross
from evoconv.genomes.draw_topology import draw_topology
from evoconv.genomes.layers import Convolution, Dense, FeatureLayer, Pooling, Residual
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from tests.genomes.strategies import input_shapes, topologies

anything = input_shapes.flatmap(topologies)


def convolution(filters: int, kernel: int = 3) -> Convolution:
    return Convolution(filters=filters, kernel=(kernel, kernel))


def topology_of(*features: FeatureLayer, units: tuple[int, ...] = ()) -> Topology:
    return Topology(features=features, classifier=tuple(Dense(units=one) for one in units))


A, B, C, D = (convolution(filters) for filters in (8, 12, 16, 24))
POOL = Pooling(size=(2, 2))
BLOCK = Residual(filters=16, kernel=(3, 3))
PARENT = topology_of(A, POOL, B, C, D, units=(10, 20, 30))
OTHER = topology_of(
    *(convolution(filters, 5) for filters in (9, 13, 17)), BLOCK, units=(50, 60, 70)
)


def origins(*places: int | None, parent: int = 0) -> tuple[Origin | None, ...]:
    return tuple(None if one is None else Origin(parent=parent, index=one) for one in places)


def identity(topology: Topology, parent: int) -> Alignment:
    return Alignment(
        features=origins(*range(len(topology.features)), parent=parent),
        classifier=origins(*range(len(topology.classifier)), parent=parent),
        output=parent,
    )


@settings(max_examples=100)
@given(topology=anything)
def test_a_copy_aligns_to_the_identity(topology: Topology) -> None:
    assert align(topology, [topology]) == identity(topology, 0)
    assert align(topology, [topology, topology]) == identity(topology, 0)


@settings(max_examples=100)
@given(child=anything, parents=st.lists(anything, min_size=1, max_size=3))
def test_any_alignment_pairs_layers_of_one_kind_and_uses_none_twice(
    child: Topology, parents: list[Topology]
) -> None:
    found = align(child, parents)
    assert found == align(child, parents)
    for part in ("features", "classifier"):
        layers, sources = getattr(child, part), getattr(found, part)
        assert len(layers) == len(sources)
        used = [one for one in sources if one is not None]
        assert len(used) == len(set(used))
        for layer, source in zip(layers, sources, strict=True):
            if source is not None:
                theirs = getattr(parents[source.parent], part)[source.index]
                assert type(theirs) is type(layer)
    assert 0 <= found.output < len(parents)


@pytest.mark.parametrize("points", [1, 2, 3])
def test_every_layer_of_a_crossover_child_comes_from_an_equal_one(points: int) -> None:
    shape = (1, 28, 28)
    options = SpaceOptions(
        crossover_points=points, min_features_at_birth=2, max_features_at_birth=8
    )
    rng = np.random.default_rng(points)
    for _ in range(60):
        first, second = (draw_topology(options, shape, rng) for _ in range(2))
        child = cross(first, second, options, shape, rng)
        found = align(child, [first, second])
        for part in ("features", "classifier"):
            for layer, source in zip(getattr(child, part), getattr(found, part), strict=True):
                # A layer may have been cut to its smaller input after crossing.
                available = [*getattr(first, part), *getattr(second, part)]
                if layer in available:
                    assert source is not None
                    assert getattr((first, second)[source.parent], part)[source.index] == layer
                else:
                    assert isinstance(layer, Pooling)


def test_a_crossover_child_has_its_start_from_the_first_and_its_end_from_the_second() -> None:
    child = topology_of(A, POOL, B, *OTHER.features[2:], units=(10, 60, 70))
    assert align(child, [PARENT, OTHER]) == Alignment(
        features=(*origins(0, 1, 2), *origins(2, 3, parent=1)),
        classifier=(*origins(0), *origins(1, 2, parent=1)),
        output=1,
    )


def test_the_output_comes_from_where_the_layer_before_it_does() -> None:
    child = topology_of(A, POOL, *OTHER.features[2:])
    assert align(child, [PARENT, OTHER]).output == 1
    assert align(child, [OTHER, PARENT]).output == 0


def test_of_equal_layers_those_of_the_first_parent_are_taken() -> None:
    one = topology_of(A, POOL, B, units=(10,))
    two = topology_of(A, POOL, B, units=(10,))
    assert align(one, [two, one]) == identity(one, 0)


@pytest.mark.parametrize("layer", [convolution(11), BLOCK, Pooling(size=(3, 3)), A])
def test_an_inserted_feature_layer_is_new(layer: FeatureLayer) -> None:
    child = replace(PARENT, features=(A, POOL, B, layer, C, D))
    assert align(child, [PARENT]).features == origins(0, 1, 2, None, 3, 4)
    assert align(child, [PARENT]).classifier == origins(0, 1, 2)


def test_an_inserted_layer_is_new_although_another_parent_has_a_similar_one() -> None:
    child = replace(PARENT, features=(A, POOL, B, convolution(12, 5), C, D))
    assert align(child, [PARENT, OTHER]).features == origins(0, 1, 2, None, 3, 4)


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_an_inserted_dense_layer_is_new(place: int) -> None:
    units = [10, 20, 30]
    units.insert(place, 11)
    expected: list[int | None] = [0, 1, 2]
    expected.insert(place, None)
    found = align(topology_of(*PARENT.features, units=tuple(units)), [PARENT])
    assert found.classifier == origins(*expected)


@pytest.mark.parametrize("place", range(5))
def test_after_a_deletion_the_other_layers_keep_their_origin(place: int) -> None:
    left = [index for index in range(5) if index != place]
    child = replace(PARENT, features=tuple(PARENT.features[index] for index in left))
    assert align(child, [PARENT]) == replace(identity(PARENT, 0), features=origins(*left))


@pytest.mark.parametrize(("one", "two"), [(one, two) for two in range(5) for one in range(two)])
def test_two_switched_layers_are_found(one: int, two: int) -> None:
    order = list(range(5))
    order[one], order[two] = order[two], order[one]
    child = replace(PARENT, features=tuple(PARENT.features[index] for index in order))
    assert align(child, [PARENT]) == replace(identity(PARENT, 0), features=origins(*order))
    assert align(child, [PARENT, OTHER]) == align(child, [PARENT])


@pytest.mark.parametrize(
    ("place", "layer"),
    [
        (0, convolution(30, 7)),
        (1, Pooling(size=(3, 1), kind="average")),
        (3, replace(C, activation="tanh", stride=(2, 1), filters=1)),
    ],
)
def test_a_changed_layer_comes_from_what_it_was(place: int, layer: FeatureLayer) -> None:
    features = [*PARENT.features]
    features[place] = layer
    child = replace(PARENT, features=tuple(features))
    assert align(child, [PARENT]) == identity(PARENT, 0)


def test_a_layer_changed_into_another_one_still_comes_from_what_it_was() -> None:
    for parents in ([PARENT], [PARENT, OTHER]):
        child = replace(PARENT, features=(C, *PARENT.features[1:]))
        assert align(child, parents) == identity(PARENT, 0)


def test_a_similar_layer_gives_way_to_an_equal_one() -> None:
    child = topology_of(D, POOL, convolution(23))
    assert align(child, [topology_of(A, POOL, D)]).features == origins(2, 1, None)


def test_equal_layers_keep_their_order() -> None:
    parent = topology_of(A, A, A)
    assert align(topology_of(A, A), [parent]).features == origins(0, 1)
    assert align(topology_of(A, A, A, A), [parent]).features == origins(0, 1, 2, None)


def test_a_layer_of_the_first_parent_is_not_used_again_after_one_of_the_second() -> None:
    first, second = topology_of(A, B, A), topology_of(C, BLOCK, D)
    found = align(topology_of(A, BLOCK, A), [first, second])
    assert found.features == (*origins(0), *origins(1, parent=1), *origins(2))


def test_a_child_needs_a_parent() -> None:
    with pytest.raises(ValueError, match="one parent or more"):
        align(PARENT, [])
