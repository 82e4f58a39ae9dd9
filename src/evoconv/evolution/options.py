"""The numbers of the evolutionary strategies.

Source: Vidnerová & Neruda, "Asynchronous Evolution of Convolutional Networks", ITAT 2018, with the
defaults of the authors' public code as far as they are known. Those of gradient evolution are
Mitschke et al.'s.
"""

import math
from dataclasses import dataclass

from evoconv.errors import ConfigError
from evoconv.options import Options, option

PARENT_SELECTION_NAMES = ("tournament", "probabilistic-tournament", "roulette")


@dataclass(frozen=True, kw_only=True)
class EvolutionOptions(Options):
    """Sizes and probabilities of a search; contradictions are refused."""

    population: int = option(20, "how many individuals live at a time", at_least=1)
    min_population: int | None = option(
        None, "how many random individuals are measured before breeding [half of it]", at_least=1
    )
    parent_selection: str = option(
        "tournament", "how parents are selected", choices=PARENT_SELECTION_NAMES
    )
    tournament: int = option(3, "how many members compete to be a parent", at_least=1)
    tournament_win: float = option(
        0.8,
        "probability that the better wins a probabilistic tournament",
        at_least=0,
        at_most=1,
    )
    crossover: float = option(0.6, "share of births with two parents", at_least=0, at_most=1)
    mutation: float = option(0.2, "share of births with a mutation", at_least=0, at_most=1)
    step_half_life: float | None = option(
        None, "births in which the steps of mutation halve; unset: they never do", at_least=0.1
    )
    elitism: int = option(1, "how many of the best live on in the next generation", at_least=0)
    max_infeasible: int = option(
        20, "infeasible children dropped before one is repaired", at_least=0
    )
    max_repeated: int = option(
        20, "known children dropped before a random individual comes in", at_least=0
    )

    offspring: int = option(
        4, "gradient: children, and as many mutants, in each iteration", at_least=1
    )
    least_population: int = option(
        8,
        "gradient: members that stay when the least fit leave, a quarter in each iteration; like"
        " --population: all stay",
        at_least=2,
    )
    gradient_step: float = option(
        0.5, "gradient: longest step along it; drawn from 0 up", at_least=0, at_most=100
    )
    gradient_scale: str = option(
        "standard",
        "gradient: fitness in standard deviations of the population, or raw",
        choices=("standard", "raw"),
    )
    ties: str = option(
        "older",
        "gradient: who of equally fit individuals counts as fitter",
        choices=("older", "younger"),
    )
    similarity: int = option(
        2, "gradient: by how many layers CNNs that cross may differ", at_least=0
    )
    train_on: bool = option(
        False, "gradient: train a network further that a step leaves as it was, or known"
    )

    chains: int = option(4, "annealing: chains that take turns", at_least=1, at_most=10_000)
    temperature: float = option(
        1.0,
        "annealing: at the beginning, in median losses of worse neighbours",
        at_least=0,
        at_most=1e6,
    )
    cooling_half_life: float = option(
        50.0, "annealing: births in which the temperature halves", at_least=0.1
    )

    inertia: float = option(
        0.7298, "swarm: share of its velocity that a particle keeps", at_least=0, at_most=1
    )
    own_pull: float = option(
        1.49618, "swarm: pull to the best place that a particle met", at_least=0, at_most=10
    )
    common_pull: float = option(
        1.49618, "swarm: pull to the best place that any met", at_least=0, at_most=10
    )

    def __post_init__(self) -> None:
        """Raise ``ConfigError`` for a value out of range, or values that contradict each other."""
        super().__post_init__()
        for name, value, limit in (
            ("min_population", self.num_before_breeding, self.population),
            ("tournament", self.tournament, self.population),
        ):
            if value > limit:
                raise ConfigError(f"{name} must be in [1, population={limit}], got {value}")
        if self.elitism >= self.population:
            raise ConfigError(
                f"elitism must be below population={self.population}, got {self.elitism}"
            )
        if self.crossover + self.mutation == 0:
            raise ConfigError("crossover and mutation must not both be 0: no child would differ")

    @property
    def num_before_breeding(self) -> int:
        """The minimal population: as given, else half of the population, at least 1."""
        if self.min_population is None:
            return max(1, self.population // 2)
        return self.min_population

    def step_scale(self, number: int) -> float:
        """Return how long the steps of mutation are at the birth of individual ``number``.

        In (0, 1]: 0.5 ** (number / half-life), so that a search first explores, then refines
        (Litzinger et al., "Genetic Algorithm"; the schedule is the house's own). It hangs on the
        number alone, so a replay takes the same steps whatever the clock says.
        """
        if self.step_half_life is None:
            return 1.0
        # A floor, for a float must not become 0.
        return max(math.pow(0.5, number / self.step_half_life), 1e-6)
