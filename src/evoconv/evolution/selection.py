"""Parent selection by tournament or roulette, and survivor selection that discards the worst.

Sources: Vidnerová & Neruda 2018, sections 3.4 and 4 (tournament, the worst is discarded); Litzinger
et al., "Raising Efficiency" (roulette and two types of tournament).
Members are kept sorted from worst to best: the best of a draw is the one drawn from furthest back.
Differs: competitors of one tournament are distinct; of equally fit members the older is the better.
Litzinger et al. name their selections and no more. Here the second tournament is the probabilistic
one of Goldberg & Deb 1991, and the roulette's shares are linear in the fitness above the worst.
"""

from bisect import insort
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

from numpy.random import Generator

from evoconv.evolution.options import EvolutionOptions
from evoconv.records import Individual, Objective


class Member(NamedTuple):
    """A measured individual that may live and breed; a greater member is a better one.

    ``seniority`` decides between equals: the individual's number, negated where the older wins.
    """

    fitness: float
    seniority: int
    individual: Individual


def rank(individual: Individual, objective: Objective) -> Member:
    """Return the member made of an individual that has a measurement."""
    assert individual.measurement is not None, f"individual {individual.number} was not measured"
    fitness = objective.fitness(individual.measurement)
    return Member(fitness, -individual.number, individual)


def rank_again(members: Iterable[Member], objective: Objective) -> list[Member]:
    """Return the members by what they are worth now, worst to best: targets may have moved."""
    if not objective.moves:
        return sorted(members)
    return sorted(rank(one.individual, objective) for one in members)


def select_parent(
    ranked: Sequence[Member], rng: Generator, options: EvolutionOptions
) -> Individual:
    """Return a parent, selected as the options say.

    ``ranked`` goes from worst to best and has at least one member.
    """
    return PARENT_SELECTIONS[options.parent_selection](ranked, rng, options)


def tournament(ranked: Sequence[Member], rng: Generator, *, size: int) -> Individual:
    """Return the best of ``size`` distinct members drawn uniformly; of all if they are fewer."""
    return ranked[max(_competitors(ranked, rng, size))].individual


def probabilistic_tournament(
    ranked: Sequence[Member], rng: Generator, *, size: int, win: float
) -> Individual:
    """Return the best of the draw with probability ``win``, else the second with it, and so on.

    The worst of the draw takes what is left.
    """
    *better, worst = sorted(_competitors(ranked, rng, size), reverse=True)
    for place in better:
        if rng.random() < win:
            return ranked[place].individual
    return ranked[worst].individual


def roulette(ranked: Sequence[Member], rng: Generator) -> Individual:
    """Return a member with probability in proportion to its fitness above that of the worst.

    A uniform member where all are equally fit. Else the worst has no share.
    """
    worst = ranked[0].fitness
    total = sum(one.fitness - worst for one in ranked)
    ball = float(rng.random())
    if total <= 0:
        return ranked[int(ball * len(ranked))].individual
    ball *= total
    # From the best down: it has the largest share, and rounding can't leave it out.
    for one in reversed(ranked):
        ball -= one.fitness - worst
        if ball < 0:
            return one.individual
    return ranked[-1].individual


Select = Callable[[Sequence[Member], Generator, EvolutionOptions], Individual]

PARENT_SELECTIONS: Mapping[str, Select] = {
    "tournament": lambda ranked, rng, options: tournament(ranked, rng, size=options.tournament),
    "probabilistic-tournament": lambda ranked, rng, options: probabilistic_tournament(
        ranked, rng, size=options.tournament, win=options.tournament_win
    ),
    "roulette": lambda ranked, rng, _: roulette(ranked, rng),
}


def _competitors(ranked: Sequence[Member], rng: Generator, size: int) -> set[int]:
    # Three times as fast as Generator.choice for the few that compete; part of every birth.
    drawn: set[int] = set()
    while len(drawn) < min(size, len(ranked)):
        drawn.add(int(rng.random() * len(ranked)))
    return drawn


def admit(ranked: list[Member], newcomer: Member, *, capacity: int) -> None:
    """Put the newcomer in its place; beyond ``capacity`` the worst goes, be it the newcomer."""
    insort(ranked, newcomer)
    if len(ranked) > capacity:
        del ranked[0]
