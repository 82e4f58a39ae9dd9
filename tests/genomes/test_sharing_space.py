"""Numbers of clusters as genomes: whole, in range, within a limit of bytes."""

from collections.abc import Sequence

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
LEAST = 0.0012355


def space(max_bytes: int | None = None, **changes: object) -> SharingSpace:
    given_values = {
        "layers": LAYERS,
        "codebooks": LAYERS,
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


def test_a_genome_of_coupled_layers_tells_what_it_has() -> None:
    own = pruned_space(codebooks=("all",), ranges=((2, 32),))
    rng = np.random.default_rng(0)
    for _ in range(50):
        genome = own.mutate(own.sample(rng), rng)[0]
        sharing = Sharing.of(genome)
        assert (len(sharing.kept), len(sharing.clusters), sharing.modulation) == (3, 1, ())
    modulated = space(codebooks=("all",), ranges=((2, 32),), modulated=True)
    for _ in range(50):
        sharing = Sharing.of(modulated.mutate(modulated.sample(rng), rng)[0])
        assert (sharing.kept, len(sharing.clusters), len(sharing.modulation)) == ((), 1, 1)
    lowest = Sharing.of(modulated.genome_at([0.0] * 3))
    assert lowest.modulation == ((0.0, 1.01),)


class InProportion:
    """The first layer keeps twice what all keep, the last half of it."""

    def at(self, total: float) -> tuple[float, ...]:
        return (min(1.0, 2 * total), total, total / 2)

    def total(self, shares: Sequence[float]) -> float:
        return shares[1]


def pruned_space(**changes: object) -> SharingSpace:
    given_values = {"least_kept": 0.01, "proportions": InProportion()}
    return space(**(given_values | changes))  # type: ignore[arg-type]


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


def test_random_networks_that_are_pruned_keep_in_proportion_and_have_few_clusters() -> None:
    rng = np.random.default_rng(0)
    own = pruned_space()
    drawn = [Sharing.of(own.sample(rng)) for _ in range(500)]
    shares = np.array([one.kept for one in drawn])
    assert 0.055 < np.quantile(shares[:, 1], 0.05) < 0.08
    assert 0.45 < np.quantile(shares[:, 1], 0.95) < 0.62
    apart = np.log2(shares[:, 1] / shares[:, 2])
    assert apart.mean() == pytest.approx(1, abs=0.05)
    assert apart.std() == pytest.approx(0.3 * np.sqrt(2), abs=0.05)
    clusters = [one.clusters[0] for one in drawn]
    assert min(clusters) in (2, 3)
    assert 10 < max(clusters) < 16, "not in the upper third of 2 to 32"


def test_a_trim_goes_down_the_proportions_and_steps_are_short() -> None:
    own, rng = pruned_space(), np.random.default_rng(0)
    parent = Vector((0.5, 0.4, 0.1, 10, 3, 50))
    trims = steps = 0
    for _ in range(300):
        mutant, operator = own.mutate(parent, rng)
        factors = np.array(mutant.values[:3]) / parent.values[:3]
        if operator == "trim":
            trims += 1
            total = mutant.values[1]
            assert total <= 0.4
            # The first layer begins at all of it, and so loses less; what it had less, it keeps.
            assert factors[0] == pytest.approx(min(1.0, 2 * total) / 0.8, rel=0.01)
            if mutant.values[2] > 0.01:
                assert factors[2] == pytest.approx(total / 0.4, rel=0.02)
            assert mutant.values[3:] == parent.values[3:]
        else:
            steps += 1
            assert np.abs(np.log2(factors)).max() < 4 * 0.5
    assert 110 < trims < 190
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


@given(st.integers(0, 2**32))
def test_where_only_spread_and_focus_are_left_the_smallest_is_returned(seed: int) -> None:
    rng = np.random.default_rng(seed)
    # What takes more where weights are pulled apart, whatever the clusters.
    own = space(
        ranges=((2, 2), (3, 4), (1, 1)),
        modulated=True,
        max_bytes=10,
        bytes_of=lambda one: sum(one.clusters) + sum(spread for spread, _ in one.modulation) * 10,
    )
    genome = own.sample(rng)
    repaired = own.repair(genome, rng)
    assert own.is_feasible(repaired)
    assert repaired == (genome if own.is_feasible(genome) else own.smallest())


def test_the_smallest_is_a_genome_of_three_digits_as_all_are() -> None:
    # Else a limit between the two would be out of reach, and a repair would have no end.
    with pytest.raises(ConfigError, match="it takes 972"):
        pruned_space(
            bytes_of=lambda one: 600 + 1e5 * sum(one.kept), max_bytes=971, least_kept=LEAST
        )
    own = pruned_space(bytes_of=lambda one: 600 + 1e5 * sum(one.kept), least_kept=LEAST)
    assert own.genome_at([0.0] * 6) == own.smallest()
