"""Candidates whose weights are shared, and the file that the best of them becomes."""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from evoconv.evolution.strategy import Space, Strategy
from evoconv.execution.executor import Executor, Outcome
from evoconv.execution.handful import run_handful, run_one
from evoconv.export.evo_file import write_evo
from evoconv.problems.shared_training import MeasureTraining, TrainShared
from evoconv.problems.shared_weights import MeasureShared
from evoconv.problems.training import TrainingSetting
from evoconv.problems.weight_sharing import WeightSharingProblem, sharing_of
from evoconv.records import Individual, Trial
from evoconv.seeds import Purpose, seed_for
from evoconv.session.context import Session
from evoconv.study.finished import Finished
from evoconv.units import format_bytes

_RANGES, _LENGTH = "ranges", "evaluation"
_LEAST_PASSES = 1_000


@dataclass(frozen=True, kw_only=True)
class SharedCandidates:
    """One trained network with its weights shared in many ways: what ``Search`` tries."""

    session: Session
    executor: Executor
    problem: WeightSharingProblem

    @cached_property
    def space(self) -> Space[Any]:
        """What strategies search: from the fewest clusters that each layer alone can do with.

        They are measured once, and stored. What a layer can do with after it was trained is
        another matter: where candidates are, nothing is measured.
        """
        if self.problem.tuning is not None:
            return self.problem.space
        storage = self.session.storage
        note = storage.note(_RANGES) or {}
        tasks = self.problem.range_tasks()
        names = dict(enumerate(self.problem.shareable.names))

        def ended(outcome: Outcome) -> None:
            # A layer that can't be measured keeps its whole range.
            if outcome.failure is None:
                note[names[outcome.number]] = outcome.result
                storage.set_note(_RANGES, note)

        left = {place: task for place, task in tasks.items() if names[place] not in note}
        titles = {place: f"clusters of {name}" for place, name in names.items()}
        run_handful(self.executor, left, ended, self.session.watch.finishing, titles)
        least = tuple(int(note.get(name, 1)) for name in names.values())
        return self.problem.starting_at(least).space

    def task(
        self,
        individual: Individual,
        strategy: Strategy,  # noqa: ARG002
    ) -> MeasureShared | TrainShared:
        """Return the task that measures an individual."""
        tuning = self.problem.tuning
        if tuning is None:
            return self.problem.task(individual.genome)
        return TrainShared(
            base=self.problem.base,
            cost=self.problem.base_cost,
            sharing=sharing_of(individual.genome),
            tuning=tuning,
            setting=self.setting,
            weights=self.session.weights,
            number=individual.number,
            seed=seed_for(self.session.config.seed, Purpose.EVALUATE, individual.number),
            parent=next(iter(individual.parents), None),
        )

    @cached_property
    def setting(self) -> TrainingSetting:
        """How candidates are trained: as long as the time allows for enough of them.

        That is measured once, and stored, for a resume on another machine must replay the same.
        """
        setting = self.session.setting(self.executor)
        recipe, budget = setting.recipe, self.session.config.budget
        timetable, usual = self.session.timetable, budget.affordable_evaluations
        if recipe.epochs is not None or recipe.image_passes is not None:
            return setting
        if timetable.time_s is None or usual is None:
            return setting
        wanted = timetable.wanted_evaluations(usual)
        storage, splits = self.session.storage, self.session.prepared.splits
        note = storage.note(_LENGTH)
        if note is None:
            task = MeasureTraining(base=self.problem.base, setting=setting)
            images_per_s = run_one(self.executor, task) * self.executor.num_slots
            left_s = timetable.left_for_search_s() or 0.0
            passes = int(images_per_s * left_s / wanted)
            note = {"image_passes": max(_LEAST_PASSES, passes)}
            storage.set_note(_LENGTH, note)
        passes, num_images = note["image_passes"], len(splits.folds[0][0])
        subset = min(passes, recipe.subset(num_images))
        self.session.watch.notify(
            f"each candidate is trained on {passes:,} images: there is time for about {wanted:.0f}"
            " such (--image-passes sets another length)"
        )
        return replace(setting, recipe=replace(recipe, image_passes=passes, train_images=subset))


def keep_shared_weights(session: Session, problem: WeightSharingProblem, trial: Trial) -> None:
    """Store a trial's network as any search leaves its own: with the weights it has."""
    if problem.tuning is None:
        tensors = problem.tensors(trial.individual.genome)
        session.weights.write(trial.number, problem.base.with_tensors(tensors))


def pack(session: Session, problem: WeightSharingProblem, trial: Trial, place: Finished) -> None:
    """Write a finished trial's network as a file, and store its size; ``check_saved`` reads it."""
    genome = trial.individual.genome
    path = place.compressed_file
    description = session.prepared.description(problem.subject(genome))
    tensors = (
        problem.tensors(genome)
        if problem.tuning is None
        else problem.trained_tensors(session.weights.required(trial.number))
    )
    size = write_evo(path, description, tensors)
    measured = trial.individual.measurement
    assert measured is not None, "who is finished was measured"
    dense = 4 * problem.base_cost.parameters
    note = {
        "bytes": size,
        "dense_bytes": dense,
        "ratio_bytes": dense / size,
        **{name: measured.values[name] for name in ("ratio_formula", "ratio_layer_mean")},
    }
    session.storage.set_note(place.compressed_note, note)
    session.watch.notify(
        f"{path}: {format_bytes(size)}, {dense / size:.1f} times smaller than"
        f" {problem.base_cost.parameters:,} parameters in float32"
    )
