"""A search as its watchers are told of it, without a search."""

from dataclasses import dataclass
from pathlib import Path

from evoconv.execution.executor import Progress
from evoconv.problems.objectives import OBJECTIVES
from evoconv.records import (
    Failure,
    FailureKind,
    Individual,
    Measurement,
    Trial,
    TrialState,
)
from evoconv.study.stop import Tally
from evoconv.study.watch import Watch
from tests.report.studies import topology

OUT_OF_MEMORY = Failure(kind=FailureKind.OUT_OF_MEMORY, message="no memory")


@dataclass
class Feed:
    """Tells one watcher."""

    watch: Watch
    time_s: float | None = 600.0

    def __post_init__(self) -> None:
        self.tally = Tally(OBJECTIVES["accuracy"])

    def begin(self) -> None:
        """The study begins."""
        self.watch.begun(
            run=Path("runs/one"),
            method="async",
            time_s=self.time_s,
            num_slots=2,
            facts=["1,000 images of 3 classes"],
        )

    def start(self, number: int, attempt: int = 1) -> Individual:
        """A trial begins."""
        individual = Individual(number=number, genome=topology(10 + number))
        self.watch.started(individual, attempt)
        return individual

    def complete(self, number: int, accuracy: float) -> None:
        """A trial is complete."""
        values = {"validation_accuracy": accuracy, "parameters": 23_400.0, "macs": 1.2e6}
        individual = Individual(
            number=number, genome=topology(10 + number), measurement=Measurement(values=values)
        )
        self._tell(individual, TrialState.COMPLETE)

    def fail(self, number: int, failure: Failure = OUT_OF_MEMORY) -> None:
        """A trial has failed."""
        individual = Individual(number=number, genome=topology(10), failure=failure)
        self._tell(individual, TrialState.FAILED)

    def go_round(self, **fractions: float) -> None:
        """The loop goes round; fractions by trial, as ``t3=0.5``."""
        running = [
            Progress(number=int(name[1:]), fraction=value, message="")
            for name, value in fractions.items()
        ]
        self.watch.progress(running, self.tally)

    def _tell(self, individual: Individual, state: TrialState) -> None:
        is_better = self.tally.add(individual)
        trial = Trial(individual=individual, state=state)
        self.watch.finished(trial)
        if is_better:
            self.watch.best_changed(trial)
