"""Blocks beyond the limits become narrower ones that still follow a model of kernels."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.configure import configure
from evoconv.genomes.blocks import LEAST_MAP, Blocks, decode
from evoconv.genomes.constraints import Limits
from evoconv.genomes.layers import Convolution
from evoconv.genomes.shrink_blocks import shrink_blocks
from evoconv.genomes.space import TopologySpace

OPTIONS = configure("digits", {}, recipe="gradient", seed=0).space
SPACES = {
    "macs": TopologySpace(
        OPTIONS, (1, 28, 28), 10, Limits(max_parameters=75_000, max_macs=1_300_000)
    ),
    "parameters": TopologySpace(OPTIONS, (1, 64, 64), 6, Limits(max_parameters=3_000)),
    "memory": TopologySpace(OPTIONS, (1, 64, 64), 6, Limits(max_ram=40_000, bits=8)),
}


def kernels_of(blocks: Blocks, space: TopologySpace) -> list[int]:
    features = space.decode(blocks).features
    return [one.filters for one in features if isinstance(one, Convolution)]


@given(st.sampled_from(sorted(SPACES)), st.integers(0, 2**32), st.integers(1, 10))
def test_what_is_shrunk_is_feasible_and_follows_its_model(name: str, seed: int, c: int) -> None:
    space, rng = SPACES[name], np.random.default_rng(seed)
    blocks = space.resize(space.draw_blocks(rng), (c, int(rng.integers(0, 5))), rng)
    shrunk = space.shrink(blocks, rng)
    if shrunk is None:
        return
    assert space.is_feasible(space.decode(shrunk))
    assert shrunk.counts == blocks.counts
    assert shrunk.h0 <= blocks.h0
    last = shrunk.h0 + (c - 1) * shrunk.h1
    assert last <= blocks.h0 + (c - 1) * blocks.h1 + 1e-9
    assert all(new <= old for new, old in zip(shrunk.units, blocks.units, strict=True))
    assert all(new >= old for new, old in zip(shrunk.strides, blocks.strides, strict=True))
    model = [round(2 ** (shrunk.h1 * index + shrunk.h0)) for index in range(c)]
    low, high = OPTIONS.min_filters, OPTIONS.max_filters
    assert kernels_of(shrunk, space) == [min(max(one, low), high) for one in model]


@pytest.mark.parametrize("name", sorted(SPACES))
def test_random_blocks_can_nearly_always_be_shrunk(name: str) -> None:
    space, rng = SPACES[name], np.random.default_rng(5)
    shrunk = [space.shrink(space.draw_blocks(rng), rng) for _ in range(100)]
    assert shrunk.count(None) <= 5


def test_blocks_within_the_limits_stay_as_they_are() -> None:
    blocks = Blocks(h0=3.0, h1=0.25, strides=(2, 1, 2), units=(9.5,))
    assert SPACES["macs"].shrink(blocks, np.random.default_rng(0)) is blocks


def test_near_a_limit_all_layers_become_narrower_and_as_wide_as_they_can() -> None:
    space = SPACES["macs"]
    blocks = Blocks(h0=4.4, h1=0.5, strides=(2, 1, 2))
    assert 1_300_000 < space.cost(space.decode(blocks)).macs < 2_600_000
    found = [space.shrink(blocks, np.random.default_rng(seed)) for seed in range(20)]
    slopes = set()
    for shrunk in found:
        assert shrunk is not None
        assert shrunk.strides == blocks.strides
        assert not space.is_feasible(space.decode(replace(shrunk, h0=shrunk.h0 + 0.1)))
        slopes.add(shrunk.h1)
        if shrunk.h1 != blocks.h1:
            assert kernels_of(shrunk, space)[-1] == kernels_of(blocks, space)[-1]
    assert len(slopes) == 2


def test_a_slope_is_levelled_only_where_narrow_first_layers_are_not_enough() -> None:
    space = TopologySpace(OPTIONS, (1, 28, 28), 10, Limits(max_parameters=2_500))
    steep = Blocks(h0=2.0, h1=1.0, strides=(2, 2, 1, 1))
    assert not space.is_feasible(space.decode(steep))
    shrunk = space.shrink(steep, np.random.default_rng(0))
    assert shrunk is not None
    assert shrunk.h0 == math.log2(OPTIONS.min_filters)
    assert 0 < shrunk.h1 < 1


def test_strides_leave_maps_and_none_helps_where_nothing_fits() -> None:
    excess = {1: 9.0, 2: 9.0, 4: 9.0, 8: 9.0, 16: 9.0}
    met = set()

    def excess_of(blocks: Blocks) -> float:
        met.add(math.prod(blocks.strides))
        return excess[math.prod(blocks.strides)]

    blocks = Blocks(h0=5.0, h1=0.0, strides=(1,) * 6)
    found = shrink_blocks(blocks, OPTIONS, (1, 28, 28), excess_of, np.random.default_rng(0))
    assert found is None
    assert max(met) == 8, f"maps of 28 pixels keep at least {LEAST_MAP}"
    assert len(decode(blocks, OPTIONS, (1, 28, 28)).features) == 6
