"""Particle swarm and black hole by their definitions, on numbers that can be followed by hand."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pytest
from numpy.random import Generator

from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.swarm import BlackHole, ParticleSwarm
from evoconv.genomes.vary_vector import cross_vectors, mutate_vector
from evoconv.genomes.vector import Cell, Vector, draw_vector, places_of, vector_at
from evoconv.records import Individual, Measurement, Objective

CELLS = tuple(Cell(name=name, low=-5.0, high=5.0, kind="linear") for name in "abc")
LOSS = Objective(name="loss", direction="minimize")


@dataclass(frozen=True)
class Line:
    """Three real numbers, all of them feasible unless ``highest`` says else."""

    seeds: tuple[Vector, ...] = ()
    highest: float = 5.0

    def sample(self, rng: Generator) -> Vector:
        return draw_vector(CELLS, rng)

    def mutate(self, genome: Vector, rng: Generator, scale: float = 1.0) -> tuple[Vector, str]:
        return mutate_vector(genome, CELLS, rng, scale)

    def cross(self, first: Vector, second: Vector, rng: Generator) -> Vector:
        return cross_vectors(first, second, rng)

    def places(self, genome: Vector) -> Sequence[float]:
        return places_of(genome, CELLS)

    def genome_at(self, places: Sequence[float]) -> Vector:
        return vector_at(places, CELLS)

    def is_feasible(self, genome: Vector) -> bool:
        return max(genome.values) <= self.highest

    def repair(self, genome: Vector, rng: Generator) -> Vector:
        return Vector(tuple(min(one, self.highest) for one in genome.values))


def lots(
    swarm: ParticleSwarm | BlackHole, target: float = 1.0, fails: Sequence[int] = ()
) -> Iterator[list[Individual]]:
    """Yield lot after lot, each with its squared distance to (target, ...) as loss."""
    while True:
        lot = []
        while born := swarm.ask(1000):
            lot += born
            if len(born) < 1000:
                break
        told = [
            one
            if one.number in fails
            else replace(one, measurement=Measurement(values={"loss": loss(one, target)}))
            for one in lot
        ]
        for one in reversed(told):
            swarm.tell(one)
        yield told


def loss(one: Individual, target: float) -> float:
    assert isinstance(one.genome, Vector)
    return float(sum((value - target) ** 2 for value in one.genome.values))


def options(population: int = 20, **changes: float) -> EvolutionOptions:
    return EvolutionOptions(population=population, tournament=1, elitism=0, **changes)  # type: ignore[arg-type]


def at(one: Individual) -> np.ndarray:
    assert isinstance(one.genome, Vector)
    return np.array(one.genome.values)


@pytest.mark.parametrize("kind", [ParticleSwarm, BlackHole])
def test_a_swarm_finds_the_lowest_point_where_random_search_does_not(
    kind: type[ParticleSwarm] | type[BlackHole],
) -> None:
    swarm = kind(Line(), options(), LOSS, 3)
    running = lots(swarm)
    first = next(running)
    for _ in range(30):
        next(running)
    best = swarm.members()[0]
    assert loss(best, 1.0) < 0.01
    assert min(loss(one, 1.0) for one in first) > 0.1
    assert swarm.num_generations() == 31


def test_without_inertia_and_pull_particles_stand_still_and_are_mutated() -> None:
    swarm = ParticleSwarm(Line(), options(5, inertia=0, own_pull=0, common_pull=0), LOSS, 0)
    running = lots(swarm)
    first, second = next(running), next(running)
    for before, after in zip(first, second, strict=True):
        assert after.operator.startswith("fly+redraw")
        assert (at(before) == at(after)).any() or len(after.operator.split(",")) == len(CELLS)


def test_a_particle_flies_between_its_best_place_and_that_of_all() -> None:
    swarm = ParticleSwarm(Line(), options(6, inertia=0, own_pull=0, common_pull=1), LOSS, 0)
    running = lots(swarm)
    first, second = next(running), next(running)
    leader = min(first, key=lambda one: loss(one, 1.0))
    for before, after in zip(first, second, strict=True):
        if before is leader:
            continue
        low, high = np.minimum(at(before), at(leader)), np.maximum(at(before), at(leader))
        assert (low - 1e-9 <= at(after)).all()
        assert (at(after) <= high + 1e-9).all()
        assert set(after.parents) == {before.number, leader.number}


def test_momentum_carries_a_particle_on() -> None:
    swarm = ParticleSwarm(Line(), options(4, inertia=1, own_pull=0, common_pull=1), LOSS, 1)
    running = lots(swarm)
    first, second = next(running), next(running)
    swarm._options = replace(swarm._options, common_pull=0)
    third = next(running)
    for one, two, three in zip(first, second, third, strict=True):
        if two.operator == three.operator == "fly":
            wanted = np.clip(at(two) + at(two) - at(one), -5, 5)
            np.testing.assert_allclose(at(three), wanted, atol=1e-9)


def test_stars_near_the_black_hole_are_born_again_anywhere() -> None:
    # All but two seeds lie next to the best one, so they are within its horizon.
    near = tuple(Vector((1.0 + number / 1000, 1.0, 1.0)) for number in range(8))
    far = (Vector((-5.0, -5.0, -5.0)), Vector((5.0, -5.0, 5.0)))
    swarm = BlackHole(Line(seeds=near + far), options(10), LOSS, 0)
    running = lots(swarm)
    next(running)
    second = next(running)
    kinds = [one.operator.partition("+")[0] for one in second]
    assert kinds == ["fall"] + ["born again"] * 7 + ["fall"] * 2
    # What is born again has no parents, and is anywhere.
    assert all(not one.parents for one in second[1:8])
    assert np.ptp([at(one)[0] for one in second[1:8]]) > 2
    for before, after in zip(far, second[8:], strict=True):
        low = np.minimum(np.array(before.values), 1.0)
        high = np.maximum(np.array(before.values), 1.0)
        assert ((low <= at(after)) & (at(after) <= high)).all()


def test_the_hole_counts_in_its_share_though_its_star_has_moved_on() -> None:
    swarm = BlackHole(Line(), options(21), Objective(name="fit", direction="maximize"), 0)
    # The first star meets the best, 10; then it is at 9, and the others are at 9 to 9.095.
    later = [9.0, *(9 + number / 200 for number in range(20))]
    lots_told = []
    for values in ([10.0] + [8.0] * 20, later):
        lot = swarm.ask(100)
        for one, value in zip(lot, values, strict=True):
            swarm.tell(replace(one, measurement=Measurement(values={"fit": value})))
        lots_told.append(lot)
    third = swarm.ask(100)
    # From the worst, 9: the hole has 1, the others 0.005 * (0 + 1 + ... + 19) = 0.95.
    radius = 1 / 1.95
    assert swarm._radius(swarm._points[0]) == pytest.approx(radius)
    first, second = lots_told
    away = [np.sqrt(np.mean(((at(one) - at(first[0])) / 10) ** 2)) for one in second]
    expected = ["fall", *("born again" if one < radius else "fall" for one in away[1:])]
    assert [one.operator.partition("+")[0] for one in third] == expected


def test_equally_fit_stars_have_no_horizon() -> None:
    swarm = BlackHole(Line(), options(5), Objective(name="flat", direction="minimize"), 0)
    for _ in range(3):
        lot = swarm.ask(100)
        assert not any(one.operator.startswith("born again") for one in lot)
        for one in lot:
            swarm.tell(replace(one, measurement=Measurement(values={"flat": 1.0})))


@pytest.mark.parametrize("kind", [ParticleSwarm, BlackHole])
def test_failed_points_move_on_and_a_swarm_that_failed_begins_anew(
    kind: type[ParticleSwarm] | type[BlackHole],
) -> None:
    swarm = kind(Line(), options(4), LOSS, 0)
    running = lots(swarm, fails=range(6))
    assert all(one.operator == "random" for one in next(running))
    assert all(one.operator == "random" for one in next(running))
    third = next(running)
    assert all(one.operator != "random" for one in third)
    assert [one.number for one in swarm.members()][:2] != []


def test_what_breaks_a_limit_is_repaired_and_the_point_stands_there() -> None:
    swarm = ParticleSwarm(Line(highest=0.0), options(8), LOSS, 0)
    running = lots(swarm)
    found = [one for _ in range(6) for one in next(running)]
    assert all(at(one).max() <= 0 for one in found)
    assert any(one.operator == "fly+repair" for one in found)
