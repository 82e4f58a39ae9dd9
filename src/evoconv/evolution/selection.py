"""Parent selection by tournament, and survivor selection that discards the worst.

Source: Vidnerová & Neruda 2018, sections 3.4 and 4.
Members are kept sorted from worst to best: the best of a draw is the one drawn from furthest back.
Differs: competitors of one tournament are distinct; of equally fit members the older is the better.
"""

from bisect import insort
from collections.abc import Sequence
from typing import NamedTuple

from numpy.random import Generator

from evoconv.records import Individual, Objective


class Member(NamedTuple):
    """A measured individual that may live and breed; a greater member is a better one.

    ``seniority`` is the individual's number, negated: it decides between equals.
    """

    fitness: float
    seniority: int
    individual: Individual


def rank(individual: Individual, objective: Objective) -> Member:
    """Return the member made of an individual that has a measurement."""
    assert individual.measurement is not None, f"individual {individual.number} was not measured"
    fitness = objective.fitness(individual.measurement)
    return Member(fitness, -individual.number, individual)


def tournament(ranked: Sequence[Member], rng: Generator, *, size: int) -> Individual:
    """Return the best of ``size`` distinct members drawn uniformly; of all if they are fewer.

    ``ranked`` goes from worst to best and has at least one member.
    """
    # Three times as fast as Generator.choice for the few that compete; part of every birth.
    drawn: set[int] = set()
    while len(drawn) < min(size, len(ranked)):
        drawn.add(int(rng.random() * len(ranked)))
    return ranked[max(drawn)].individual


def admit(ranked: list[Member], newcomer: Member, *, capacity: int) -> None:
    """Put the newcomer in its place; beyond ``capacity`` the worst goes, be it the newcomer."""
    insort(ranked, newcomer)
    if len(ranked) > capacity:
        del ranked[0]
