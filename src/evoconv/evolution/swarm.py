"""Swarms: points that move through a space of numbers, a lot at a time.

Sources: Kennedy & Eberhart 1995, "Particle Swarm Optimization", with the coefficients of Clerc &
Kennedy 2002; Hatamlou 2013, "Black hole: A new heuristic optimization approach for data
clustering". Čoupek optimises shared weights by both.
Differs: a point is told by where each number is in its range, in [0, 1], so that ranges of all
lengths are alike; at a wall it stops. Who would stand where somebody stood before moves once more,
by a mutation, for a network known already teaches nothing. A failed point moves on as if it had not
been told.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from evoconv.evolution.barrier import InLots
from evoconv.evolution.breeding import Draft, Nursery
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.selection import Member, rank
from evoconv.evolution.strategy import CellSpace
from evoconv.records import Individual, Objective

Array = NDArray[np.float64]


class _Move(NamedTuple):
    """Where a point goes, what that is called, and whom it follows."""

    target: Callable[[Generator], Array]
    operator: str
    parents: tuple[int, ...] = ()


class _Point:
    """One of a swarm: where it is, how it got there, and the best that it met."""

    def __init__(self, place: Array) -> None:
        self.place = place
        self.velocity = np.zeros_like(place)
        self.now: Member | None = None
        self.best: Member | None = None
        self.best_place = place


class _Swarm(InLots):
    """Points that all move, wait for what they find, and move again."""

    def __init__(
        self, space: CellSpace[Any], options: EvolutionOptions, objective: Objective, seed: int
    ) -> None:
        super().__init__(objective)
        self._space = space
        self._options = options
        self._nursery = Nursery(space, options, seed)
        self._points: list[_Point] = []

    def _living(self) -> list[Individual]:
        return [one.best.individual for one in self._points if one.best is not None]

    def _move(self, point: _Point, leader: _Point) -> _Move:
        """Return how a point moves; the leader is the one that met the best of all."""
        raise NotImplementedError

    def _next_lot(self, told: list[Individual]) -> list[Individual]:
        # All lots are of one size, in the order of the points.
        for one, point in zip(told, self._points, strict=False):
            self._nursery.remember(one)
            point.now = None if one.measurement is None else rank(one, self._objective)
            if point.best is not None:  # what it is worth now
                point.best = rank(point.best.individual, self._objective)
            if point.now is not None and (point.best is None or point.now > point.best):
                point.best, point.best_place = point.now, point.place
        known = [one for one in self._points if one.best is not None]
        if not known:
            born = [self._nursery.random() for _ in range(self._options.population)]
            self._points = [_Point(np.array(self._space.places(one.genome))) for one in born]
            return born
        leader = max(known, key=_best_of)
        moves = [self._move(one, leader) for one in self._points]
        return [self._bear(point, move) for point, move in zip(self._points, moves, strict=True)]

    def _bear(self, point: _Point, move: _Move) -> Individual:
        """Return the individual that the point is after its move."""
        tried: list[Draft] = []
        target = point.place

        def draw(rng: Generator) -> Draft:
            nonlocal target
            if not tried:
                target = np.clip(move.target(rng), 0.0, 1.0)
                draft = Draft(self._space.genome_at(target.tolist()), move.parents, move.operator)
            else:
                genome, mutation = self._space.mutate(tried[-1].genome, rng)
                draft = Draft(genome, move.parents, f"{move.operator}+{mutation}")
            tried.append(draft)
            return draft

        born = self._nursery.bear(draw, is_new=True, trains_on=False)
        if not tried or born.genome is not tried[0].genome:  # a seed, mutated or repaired
            target = np.array(self._space.places(born.genome))
        point.velocity, point.place = target - point.place, target
        return born


class ParticleSwarm(_Swarm):
    """Points with momentum, each drawn to the best that it met and to the best of all."""

    def _move(self, point: _Point, leader: _Point) -> _Move:
        options = self._options

        def target(rng: Generator) -> Array:
            own, common = rng.random((2, point.place.size))
            pull = options.own_pull * own * (point.best_place - point.place)
            pull += options.common_pull * common * (leader.best_place - point.place)
            moved: Array = point.place + options.inertia * point.velocity + pull
            return moved

        return _Move(target, "fly", _originals(point, leader))


class BlackHole(_Swarm):
    """Stars that fall towards the best one; who comes too near is lost, and another is born.

    The horizon's radius is the black hole's share of all fitness, its own included (Hatamlou 2013,
    equation 4). It needs fitness that is positive, so here each is counted from the worst star's,
    and places are compared by their mean distance per number, in [0, 1]. The hole stays where the
    best was met, though its star has moved on.
    """

    def _move(self, point: _Point, leader: _Point) -> _Move:
        size = point.place.size
        away = float(np.sqrt(np.mean((point.place - leader.best_place) ** 2)))
        if point is not leader and away < self._radius(leader):
            return _Move(lambda rng: rng.random(size), "born again")

        def target(rng: Generator) -> Array:
            return point.place + rng.random(size) * (leader.best_place - point.place)

        return _Move(target, "fall", _originals(point, leader))

    def _radius(self, leader: _Point) -> float:
        """Return the radius of the event horizon, in [0, 1]; 0 where all stars are equally fit."""
        hole = _best_of(leader).fitness
        stars = [one.now for one in self._points if one is not leader]
        fitness = [hole, *(one.fitness for one in stars if one is not None)]
        worst = min(fitness)
        total = sum(one - worst for one in fitness)
        return (hole - worst) / total if total > 0 else 0.0


def _best_of(point: _Point) -> Member:
    assert point.best is not None, "a leader has been measured"
    return point.best


def _originals(*points: _Point) -> tuple[int, ...]:
    """Return the individuals that the best the points met stand for, each once."""
    found = (one.best.individual.original for one in points if one.best is not None)
    return tuple(dict.fromkeys(found))
