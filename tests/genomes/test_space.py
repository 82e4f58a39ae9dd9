import math

import numpy as np
import pytest

from evoconv.errors import ConfigError
from evoconv.evolution.strategy import Space
from evoconv.genomes.constraints import Limits
from evoconv.genomes.layers import Convolution, Pooling
from evoconv.genomes.search_space import SpaceOptions
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.topology import Topology

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
