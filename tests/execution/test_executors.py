"""The contract of all executors; one suite over each of them."""

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial

import pytest

from evoconv.errors import DataError, SearchFailed
from evoconv.execution.executor import Executor, Job, Setup
from evoconv.execution.inline import InlineExecutor
from evoconv.execution.processes import ProcessExecutor
from evoconv.records import FailureKind
from tests.execution import tasks

EXECUTORS: dict[str, Callable[[Setup], Executor]] = {
    "inline": InlineExecutor,
    "processes": lambda setup: ProcessExecutor(setup, ["cpu", "cpu"]),
}
in_every_executor = pytest.mark.parametrize("name", EXECUTORS)


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> Iterator[Executor]:
    with closing(EXECUTORS[request.param](tasks.set_up)) as one:
        yield one


def test_a_result_arrives_with_its_worker_and_times(executor: Executor) -> None:
    before = time.time()
    executor.submit(Job(number=7, task=partial(tasks.double, value=21)))
    (outcome,) = executor.wait()
    assert (outcome.number, outcome.result, outcome.failure) == (7, 42, None)
    assert outcome.worker in range(executor.num_slots)
    assert before <= outcome.started_at <= outcome.finished_at <= time.time()


def test_a_task_gets_what_setup_made_of_its_slot_and_device(executor: Executor) -> None:
    executor.submit(Job(number=0, task=tasks.tell_workplace))
    (outcome,) = executor.wait()
    assert outcome.result == (outcome.worker, "cpu")


def test_every_job_has_one_outcome(executor: Executor) -> None:
    results: dict[int, int] = {}
    numbers = iter(range(50))
    while len(results) < 50:
        while executor.free_slots() > 0 and (number := next(numbers, None)) is not None:
            executor.submit(Job(number=number, task=partial(tasks.double, value=number)))
        for outcome in executor.wait():
            assert outcome.number not in results
            results[outcome.number] = outcome.result
    assert results == {number: 2 * number for number in range(50)}


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (ValueError("bad\nworse"), FailureKind.ERROR, "ValueError: bad"),
        (SystemExit(3), FailureKind.ERROR, "SystemExit: 3"),
        (KeyError(), FailureKind.ERROR, "KeyError"),
        (MemoryError(), FailureKind.OUT_OF_MEMORY, "MemoryError"),
        (
            tasks.NamedLikeOutOfMemoryError("tried to allocate"),
            FailureKind.OUT_OF_MEMORY,
            "NamedLikeOutOfMemoryError: tried to allocate",
        ),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: 8 bytes"),
            FailureKind.OUT_OF_MEMORY,
            "RuntimeError: DefaultCPUAllocator: can't allocate memory: 8 bytes",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_what_a_task_raises_is_its_failure_and_the_next_job_runs(
    executor: Executor, error: BaseException, kind: FailureKind, message: str
) -> None:
    executor.submit(Job(number=0, task=partial(tasks.stumble, error=error)))
    (outcome,) = executor.wait()
    assert outcome.failure is not None
    assert (outcome.failure.kind, outcome.failure.message) == (kind, message)
    executor.submit(Job(number=1, task=partial(tasks.double, value=1)))
    assert executor.wait()[0].result == 2


def test_a_task_can_name_its_own_failure(executor: Executor) -> None:
    executor.submit(Job(number=0, task=tasks.fail_on_purpose))
    (outcome,) = executor.wait()
    assert str(outcome.failure) == "loss not finite: loss is nan"


def test_a_cancelled_job_ends_and_says_so(executor: Executor) -> None:
    executor.submit(Job(number=0, task=tasks.run_until_told))
    executor.cancel(0)
    executor.cancel(99)  # nobody's number
    (outcome,) = executor.wait()
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.CANCELLED
    assert executor.free_slots() == executor.num_slots


def test_a_job_that_takes_too_long_is_stopped(executor: Executor) -> None:
    executor.submit(Job(number=0, task=tasks.run_until_told, timeout_s=0.1))
    (outcome,) = executor.wait()
    assert outcome.failure is not None
    assert str(outcome.failure) == "time-out: took more than 0.1 s"
    assert 0.1 <= outcome.finished_at - outcome.started_at < 2


def test_waiting_for_nothing_returns_at_once(executor: Executor) -> None:
    assert executor.wait() == []


def test_nothing_can_be_submitted_to_a_busy_slot(executor: Executor) -> None:
    for number in range(executor.num_slots):
        assert executor.free_slots() == executor.num_slots - number
        executor.submit(Job(number=number, task=tasks.run_until_told))
    assert executor.free_slots() == 0
    with pytest.raises(ValueError, match="no slot is free"):
        executor.submit(Job(number=99, task=tasks.run_until_told))


def test_a_job_that_has_ended_has_no_progress(executor: Executor) -> None:
    executor.submit(Job(number=0, task=tasks.run_until_told, timeout_s=0.1))
    executor.wait()
    assert executor.progress() == []


def test_closing_twice_is_safe_also_with_jobs_under_way(executor: Executor) -> None:
    executor.submit(Job(number=0, task=tasks.run_until_told))
    executor.close()
    executor.close()
    assert executor.wait() == []


@in_every_executor
@pytest.mark.parametrize(
    ("setup", "error", "message"),
    [
        (tasks.refuse_data, DataError, "the images are gone"),
        (tasks.refuse_device, SearchFailed, r"worker \d can't work on cpu: RuntimeError: no such"),
    ],
)
def test_a_setup_that_fails_ends_the_search_with_its_reason(
    name: str, setup: Setup, error: type[Exception], message: str
) -> None:
    def run() -> None:
        with closing(EXECUTORS[name](setup)) as executor:
            executor.submit(Job(number=0, task=tasks.tell_process))
            executor.wait()

    with pytest.raises(error, match=message):
        run()
