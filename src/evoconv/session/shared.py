"""Candidates whose weights are shared, and the file that the best of them becomes."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from evoconv.compression.tensors import StoredTensor
from evoconv.evolution.strategy import Space, Strategy
from evoconv.execution.executor import Executor, Outcome
from evoconv.execution.handful import run_handful
from evoconv.export.evo_file import write_evo
from evoconv.problems.shared_training import TrainShared
from evoconv.problems.shared_weights import MeasureShared
from evoconv.problems.training import TrainingSetting
from evoconv.problems.weight_sharing import WeightSharingProblem, sharing_of
from evoconv.records import Individual, Trial
from evoconv.seeds import Purpose, seed_for
from evoconv.session.context import Session
from evoconv.session.length import timed_setting
from evoconv.study.finished import Finished
from evoconv.units import format_bytes

_RANGES = "ranges"


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
        left = [book for book in tasks if book not in note]
        most = dict(zip(tasks, (high for _, high in self.problem.space.ranges), strict=True))

        def ended(outcome: Outcome) -> None:
            book = left[outcome.number]
            note[book] = self._least(book, most[book], outcome)
            storage.set_note(_RANGES, note)

        titles = {place: f"clusters of {book}" for place, book in enumerate(left)}
        run_handful(
            self.executor,
            {place: tasks[book] for place, book in enumerate(left)},
            ended,
            self.session.watch.finishing,
            titles,
        )
        least = tuple(int(note[book]) for book in tasks)
        return self.problem.starting_at(least).space

    def _least(self, book: str, most: int, outcome: Outcome) -> int:
        """Return the fewest clusters of a codebook that are tried; it is told if none were found.

        What can't be measured keeps its whole range, after a resume, too.
        """
        notify = self.session.watch.notify
        if outcome.failure is not None:
            notify(
                f"{book}: how few clusters it alone can do with could not be measured, so the"
                f" search begins at 1 ({outcome.failure})"
            )
            return 1
        if outcome.result is not None:
            return int(outcome.result)
        drop = 100 * self.problem.largest_drop
        notify(
            f"{book}: with fewer than {most:,} clusters it alone costs more than {drop:g} points"
            " (--range-drop), so no fewer are tried"
        )
        return most

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
        """How candidates are trained: as long as the time allows for enough of them."""
        return timed_setting(self.session, self.executor, self.problem.base.loaded)


def keep_shared_weights(
    session: Session, problem: WeightSharingProblem, trial: Trial
) -> dict[str, StoredTensor]:
    """Return a trial's tensors; its network is stored as any search leaves its own, with them."""
    if problem.tuning is not None:
        return problem.trained_tensors(session.weights.required(trial.number))
    tensors = problem.tensors(trial.individual.genome)
    session.weights.write(trial.number, problem.base.with_tensors(tensors))
    return tensors


def pack(
    session: Session,
    problem: WeightSharingProblem,
    trial: Trial,
    tensors: Mapping[str, StoredTensor],
    place: Finished,
) -> None:
    """Write a finished trial's network as a file, and store its size; ``check_saved`` reads it.

    ``tensors``: those that it was tested with, from ``keep_shared_weights``.
    """
    path = place.compressed_file
    description = session.prepared.description(problem.subject(trial.individual.genome))
    size = write_evo(path, description, tensors)
    measured = trial.individual.measurement
    assert measured is not None, "who is finished was measured"
    dense = 4 * problem.base_cost.parameters
    limit = session.config.compress.max_bytes
    note = {
        "bytes": size,
        "max_bytes": limit,
        "dense_bytes": dense,
        "ratio_bytes": dense / size,
        **{name: measured.values[name] for name in ("ratio_formula", "ratio_layer_mean")},
    }
    session.storage.set_note(place.compressed_note, note)
    session.watch.notify(
        f"{path}: {format_bytes(size)}, {dense / size:.1f} times smaller than"
        f" {problem.base_cost.parameters:,} parameters in float32"
    )
    if limit is not None and size > limit:
        session.watch.notify(
            f"the file has {size:,} bytes, {size - limit:,} more than --max-bytes {limit:,} allows"
        )
