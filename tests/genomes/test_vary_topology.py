from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoconv.errors import ConfigError
from evoconv.genomes.cross_topology import cross
from evoconv.genomes.draw_topology import draw_topology
from evoconv.genomes.layers import (
    LAYER_KINDS,
    Convolution,
    Dense,
    FeatureLayer,
    Pooling,
    Residual,
)
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from evoconv.genomes.vary_topology import CHANGES, mutate, switch_layers
from tests.genomes.membership import check_membership

SHAPE = (1, 28, 28)
OPTIONS = SpaceOptions()
seeds = st.integers(0, 2**32)
input_shapes = st.sampled_from(((1, 28, 28), (3, 32, 32), (1, 8, 8), (1, 64, 64), (1, 2, 30)))


def convolution(filters: int) -> Convolution:
    return Convolution(filters=filters, kernel=(3, 3))


def topology_of(*features: FeatureLayer, units: tuple[int, ...] = (20, 30)) -> Topology:
    return Topology(features=features, classifier=tuple(Dense(units=one) for one in units))


FIRST = topology_of(*[convolution(10 + index) for index in range(3)], units=(10, 11, 12))


@settings(max_examples=60)
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
        check_membership(child, options, shape)
        mutant, name = mutate(child, options, shape, rng)
        check_membership(mutant, options, shape)
        assert name in ("change", "add", "delete")
        assert (first.to_json(), second.to_json()) == before
        family.append(mutant)


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


def test_switching_is_an_involution() -> None:
    layers = FIRST.features
    for first in range(3):
        for second in range(3):
            switched = switch_layers(layers, first, second)
            assert (switched[first], switched[second]) == (layers[second], layers[first])
            assert switch_layers(switched, first, second) == layers


def test_switching_exchanges_two_unequal_layers_of_one_part() -> None:
    parent = topology_of(
        convolution(10), convolution(10), Pooling(size=(2, 2)), convolution(11), units=(20, 30)
    )
    children = Counter(children_by("switch", parent))
    pairs = [(0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    expected = {replace(parent, features=switch_layers(parent.features, *one)) for one in pairs}
    other = replace(parent, classifier=parent.classifier[::-1])
    assert set(children) == {*expected, other}
    assert abs(children[other] - 1_000) < 4 * (2_000 / 4) ** 0.5


def test_equal_layers_are_not_switched() -> None:
    rng = np.random.default_rng(1)
    options = SpaceOptions(change_share=0.1, delete_share=0.0, add_share=0.0, switch_share=0.9)
    twins = topology_of(convolution(10), convolution(10), units=(20, 20))
    assert {mutate(twins, options, SHAPE, rng)[1] for _ in range(50)} == {"change"}


STEPWISE = SpaceOptions(
    modification="stepwise",
    change_share=0.4,
    add_share=0.2,
    delete_share=0.2,
    switch_share=0.2,
)


def test_stepwise_operators_are_named_after_what_they_do() -> None:
    rng = np.random.default_rng(1)
    num_draws = 4_000
    names = Counter(mutate(FIRST, STEPWISE, SHAPE, rng)[1] for _ in range(num_draws))
    kinds = Counter[str]()
    for name, count in names.items():
        kinds[name.split()[0]] += count
    assert set(kinds) == {"modify", "insert", "delete", "switch"}
    for name, share in (("modify", 0.4), ("insert", 0.2), ("delete", 0.2), ("switch", 0.2)):
        sigma = (num_draws * share * (1 - share)) ** 0.5
        assert abs(kinds[name] - share * num_draws) < 4 * sigma
    # 25 % of 290 units, of 40 filters and of 90 % dropout, which starts at nothing.
    assert names.keys() >= {"modify units by 72", "modify filters by 10", "modify dropout by 22%"}


def test_scaling_is_a_mutation_of_its_share() -> None:
    rng = np.random.default_rng(1)
    options = replace(STEPWISE, switch_share=0.0, scale_share=0.2)
    num_draws = 4_000
    names = Counter(mutate(FIRST, options, SHAPE, rng)[1] for _ in range(num_draws))
    sigma = (num_draws * 0.2 * 0.8) ** 0.5
    assert abs(names["scale up"] + names["scale down"] - 0.2 * num_draws) < 4 * sigma


def test_gaussian_sizes_in_proportion_stay_in_range_and_reach_further_up_than_down() -> None:
    options = replace(OPTIONS, min_filters=2, max_filters=200, sizes="log", mutation_spread=0.3)
    children = children_by("change", topology_of(convolution(20), units=()), options)
    filters = np.array([one.features[0].filters for one in children])  # type: ignore[union-attr]
    filters = filters[filters != 20]
    assert filters.min() >= 2
    assert filters.max() <= 200
    assert abs(np.median(np.log(filters / 20))) < 0.2
    assert filters.mean() > 30


def test_a_smaller_scale_takes_smaller_steps() -> None:
    rng = np.random.default_rng(1)
    names = {mutate(FIRST, STEPWISE, SHAPE, rng, 0.1)[1] for _ in range(500)}
    assert {"modify units by 7", "modify filters by 1", "modify kernel by -1"} <= names
    for scale in (0.0, 1.5, float("nan")):
        with pytest.raises(ConfigError, match=r"scale of a mutation must be in \(0, 1\]"):
            mutate(FIRST, STEPWISE, SHAPE, rng, scale)


def test_the_scale_means_nothing_to_gaussian_mutation() -> None:
    children = [
        mutate(FIRST, OPTIONS, SHAPE, np.random.default_rng(seed), scale)
        for scale in (1.0, 0.01)
        for seed in range(30)
    ]
    assert children[:30] == children[30:]


def test_a_space_of_single_values_has_nothing_to_modify() -> None:
    options = replace(
        STEPWISE,
        min_filters=10,
        max_filters=10,
        min_kernel=3,
        max_kernel=3,
        activations=("relu",),
        change_share=1.0,
        add_share=0.0,
        delete_share=0.0,
        switch_share=0.0,
    )
    only = topology_of(convolution(10), units=())
    assert mutate(only, options, SHAPE, np.random.default_rng(1)) == (only, "modify nothing")


def children_by(name: str, parent: Topology, options: SpaceOptions = OPTIONS) -> list[Topology]:
    names = ("change", "add", "delete", "switch")
    share = {f"{one}_share": float(one == name) for one in names}
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


def test_strides_change_where_the_options_have_several() -> None:
    parent = topology_of(convolution(20), Pooling(size=(2, 2)), units=())
    options = SpaceOptions(min_classifier=0, max_stride=2, pool_stride="either")
    children = children_by("change", parent, options)
    firsts = {one.features[0].stride for one in children}
    assert firsts == {(1, 1), (2, 2)}
    steps = {one.steps for child in children for one in child.features if isinstance(one, Pooling)}
    assert steps == {(1, 1), (2, 2), (3, 3)}
