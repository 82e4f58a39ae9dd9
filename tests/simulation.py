"""A cheap world for strategies and the loop: integer genomes, a log in memory, virtual workers."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from numpy.random import Generator

from benchmarks.simulated import SimulatedExecutor, VirtualClock
from evoconv.evolution.catalogue import METHODS, EvolutionOptions, build_strategy
from evoconv.execution.executor import Control, Job, JobFailed
from evoconv.genomes.blocks import Blocks, Counts
from evoconv.records import (
    Event,
    Failure,
    FailureKind,
    Genome,
    Individual,
    Measurement,
    Objective,
    Trial,
    TrialState,
)
from evoconv.study.replay import TrialLog, resume
from evoconv.study.runner import run_search
from evoconv.study.stop import StopRules
from evoconv.study.watch import Unwatched, Watch

SCORE = Objective(name="score", direction="maximize")
TARGET = (7, 2, 9, 0, 5)


@dataclass(frozen=True, kw_only=True)
class ToyGenome:
    """Small integers; the last one is silent: it changes the genome but not the phenotype."""

    values: tuple[int, ...]

    @property
    def digest(self) -> str:
        return "-".join(map(str, self.values[:-1]))

    def to_json(self) -> str:
        return str(list(self.values))


@dataclass(frozen=True, kw_only=True)
class ToySpace:
    """Genomes of six integers below ``size`` whose sum must not exceed ``limit``."""

    size: int = 10
    limit: int = 30

    seeds: tuple[ToyGenome, ...] = ()

    def sample(self, rng: Generator) -> ToyGenome:
        return ToyGenome(values=tuple(rng.integers(self.size, size=6).tolist()))

    def mutate(
        self, genome: ToyGenome, rng: Generator, scale: float = 1.0
    ) -> tuple[ToyGenome, str]:
        place = int(rng.integers(6))
        values = list(genome.values)
        if rng.random() < 0.25:
            values[place] = int(rng.integers(self.size))
            return ToyGenome(values=tuple(values)), "reset"
        step = round(scale * int(rng.integers(-2, 3)))
        values[place] = min(self.size - 1, max(0, values[place] + step))
        return ToyGenome(values=tuple(values)), "step"

    def cross(self, first: ToyGenome, second: ToyGenome, rng: Generator) -> ToyGenome:
        point = int(rng.integers(1, 6))
        return ToyGenome(values=first.values[:point] + second.values[point:])

    def is_feasible(self, genome: ToyGenome) -> bool:
        return sum(genome.values) <= self.limit

    def places(self, genome: ToyGenome) -> list[float]:
        return [(one + 0.5) / self.size for one in genome.values]

    def genome_at(self, places: Sequence[float]) -> ToyGenome:
        most = self.size - 1
        return ToyGenome(values=tuple(min(most, int(one * self.size)) for one in places))

    def draw_blocks(self, rng: Generator) -> Blocks:
        return self.encode(self.sample(rng))

    def decode(self, blocks: Blocks) -> ToyGenome:
        """Counts, the model, how many strides are long, and the neurons of all dense blocks."""
        model = round(blocks.h0), round(blocks.h1)
        rest = blocks.strides.count(2), round(sum(blocks.units))
        values = (*blocks.counts, *model, *rest)
        return ToyGenome(values=tuple(min(max(one, 0), self.size - 1) for one in values))

    def encode(self, genome: ToyGenome) -> Blocks:
        c, d, h0, h1, long, units = genome.values
        c = max(c, 1)
        strides = (2,) * min(long, c) + (1,) * max(0, c - long)
        return Blocks(h0=h0, h1=h1, strides=strides, units=(units / max(d, 1),) * d)

    def resize(self, blocks: Blocks, counts: Counts, rng: Generator) -> Blocks:
        c = min(max(counts[0], 1), self.size - 1)
        d = min(max(counts[1], 0), self.size - 1)
        strides = (blocks.strides + (1,) * c)[:c]
        return replace(blocks, strides=strides, units=(blocks.units + (1.0,) * d)[:d])

    def mutate_blocks(self, blocks: Blocks, rng: Generator) -> Blocks:
        c, d = (int(one) for one in blocks.counts + rng.integers(-1, 2, 2))
        h0, h1 = rng.normal((blocks.h0, blocks.h1), 1.0)
        resized = self.resize(blocks, (c, d), rng)
        return self.bounded(replace(resized, h0=float(h0), h1=float(h1)))

    def bounded(self, blocks: Blocks) -> Blocks:
        most = float(self.size - 1)
        return replace(blocks, h0=min(max(blocks.h0, 0), most), h1=min(max(blocks.h1, 0), most))

    def shrink(self, blocks: Blocks, rng: Generator) -> Blocks | None:
        narrow = self.bounded(replace(blocks, h0=0.0, h1=0.0, units=(0.0,) * blocks.counts[1]))
        return narrow if self.is_feasible(self.decode(narrow)) else None

    def repair(self, genome: ToyGenome, rng: Generator) -> ToyGenome:
        values = list(genome.values)
        while sum(values) > self.limit:
            place = int(rng.integers(6))
            values[place] = max(0, values[place] - 1)
        return ToyGenome(values=tuple(values))


def score(genome: Genome) -> int:
    """Return the smooth toy problem's value: 0 at the target, less elsewhere."""
    return -sum((a - b) ** 2 for a, b in zip(values_of(genome), TARGET, strict=False))


