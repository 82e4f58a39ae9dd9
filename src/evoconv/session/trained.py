"""Candidates that are trained: which are not too slow, and what each starts from."""

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from evoconv.evolution.strategy import Space, Strategy
from evoconv.execution.executor import Executor
from evoconv.problems.candidate import Plan
from evoconv.problems.evaluation import Evaluate
from evoconv.problems.fitness import measures_latency
from evoconv.problems.heritage import Parent
from evoconv.problems.training import TrainingSetting
from evoconv.records import Individual
from evoconv.seeds import Purpose, seed_for
from evoconv.session.context import Session
from evoconv.training.precision import probe_macs
from evoconv.units import format_count


@dataclass(frozen=True, kw_only=True)
class TrainedCandidates:
    """Networks that are trained, from new or inherited weights: what ``Search`` tries.

    Attributes:
        timed: whether it is the time that says how long they are trained, not how large they are.
    """

    session: Session
    executor: Executor
    setting: TrainingSetting
    timed: bool = False

    @cached_property
    def space(self) -> Space[Any]:
        """What strategies search: no networks too slow for the time, where nothing limits them.

        A network whose evaluation would take a large part of the search can't be selected from
        enough others. The limit is stored, for a resume on another machine must replay the same.
        """
        problem, limits = self.session.prepared.problem, self.session.config.limits
        budget = self.session.config.budget
        if self.timed or limits.max_macs is not None or budget.affordable_evaluations is None:
            return problem.space
        note = self.session.storage.note("affordable")
        if note is None:
            most = self._affordable_macs(budget.affordable_evaluations)
            self.session.storage.set_note("affordable", {"macs": most})
        else:
            most = note["macs"]
        if most is None:
            return problem.space
        self.session.watch.notify(
            f"networks of more than {format_count(most)} multiply-accumulates are not tried"
            f"{', but for --seeds' if self.session.config.space.seeds else ''}: "
            "they train too slowly for the time (--max-macs sets another limit)"
        )
        return problem.within(replace(limits, max_macs=most)).space

    def _affordable_macs(self, num_evaluations: int) -> int | None:
        prepared = self.session.prepared
        note, splits = self.session.storage.note("precision"), prepared.splits
        images_per_s = note["images_per_second"][note["description"]]
        recipe = self.session.config.training
        most = self.session.timetable.affordable_macs(
            images_per_s * probe_macs(prepared.input_shape[0]),
            len(splits.folds) * recipe.passes(len(splits.folds[0][0]), prepared.input_shape),
            len(splits.training),
            self.executor.num_slots,
            num_evaluations,
        )
        # However short the time: a space of a handful of networks is no search.
        return None if most is None else max(most, 4 * prepared.problem.least_macs())

    def task(self, individual: Individual, strategy: Strategy) -> Evaluate:
        """Return the task that trains an individual and validates it."""
        session, config = self.session, self.session.config
        problem = session.prepared.problem
        plan = Plan(
            subject=problem.subject(individual.genome),
            cost=problem.cost(individual.genome),
            setting=self.setting,
            weights=session.weights,
            objective=session.objective,
            stopping=config.stopping,
            saving=config.saving,
            parents=self._parents(individual) if config.saving.inherit else (),
            max_latency=self._max_latency(),
            entry=strategy.entry(),
        )
        return Evaluate(
            number=individual.number,
            seed=seed_for(config.seed, Purpose.EVALUATE, individual.number),
            plan=plan,
            promising=self._promising(strategy),
        )

    def _max_latency(self) -> float | None:
        limit = self.session.config.limits.max_latency
        if limit is None and measures_latency(self.session.objective):
            return math.inf
        return limit

    def _parents(self, individual: Individual) -> tuple[Parent, ...]:
        """Return the individual's parents, each once."""
        problem = self.session.prepared.problem
        parents = (self.session.storage.trial(one) for one in dict.fromkeys(individual.parents))
        return tuple(
            Parent(
                number=one.number, architecture=problem.subject(one.individual.genome).architecture
            )
            for one in parents
        )

    def _promising(self, strategy: Strategy) -> float | None:
        """Return the fitness that only a quarter of the population exceeds; None without one."""
        members = strategy.settled()
        if self.session.config.saving.max_trainings == 1 or not members:
            return None
        measurement = members[len(members) // 4].measurement
        assert measurement is not None, "members are measured"
        return self.session.objective.fitness(measurement)
