"""Searches whose evaluations cost nothing: real topologies, loop, strategy and storage.

The accuracy is a number fixed by the genome's digest, so no size of network is better than another.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evoconv.evolution.catalogue import build_strategy
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.strategy import Strategy
from evoconv.execution.executor import Control, Executor, Job
from evoconv.genomes.constraints import Limits
from evoconv.genomes.shapes import Cost
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from evoconv.problems.objectives import OBJECTIVES
from evoconv.records import CurvePoint, Individual, Measurement
from evoconv.study.replay import resume
from evoconv.study.runner import run_search
from evoconv.study.stop import StopRules
from evoconv.study.storage import Storage
from evoconv.study.watch import Unwatched

OBJECTIVE = OBJECTIVES["accuracy"]
SPACE = TopologySpace(
    SpaceOptions(normalisation="batch"), (1, 28, 28), 10, Limits(max_macs=12_000_000)
)
# As long as the curve of a default evaluation.
_CURVE = tuple(CurvePoint(fold=0, epoch=epoch, seconds=1.0, train_loss=1.0) for epoch in (1, 2))


@dataclass(frozen=True, kw_only=True)
class NullEvaluation:
    """A task that says at once what the network is said to be worth."""

    accuracy: float
    cost: Cost

    def __call__(self, workplace: Any, control: Control) -> Measurement:  # noqa: ARG002 - protocol
        """Return the accuracy and the costs."""
        return Measurement(
            values={"validation_accuracy": self.accuracy, **self.cost.as_values()}, curve=_CURVE
        )


def null_evaluation(individual: Individual) -> NullEvaluation:
    """Return the individual's task."""
    topology = individual.genome
    assert isinstance(topology, Topology)
    accuracy = int(topology.digest[:8], 16) / 2**32
    return NullEvaluation(accuracy=accuracy, cost=SPACE.cost(topology))


def new_strategy(method: str, population: int, seed: int) -> Strategy:
    """Return a strategy over ``SPACE``."""
    options = EvolutionOptions(population=population)
    return build_strategy(method, SPACE, options, OBJECTIVE, seed)


def search(
    folder: Path,
    strategy: Strategy,
    executor: Executor,
    make_job: Callable[[Individual], Job],
    *,
    stop: StopRules,
    clock: Callable[[], float],
) -> None:
    """Run a new search to its end; its study stays in the folder."""
    with closing(Storage.create(folder, {}, Topology.from_json)) as storage:
        run_search(
            storage,
            strategy,
            executor,
            make_job,
            resumed=resume(storage, strategy, OBJECTIVE),
            stop=stop,
            clock=clock,
            watch=Unwatched(),
        )
