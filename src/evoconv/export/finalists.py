"""Finalists: the most promising candidates, trained in full before the best of them is chosen.

A search ranks by short trainings, which flatter networks that learn fast and say little about what
a long training makes of them. So some are trained like the final network, but on the search's
training images, and the validation images decide: the best of the search and the fittest of its
Pareto front or, where a target accuracy is to be reached, sizes of the front that close in on the
smallest one that does. Each result is stored at once: an interrupted choice goes on where it
stopped.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from evoconv.data.splits import SearchSplits
from evoconv.evolution.archive import Archive
from evoconv.execution.executor import Executor, Outcome, Progress
from evoconv.execution.handful import run_handful
from evoconv.export.in_full import result_row, seconds_per_image, train_in_full
from evoconv.export.ladder import next_sizes, plausible
from evoconv.problems.finalist import TrainFinalist
from evoconv.problems.objectives import OBJECTIVES, TargetAccuracy
from evoconv.problems.problem import Problem
from evoconv.problems.training import TrainingSetting
from evoconv.records import Individual, Measurement, Objective, Trial
from evoconv.seeds import Purpose, seed_for
from evoconv.study.finished import FINALISTS_NOTE
from evoconv.study.stop import order_of_merit
from evoconv.study.storage import Storage

# Of the time left, finalists may take this share. A training may be cut to this part of its usual
# length, or to so many epochs, its schedule being stretched to fit; where that leaves time for
# fewer, there are fewer, and where not even two fit the choice is left to the search.
_SHARE = 0.4
_LEAST_LENGTH = 0.5
_ENOUGH_EPOCHS = 50


@dataclass(frozen=True, kw_only=True)
class Finalists:
    """What it takes to choose among a search's candidates.

    Attributes:
        best: what the search would choose.
        count: how many candidates are looked at, the best included.
        setting: how the final network will be trained.
        splits: the images of the search, which a finalist is trained and validated on.
        time_left_s: seconds for finalists and the final training together; None without limit.
        judge: puts into a measurement what a function in Python says of it, where there is one.
    """

    storage: Storage
    objective: Objective
    problem: Problem
    best: Trial
    count: int
    setting: TrainingSetting
    study_seed: int
    splits: SearchSplits
    time_left_s: float | None
    judge: Callable[[Measurement], Measurement] = lambda measurement: measurement

    def choose(
        self,
        executor: Executor,
        watch: Callable[[list[Progress]], None],
        notify: Callable[[str], None],
    ) -> Trial:
        """Return the trial whose full training has most merit; the search's best without any."""
        rows: list[dict[str, Any]] = (self.storage.note(FINALISTS_NOTE) or {"rows": []})["rows"]
        count = self._affordable(executor.num_slots)
        if not rows and count < min(2, self.count):
            left_s = max(self.time_left_s or 0, 0)
            notify(
                f"no finalists: the {left_s:.0f} s left are too short to train two of them in full;"
                " the search's best is kept"
            )
            return self.best
        rounds = math.ceil(count / executor.num_slots) or 1
        limit_s = None if self.time_left_s is None else self.time_left_s * _SHARE / rounds

        def ended(outcome: Outcome) -> None:
            seconds = outcome.finished_at - outcome.started_at
            rows.append({"trial": outcome.number, "seconds": seconds, **result_row(outcome)})
            self.storage.set_note(FINALISTS_NOTE, {"rows": rows})

        while left := self._next(rows, max(0, min(executor.num_slots, count - len(rows)))):
            tasks = {one.number: self._task(one, limit_s) for one in left}
            run_handful(executor, tasks, ended, watch, dict.fromkeys(tasks, "finalist"))
        return self._chosen(self._known(rows), notify)

    def _chosen(self, known: list[Individual], notify: Callable[[str], None]) -> Trial:
        if not known:
            notify("no finalist could be trained: the search's best is kept")
            return self.best
        chosen = max(known, key=lambda one: order_of_merit(one, self.objective))
        if self.objective == OBJECTIVES["accuracy"]:
            chosen = self._surest(known, best=chosen)
        if self._is_short_of_target(chosen) and self.best.number not in {o.number for o in known}:
            # They were chosen by size; the most accurate may be one that wasn't tried.
            return self.best
        return self.storage.trial(chosen.number)

    def _surest(self, known: list[Individual], best: Individual) -> Individual:
        """Return the one of lowest cross-entropy among those hardly less accurate than the best.

        On a few hundred images good networks differ by luck: by a standard error of the difference
        at most, here, the mistakes of two counting as independent. Their cross-entropy also says
        how sure they are.
        """

        def mistakes(one: Individual) -> float:
            return (1 - _measured(one, "validation_accuracy")) * self.splits.num_validated

        fewest = mistakes(best)
        near = [
            one for one in known if (mistakes(one) - fewest) ** 2 <= mistakes(one) + fewest + 1e-6
        ]
        return min(near, key=lambda one: (_measured(one, "validation_cross_entropy"), one.number))

    def _next(self, rows: list[dict[str, Any]], count: int) -> list[Individual]:
        """Return up to ``count`` candidates to be trained next, given what was trained."""
        tried = {row["trial"] for row in rows}
        if not isinstance(self.objective, TargetAccuracy):
            ranked = [self.best.individual, *self._archive.fittest_first]
            return list({o.number: o for o in ranked if o.number not in tried}.values())[:count]
        reached = [o for o in self._known(rows) if not self._is_short_of_target(o)]
        failed = tried - {one.number for one in reached}
        ladder = plausible(self._archive.front, self.objective)
        return next_sizes(
            ladder, reached, [self.storage.trial(one).individual for one in failed], count
        )

    @property
    def _num_images(self) -> int:
        """Images of one training."""
        return len(self.splits.folds[0][0])

    @cached_property
    def _archive(self) -> Archive:
        return Archive.of(self.objective, (one.individual for one in self.storage.trials()))

    def _known(self, rows: list[dict[str, Any]]) -> list[Individual]:
        """Return those that were trained in full, with what that measured."""
        measured = [self._in_full(self.storage.trial(row["trial"]), row) for row in rows]
        return [one for one in measured if one is not None]

    def _is_short_of_target(self, individual: Individual) -> bool:
        assert individual.measurement is not None, "candidates are measured"
        return isinstance(self.objective, TargetAccuracy) and not self.objective.is_reached(
            individual.measurement
        )

    def _affordable(self, slots: int) -> int:
        """Return how many candidates there is time for, as far as they are wanted."""
        if self.time_left_s is None:
            return self.count
        usual = self.setting.recipe.usual_training(self._num_images)
        passes = min(_LEAST_LENGTH * usual, _ENOUGH_EPOCHS) * self.splits.num_trained
        candidates = self._next([], self.count)
        slowest_s = max((passes * seconds_per_image(one) for one in candidates), default=math.inf)
        return min(self.count, slots * int(_SHARE * self.time_left_s / slowest_s))

    def _task(self, individual: Individual, limit_s: float | None) -> TrainFinalist:
        return train_in_full(
            self.problem.subject(individual.genome),
            self.setting,
            seed=seed_for(self.study_seed, Purpose.FINALIST, individual.number),
            epochs=self.setting.recipe.longest_training(
                self._num_images, is_timed=limit_s is not None
            ),
            time_limit_s=limit_s,
            splits=self.splits,
        )

    def _in_full(self, trial: Trial, row: dict[str, Any]) -> Individual | None:
        """Return the individual with what its full training measured; None if that failed."""
        known = trial.individual.measurement
        if "values" not in row or known is None:
            return None
        try:
            measured = self.judge(Measurement(values={**known.values, **row["values"]}))
        except Exception:  # noqa: BLE001 - a person's own function raises what it likes
            return None
        if not math.isfinite(self.objective.fitness(measured)):
            return None
        return replace(trial.individual, measurement=measured)


def _measured(individual: Individual, name: str) -> float:
    assert individual.measurement is not None, "finalists are measured"
    return individual.measurement.values[name]