def values_of(genome: Genome) -> tuple[int, ...]:
    assert isinstance(genome, ToyGenome)
    return genome.values


def measured(individual: Individual, value: float | None = None) -> Individual:
    """Return the individual with a score, its genome's own unless given."""
    value = score(individual.genome) if value is None else value
    return replace(individual, measurement=Measurement(values={"score": value}))


def failed(individual: Individual, kind: FailureKind = FailureKind.ERROR) -> Individual:
    """Return the individual with a failure."""
    return replace(individual, failure=Failure(kind=kind, message="provoked"))


def individual(number: int, *values: int) -> Individual:
    """Return an individual with a genome of these values, or one made of its number."""
    return Individual(number=number, genome=ToyGenome(values=values or (number,) * 6))


def fails(number: int) -> bool:
    """Return whether an evaluation fails by nature: 8 of 100, spread."""
    return number * 37 % 100 < 8


def latency_s(number: int) -> float:
    """Return whole seconds between 1 and 13, in no order."""
    return 1.0 + number * 7919 % 13


@dataclass(frozen=True, kw_only=True)
class ToyTask:
    """Scores a genome, or fails."""

    individual: Individual
    fails: Callable[[int], bool] = fails

    def __call__(self, workplace: object, control: Control) -> Measurement:
        if self.fails(self.individual.number):
            raise JobFailed(Failure(kind=FailureKind.TIMEOUT, message="provoked"))
        value = score(self.individual.genome)
        return Measurement(values={"score": value, "validation_accuracy": 1 / (1 - value)})


def toy_job(individual: Individual) -> Job:
    return Job(number=individual.number, task=ToyTask(individual=individual))


class MemoryLog:
    """The storage that forgets: what the loop needs, in memory."""

    def __init__(self) -> None:
        self._trials: dict[int, Trial] = {}
        self._events: list[Event] = []

    def record_ask(self, slots: int, individuals: Sequence[Individual]) -> None:
        for one in individuals:
            assert one.number not in self._trials, f"{one.number} was recorded twice"
            self._trials[one.number] = Trial(individual=one)
        numbers = tuple(one.number for one in individuals)
        self._events.append(Event(kind="ask", slots=slots, numbers=numbers))

    def start(self, number: int) -> int:
        trial = self._trials[number]
        assert not trial.state.is_finished, f"{number} was started after its end"
        started = replace(trial, state=TrialState.RUNNING, attempts=trial.attempts + 1)
        self._trials[number] = started
        return started.attempts

    def requeue(self, number: int) -> None:
        assert self._trials[number].state is TrialState.RUNNING
        self._trials[number] = replace(self._trials[number], state=TrialState.WAITING)

    def finish(self, trial: Trial) -> None:
        assert trial.state.is_finished
        assert not self._trials[trial.number].state.is_finished, f"{trial.number} ended twice"
        self._trials[trial.number] = trial
        self._events.append(Event(kind="tell", numbers=(trial.number,)))

    def touch(self) -> None:
        pass

    def trial(self, number: int) -> Trial:
        return self._trials[number]

    def outlines(self) -> list[Trial]:
        return self.trials()

    def trials(self) -> list[Trial]:
        return [self._trials[number] for number in sorted(self._trials)]

    def events(self) -> Iterator[Event]:
        return iter(list(self._events))


def options_of(method: str) -> EvolutionOptions:
    """Return the numbers of evolution that the method has unless others are named."""
    return EvolutionOptions(**METHODS[method].defaults)


@dataclass(kw_only=True)
class ToyRun:
    """One session of a search on the toy problem; ``go`` resumes what ``log`` holds."""

    method: str = "async"
    slots: int = 1
    log: TrialLog = field(default_factory=MemoryLog)
    space: ToySpace = field(default_factory=ToySpace)
    options: EvolutionOptions | None = None  # the method's own
    seed: int = 1
    stop: StopRules = field(default_factory=lambda: StopRules(evaluations=60))
    latency_s: Callable[[int], float] = latency_s
    make_job: Callable[[Individual], Job] = toy_job
    watch: Watch = field(default_factory=Unwatched)
    keep: Callable[[Iterable[int]], None] = lambda _: None
    inherits: bool = False

    def __post_init__(self) -> None:
        self.clock = VirtualClock()
        self.executor = SimulatedExecutor(self.slots, self.latency_s, self.clock)
        options = options_of(self.method) if self.options is None else self.options
        self.strategy = build_strategy(self.method, self.space, options, SCORE, self.seed)

    def go(self) -> str:
        self.resumed = resume(self.log, self.strategy, SCORE)
        return run_search(
            self.log,
            self.strategy,
            self.executor,
            self.make_job,
            resumed=self.resumed,
            stop=self.stop,
            clock=self.clock,
            watch=self.watch,
            keep=self.keep,
            inherits=self.inherits,
        )
