import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evoconv.errors import ConfigError
from evoconv.evolution.strategy import Space
from evoconv.genomes.constraints import Limits
from evoconv.genomes.layers import Convolution, Pooling, Residual
from evoconv.genomes.rules import RULES
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from tests.genomes.membership import check_membership
from tests.genomes.strategies import space_options

LIMITS = {
    "moderate": ((1, 28, 28), Limits(max_parameters=200_000)),
    "small": ((1, 28, 28), Limits(max_parameters=50_000)),
    "tiny": ((1, 28, 28), Limits(max_parameters=3_000)),
    "few operations": ((1, 28, 28), Limits(max_macs=1_000_000)),
    "next to no operations": ((1, 28, 28), Limits(max_macs=5_000)),
    "little memory": ((1, 28, 28), Limits(max_memory=64_000, max_parameters=10_000)),
    "large grey images": ((1, 64, 64), Limits(max_parameters=50_000)),
    "coloured images": ((3, 32, 32), Limits(max_parameters=50_000)),
    "digits": ((1, 8, 8), Limits(max_parameters=5_000)),
    "steel plates": ((1, 200, 200), Limits(max_parameters=50_000, max_macs=20_000_000)),
}


def space_of(name: str) -> TopologySpace:
    input_shape, limits = LIMITS[name]
    return TopologySpace(SpaceOptions(), input_shape, 10, limits)


def feasible_draws(space: TopologySpace, count: int) -> list[Topology]:
    rng = np.random.default_rng(1)
    drawn = [space.sample(rng) for _ in range(count)]
    return [one if space.is_feasible(one) else space.repair(one, rng) for one in drawn]


def num_convolutions(one: Topology) -> int:
    return sum(isinstance(layer, Convolution) for layer in one.features)


def test_it_is_a_space_of_the_evolution_protocol() -> None:
    space: Space[Topology] = space_of("small")
    rng = np.random.default_rng(1)
    first, second = space.sample(rng), space.sample(rng)
    child, name = space.mutate(space.cross(first, second, rng), rng)
    assert name in ("change", "add", "delete")
    assert space.is_feasible(space.repair(child, rng))


@pytest.mark.parametrize("name", LIMITS)
def test_repair_always_ends_within_the_limits(name: str) -> None:
    space = space_of(name)
    for one in feasible_draws(space, 100):
        assert space.is_feasible(one)
        assert num_convolutions(one) >= 1
        assert len(one.features) <= space.options.max_features
        for layer in one.features:
            if isinstance(layer, Convolution):
                assert 10 <= layer.filters <= 50
                assert 2 <= layer.kernel[0] <= 5
            elif isinstance(layer, Pooling):
                assert max(layer.size) <= 3
        assert all(10 <= dense.units <= 300 for dense in one.classifier)


@pytest.mark.parametrize("name", ["small", "tiny"])
def test_repaired_topologies_are_as_deep_and_as_different_as_those_drawn(name: str) -> None:
    space = space_of(name)
    rng = np.random.default_rng(1)
    drawn = [space.sample(rng) for _ in range(300)]
    repaired = feasible_draws(space, 300)
    assert len({one.digest for one in repaired}) >= 0.99 * len(repaired)
    for count in (num_convolutions, lambda one: len(one.classifier)):
        assert np.mean([count(one) for one in repaired]) == pytest.approx(
            np.mean([count(one) for one in drawn]), abs=0.1
        )


def test_repair_leaves_a_feasible_topology_alone() -> None:
    space = TopologySpace(SpaceOptions(), (1, 28, 28), 10, Limits())
    rng = np.random.default_rng(1)
    one = space.sample(rng)
    assert space.is_feasible(one)
    assert space.repair(one, rng) == one


def test_a_topology_just_above_a_limit_is_hardly_changed() -> None:
    rng = np.random.default_rng(1)
    wide = TopologySpace(SpaceOptions(), (1, 28, 28), 10, Limits())
    for _ in range(50):
        one = wide.sample(rng)
        limit = math.floor(0.98 * wide.cost(one).parameters)
        near = TopologySpace(SpaceOptions(), (1, 28, 28), 10, Limits(max_parameters=limit))
        repaired = near.repair(one, rng)
        assert near.is_feasible(repaired)
        assert len(repaired.features) == len(one.features)
        assert near.cost(repaired).parameters > 0.6 * limit


