"""Every named method as one entry: the table of contents of this package."""

from dataclasses import dataclass
from typing import Any, Protocol

from evoconv.errors import ConfigError
from evoconv.evolution.generational import Generational
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.random_search import RandomSearch
from evoconv.evolution.steady_state import SteadyState
from evoconv.evolution.strategy import Space, Strategy
from evoconv.records import Objective

__all__ = ["METHODS", "EvolutionOptions", "Method", "build_strategy"]


class Build(Protocol):
    """Makes a strategy that has seen nothing yet."""

    def __call__(
        self, space: Space[Any], options: EvolutionOptions, objective: Objective, seed: int
    ) -> Strategy:
        """Return the strategy, fixed by these four."""


@dataclass(frozen=True, kw_only=True)
class Method:
    """A strategy with its line in the list of methods.

    ``any_workers``: under an evaluation budget the number of workers doesn't change its trials.
    ``recipe``: the defaults that suit it, unless others are named.
    """

    build: Build
    summary: str
    source: str
    any_workers: bool = False
    recipe: str = "fast"


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
        any_workers=True,
    ),
    "compact": Method(
        build=SteadyState,
        summary="small networks for little computation: inherits weights, freezes, stops early",
        source="Litzinger, Klos & Schiffmann",
        recipe="compact",
    ),
    "random": Method(
        build=RandomSearch,
        summary="random networks, the yardstick of the others",
        source="",
    ),
}


def build_strategy(
    method: str, space: Space[Any], options: EvolutionOptions, objective: Objective, seed: int
) -> Strategy:
    """Return a new strategy by its name in ``METHODS``; ``ConfigError`` names the known ones."""
    if method not in METHODS:
        raise ConfigError(f"method must be one of {', '.join(METHODS)}, got {method}")
    return METHODS[method].build(space, options, objective, seed)
