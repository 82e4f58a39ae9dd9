"""The loop: what is recorded, run again, answered, cancelled and resumed."""

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from benchmarks.simulated import SimulatedExecutor
from evoconv.errors import SearchFailed, StudyError
from evoconv.evolution.catalogue import METHODS, EvolutionOptions
from evoconv.execution.executor import Control, Job, JobFailed, Outcome, Progress
from evoconv.execution.inline import InlineExecutor
from evoconv.records import (
    Event,
    Failure,
    FailureKind,
    Individual,
    Measurement,
    Trial,
    TrialState,
)
from evoconv.study.replay import TrialLog
from evoconv.study.runner import INTERRUPTED
from evoconv.study.stop import StopRules, Tally
from evoconv.study.storage import Storage
from evoconv.study.watch import Unwatched
from tests.simulation import MemoryLog, ToyGenome, ToyRun, ToySpace, ToyTask, score


def genome_from_json(text: str) -> ToyGenome:
    return ToyGenome(values=tuple(int(digit) for digit in text.strip("[]").split(",")))


@pytest.fixture(params=["memory", "sqlite"])
def log(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[TrialLog]:
    if request.param == "memory":
        yield MemoryLog()
        return
    storage = Storage.create(tmp_path, {}, genome_from_json)
    yield storage
    storage.close()


@dataclass(kw_only=True)
class Diary(Unwatched):
    """Writes down what it is told."""

    lines: list[str] = field(default_factory=list)
    num_rounds: int = 0

    def asked(self, individuals: Sequence[Individual]) -> None:
        self.lines.append(f"asked {[one.number for one in individuals]}")

    def started(self, individual: Individual, attempt: int) -> None:
        self.lines.append(f"started {individual.number} attempt {attempt}")

    def progress(self, running: Sequence[Progress], tally: Tally) -> None:
        self.num_rounds += 1

    def requeued(self, individual: Individual, failure: Failure) -> None:
        self.lines.append(f"requeued {individual.number} {failure}")

    def finished(self, trial: Trial) -> None:
        self.lines.append(f"finished {trial.number} {trial.state}")

    def best_changed(self, trial: Trial) -> None:
        self.lines.append(f"best {trial.number}")

    def stopped(self, reason: str) -> None:
        self.lines.append(f"stopped: {reason}")


def job_failing(
    kind: FailureKind, which: Callable[[int], bool] = lambda _: True
) -> Callable[[Individual], Job]:
    """Return a maker of jobs that fail in one way where ``which`` says so."""

    def make_job(individual: Individual) -> Job:
        def task(workplace: Any, control: Control) -> Measurement:
            if which(individual.number):
                raise JobFailed(Failure(kind=kind, message="provoked"))
            return Measurement(values={"score": score(individual.genome)})

        return Job(number=individual.number, task=task)

    return make_job


def test_the_record_comes_before_the_deed(log: TrialLog) -> None:
    diary = Diary()
    run = ToyRun(log=log, slots=2, stop=StopRules(evaluations=3), watch=diary, latency_s=float)
    run.go()
    assert diary.lines == [
        "asked [0, 1]",
        "started 0 attempt 1",
        "started 1 attempt 1",
        "finished 0 failed",
        "asked [2]",
        "started 2 attempt 1",
        "finished 1 complete",
        "best 1",
        "finished 2 complete",
        "best 2",
        "stopped: all 3 evaluations are done",
    ]
    assert list(log.events()) == [
        Event(kind="ask", slots=2, numbers=(0, 1)),
        Event(kind="tell", numbers=(0,)),
        Event(kind="ask", slots=1, numbers=(2,)),
        Event(kind="tell", numbers=(1,)),
        Event(kind="tell", numbers=(2,)),
    ]


def test_a_trial_keeps_what_happened_to_it(log: TrialLog) -> None:
    ToyRun(log=log, slots=2, stop=StopRules(evaluations=5), latency_s=lambda n: 10.0 + n).go()
    failed, complete = log.trials()[:2]
    assert (failed.state, complete.state) == (TrialState.FAILED, TrialState.COMPLETE)
    assert failed.individual.failure == Failure(kind=FailureKind.TIMEOUT, message="provoked")
    assert complete.individual.measurement is not None
    assert complete.individual.measurement.values["score"] == score(complete.individual.genome)
    assert (complete.attempts, complete.seconds) == (1, 11.0)
    assert {failed.worker, complete.worker} == {0, 1}


@pytest.mark.parametrize("slots", [1, 3, 64])
def test_exactly_the_evaluations_of_the_budget_are_begun(slots: int) -> None:
    run = ToyRun(slots=slots, stop=StopRules(evaluations=50))
    run.go()
    trials = run.log.trials()
    assert len(trials) == 50
    assert all(trial.state.is_finished for trial in trials)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_a_measurement_that_is_not_finite_is_a_failure(bad: float) -> None:
    def make_job(individual: Individual) -> Job:
        value = bad if individual.number % 2 else 1.0
        return Job(number=individual.number, task=lambda *_: Measurement(values={"score": value}))

    run = ToyRun(make_job=make_job, stop=StopRules(evaluations=4))
    run.go()
    failure = run.log.trial(1).individual.failure
    assert failure is not None
    assert failure.kind is FailureKind.NOT_FINITE
    assert run.log.trial(1).individual.measurement is None


def test_a_lost_trial_is_run_again_and_counts_once(log: TrialLog) -> None:
    tries: Counter[int] = Counter()

    def make_job(individual: Individual) -> Job:
        tries[individual.number] += 1
        loses = individual.number == 4 and tries[4] == 1
        return job_failing(FailureKind.LOST, lambda _: loses)(individual)

    diary = Diary()
    ToyRun(log=log, slots=2, make_job=make_job, stop=StopRules(evaluations=10), watch=diary).go()
    assert "requeued 4 worker lost: provoked" in diary.lines
    assert "started 4 attempt 2" in diary.lines
    assert len(log.trials()) == 10
    assert log.trial(4).state is TrialState.COMPLETE
    assert log.trial(4).attempts == 2


def test_a_trial_lost_twice_has_failed(log: TrialLog) -> None:
    make_job = job_failing(FailureKind.LOST, lambda number: number == 4)
    ToyRun(log=log, slots=2, make_job=make_job, stop=StopRules(evaluations=10)).go()
    assert log.trial(4).state is TrialState.FAILED
    assert log.trial(4).attempts == 2
    failure = log.trial(4).individual.failure
    assert failure is not None
    assert failure.kind is FailureKind.LOST


def test_other_failures_are_not_run_again() -> None:
    make_job = job_failing(FailureKind.OUT_OF_MEMORY, lambda number: number == 4)
    run = ToyRun(make_job=make_job, stop=StopRules(evaluations=10))
    run.go()
    assert run.log.trial(4).attempts == 1


@pytest.mark.parametrize(("slots", "num_trials"), [(1, 8), (2, 8), (10, 20)])
def test_if_all_fail_in_the_same_way_the_search_ends_and_says_why(
    slots: int, num_trials: int
) -> None:
    run = ToyRun(slots=slots, make_job=job_failing(FailureKind.OUT_OF_MEMORY))
    sentence = "evaluations failed in the same way, the last with out of memory: provoked"
    with pytest.raises(SearchFailed, match=sentence):
        run.go()
    finished = [trial for trial in run.log.trials() if trial.state.is_finished]
    assert num_trials <= len(finished) < num_trials + slots
    assert not any(trial.state is TrialState.RUNNING for trial in run.log.trials())


def test_a_hopeless_study_gets_a_chance_when_it_is_resumed() -> None:
    run = ToyRun(make_job=job_failing(FailureKind.OUT_OF_MEMORY))
    with pytest.raises(SearchFailed):
        run.go()
    mended = ToyRun(log=run.log, stop=StopRules(evaluations=20))
    assert mended.go() == "all 20 evaluations are done"
    with pytest.raises(SearchFailed):
        ToyRun(make_job=job_failing(FailureKind.OUT_OF_MEMORY)).go()


def test_copies_are_answered_from_the_record_without_a_worker(log: TrialLog) -> None:
    run = ToyRun(log=log, slots=2, space=ToySpace(size=2), stop=StopRules(evaluations=33))
    run.go()
    copies = [trial for trial in log.trials() if trial.individual.copy_of is not None]
    assert copies
    for trial in copies:
        assert (trial.state, trial.worker, trial.attempts) == (TrialState.COMPLETE, None, 0)
        original = log.trial(trial.individual.copy_of or 0).individual
        assert original.measurement is not None
        assert trial.individual.measurement is not None
        assert trial.individual.measurement.values == original.measurement.values
        assert original.number < trial.number


def test_what_runs_at_the_end_is_cancelled_and_waits_for_a_resume(log: TrialLog) -> None:
    first = ToyRun(log=log, slots=5, stop=StopRules(deadline=30.0))
    assert first.go() == "the time for the search is over"
    states = Counter(trial.state for trial in log.trials())
    assert states[TrialState.WAITING] == 5
    assert states[TrialState.RUNNING] == 0
    finished = states.total() - 5

    diary = Diary()
    second = ToyRun(log=log, slots=2, stop=StopRules(evaluations=finished + 5), watch=diary)
    assert second.go() == f"all {finished + 5} evaluations are done"
    waiting = [one.number for one in second.resumed.unfinished]
    begun = [int(line.split()[1]) for line in diary.lines if line.startswith("started")]
    assert begun == waiting
    assert all(trial.state.is_finished for trial in log.trials())
    assert all(log.trial(number).attempts == 2 for number in waiting)


def test_a_result_just_in_time_is_kept() -> None:
    class TooLate(ToyRun):
        def __post_init__(self) -> None:
            super().__post_init__()
            self.executor.cancel = lambda number: None  # type: ignore[method-assign]

    run = TooLate(slots=3, stop=StopRules(deadline=5.0), latency_s=lambda n: 3.0 + n)
    run.go()
    states = [trial.state for trial in run.log.trials()]
    assert states[:4] == [TrialState.FAILED, *[TrialState.COMPLETE] * 3]
    assert run.clock.now_s <= 5.0 + 5.5


def test_a_trial_that_does_not_end_is_left_waiting() -> None:
    class Deaf(ToyRun):
        def __post_init__(self) -> None:
            super().__post_init__()
            self.executor.cancel = lambda number: None  # type: ignore[method-assign]

    run = Deaf(slots=2, stop=StopRules(last_call=5.0), latency_s=lambda n: 1e6)
    run.go()
    assert [trial.state for trial in run.log.trials()] == [TrialState.WAITING] * 2
    assert run.clock.now_s < 12


def test_whoever_watches_is_called_twice_a_second_while_nothing_ends() -> None:
    diary = Diary()
    run = ToyRun(stop=StopRules(last_call=60.0), latency_s=lambda n: 1e6, watch=diary)
    run.go()
    assert diary.num_rounds >= 120


@pytest.mark.parametrize("inherits", [False, True])
def test_artefacts_are_kept_of_whoever_may_be_needed_and_of_nobody_else(inherits: bool) -> None:
    log, kept = MemoryLog(), list[tuple[set[int], set[int]]]()

    def keep(numbers: Iterable[int]) -> None:
        running = {one.number for one in log.trials() if one.state is TrialState.RUNNING}
        parents = {one for number in running for one in log.trial(number).individual.parents}
        kept.append((set(numbers), running | (parents if inherits else set())))

    options = EvolutionOptions(population=7)
    run = ToyRun(log=log, slots=4, keep=keep, options=options, inherits=inherits)
    run.go()
    best = run.resumed.tally.best
    assert best is not None
    assert len(kept) == 60
    # The toy problem has no costs, so its front is one: the best, or who equalled it before.
    most = (7 if inherits else 1) + 1
    for numbers, needed in kept:
        assert needed <= numbers
        assert len(numbers - needed) <= most
    members = {one.original for one in run.strategy.members()}
    assert (members <= kept[-1][0]) == inherits
    assert best.number in kept[-1][0]


# Ctrl-C


def test_ctrl_c_ends_the_search_in_order_and_a_resume_goes_on(log: TrialLog) -> None:
    class Presses(Unwatched):
        def finished(self, trial: Trial) -> None:
            if trial.number == 20:
                os.kill(os.getpid(), signal.SIGINT)

    interrupted = ToyRun(log=log, slots=3, watch=Presses())
    assert interrupted.go() == INTERRUPTED
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert log.trial(20).state.is_finished
    # The slot of the last one to end was still free.
    assert sum(trial.state is TrialState.WAITING for trial in log.trials()) == 2

    ToyRun(log=log, slots=3).go()
    assert len(log.trials()) == 60
    assert all(trial.state.is_finished for trial in log.trials())


def test_ctrl_c_while_an_event_is_recorded_leaves_log_and_strategy_in_step() -> None:
    class Presses(MemoryLog):
        def finish(self, trial: Trial) -> None:
            super().finish(trial)
            if trial.number == 20:
                os.kill(os.getpid(), signal.SIGINT)

    run = ToyRun(log=Presses(), slots=3)
    assert run.go() == INTERRUPTED
    again = ToyRun(log=run.log, stop=StopRules(evaluations=1))
    again.go()
    assert again.resumed.tally.best == run.resumed.tally.best


def test_pressing_ctrl_c_again_does_not_wait() -> None:
    class Presses(Unwatched):
        def finished(self, trial: Trial) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    run = ToyRun(watch=Presses())
    with pytest.raises(KeyboardInterrupt):
        run.go()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_while_a_task_runs_in_this_process_lets_it_finish() -> None:
    def press(workplace: object, control: Control) -> Measurement:
        os.kill(os.getpid(), signal.SIGINT)
        return Measurement(values={"score": 1.0})

    run = ToyRun(make_job=lambda one: Job(number=one.number, task=press))
    run.executor = InlineExecutor(lambda slot, device: None)  # type: ignore[assignment]
    assert run.go() == INTERRUPTED
    assert [trial.state for trial in run.log.trials()] == [TrialState.COMPLETE]


def test_a_search_runs_in_any_thread() -> None:
    reasons: list[str] = []
    thread = threading.Thread(target=lambda: reasons.append(ToyRun().go()))
    thread.start()
    thread.join()
    assert reasons == ["all 60 evaluations are done"]


# Crashes: at every line that touches the log, before or after it has taken effect.


class Crash(BaseException):
    """The process is gone."""


class CrashingLog:
    """Passes everything on, up to a call after which, or instead of which, the process dies."""

    def __init__(self, log: MemoryLog, at_call: int, *, takes_effect: bool) -> None:
        self._log = log
        self._left = at_call
        self._takes_effect = takes_effect

    def _passes(self, change: Callable[[], Any]) -> Any:
        if self._left < 0:
            raise Crash
        self._left -= 1
        if self._left >= 0:
            return change()
        if self._takes_effect:
            change()
        raise Crash

    def record_ask(self, slots: int, individuals: Sequence[Individual]) -> None:
        self._passes(lambda: self._log.record_ask(slots, individuals))

    def start(self, number: int) -> int:
        return int(self._passes(lambda: self._log.start(number)))

    def requeue(self, number: int) -> None:
        self._passes(lambda: self._log.requeue(number))

    def finish(self, trial: Trial) -> None:
        self._passes(lambda: self._log.finish(trial))

    def touch(self) -> None:
        pass

    def trial(self, number: int) -> Trial:
        return self._log.trial(number)

    def outlines(self) -> list[Trial]:
        return self.trials()

    def trials(self) -> list[Trial]:
        return self._log.trials()

    def events(self) -> Iterator[Event]:
        return self._log.events()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("takes_effect", [False, True])
def test_a_crash_at_any_moment_loses_nothing_and_repeats_nothing(
    method: str, takes_effect: bool
) -> None:
    settings: dict[str, Any] = {
        "method": method,
        "space": ToySpace(size=3),
        "options": EvolutionOptions(population=8),
        "stop": StopRules(evaluations=30),
    }
    whole = ToyRun(**settings)
    whole.go()
    num_changes = sum(2 if trial.attempts else 1 for trial in whole.log.trials())
    for at_call in range(num_changes):
        log = MemoryLog()  # refuses to start or to finish what has finished
        crashing = CrashingLog(log, at_call, takes_effect=takes_effect)
        with pytest.raises(Crash):
            ToyRun(log=crashing, **settings).go()
        ToyRun(log=log, **settings).go()
        # With one worker the crash leaves no trace but in attempts and times.
        assert [one.individual for one in log.trials()] == [
            one.individual for one in whole.log.trials()
        ]


@pytest.mark.parametrize("method", METHODS)
def test_many_crashes_with_many_workers_lose_nothing_and_repeat_nothing(method: str) -> None:
    log = MemoryLog()
    num_crashes = 0
    while True:
        crashing = CrashingLog(log, 13, takes_effect=num_crashes % 2 == 0)
        try:
            ToyRun(method=method, log=crashing, slots=3).go()
            break
        except Crash:
            num_crashes += 1
    assert num_crashes > 5
    assert sum(trial.individual.copy_of is None for trial in log.trials()) == 60
    assert all(trial.state.is_finished for trial in log.trials())


def test_a_full_disk_ends_the_search_with_its_sentence_and_a_resume_goes_on() -> None:
    class Full(CrashingLog):
        def finish(self, trial: Trial) -> None:
            if trial.number == 20:
                raise StudyError("no space left")
            super().finish(trial)

    log = MemoryLog()
    with pytest.raises(StudyError, match="no space left"):
        ToyRun(log=Full(log, 10_000, takes_effect=False), slots=3).go()
    ToyRun(log=log, slots=3).go()
    assert sum(trial.state.is_finished for trial in log.trials()) == 60


def test_when_a_worker_cannot_be_set_up_what_the_others_finished_is_kept() -> None:
    class Broken(SimulatedExecutor):
        def wait(self, timeout_s: float | None = None) -> list[Outcome]:
            if clock() > 40 and not broken:
                broken.append(True)
                raise SearchFailed("worker 1 can't work on cuda:7")
            return super().wait(timeout_s)

    broken: list[bool] = []
    run = ToyRun(slots=3)
    clock = run.clock
    run.executor = Broken(3, run.latency_s, clock)
    with pytest.raises(SearchFailed, match="cuda:7"):
        run.go()
    states = Counter(trial.state for trial in run.log.trials())
    assert states[TrialState.COMPLETE] > 10
    assert states[TrialState.RUNNING] == 0
    assert states[TrialState.WAITING] > 0
    ToyRun(log=run.log, slots=3).go()
    assert all(trial.state.is_finished for trial in run.log.trials())


# Resume refuses what it can't rebuild.


def test_a_new_study_is_resumed_to_nothing(log: TrialLog) -> None:
    run = ToyRun(log=log, stop=StopRules(evaluations=1))
    run.go()
    assert run.resumed.unfinished == ()


@pytest.mark.parametrize(
    ("first", "change"),
    [(0, {"seed": 2}), (6, {"options": EvolutionOptions(min_population=5)})],  # number 0 fails
)
def test_a_study_with_other_options_is_refused_naming_the_first_that_differs(
    log: TrialLog, first: int, change: dict[str, Any]
) -> None:
    ToyRun(log=log).go()
    with pytest.raises(StudyError, match=f"individual {first} would be another one"):
        ToyRun(log=log, **change).go()


def tampered(change: Callable[[Trial], Trial], events: Callable[[Event], Event]) -> TrialLog:
    class Tampered(MemoryLog):
        def trials(self) -> list[Trial]:
            return [change(trial) for trial in super().trials()]

        def events(self) -> Iterator[Event]:
            return map(event_of, super().events())

    event_of = events
    return Tampered()


@pytest.mark.parametrize(
    ("change", "events", "sentence"),
    [
        (
            lambda trial: replace(trial, individual=replace(trial.individual, parents=(7,))),
            lambda event: event,
            "individual 0 would be another one",
        ),
        (
            lambda trial: trial,
            lambda event: replace(event, numbers=event.numbers[:-1]),
            "individual 0 was not stored",
        ),
        (
            lambda trial: trial,
            lambda event: replace(event, numbers=(*event.numbers, 5000)),
            "individual 5000 would be another one",
        ),
        (
            lambda trial: replace(trial, state=TrialState.RUNNING),
            lambda event: event,
            "it tells 0 without a result",
        ),
        (
            lambda trial: trial,
            lambda event: replace(event, numbers=(77,)) if event.kind == "tell" else event,
            "it tells 77 without a result",
        ),
    ],
)
def test_a_log_that_contradicts_itself_is_refused(
    change: Callable[[Trial], Trial], events: Callable[[Event], Event], sentence: str
) -> None:
    log = tampered(change, events)
    ToyRun(log=log).go()
    with pytest.raises(StudyError, match=sentence):
        ToyRun(log=log).go()


def test_the_task_of_the_toy_is_what_the_tests_take_it_for() -> None:
    fine = ToyTask(individual=Individual(number=50, genome=ToyGenome(values=(7, 2, 9, 0, 5, 1))))
    measurement = fine(None, None)  # type: ignore[arg-type]
    assert measurement.values == {"score": 0, "validation_accuracy": 1.0}
