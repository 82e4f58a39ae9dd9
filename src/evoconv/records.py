"""The nouns: what is searched for, what was measured, and what is remembered.

All are frozen; a change is a new value (``dataclasses.replace``). Fractions are in [0, 1],
durations in seconds, sizes in bytes.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol

from evoconv.options import Options, option


class Genome(Protocol):
    """What evolves: an immutable value."""

    @property
    def digest(self) -> str:
        """Hexadecimal digest of the phenotype: equal for genomes that build the same network."""

    def to_json(self) -> str:
        """Canonical JSON: equal genomes give equal text."""


@dataclass(frozen=True, kw_only=True)
class Objective:
    """A named, directed fact of a measurement that a search improves."""

    name: str
    direction: Literal["maximize", "minimize"]

    @property
    def moves(self) -> bool:
        """Whether the fitness of a measurement hangs on what else was measured."""
        return False

    def value(self, measurement: "Measurement") -> float:
        """Return the fact itself, negated if it is minimised: higher is better."""
        value = measurement.values[self.name]
        return value if self.direction == "maximize" else -value

    def fitness(self, measurement: "Measurement") -> float:
        """Return what a search breeds by, higher is better: the value, unless costs count too."""
        return self.value(measurement)

    def merit(self, measurement: "Measurement") -> float:
        """Return what the best is chosen by, higher is better: the fitness, as a rule."""
        return self.fitness(measurement)

    def told(self, measurement: "Measurement") -> None:
        """Take note of what was measured, in the order of the log: targets may move by it."""

    def needed(self, fitness: float, costs: Mapping[str, float]) -> float:  # noqa: ARG002
        """Return the value that a network of these costs needs for a fitness; may be infinite."""
        return fitness


@dataclass(frozen=True, kw_only=True)
class CurvePoint:
    """One point of a learning curve, taken at the end of an epoch."""

    fold: int
    epoch: int
    seconds: float
    train_loss: float
    validation_loss: float = math.nan
    validation_accuracy: float = math.nan


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What evaluating one individual gave.

    ``values`` holds raw, named facts (``validation_accuracy``, ``cross_entropy``, ``parameters``,
    …), all finite. Fitness is derived from them by a strategy and never stored. ``remarks`` are
    sentences on what is special: why a training ended early, what was inherited and what not.
    """

    values: Mapping[str, float]
    curve: tuple[CurvePoint, ...] = ()
    remarks: tuple[str, ...] = ()


class FailureKind(StrEnum):
    """Why a job has no result."""

    OUT_OF_MEMORY = "out of memory"
    NOT_FINITE = "loss not finite"
    TIMEOUT = "time-out"
    TOO_SLOW = "too slow"
    LOST = "worker lost"
    ERROR = "error"
    CANCELLED = "cancelled"
    ENVIRONMENT = "environment"  # a full disk, say: not the candidate's fault, so never recorded


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A reason, and a sentence about it. A failed candidate is data, not a crash."""

    kind: FailureKind
    message: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.message}" if self.message else str(self.kind)


@dataclass(frozen=True, kw_only=True)
class Individual:
    """A genome with its origin and, once told, its measurement or failure: what a strategy sees.

    Attributes:
        operator: what made it, e.g. ``random`` or ``crossover+change``.
        redraws: how many infeasible or repeated genomes were drawn and dropped before this one.
        copy_of: number of an individual told earlier with the same phenotype, whose measurement
            answers for this one.
    """

    number: int
    genome: Genome
    parents: tuple[int, ...] = ()
    operator: str = "random"
    redraws: int = 0
    copy_of: int | None = None
    measurement: Measurement | None = None
    failure: Failure | None = None

    @property
    def original(self) -> int:
        """Number of the individual that was trained for this one: its own unless it is a copy."""
        return self.number if self.copy_of is None else self.copy_of


class TrialState(StrEnum):
    """The life of a trial: waiting → running → complete or failed."""

    WAITING = "waiting"
    RUNNING = "running"
    COMPLETE = "complete"
    FAILED = "failed"

    @property
    def is_finished(self) -> bool:
        """True when nothing more will happen to the trial."""
        return self in (TrialState.COMPLETE, TrialState.FAILED)


@dataclass(frozen=True, kw_only=True)
class Trial:
    """An individual with the history of its evaluation: what storage keeps.

    Attributes:
        attempts: how often a worker has begun it.
        worker: slot that finished it; None for a copy answered from the record.
        started_at, finished_at: seconds since the epoch.
    """

    individual: Individual
    state: TrialState = TrialState.WAITING
    attempts: int = 0
    worker: int | None = None
    started_at: float | None = None
    finished_at: float | None = None
    peak_memory_bytes: int | None = None

    @property
    def number(self) -> int:
        """Number of the individual."""
        return self.individual.number

    @property
    def seconds(self) -> float:
        """How long the last attempt took; 0 while unknown."""
        if self.started_at is None or self.finished_at is None:
            return 0.0
        return self.finished_at - self.started_at


@dataclass(frozen=True, kw_only=True)
class Budget(Options):
    """When a search ends: at the first of these that is reached. None means no such limit.

    ``time_s`` bounds the whole command, final training included; the others bound the search.
    """

    time_s: float | None = option(
        None,
        "time for the whole command [10m; with --evaluations or --generations: none]",
        unit="duration",
    )
    evaluations: int | None = option(
        None, "finished evaluations, failed ones included", at_least=1, unit="count"
    )
    generations: int | None = option(
        None,
        "complete generations, of methods that have any; of gradient: iterations",
        at_least=1,
        unit="count",
    )
    stop_at: float | None = option(
        None, "a validation accuracy that is enough", at_least=0, at_most=1, unit="percent"
    )
    patience: int | None = option(
        None, "evaluations in a row without a better best", at_least=1, unit="count"
    )
    affordable_evaluations: int | None = option(
        40,
        "evaluations that ten minutes must suffice for, however slow, and a longer --time for more"
        " by its root: limits the multiply-accumulates where --max-macs doesn't, and how long a"
        " candidate of transfer or compress is trained; unset: no limit",
        at_least=1,
        at_most=1_000_000,
    )
    trial_time_s: float | None = option(
        None, "time one evaluation may take before it is recorded as failed", unit="duration"
    )


@dataclass(frozen=True, kw_only=True)
class Event:
    """One entry of a study's log.

    ``ask`` carries the number of slots offered and the individuals born; ``tell`` carries the one
    that was told. Replaying the events in order rebuilds the strategy.
    """

    kind: Literal["ask", "tell"]
    slots: int = 0
    numbers: tuple[int, ...] = field(default=())
