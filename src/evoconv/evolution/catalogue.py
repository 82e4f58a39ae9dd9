"""Every named method as one entry: the table of contents of this package."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from evoconv.errors import ConfigError
from evoconv.evolution.aging import Aging
from evoconv.evolution.annealing import Annealing
from evoconv.evolution.generational import Generational
from evoconv.evolution.gradient import Gradient
from evoconv.evolution.nsga2 import NSGA2
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.random_search import RandomSearch
from evoconv.evolution.steady_state import SteadyState
from evoconv.evolution.strategy import Space, Strategy
from evoconv.evolution.swarm import BlackHole, ParticleSwarm
from evoconv.records import Objective

__all__ = ["METHODS", "EvolutionOptions", "Method", "build_strategy"]


class Build(Protocol):
    """Makes a strategy that has seen nothing yet."""

    def __call__(
        self, space: Any, options: EvolutionOptions, objective: Objective, seed: int
    ) -> Strategy:
        """Return the strategy, fixed by these four; ``space`` is the ``Space`` that it needs."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A strategy with its line in the list of methods.

    ``in_generations``: born in lots that wait for each other, so that the number of workers doesn't
    change its trials under a budget of evaluations or generations.
    ``genomes``: what it can search: all kinds, only ``topologies`` (it works on layers, or its
    recipe does), or only ``vectors``.
    ``recipe``: the defaults that suit it, unless others are named.
    ``defaults``: options that make the method what its source says; they go before any recipe's.
    """

    build: Build
    summary: str
    source: str
    in_generations: bool = False
    genomes: str = "all"
    recipe: str = "fast"
    defaults: Mapping[str, Any] = field(default_factory=dict)


# What the genomes of each command are: networks of layers, or rows of numbers.
_GENOMES = {
    "evolve": "topologies",
    "transfer": "vectors",
    "pretrain": "vectors",
    "compress": "vectors",
}

METHODS: dict[str, Method] = {
    "async": Method(
        build=SteadyState,
        summary="asynchronous evolution: a child for each result, no worker ever waits",
        source="Vidnerová & Neruda 2018, Algorithm 1",
    ),
    "sync": Method(
        build=Generational,
        summary="evolution in generations, each waiting for its slowest member",
        source="Vidnerová & Neruda 2018, section 4",
        in_generations=True,
    ),
    "compact": Method(
        build=SteadyState,
        summary="small networks for little computation: inherits weights, freezes, stops early",
        source="Litzinger, Klos & Schiffmann",
        genomes="topologies",
        recipe="compact",
    ),
    "gradient": Method(
        build=Gradient,
        summary="follows a gradient over the numbers of layers; keeps and trains on weights",
        source="Mitschke, Heizmann, Noffz & Wittmann",
        in_generations=True,
        genomes="topologies",
        recipe="gradient",
    ),
    "nsga2": Method(
        build=NSGA2,
        summary="NSGA-II: the whole front of accuracy, parameters and multiply-accumulates",
        source="Deb, Pratap, Agarwal & Meyarivan 2002",
        in_generations=True,
        defaults={"tournament": 2},
    ),
    "aging": Method(
        build=Aging,
        summary="regularized evolution: mutations only, and the oldest dies, however fit",
        source="Real, Aggarwal, Huang & Le 2019, Algorithm 1",
        # The paper's tournaments are of a quarter of the population.
        defaults={"crossover": 0.0, "mutation": 1.0, "tournament": 5},
    ),
    "annealing": Method(
        build=Annealing,
        summary="simulated annealing: steps up always, down the less often the later it is",
        source="Kirkpatrick, Gelatt & Vecchi 1983",
        defaults={"crossover": 0.0, "mutation": 1.0},
    ),
    "swarm": Method(
        build=ParticleSwarm,
        summary="particle swarm: points with momentum, drawn to the best places met",
        source="Kennedy & Eberhart 1995; Clerc & Kennedy 2002",
        in_generations=True,
        genomes="vectors",
    ),
    "black-hole": Method(
        build=BlackHole,
        summary="black hole: points fall towards the best; the nearest are born again",
        source="Hatamlou 2013",
        in_generations=True,
        genomes="vectors",
    ),
    "random": Method(
        build=RandomSearch,
        summary="random networks, the yardstick of the others",
        source="Bergstra & Bengio 2012",
    ),
}


def build_strategy(
    method: str, space: Space[Any], options: EvolutionOptions, objective: Objective, seed: int
) -> Strategy:
    """Return a new strategy by its name in ``METHODS``; ``ConfigError`` names the known ones."""
    if method not in METHODS:
        raise ConfigError(f"method must be one of {', '.join(METHODS)}, got {method}")
    return METHODS[method].build(space, options, objective, seed)


def methods_for(command: str) -> list[str]:
    """Return the names of the methods that search what a command does."""
    kinds = ("all", _GENOMES[command])
    return [name for name, one in METHODS.items() if one.genomes in kinds]
