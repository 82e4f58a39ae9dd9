"""THE loop of every search.

The record always comes first: an individual is recorded before it is submitted, an outcome before
it is told. Whatever kills the process between two lines, replaying the log rebuilds the strategy,
and trials without an outcome are submitted again under their numbers.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable
from dataclasses import replace

from evoconv.errors import SearchFailed, StudyError
from evoconv.evolution.strategy import Strategy
from evoconv.execution.executor import Executor, Job, Outcome
from evoconv.interrupts import ctrl_c_noticed
from evoconv.records import (
    Failure,
    FailureKind,
    Individual,
    Measurement,
    Trial,
    TrialState,
)
from evoconv.study.replay import Resumed, TrialLog
from evoconv.study.stop import StopRules
from evoconv.study.watch import Watch

INTERRUPTED = "interrupted"
"""The reason that ``run_search`` gives after Ctrl-C."""

_POLL_S = 0.25
_CANCEL_S = 5.0
_MAX_LOSSES = 2


def run_search(
    storage: TrialLog,
    strategy: Strategy,
    executor: Executor,
    make_job: Callable[[Individual], Job],
    *,
    resumed: Resumed,
    stop: StopRules,
    clock: Callable[[], float],
    watch: Watch,
    keep: Callable[[Iterable[int]], None] = lambda _: None,
    inherits: bool = False,
    judge: Callable[[Measurement], Measurement] = lambda measurement: measurement,
) -> str:
    """Search until a stop rule holds, and return why, as a sentence for the person.

    Ctrl-C ends the search in the same orderly way, with ``INTERRUPTED``; pressed again it raises
    ``KeyboardInterrupt``. However it ends, what is under way is cancelled and waits for a resume.

    Args:
        storage: what ``resume`` replayed, or an empty one.
        strategy: the one it was replayed into.
        executor: where jobs run; it is not closed.
        make_job: its task must return a ``Measurement``.
        resumed: what ``resume`` gave, also for a new study.
        stop: when to end.
        clock: the clock of ``stop.deadline``.
        watch: is told what happens.
        keep: is told after each trial whose artefacts are still needed, the most needed first:
            those of trials under way, the best, and the archive. All others may be removed.
        inherits: whether children start from their parents' artefacts: then those of all possible
            parents are needed too.
        judge: completes a measurement before it is recorded; what it raises is a failure.

    Raises:
        SearchFailed: the first evaluations have all failed in the same way.
        StudyError: the run folder can't be written, by the storage or by a worker.
    """
    search = _Search(storage, strategy, executor, make_job, resumed, watch, keep, inherits, judge)
    tally = resumed.tally
    # So it can't fall between a record and its tell.
    with ctrl_c_noticed() as interrupted:
        try:
            while not (
                reason := INTERRUPTED
                if interrupted()
                else stop.reason(tally, clock(), strategy.num_generations())
            ):
                num_copies = search.submit(stop.num_left(tally))
                # A copy has left its slot free, so there is no time to wait.
                for outcome in executor.wait(0.0 if num_copies else _POLL_S):
                    search.finish(outcome)
                search.refuse_to_go_on_in_vain()
                storage.touch()
                watch.progress(executor.progress(), tally)
        finally:
            search.cancel(clock)
    watch.stopped(reason)
    return reason


class _Search:
    """The steps of the loop, and who is under way."""

    def __init__(
        self,
        storage: TrialLog,
        strategy: Strategy,
        executor: Executor,
        make_job: Callable[[Individual], Job],
        resumed: Resumed,
        watch: Watch,
        keep: Callable[[Iterable[int]], None],
        inherits: bool,
        judge: Callable[[Measurement], Measurement],
    ) -> None:
        self._storage = storage
        self._judge = judge
        self._keep, self._inherits = keep, inherits
        self._strategy = strategy
        self._executor = executor
        self._make_job = make_job
        self._tally = resumed.tally
        self._watch = watch
        self._waiting = deque(resumed.unfinished)
        self._running: dict[int, tuple[Individual, int]] = {}  # by number, with its attempts
        self._losses: Counter[int] = Counter()
        self._last_failure: Failure | None = None  # of this session
        self._blocked: Failure | None = None

    def submit(self, num_left: int | None) -> int:
        """Fill the free slots, asking for no more than ``num_left`` evaluations in all.

        Returns:
            How many individuals needed no slot because the record answered them.
        """
        self._ask(num_left)
        num_copies = 0
        while self._waiting and self._executor.free_slots() > 0:
            individual = self._waiting.popleft()
            if individual.copy_of is None:
                self._start(individual)
            else:
                self._answer(individual, individual.copy_of)
                num_copies += 1
        return num_copies

    def finish(self, outcome: Outcome) -> None:
        """Record what became of a job and tell it; or queue it again if there was no result."""
        individual, attempts = self._running.pop(outcome.number)
        failure = outcome.failure
        if failure is not None and failure.kind is FailureKind.ENVIRONMENT:
            self._blocked = failure
        if failure is not None and self._runs_again(outcome.number, failure):
            self._requeue(individual, failure)
            return
        measurement = None
        if failure is None:
            measurement, failure = self._judged(outcome.result)
        told = replace(individual, measurement=measurement, failure=failure)
        self._record_and_tell(
            Trial(
                individual=told,
                state=TrialState.FAILED if failure else TrialState.COMPLETE,
                attempts=attempts,
                worker=outcome.worker,
                started_at=outcome.started_at,
                finished_at=outcome.finished_at,
                peak_memory_bytes=outcome.peak_memory_bytes,
            )
        )
        self._last_failure = failure

    def _judged(self, measurement: Measurement) -> tuple[Measurement | None, Failure | None]:
        """Return the complete measurement, or why there is none."""
        try:
            measurement = self._judge(measurement)
        except Exception as error:  # noqa: BLE001 - a person's own function raises what it likes
            said = f"the fitness function raised {type(error).__name__}: {error}"
            return None, Failure(kind=FailureKind.ERROR, message=said)
        failure = _not_finite(measurement)
        return (None, failure) if failure else (measurement, None)

    def cancel(self, clock: Callable[[], float]) -> None:
        """Cancel what is under way. A result that comes just in time counts, the rest will wait."""
        for number in self._running:
            self._executor.cancel(number)
        deadline = clock() + _CANCEL_S
        while self._running and clock() < deadline:
            for outcome in self._executor.wait(_POLL_S):
                self.finish(outcome)
        for number in self._running:
            self._storage.requeue(number)
        self._running.clear()

    def refuse_to_go_on_in_vain(self) -> None:
        """Raise ``StudyError`` if a worker can't save what it has found.

        Raise ``SearchFailed`` if all have failed in the same way, one of this session included. So
        a resumed study gets a chance: the person may have mended the cause.
        """
        if self._blocked is not None:
            raise StudyError(self._blocked.message)
        if self._last_failure is not None and self._tally.is_hopeless(self._executor.num_slots):
            raise SearchFailed(
                f"all {self._tally.num_failed} evaluations failed in the same way, the last with "
                f"{self._last_failure}"
            )

    def _ask(self, num_left: int | None) -> None:
        slots = self._executor.free_slots() - len(self._waiting)
        if num_left is not None:
            slots = min(slots, num_left - len(self._waiting) - len(self._running))
        if slots <= 0:
            return
        born = self._strategy.ask(slots)
        assert born or self._running or self._waiting, "the strategy waits for nobody"
        if born:
            self._storage.record_ask(slots, born)
            self._waiting.extend(born)
            self._watch.asked(born)

    def _start(self, individual: Individual) -> None:
        attempt = self._storage.start(individual.number)
        self._running[individual.number] = individual, attempt
        self._executor.submit(self._make_job(individual))
        self._watch.started(individual, attempt)

    def _answer(self, individual: Individual, copy_of: int) -> None:
        known = self._storage.trial(copy_of).individual.measurement
        assert known is not None, f"individual {individual.number} copies {copy_of}, not measured"
        # The curve stays with the one that was trained.
        told = replace(individual, measurement=Measurement(values=known.values))
        self._record_and_tell(Trial(individual=told, state=TrialState.COMPLETE))

    def _runs_again(self, number: int, failure: Failure) -> bool:
        if failure.kind is FailureKind.LOST:
            # Counted here, not by attempts in the storage: a cancelled attempt was no loss.
            self._losses[number] += 1
            return self._losses[number] < _MAX_LOSSES
        return failure.kind in (FailureKind.CANCELLED, FailureKind.ENVIRONMENT)

    def _requeue(self, individual: Individual, failure: Failure) -> None:
        self._storage.requeue(individual.number)
        self._waiting.append(individual)
        self._watch.requeued(individual, failure)

    def _record_and_tell(self, trial: Trial) -> None:
        self._storage.finish(trial)
        is_better = self._tally.add(trial.individual)
        self._strategy.tell(trial.individual)
        self._keep(self._needed())
        self._watch.finished(trial)
        if is_better:
            self._watch.best_changed(trial)

    def _needed(self) -> list[int]:
        parents: list[int] = []
        alive = [] if self._tally.best is None else [self._tally.best]
        if self._inherits:
            under_way = [*(one for one, _ in self._running.values()), *self._waiting]
            parents = [number for one in under_way for number in one.parents]
            alive += self._strategy.members()
        others = (one.original for one in (*alive, *self._tally.archive.front))
        # Each once, at its first place.
        return list(dict.fromkeys([*self._running, *parents, *others]))


def _not_finite(measurement: Measurement) -> Failure | None:
    for name, value in measurement.values.items():
        if not math.isfinite(value):
            return Failure(kind=FailureKind.NOT_FINITE, message=f"{name} is {value}")
    return None
