from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoconv.genomes.layers import (
    LAYER_KINDS,
    Convolution,
    Dense,
    FeatureLayer,
    Pooling,
    Residual,
)
from evoconv.genomes.search_space import SpaceOptions, draw_topology
from evoconv.genomes.shapes import cost
from evoconv.genomes.topology import Topology
from evoconv.genomes.vary_topology import CHANGES, cross, mutate

SHAPE = (1, 28, 28)
OPTIONS = SpaceOptions()
seeds = st.integers(0, 2**32)
input_shapes = st.sampled_from(((1, 28, 28), (3, 32, 32), (1, 8, 8), (1, 64, 64), (1, 2, 30)))


def convolution(filters: int) -> Convolution:
    return Convolution(filters=filters, kernel=(3, 3))


def topology_of(*features: FeatureLayer, units: tuple[int, ...] = (20, 30)) -> Topology:
    return Topology(features=features, classifier=tuple(Dense(units=one) for one in units))


FIRST = topology_of(*[convolution(10 + index) for index in range(3)], units=(10, 11, 12))
SECOND = topology_of(*[convolution(20 + index) for index in range(4)], units=(20, 21))


def check_ranges(one: Topology, options: SpaceOptions, shape: tuple[int, int, int]) -> None:
    cost(one, shape, 10)
    assert any(isinstance(layer, Convolution | Residual) for layer in one.features)
    assert len(one.features) <= options.max_features
    assert options.min_classifier <= len(one.classifier) <= options.max_classifier
    for layer in one.features:
        if isinstance(layer, Pooling):
            assert max(layer.size) <= options.max_pool
            # Smaller only where the map itself is.
            assert min(layer.size) >= options.min_pool or min(shape[1:]) < 28
        else:
            assert options.min_filters <= layer.filters <= options.max_filters
            assert options.min_kernel <= min(layer.kernel)
            assert max(layer.kernel) <= options.max_kernel
            assert layer.activation in options.activations
    for dense in one.classifier:
        assert options.min_units <= dense.units <= options.max_units
        assert 0 <= dense.dropout <= options.max_dropout
        assert dense.activation in options.activations


@settings(max_examples=60, deadline=None)
@given(seed=seeds, shape=input_shapes, square=st.booleans())
def test_any_chain_of_operators_stays_in_range_and_leaves_parents_alone(
    seed: int, shape: tuple[int, int, int], square: bool
) -> None:
    rng = np.random.default_rng(seed)
    options = SpaceOptions(square=square, max_features=4, max_classifier=3, mutation_spread=1.0)
    family = [draw_topology(options, shape, rng) for _ in range(3)]
    for _ in range(15):
        first, second = (family[int(rng.integers(len(family)))] for _ in range(2))
        before = first.to_json(), second.to_json()
        child = cross(first, second, options, shape, rng)
        check_ranges(child, options, shape)
        mutant, name = mutate(child, options, shape, rng)
        check_ranges(mutant, options, shape)
        assert name in ("change", "add", "delete")
        assert (first.to_json(), second.to_json()) == before
        family.append(mutant)


@settings(max_examples=100, deadline=None)
@given(seed=seeds)
def test_crossover_gives_the_first_offspring_cut_at_inner_borders(seed: int) -> None:
    child = cross(FIRST, SECOND, OPTIONS, SHAPE, np.random.default_rng(seed))
    for part, first, second in (
        (child.features, FIRST.features, SECOND.features),
        (child.classifier, FIRST.classifier, SECOND.classifier),
    ):
        allowed = [
            first[:i] + second[j:] for i in range(1, len(first)) for j in range(1, len(second))
        ]
        assert part in allowed


def test_every_pair_of_inner_borders_is_drawn_equally_often() -> None:
    rng = np.random.default_rng(1)
    num_draws = 3_000
    drawn = Counter(cross(FIRST, SECOND, OPTIONS, SHAPE, rng).features for _ in range(num_draws))
    assert len(drawn) == 2 * 3
    sigma = (num_draws * (1 / 6) * (5 / 6)) ** 0.5
    assert all(abs(count - num_draws / 6) < 4 * sigma for count in drawn.values())


def test_the_parts_are_cut_independently() -> None:
    rng = np.random.default_rng(1)
    children = [cross(FIRST, SECOND, OPTIONS, SHAPE, rng) for _ in range(500)]
    assert len({(child.features, child.classifier) for child in children}) == 6 * 2


def test_a_part_of_one_layer_is_exchanged_whole() -> None:
    rng = np.random.default_rng(1)
    single = topology_of(convolution(40), units=(40,))
    child = cross(FIRST, single, OPTIONS, SHAPE, rng)
    assert (child.features, child.classifier) == (single.features, single.classifier)
    child = cross(single, FIRST, OPTIONS, SHAPE, rng)
    assert (child.features, child.classifier) == (FIRST.features, FIRST.classifier)


