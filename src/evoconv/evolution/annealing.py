"""Simulated annealing: chains that always step up, and down the less often the later it is.

Sources: Metropolis et al. 1953; Kirkpatrick, Gelatt & Vecchi 1983, "Optimization by Simulated
Annealing".
Differs: several chains take turns, so that several workers are busy; who is born before its chain
has moved is judged against where the chain is when the result comes. The temperature has no unit of
its own: it is counted in the median loss of the worse neighbours seen so far (a mean would leave it
to one neighbour that diverged), and halves with births, not with time, for a replay must not depend
on a clock. A neighbour is a mutant (``crossover`` 0,
``mutation`` 1); where all that are drawn are known, a random individual comes in.
"""

import math
from bisect import insort
from typing import Any

from evoconv.evolution.breeding import Nursery
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.selection import Member, rank, rank_again
from evoconv.evolution.strategy import Space
from evoconv.records import Individual, Objective
from evoconv.seeds import Purpose, stream


def acceptance(gain: float, temperature: float) -> float:
    """Return the probability, in [0, 1], that a chain takes a step with this gain in fitness.

    min(1, exp(gain / temperature)); at a temperature of 0 only what is no loss is accepted.
    """
    if gain >= 0:
        return 1.0
    return math.exp(gain / temperature) if temperature > 0 else 0.0


class Annealing:
    """A neighbour for each result; individual n belongs to chain n modulo their number."""

    def __init__(
        self, space: Space[Any], options: EvolutionOptions, objective: Objective, seed: int
    ) -> None:
        self._options = options
        self._objective = objective
        self._seed = seed
        self._nursery = Nursery(space, options, seed)
        self._chains: list[Member | None] = [None] * options.chains
        self._losses: list[float] = []  # of neighbours worse than their chain, sorted

    def ask(self, slots: int) -> list[Individual]:
        """Return exactly ``slots`` new individuals: nobody waits."""
        return [self._bear() for _ in range(slots)]

    def tell(self, individual: Individual) -> None:
        """Let the chain step to a measured neighbour, or stay."""
        if individual.measurement is None:
            return
        self._nursery.remember(individual)
        neighbour = rank(individual, self._objective)
        place = individual.number % len(self._chains)
        current = self._chains[place]
        if current is not None:
            gain = neighbour.fitness - rank(current.individual, self._objective).fitness
            if gain < 0:
                insort(self._losses, -gain)
            luck = stream(self._seed, Purpose.ACCEPT, individual.number).random()
            if luck >= acceptance(gain, self._temperature(individual.number)):
                return
        self._chains[place] = neighbour

    def members(self) -> list[Individual]:
        """Return where the chains are, the best first."""
        found = rank_again((one for one in self._chains if one is not None), self._objective)
        return [one.individual for one in reversed(found)]

    def settled(self) -> list[Individual]:
        """Return where the chains are: births don't wait for each other."""
        return self.members()

    def entry(self) -> None:
        """Return None: a chain may step to anything."""

    def num_generations(self) -> None:
        """Return None: births follow results."""

    def _bear(self) -> Individual:
        current = self._chains[self._nursery.num_born % len(self._chains)]
        if current is None:
            return self._nursery.random()
        return self._nursery.child([current])

    def _temperature(self, number: int) -> float:
        if not self._losses:
            return 0.0
        usual = self._losses[(len(self._losses) - 1) // 2]
        halvings = number / self._options.cooling_half_life
        return self._options.temperature * usual * math.pow(0.5, min(halvings, 1000.0))
