"""A handful of tasks run to their end, each begun as soon as a slot is free."""

from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from evoconv.errors import EvoconvError
from evoconv.execution.executor import Control, Executor, Job, Outcome, Progress
from evoconv.records import FailureKind

_ATTEMPTS = 2


def run_one(executor: Executor, task: Callable[[Any, Control], Any]) -> Any:
    """Return what a task gives that nothing else can go on without; nothing else runs there.

    Raises:
        EvoconvError: it failed.
    """
    executor.submit(Job(number=0, task=task))
    [outcome] = executor.wait()
    if outcome.failure is not None:
        raise EvoconvError(f"the workers can't train anything: {outcome.failure}")
    return outcome.result


def run_handful(
    executor: Executor,
    tasks: Mapping[int, Callable[[Any, Control], Any]],
    ended: Callable[[Outcome], None],
    watch: Callable[[list[Progress]], None],
    titles: Mapping[int, str],
) -> None:
    """Run tasks, by number, in their order; one whose worker was lost is run once more.

    Args:
        executor: where; nothing else runs there.
        tasks: what the jobs of these numbers do.
        ended: told of each outcome that stands.
        watch: told twice a second how far the running ones are.
        titles: what each task is, for whoever watches: the message of its progress.
    """
    waiting, attempts = deque(tasks), Counter[int]()
    running: set[int] = set()
    while waiting or running:
        while waiting and executor.free_slots() > 0:
            number = waiting.popleft()
            attempts[number] += 1
            executor.submit(Job(number=number, task=tasks[number]))
            running.add(number)
        for outcome in executor.wait(0.5):
            running.discard(outcome.number)
            failure = outcome.failure
            is_lost = failure is not None and failure.kind is FailureKind.LOST
            if is_lost and attempts[outcome.number] < _ATTEMPTS:
                waiting.append(outcome.number)
            else:
                ended(outcome)
        watch([replace(one, message=titles[one.number]) for one in executor.progress()])
