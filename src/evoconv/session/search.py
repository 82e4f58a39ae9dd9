"""The search of a session: the strategy and the loop, made from the configuration."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

from evoconv.errors import StudyError
from evoconv.evolution.catalogue import build_strategy
from evoconv.evolution.strategy import Space, Strategy
from evoconv.execution.executor import Control, Executor, Job
from evoconv.problems.fitness import FUNCTION
from evoconv.records import Individual
from evoconv.session.context import Session
from evoconv.study.replay import resume
from evoconv.study.runner import run_search
from evoconv.study.stop import StopRules


class Candidates(Protocol):
    """What a search tries, and how one is measured."""

    @property
    def space(self) -> Space[Any]:
        """What strategies search."""

    def task(self, individual: Individual, strategy: Strategy) -> Callable[[Any, Control], Any]:
        """Return the task that measures an individual; it is picklable."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search on one executor."""

    session: Session
    executor: Executor
    candidates: Candidates

    @cached_property
    def strategy(self) -> Strategy:
        """The study's strategy, which has seen nothing before ``run``."""
        config = self.session.config
        return build_strategy(
            config.method,
            self.candidates.space,
            config.evolution,
            self.session.objective,
            config.seed,
        )

    def run(self) -> tuple[str, Individual | None]:
        """Search, unless an earlier session has come to the end of that.

        Returns:
            Why the search ended, and the best individual, None if there is none.
        """
        storage, config = self.session.storage, self.session.config
        strategy = self.strategy
        resumed = resume(storage, strategy, self.session.objective)
        note = storage.note("stop")
        if note is not None:
            return str(note["reason"]), resumed.tally.best
        if config.fitness.fitness == FUNCTION and self.session.fitness is None:
            raise StudyError(
                "the fitness of this study is a function in Python: go on with"
                " evoconv.resume(run, fitness=function)"
            )
        budget, timetable = config.budget, self.session.timetable
        reason = run_search(
            storage,
            strategy,
            self.executor,
            self._job,
            resumed=resumed,
            stop=StopRules(
                evaluations=budget.evaluations,
                generations=budget.generations,
                deadline=timetable.search_deadline,
                last_call=timetable.last_call,
                stop_at=budget.stop_at,
                patience=budget.patience,
            ),
            clock=time.time,
            watch=self.session.watch,
            keep=lambda numbers: self.session.weights.retain(numbers, config.workers.max_disk),
            inherits=config.saving.inherit,
            judge=self.session.judged,
        )
        return reason, resumed.tally.best

    def _job(self, individual: Individual) -> Job:
        return Job(
            number=individual.number,
            task=self.candidates.task(individual, self.strategy),
            timeout_s=self.session.config.budget.trial_time_s,
        )
