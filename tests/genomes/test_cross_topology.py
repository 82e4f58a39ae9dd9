from collections import Counter
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from evoconv.genomes.cross_topology import cross, join_in_turn
from evoconv.genomes.draw_topology import draw_topology
from evoconv.genomes.layers import Convolution, Dense, FeatureLayer, Pooling
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology

SHAPE = (1, 28, 28)
OPTIONS = SpaceOptions()
seeds = st.integers(0, 2**32)


def convolution(filters: int) -> Convolution:
    return Convolution(filters=filters, kernel=(3, 3))


def topology_of(*features: FeatureLayer, units: tuple[int, ...] = (20, 30)) -> Topology:
    return Topology(features=features, classifier=tuple(Dense(units=one) for one in units))


FIRST = topology_of(*[convolution(10 + index) for index in range(3)], units=(10, 11, 12))
SECOND = topology_of(*[convolution(20 + index) for index in range(4)], units=(20, 21))


@settings(max_examples=100)
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


def by_one_point(
    first: Topology, second: Topology, options: SpaceOptions, rng: np.random.Generator
) -> Topology:
    """Return what one-point crossover gives by its definition, where nothing has to be cut."""

    def cut(one: tuple[Any, ...], other: tuple[Any, ...], most: int) -> tuple[Any, ...]:
        pairs = [
            (i, j)
            for i in range(1, len(one))
            for j in range(1, len(other))
            if i + len(other) - j <= most
        ]
        if not pairs:
            return other
        i, j = pairs[int(rng.integers(len(pairs)))]
        return one[:i] + other[j:]

    features = cut(first.features, second.features, options.max_features)
    classifier = cut(first.classifier, second.classifier, options.max_classifier)
    return replace(first, features=features, classifier=classifier)


@settings(max_examples=100)
@given(seed=seeds)
def test_crossover_at_one_point_is_one_point_crossover(seed: int) -> None:
    rng = np.random.default_rng(seed)
    options = SpaceOptions(
        crossover_points=1, convolution_share=1.0, max_features_at_birth=6, max_features=7
    )
    first, second = (draw_topology(options, SHAPE, rng) for _ in range(2))
    child = cross(first, second, options, SHAPE, np.random.default_rng(seed))
    assert child == by_one_point(first, second, options, np.random.default_rng(seed))


def test_segments_take_turns_at_every_choice_of_cuts() -> None:
    rng = np.random.default_rng(1)
    first = topology_of(*[convolution(10 + index) for index in range(4)])
    second = topology_of(*[convolution(20 + index) for index in range(4)])
    options = SpaceOptions(crossover_points=2)
    expected = {
        first.features[:i] + second.features[j:k] + first.features[m:]
        for i, m in combinations((1, 2, 3), 2)
        for j, k in combinations((1, 2, 3), 2)
    }
    num_draws = 2_000
    drawn = Counter(cross(first, second, options, SHAPE, rng).features for _ in range(num_draws))
    assert set(drawn) == expected
    assert len(expected) == 9
    sigma = (num_draws * (1 / 9) * (8 / 9)) ** 0.5
    assert all(abs(count - num_draws / 9) < 4 * sigma for count in drawn.values())


def test_short_parts_are_cut_at_fewer_points() -> None:
    many = replace(OPTIONS, crossover_points=10)
    for seed in range(30):
        child = cross(FIRST, SECOND, many, SHAPE, np.random.default_rng(seed))
        # Three layers have two inner borders, two layers one.
        allowed = [
            join_in_turn(FIRST.features, SECOND.features, [1, 2], cuts)
            for cuts in combinations((1, 2, 3), 2)
        ]
        assert child.features in allowed
        assert child.classifier in [
            (FIRST.classifier[0], SECOND.classifier[1]),
            (*FIRST.classifier[:2], SECOND.classifier[1]),
        ]


def test_crossover_at_several_points_keeps_the_number_of_layers_and_a_convolution() -> None:
    rng = np.random.default_rng(1)
    pooling = Pooling(size=(2, 2), stride=(1, 1))
    options = SpaceOptions(crossover_points=3, max_features=5, min_classifier=2)
    first = topology_of(pooling, pooling, convolution(10), pooling, pooling)
    second = topology_of(pooling, convolution(20), pooling, pooling, pooling)
    for _ in range(200):
        child = cross(first, second, options, SHAPE, rng)
        assert len(child.features) <= 5
        assert len(child.classifier) >= 2
        assert {convolution(10), convolution(20)} & set(child.features)