def test_crossover_keeps_a_convolution_and_the_number_of_layers() -> None:
    rng = np.random.default_rng(1)
    pooling = Pooling(size=(2, 2))
    first = topology_of(pooling, convolution(10), pooling)
    second = topology_of(convolution(20), pooling, pooling)
    for _ in range(50):
        child = cross(first, second, OPTIONS, SHAPE, rng)
        # The convolution of the first parent stays, for the second's is before any inner border.
        assert convolution(10) in child.features
    options = SpaceOptions(max_features=3)
    for _ in range(50):
        child = cross(FIRST, SECOND, options, SHAPE, rng)
        assert len(child.features) <= 3


def test_mutation_operators_are_drawn_with_their_shares() -> None:
    rng = np.random.default_rng(1)
    num_draws = 12_000
    options = SpaceOptions(change_share=0.2, add_share=0.3, delete_share=0.5)
    drawn = Counter(mutate(FIRST, options, SHAPE, rng)[1] for _ in range(num_draws))
    for name, share in (("change", 0.2), ("add", 0.3), ("delete", 0.5)):
        sigma = (num_draws * share * (1 - share)) ** 0.5
        assert abs(drawn[name] - share * num_draws) < 4 * sigma


def test_an_impossible_operator_leaves_its_share_to_the_others() -> None:
    rng = np.random.default_rng(1)
    smallest = topology_of(convolution(10), units=(10,))
    names = {mutate(smallest, OPTIONS, SHAPE, rng)[1] for _ in range(100)}
    assert names == {"change", "add"}
    options = SpaceOptions(max_features=3, max_classifier=3)
    names = {mutate(FIRST, options, SHAPE, rng)[1] for _ in range(100)}
    assert names == {"change", "delete"}


def children_by(name: str, parent: Topology, options: SpaceOptions = OPTIONS) -> list[Topology]:
    share = {"change_share": 0.0, "add_share": 0.0, "delete_share": 0.0, f"{name}_share": 1.0}
    rng = np.random.default_rng(1)
    only = replace(options, **share)  # type: ignore[arg-type]
    return [mutate(parent, only, SHAPE, rng)[0] for _ in range(2_000)]


def test_adding_inserts_one_layer_anywhere_also_at_the_end() -> None:
    places = Counter[tuple[str, int]]()
    for child in children_by("add", FIRST):
        for part, before, after in (
            ("features", FIRST.features, child.features),
            ("classifier", FIRST.classifier, child.classifier),
        ):
            if len(after) == len(before):
                assert after == before
                continue
            place = next(i for i in range(len(after)) if (*after[:i], *after[i + 1 :]) == before)
            places[part, place] += 1
    assert sum(places.values()) == 2_000
    assert set(places) == {(part, i) for part in ("features", "classifier") for i in range(4)}
    sigma = (2_000 * (1 / 8) * (7 / 8)) ** 0.5
    assert all(abs(count - 250) < 4 * sigma for count in places.values())


def test_deleting_leaves_one_layer_out_but_never_the_last_convolution() -> None:
    parent = topology_of(Pooling(size=(2, 2)), convolution(10), units=(10, 11))
    children = children_by("delete", parent)
    assert {(len(one.features), len(one.classifier)) for one in children} == {(1, 2), (2, 1)}
    assert all(convolution(10) in one.features for one in children)


def test_changing_touches_one_property_of_one_layer() -> None:
    parent = topology_of(convolution(30), Pooling(size=(2, 2)), units=(100,))
    seen = Counter[str]()
    for child in children_by("change", parent):
        before = (*parent.features, *parent.classifier)
        after = (*child.features, *child.classifier)
        changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
        assert len(changed) <= 1
        for old, new in changed:
            names = [
                name
                for name in ("filters", "kernel", "activation", "size", "units", "dropout")
                if getattr(old, name, None) != getattr(new, name, None)
            ]
            assert len(names) == 1
            seen[f"{type(old).__name__} {names[0]}"] += 1
    assert set(seen) == {
        "Convolution filters",
        "Convolution kernel",
        "Convolution activation",
        "Pooling size",
        "Dense units",
        "Dense dropout",
        "Dense activation",
    }


def test_gaussian_mutation_has_the_stated_spread() -> None:
    parent = topology_of(convolution(30), units=(155,))
    options = SpaceOptions(mutation_spread=0.1)
    children = children_by("change", parent, options)
    steps = [
        child.classifier[0].units - 155
        for child in children
        if child.classifier[0].activation == "relu"
        and child.classifier[0].dropout == 0
        and child.features == parent.features
        and child.classifier[0].units != 155
    ]
    assert len(steps) > 250
    # 10 % of 290; the error of a standard deviation of n draws is sigma / sqrt(2 n).
    assert abs(np.std(steps) - 29) < 4 * 29 / (2 * len(steps)) ** 0.5
    assert abs(np.mean(steps)) < 4 * 29 / len(steps) ** 0.5


@pytest.mark.parametrize("kind", LAYER_KINDS.values())
def test_every_kind_of_layer_has_changes(kind: type) -> None:
    assert CHANGES[kind]


def test_a_residual_block_can_be_changed() -> None:
    parent = topology_of(Residual(filters=20, kernel=(3, 3)), units=())
    options = SpaceOptions(min_classifier=0)
    children = children_by("change", parent, options)
    assert all(isinstance(one.features[0], Residual) for one in children)
    assert len({one.features[0] for one in children}) > 10
