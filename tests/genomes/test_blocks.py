"""Topologies as a few numbers: the kernel model, and what steps make of blocks."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.configure import configure
from evoconv.genomes.blocks import (
    Blocks,
    bounded,
    cross_strides,
    decode,
    draw_blocks,
    encode,
    mutate_blocks,
    resize,
)
from evoconv.genomes.constraints import Limits
from evoconv.genomes.layers import Convolution, Dense, Pooling
from evoconv.genomes.shapes import feature_shapes
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.topology import Topology

OPTIONS = configure("digits", {}, recipe="gradient", seed=0).space
SHAPE = (1, 28, 28)
SPACE = TopologySpace(OPTIONS, SHAPE, 10, Limits())

seeds = st.integers(0, 2**32)


def filters_of(topology: Topology) -> list[int]:
    return [one.filters for one in topology.features if isinstance(one, Convolution)]


def test_the_model_of_the_kernels_by_hand() -> None:
    # 2^(0.5 l + 3) for l = 0, 1, 2, 3
    blocks = Blocks(h0=3.0, h1=0.5, strides=(1, 2, 1, 2), units=(9.6,))
    topology = decode(blocks, OPTIONS, SHAPE)
    assert filters_of(topology) == [8, 11, 16, 23]
    assert [one.stride for one in topology.features if isinstance(one, Convolution)] == [
        (1, 1),
        (2, 2),
        (1, 1),
        (2, 2),
    ]
    assert [one.units for one in topology.classifier] == [10]
    assert topology.reduction == "global-average"


def test_kernels_and_neurons_keep_their_ranges_whatever_the_model_says() -> None:
    wild = Blocks(h0=900.0, h1=900.0, strides=(1, 1), units=(1e9, -5.0))
    topology = decode(wild, OPTIONS, SHAPE)
    assert filters_of(topology) == [OPTIONS.max_filters] * 2
    assert [one.units for one in topology.classifier] == [OPTIONS.max_units, OPTIONS.min_units]
    tiny = decode(replace(wild, h0=-900.0, h1=-900.0), OPTIONS, SHAPE)
    assert filters_of(tiny) == [OPTIONS.min_filters] * 2


@given(seeds)
def test_random_blocks_are_topologies_of_the_space(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = draw_blocks(OPTIONS, SHAPE, rng)
    topology = decode(blocks, OPTIONS, SHAPE)
    convolutions, dense = blocks.counts
    assert OPTIONS.min_features_at_birth <= convolutions <= OPTIONS.max_features_at_birth
    assert dense <= OPTIONS.max_classifier_at_birth
    assert (len(topology.features), len(topology.classifier)) == (convolutions, dense)
    assert SPACE.is_feasible(topology)
    _, height, _ = feature_shapes(topology, SHAPE)[-1]
    assert height >= 3
    assert filters_of(topology) == sorted(filters_of(topology))


@given(seeds)
def test_what_is_decoded_is_encoded_as_it_was_but_for_rounding(seed: int) -> None:
    blocks = bounded(draw_blocks(OPTIONS, SHAPE, np.random.default_rng(seed)), OPTIONS)
    again = encode(decode(blocks, OPTIONS, SHAPE))
    assert again.counts == blocks.counts
    assert again.strides == blocks.strides
    assert again.units == pytest.approx(blocks.units, abs=0.5)
    if max(filters_of(decode(blocks, OPTIONS, SHAPE))) < OPTIONS.max_filters:
        assert (again.h0, again.h1) == pytest.approx((blocks.h0, blocks.h1), abs=0.25)


def test_a_foreign_topology_is_described_with_its_poolings_as_strides() -> None:
    topology = Topology(
        features=(
            Pooling(size=(2, 2)),
            Convolution(filters=8, kernel=(5, 5)),
            Convolution(filters=32, kernel=(3, 3), stride=(2, 2)),
            Pooling(size=(3, 3)),
        ),
        classifier=(Dense(units=40),),
    )
    found = encode(topology)
    assert (found.h0, found.h1) == pytest.approx((3.0, 2.0))
    assert (found.strides, found.units) == ((2, 6), (40.0,))
    one = Topology(features=(Convolution(filters=8, kernel=(5, 5)),))
    assert encode(one) == Blocks(h0=3.0, h1=0.0, strides=(1,), units=())


@given(seeds, st.integers(-3, 14), st.integers(-3, 9))
def test_resizing_adds_to_the_ends_and_keeps_the_ranges(seed: int, c: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = draw_blocks(OPTIONS, SHAPE, rng)
    resized = resize(blocks, (c, d), OPTIONS, rng)
    assert resized.counts == (
        min(max(c, 1), OPTIONS.max_features),
        min(max(d, OPTIONS.min_classifier), OPTIONS.max_classifier),
    )
    kept = min(len(blocks.strides), len(resized.strides))
    assert resized.strides == blocks.strides[:kept] + (1,) * (len(resized.strides) - kept)
    kept = min(len(blocks.units), len(resized.units))
    assert resized.units[:kept] == blocks.units[:kept]
    assert set(resized.units[kept:]) <= {blocks.units[-1]} if blocks.units else True
    assert (resized.h0, resized.h1) == (blocks.h0, blocks.h1)


@given(seeds, st.integers(1, 10), st.integers(0, 4))
def test_blocks_come_and_go_anywhere_where_that_is_asked_for(seed: int, c: int, d: int) -> None:
    rng = np.random.default_rng(seed)
    anywhere = replace(OPTIONS, new_blocks="anywhere")
    blocks = Blocks(h0=4.0, h1=0.2, strides=(2, 1, 2, 2, 2), units=(30.0, 40.0))
    resized = resize(blocks, (c, d), anywhere, rng)
    assert resized.counts == (c, d)
    if c >= 5:
        assert resized.strides.count(2) == 4
    if d >= 2:
        assert tuple(dict.fromkeys(resized.units)) == blocks.units, (
            "a new one is like its neighbour"
        )
    assert (resized.h0, resized.h1) == (blocks.h0, blocks.h1)


def test_every_place_is_met_anywhere_and_the_last_one_else() -> None:
    blocks = Blocks(h0=4.0, h1=0.0, strides=(2, 2, 2), units=(10.0, 20.0))
    rng = np.random.default_rng(2)
    for where, added, left in (
        ("last", {(2, 2, 2, 1)}, {(10.0,)}),
        ("anywhere", {(1, 2, 2, 2), (2, 1, 2, 2), (2, 2, 1, 2), (2, 2, 2, 1)}, {(10.0,), (20.0,)}),
    ):
        options = replace(OPTIONS, new_blocks=where)  # type: ignore[arg-type]
        found = [resize(blocks, (4, 1), options, rng) for _ in range(100)]
        assert {one.strides for one in found} == added
        assert {one.units for one in found} == left


@given(seeds)
def test_mutants_keep_the_ranges_and_their_parents_stay(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blocks = draw_blocks(OPTIONS, SHAPE, rng)
    before = repr(blocks)
    mutant = mutate_blocks(blocks, OPTIONS, SHAPE, rng)
    assert repr(blocks) == before
    assert mutant == bounded(mutant, OPTIONS)
    assert all(abs(new - old) <= 1 for new, old in zip(mutant.counts, blocks.counts, strict=True))
    assert mutant.h0 != blocks.h0 or mutant.h0 in (2.0, math.log2(OPTIONS.max_filters))


def test_everything_is_mutated_at_some_time() -> None:
    rng = np.random.default_rng(0)
    blocks = Blocks(h0=4.0, h1=0.2, strides=(1, 2, 1, 1), units=(30.0, 40.0))
    mutants = [mutate_blocks(blocks, OPTIONS, SHAPE, rng) for _ in range(200)]
    assert {one.counts for one in mutants} == {(c, d) for c in (3, 4, 5) for d in (1, 2, 3)}
    assert len({one.h1 for one in mutants}) > 190
    assert len({one.units[0] for one in mutants}) > 190
    assert len({one.strides for one in mutants}) > 5


@given(seeds)
def test_strides_are_crossed_between_two_points(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = Blocks(h0=4.0, h1=0.2, strides=(1,) * 6, units=(30.0,))
    second = Blocks(h0=5.0, h1=0.1, strides=(2,) * 4)
    child = cross_strides(first, second, rng)
    assert len(child.strides) == 6
    assert child.strides[4:] == (1, 1)
    taken = "".join(map(str, child.strides)).strip("1")
    assert set(taken) <= {"2"}
    assert replace(child, strides=first.strides) == first


def test_both_ends_of_a_crossover_are_met() -> None:
    rng = np.random.default_rng(1)
    first = Blocks(h0=4.0, h1=0.2, strides=(1, 1, 1))
    second = replace(first, strides=(2, 2, 2))
    found = {cross_strides(first, second, rng).strides for _ in range(200)}
    assert found == {
        tuple(2 if low <= place < high else 1 for place in range(3))
        for low in range(4)
        for high in range(low, 4)
    }
