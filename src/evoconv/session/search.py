"""The search of a session: the space, the strategy and the loop, made from the configuration."""

import time
from dataclasses import dataclass, replace
from functools import cached_property

from evoconv.errors import StudyError
from evoconv.evolution.catalogue import build_strategy
from evoconv.evolution.strategy import Strategy
from evoconv.execution.executor import Executor, Job
from evoconv.problems.candidate import Plan
from evoconv.problems.evaluation import Evaluate
from evoconv.problems.fitness import FUNCTION, judge
from evoconv.problems.heritage import Parent
from evoconv.problems.problem import Problem
from evoconv.problems.training import TrainingSetting
from evoconv.records import Individual, Measurement
from evoconv.seeds import Purpose, seed_for
from evoconv.session.context import Session
from evoconv.study.replay import resume
from evoconv.study.runner import run_search
from evoconv.study.stop import StopRules
from evoconv.training.precision import probe_macs
from evoconv.units import format_count


@dataclass(frozen=True, kw_only=True)
class Search:
    """One search on one executor."""

    session: Session
    executor: Executor
    setting: TrainingSetting

    @cached_property
    def strategy(self) -> Strategy:
        """The study's strategy, which has seen nothing before ``run``."""
        config = self.session.config
        return build_strategy(
            config.method,
            self._within_time().space,
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
            judge=self._judge,
        )
        return reason, resumed.tally.best

    def _judge(self, measurement: Measurement) -> Measurement:
        function = self.session.fitness
        return measurement if function is None else judge(measurement, function)

    def _within_time(self) -> Problem:
        """Return the problem without networks too slow for the time, where nothing limits them.

        A network whose evaluation would take a large part of the search can't be selected from
        enough others. The limit is stored, for a resume on another machine must replay the same.
        """
        problem, limits = self.session.prepared.problem, self.session.config.limits
        budget = self.session.config.budget
        if limits.max_macs is not None or budget.affordable_evaluations is None:
            return problem
        note = self.session.storage.note("affordable")
        if note is None:
            most = self._affordable_macs(budget.affordable_evaluations)
            self.session.storage.set_note("affordable", {"macs": most})
        else:
            most = note["macs"]
        if most is None:
            return problem
        self.session.watch.notify(
            f"networks of more than {format_count(most)} multiply-accumulates are not tried: "
            "they train too slowly for the time (--max-macs sets another limit)"
        )
        return problem.within(replace(limits, max_macs=most))

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

    def _job(self, individual: Individual) -> Job:
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
            max_latency=config.limits.max_latency,
            entry=self.strategy.entry(),
        )
        task = Evaluate(
            number=individual.number,
            seed=seed_for(config.seed, Purpose.EVALUATE, individual.number),
            plan=plan,
            promising=self._promising(),
        )
        timeout_s = config.budget.trial_time_s
        return Job(number=individual.number, task=task, timeout_s=timeout_s)

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

    def _promising(self) -> float | None:
        """Return the fitness that only a quarter of the population exceeds; None without one."""
        members = self.strategy.members()
        if self.session.config.saving.max_trainings == 1 or not members:
            return None
        measurement = members[len(members) // 4].measurement
        assert measurement is not None, "members are measured"
        return self.session.objective.fitness(measurement)
