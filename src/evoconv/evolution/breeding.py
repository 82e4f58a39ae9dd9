"""Births: how a new individual comes from parents, or from nothing.

Source: Vidnerová & Neruda 2018, section 3: two parents by tournament, crossover, mutation, again
until the child differs from its parents.
Differs: a child must also keep the limits and be unlike everything born before. What keeps failing
the first is repaired, what keeps failing the second gives way to a random individual, and if even
that is known already, the record answers. So each birth ends.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from numpy.random import Generator

from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.selection import Member, select_parent
from evoconv.evolution.strategy import Space
from evoconv.records import Genome, Individual
from evoconv.seeds import Purpose, stream

# Digest of each phenotype born → number of the first told with a measurement, None before that.
Seen = Mapping[str, int | None]


class Draft(NamedTuple):
    """An individual not yet born: it may prove infeasible or known."""

    genome: Genome
    parents: tuple[int, ...]
    operator: str


def draw_random(
    number: int, space: Space[Any], options: EvolutionOptions, seed: int, seen: Seen
) -> Individual:
    """Return a random individual, feasible and, where the space has enough of them, new."""
    return _draw_random(number, space, options, stream(seed, Purpose.BIRTH, number), seen)


def breed(
    number: int,
    ranked: Sequence[Member],
    space: Space[Any],
    options: EvolutionOptions,
    seed: int,
    seen: Seen,
) -> Individual:
    """Return a child of members of ``ranked`` (worst to best), feasible and, if it can be, new.

    Its parents are in ``seen`` as everything told is, so a child unlike all seen differs from them.
    Where they have nothing new to give, a random individual comes in.
    """
    rng = stream(seed, Purpose.BIRTH, number)
    scale = options.step_scale(number)
    child = _settle(
        number,
        lambda is_known: _vary(ranked, space, options, rng, scale, is_known=is_known),
        space,
        rng,
        seen,
        max_infeasible=options.max_infeasible,
        max_repeated=options.max_repeated,
    )
    if child.genome.digest not in seen:
        return child
    stranger = _draw_random(number, space, options, rng, seen)
    return replace(stranger, redraws=child.redraws + 1 + stranger.redraws)


def _draw_random(
    number: int, space: Space[Any], options: EvolutionOptions, rng: Generator, seen: Seen
) -> Individual:
    # An infeasible one is repaired, not drawn again: redrawing would favour what is small anyway.
    return _settle(
        number,
        lambda _: Draft(space.sample(rng), (), "random"),
        space,
        rng,
        seen,
        max_infeasible=0,
        max_repeated=options.max_repeated,
    )


def _vary(
    ranked: Sequence[Member],
    space: Space[Any],
    options: EvolutionOptions,
    rng: Generator,
    scale: float,
    *,
    is_known: bool,
) -> Draft:
    """Return a child by crossover, mutation, or both: whatever the coins say.

    Once a draft ``is_known``, a mutation is certain: of parents that have met before,
    crossover alone gives little else.
    """
    crosses = mutates = False
    # Without either, a child is its parent and would only be dropped: the coins are tossed again.
    while not (crosses or mutates):
        crosses = rng.random() < options.crossover
        mutates = rng.random() < options.mutation
    mutates |= is_known and options.mutation > 0
    first = select_parent(ranked, rng, options)
    genome = first.genome
    # A copy's weights and figures are those of its original.
    parents: tuple[int, ...] = (first.original,)
    operators = []
    if crosses:
        second = select_parent(ranked, rng, options)
        genome = space.cross(genome, second.genome, rng)
        parents = (first.original, second.original)
        operators.append("crossover")
    if mutates:
        genome, operator = space.mutate(genome, rng, scale)
        operators.append(operator)
    return Draft(genome, parents, "+".join(operators))


def _settle(
    number: int,
    draw: Callable[[bool], Draft],
    space: Space[Any],
    rng: Generator,
    seen: Seen,
    *,
    max_infeasible: int,
    max_repeated: int,
) -> Individual:
    """Return the first draft that is feasible and new; the last one if too many are dropped.

    ``draw`` is told whether a draft was known already.
    """
    num_infeasible = num_repeated = 0
    while True:
        genome, parents, operator = draw(num_repeated > 0)
        # What was seen is feasible, and knowing it again is cheaper than counting its costs.
        if genome.digest not in seen and not space.is_feasible(genome):
            if num_infeasible < max_infeasible:
                num_infeasible += 1
                continue
            genome = space.repair(genome, rng)
            operator += "+repair"
        if genome.digest not in seen or num_repeated == max_repeated:
            return Individual(
                number=number,
                genome=genome,
                parents=parents,
                operator=operator,
                redraws=num_infeasible + num_repeated,
                copy_of=seen.get(genome.digest),
            )
        num_repeated += 1


class Nursery:
    """Numbers the births of one search and remembers every phenotype born."""

    def __init__(self, space: Space[Any], options: EvolutionOptions, seed: int) -> None:
        self._space = space
        self._options = options
        self._seed = seed
        self._num_born = 0
        self._seen: dict[str, int | None] = {}

    @property
    def num_born(self) -> int:
        """How many were born: the number of the next one."""
        return self._num_born

    def random(self) -> Individual:
        """Return the next individual, drawn at random unless it is a seed."""
        return self._seed_individual() or self._register(
            draw_random(self._num_born, self._space, self._options, self._seed, self._seen)
        )

    def child(self, ranked: Sequence[Member]) -> Individual:
        """Return the next individual, bred from members sorted from worst to best, or a seed."""
        return self._seed_individual() or self._register(
            breed(self._num_born, ranked, self._space, self._options, self._seed, self._seen)
        )

    def bear(
        self, draw: Callable[[Generator], Draft], *, is_new: bool, trains_on: bool
    ) -> Individual:
        """Return the next individual as ``draw`` makes it, repaired if need be, or a seed.

        Args:
            draw: is called again while what it draws is known, as often as the options say.
            is_new: whether it is; else the first draft is born, known or not.
            trains_on: a known one is trained again, not answered from the record.
        """
        if (seeded := self._seed_individual()) is not None:
            return seeded
        rng = stream(self._seed, Purpose.BIRTH, self._num_born)
        born = _settle(
            self._num_born,
            lambda _: draw(rng),
            self._space,
            rng,
            self._seen,
            max_infeasible=0,
            max_repeated=self._options.max_repeated if is_new else 0,
        )
        return self._register(replace(born, copy_of=None) if trains_on else born)

    def remember(self, told: Individual) -> None:
        """Let a measured individual answer for later ones with its phenotype."""
        if told.measurement is not None and self._seen[told.genome.digest] is None:
            self._seen[told.genome.digest] = told.number

    def _seed_individual(self) -> Individual | None:
        """Return the next of the space's seeds, while there are any."""
        number = self._num_born
        if number >= len(self._space.seeds):
            return None
        genome = self._space.seeds[number]
        known = self._seen.get(genome.digest)
        return self._register(
            Individual(number=number, genome=genome, operator="seed", copy_of=known)
        )

    def _register(self, born: Individual) -> Individual:
        self._num_born += 1
        self._seen.setdefault(born.genome.digest, None)
        return born
