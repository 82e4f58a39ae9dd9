"""Numbers of clusters as genomes: whole, in range, within a limit of bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.errors import ConfigError
from evoconv.evolution.strategy import CellSpace
from evoconv.genomes.sharing_space import Sharing, SharingSpace
from evoconv.genomes.vary_vector import cross_uniformly
from evoconv.genomes.vector import Vector

LAYERS = ("a", "b", "c")
RANGES = ((2, 32), (3, 3), (1, 200))


def space(max_bytes: int | None = None, **changes: object) -> SharingSpace:
    given_values = {
        "layers": LAYERS,
        "ranges": RANGES,
        "bytes_of": lambda sharing: 10.0 * sum(sharing.clusters) + sum(sharing.kept),
        "max_bytes": max_bytes,
    }
    return SharingSpace(**(given_values | changes))  # type: ignore[arg-type]


def holds(genome: Vector) -> bool:
    pairs = zip(genome.values, RANGES, strict=True)
    return all(type(value) is int and low <= value <= high for value, (low, high) in pairs)


@given(st.integers(0, 2**32), st.floats(1e-6, 1))
def test_all_that_is_born_is_whole_and_in_range(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    own: CellSpace[Vector] = space()
    first, second = own.sample(rng), own.sample(rng)
    mutant, operator = own.mutate(first, rng, scale)
    child = own.cross(first, second, rng)
    anywhere = own.genome_at(rng.random(3).tolist())
    assert all(map(holds, (first, second, mutant, child, anywhere)))
    assert mutant != first
    assert operator.startswith(("redraw", "step"))
    assert own.genome_at(own.places(first)) == first


@given(st.integers(0, 2**32))
def test_repaired_genomes_keep_the_limit_and_have_no_more_clusters(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own = space(max_bytes=200)
    genome = own.sample(rng)
    repaired = own.repair(genome, rng)
    assert own.is_feasible(repaired)
    assert holds(repaired)
    assert all(a <= b for a, b in zip(repaired.values, genome.values, strict=True))
    assert (repaired == genome) == own.is_feasible(genome)


def test_few_clusters_are_drawn_as_often_as_many() -> None:
    rng = np.random.default_rng(0)
    drawn = [space().sample(rng).values[0] for _ in range(2_000)]
    # From 2 to 32 are four doublings.
    assert 0.4 < np.mean(np.array(drawn) <= 8) < 0.6
    assert set(drawn) == set(range(2, 33))


def test_every_value_of_a_child_is_from_either_parent_by_a_fair_coin() -> None:
    rng = np.random.default_rng(0)
    first, second = Vector((0,) * 1_000), Vector((1,) * 1_000)
    child = np.array(cross_uniformly(first, second, rng).values)
    assert 0.45 < child.mean() < 0.55
    # Neighbours don't come together, as they would between two points.
    assert 400 < np.count_nonzero(np.diff(child)) < 600


def test_a_space_of_one_genome_is_searched_without_an_end_in_sight() -> None:
    own = space(ranges=((2, 2), (3, 3), (1, 1)))
    rng = np.random.default_rng(0)
    assert own.mutate(own.smallest(), rng)[0] == own.smallest()


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"ranges": ((2, 32), (5, 4), (1, 1))}, "b can't have 5 to 4 clusters"),
        ({"ranges": ((0, 32), (3, 3), (1, 1))}, "a can't have 0 to 32 clusters"),
        ({"max_bytes": 59}, r"--max-bytes 59: with the fewest .*\[2, 3, 1\] clusters, it takes 60"),
        ({"seeds": (Vector((2, 3)),)}, r"3 layers to share, the seed \[2,3\] has 2"),
        ({"seeds": (Vector((2, 3, 201)),)}, "c must have 1 to 200 clusters, got 201"),
        ({"seeds": (Vector((2.5, 3, 1)),)}, r"3 layers to share, the seed \[2.5,3,1\] has 3"),
    ],
)
def test_what_cannot_be_is_refused(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ConfigError, match=complaint):
        space(**changes)  # type: ignore[arg-type]


def test_what_a_genome_stands_for_in_words() -> None:
    assert str(Sharing.of(Vector((3, 4, 6)))) == "[3, 4, 6] clusters"
    pruned = Sharing.of(Vector((0.5, 0.0123, 3, 4)))
    assert pruned == Sharing(clusters=(3, 4), kept=(0.5, 0.0123))
    assert str(pruned) == "[3, 4] clusters, kept [50, 1.23] %"


def pruned_space(**changes: object) -> SharingSpace:
    return space(least_kept=0.01, **changes)  # type: ignore[arg-type]


def holds_shares(genome: Vector) -> bool:
    shares = genome.values[:3]
    in_range = all(type(one) is float and 0.01 <= one <= 1.0 for one in shares)
    return in_range and holds(Vector(genome.values[3:]))


@given(st.integers(0, 2**32), st.floats(1e-6, 1))
def test_shares_stay_in_their_range_and_in_front(seed: int, scale: float) -> None:
    rng = np.random.default_rng(seed)
    own: CellSpace[Vector] = pruned_space()
    first, second = own.sample(rng), own.sample(rng)
    mutant, operator = own.mutate(first, rng, scale)
    child = own.cross(first, second, rng)
    anywhere = own.genome_at(rng.random(6).tolist())
    assert all(map(holds_shares, (first, second, mutant, child, anywhere)))
    assert mutant != first
    assert operator.startswith(("trim", "step"))
    assert Vector.from_json(mutant.to_json()) == mutant
    assert own.genome_at(own.places(first)).values[3:] == first.values[3:]


def test_random_networks_that_are_pruned_have_layers_about_alike() -> None:
    rng = np.random.default_rng(0)
    own = pruned_space()
    places = np.array([own.places(own.sample(rng)) for _ in range(500)])
    shares, clusters = places[:, :3], places[:, 3:]
    assert 0.05 < shares.std(1).mean() < 0.12
    assert 0.4 < np.quantile(shares.mean(1), 0.05) < 0.5
    assert 0.85 < np.quantile(shares.mean(1), 0.95) < 1.0
    # Of 2 to 32 clusters none has fewer than 5.
    assert clusters[:, 0].min() > 0.3
    assert clusters[:, 0].max() > 0.95


def test_a_trim_takes_from_all_layers_alike_and_steps_are_short() -> None:
    own, rng = pruned_space(), np.random.default_rng(0)
    parent = Vector((0.4, 0.2, 0.1, 10, 3, 50))
    trims = steps = 0
    for _ in range(300):
        mutant, operator = own.mutate(parent, rng)
        factors = np.array(mutant.values[:3]) / parent.values[:3]
        if operator == "trim":
            trims += 1
            assert factors.max() <= 1.0
            assert np.ptp(factors) < 0.02
            assert mutant.values[3:] == parent.values[3:]
        else:
            steps += 1
            assert np.abs(np.log2(factors)).max() < 4 * 0.5
    assert 60 < trims < 140
    assert steps == 300 - trims


@given(st.integers(0, 2**32))
def test_repaired_shares_keep_the_limit(seed: int) -> None:
    rng = np.random.default_rng(seed)
    own = pruned_space(
        max_bytes=60,
        bytes_of=lambda sharing: sum(sharing.clusters) + 100 * sum(sharing.kept),
    )
    genome = own.sample(rng)
    repaired = own.repair(genome, rng)
    assert own.is_feasible(repaired)
    assert holds_shares(repaired)
    assert all(a <= b for a, b in zip(repaired.values, genome.values, strict=True))