def test_repair_is_the_same_for_the_same_stream() -> None:
    space = space_of("tiny")
    one = space.sample(np.random.default_rng(3))
    repaired = [space.repair(one, np.random.default_rng(4)) for _ in range(2)]
    assert repaired[0] == repaired[1]


def test_a_topology_from_elsewhere_is_brought_to_fit() -> None:
    space = space_of("tiny")
    foreign = Topology(
        features=(
            Convolution(filters=300, kernel=(9, 7), stride=(2, 1), padding="valid"),
            Pooling(size=(40, 2)),
        )
    )
    assert space.excess(foreign) == math.inf
    assert space.is_feasible(space.repair(foreign, np.random.default_rng(1)))


@pytest.mark.parametrize(
    ("limits", "sentence"),
    [
        (Limits(max_parameters=10), "--max-parameters 10: the smallest network .* has 270"),
        (Limits(max_macs=100), r"--max-macs 100: the smallest network .* has \d"),
        (Limits(max_memory=1_000), r"--max-memory 1,000: the smallest network .* has \d"),
    ],
)
def test_limits_that_no_network_can_meet_are_refused(limits: Limits, sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        TopologySpace(SpaceOptions(), (1, 28, 28), 10, limits)


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.parametrize("max_features", [3, 10])
def test_nothing_in_the_space_is_smaller_than_the_smallest(padding: str, max_features: int) -> None:
    options = SpaceOptions(
        padding=padding,  # type: ignore[arg-type]
        max_features=max_features,
        min_classifier=0,
    )
    space = TopologySpace(options, (1, 20, 14), 40, Limits())
    smallest = min(space.cost(one).parameters for one in space.smallest_topologies())
    tight = TopologySpace(options, (1, 20, 14), 40, Limits(max_parameters=smallest))
    assert tight.cost(tight.smallest()).parameters == smallest
    rng = np.random.default_rng(1)
    for _ in range(200):
        one = space.sample(rng)
        for _ in range(5):
            one, _ = space.mutate(one, rng)
            assert space.cost(one).parameters >= smallest


def test_images_without_pixels_and_one_class_are_refused() -> None:
    with pytest.raises(ConfigError, match="input_shape"):
        TopologySpace(SpaceOptions(), (1, 0, 28), 10, Limits())
    with pytest.raises(ConfigError, match="num_classes"):
        TopologySpace(SpaceOptions(), (1, 28, 28), 1, Limits())


ALL_RULES = SpaceOptions(
    min_filters=2,
    min_kernel=1,
    max_stride=2,
    square=False,
    min_classifier=0,
    pool_stride="either",
    pool_padding="same",
    average_share=0.5,
    residual_share=0.3,
    normalisation="batch",
    change_share=0.4,
    add_share=0.2,
    delete_share=0.2,
    switch_share=0.2,
    modification="stepwise",
    crossover_points=2,
    rules=tuple(RULES),
    least_side=3,
)


@settings(max_examples=80)
@given(
    options=space_options(),
    shape=st.sampled_from(((1, 28, 28), (3, 32, 32), (1, 8, 8), (2, 9, 30))),
    seed=st.integers(0, 2**32),
)
def test_ranges_and_rules_hold_after_every_operator_and_limits_after_repair(
    options: SpaceOptions, shape: tuple[int, int, int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    wide = TopologySpace(options, shape, 10, Limits())
    smallest = wide.smallest_topologies()
    for one in smallest:
        check_membership(one, options, shape)
    costs = [wide.cost(one) for one in smallest]
    limits = Limits(
        max_parameters=2 * min(one.parameters for one in costs),
        max_memory=4 * min(one.memory_bytes for one in costs),
    )
    try:
        space = TopologySpace(options, shape, 10, limits)
    except ConfigError:  # they may contradict each other
        space = wide
    family = [space.sample(rng) for _ in range(3)]
    for _ in range(8):
        first, second = (family[int(rng.integers(len(family)))] for _ in range(2))
        before = first.to_json(), second.to_json()
        child = space.cross(first, second, rng)
        mutant, _ = space.mutate(child, rng, float(rng.uniform(0.01, 1)))
        repaired = space.repair(mutant, rng)
        for one in (first, child, mutant, repaired):
            check_membership(one, options, shape)
        assert space.is_feasible(repaired)
        assert (first.to_json(), second.to_json()) == before
        family += [mutant, repaired]


@pytest.mark.parametrize("max_parameters", [500, 6_000, 60_000])
def test_repair_keeps_residual_blocks_and_average_poolings_where_it_can(
    max_parameters: int,
) -> None:
    options = replace(ALL_RULES, min_features_at_birth=3, max_features_at_birth=6)
    space = TopologySpace(options, (1, 28, 28), 10, Limits(max_parameters=max_parameters))
    repaired = feasible_draws(space, 120)
    assert all(space.is_feasible(one) for one in repaired)
    assert len({one.digest for one in repaired}) > 100
    layers = [layer for one in repaired for layer in one.features]
    assert sum(isinstance(layer, Residual) for layer in layers) > 30
    assert sum(isinstance(one, Pooling) and one.kind == "average" for one in layers) > 12


def test_a_repair_ends_after_few_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    space = TopologySpace(ALL_RULES, (1, 28, 28), 10, Limits(max_parameters=800))
    seen: list[float] = []
    excess = TopologySpace.excess

    def recorded(self: TopologySpace, genome: Topology) -> float:
        seen.append(excess(self, genome))
        return seen[-1]

    monkeypatch.setattr(TopologySpace, "excess", recorded)
    rng = np.random.default_rng(1)
    for _ in range(20):
        seen.clear()
        repaired = space.repair(space.sample(rng), rng)
        assert excess(space, repaired) == 0
        assert len(seen) < 2_000


def test_a_topology_that_breaks_a_rule_is_not_feasible_and_is_repaired() -> None:
    space = TopologySpace(ALL_RULES, (1, 28, 28), 10, Limits())
    pooling = Pooling(size=(2, 2), padding="same")
    foreign = Topology(features=(pooling, pooling, Convolution(filters=4, kernel=(3, 3))))
    assert space.excess(foreign) == math.inf
    assert not space.is_feasible(foreign)
    repaired = space.repair(foreign, np.random.default_rng(1))
    assert repaired.features == (Convolution(filters=4, kernel=(3, 3)), pooling)


def test_maps_larger_than_the_images_are_refused() -> None:
    options = replace(ALL_RULES, rules=("least-resolution",), least_side=9)
    with pytest.raises(ConfigError, match="--least-side 9: the images are 8×28"):
        TopologySpace(options, (1, 8, 28), 10, Limits())


def test_limits_that_no_network_can_meet_under_the_rules_are_refused() -> None:
    free = TopologySpace(replace(ALL_RULES, rules=(), least_side=1), (1, 28, 28), 10, Limits())
    most = free.cost(free.smallest()).parameters
    assert most < 100
    with pytest.raises(ConfigError, match=r"smallest network .* under its rules has 2\d\d"):
        TopologySpace(ALL_RULES, (1, 28, 28), 10, Limits(max_parameters=most))


@pytest.mark.parametrize("rules", [(), ("no-consecutive-poolings",), tuple(RULES)])
@pytest.mark.parametrize("max_stride", [1, 2])
def test_hardly_anything_is_smaller_than_the_smallest_under_rules(
    rules: tuple[str, ...], max_stride: int
) -> None:
    options = replace(
        ALL_RULES,
        rules=rules,
        max_stride=max_stride,
        least_side=3 if "least-resolution" in rules else 1,
    )
    space = TopologySpace(options, (1, 28, 28), 10, Limits())
    smallest = min(space.cost(one).parameters for one in space.smallest_topologies())
    rng = np.random.default_rng(1)
    one = space.sample(rng)
    for _ in range(1_500):
        other, _ = space.mutate(one, rng, 0.2)
        if space.cost(other).parameters <= space.cost(one).parameters:
            one = other
    assert space.cost(one).parameters >= 0.9 * smallest
