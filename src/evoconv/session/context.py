"""What every step of a session needs, and the two things they share: workers and precision."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from evoconv.artifacts import WeightFiles
from evoconv.config import StudyConfig
from evoconv.execution.executor import Executor
from evoconv.execution.handful import run_one
from evoconv.execution.processes import ProcessExecutor
from evoconv.preparation import Prepared
from evoconv.problems.evaluation import MeasurePrecision
from evoconv.problems.fitness import FitnessFunction, judge
from evoconv.problems.training import TrainingSetting
from evoconv.problems.workplace import OpenWorkplace
from evoconv.records import Individual, Measurement, Objective
from evoconv.study.stop import Tally
from evoconv.study.storage import Storage
from evoconv.study.watch import Watch
from evoconv.timetable import Timetable
from evoconv.training.precision import Precision


@dataclass(frozen=True, kw_only=True)
class Session:
    """One process's work on one study: its folder is locked, its storage open.

    ``fitness`` is the function of a study that has one; it is not stored.
    """

    run: Path
    storage: Storage
    prepared: Prepared
    watch: Watch
    timetable: Timetable
    fitness: FitnessFunction | None = None

    @property
    def config(self) -> StudyConfig:
        """The study's configuration."""
        return self.prepared.config

    @property
    def objective(self) -> Objective:
        """What the search improves."""
        return self.prepared.objective

    @property
    def weights(self) -> WeightFiles:
        """The weights that evaluations leave."""
        return WeightFiles(self.run / "weights")

    @property
    def features(self) -> Path:
        """Where workers share what frozen layers give, while there are any."""
        return self.run / "features"

    def best_so_far(self) -> Individual | None:
        """Return the individual of most merit among those measured; None while there is none."""
        tally = Tally(self.objective)
        for trial in self.storage.trials():
            if trial.state.is_finished:
                tally.add(trial.individual)
        return tally.best

    def judged(self, measurement: Measurement) -> Measurement:
        """Return the measurement with what the study's function says of it, if it has one."""
        return measurement if self.fitness is None else judge(measurement, self.fitness)

    @contextmanager
    def executor(self) -> Iterator[Executor]:
        """Start the workers; they end with the block."""
        setup = OpenWorkplace(
            folder=self.prepared.image_set.folder,
            splits=self.prepared.splits,
            standardisation=self.prepared.standardisation,
            features=None if self.config.transfer.weights is None else self.features,
            feature_cache=self.config.transfer.feature_cache,
        )
        # A process that was killed may have left some, whole or not.
        shutil.rmtree(self.features, ignore_errors=True)
        executor = ProcessExecutor(setup, self.prepared.devices, self.config.workers.worker_memory)
        try:
            yield executor
        finally:
            executor.close()
            shutil.rmtree(self.features, ignore_errors=True)

    def setting(self, executor: Executor) -> TrainingSetting:
        """Return how the search trains."""
        return TrainingSetting(
            recipe=self.config.training,
            augmentation=self.config.augmentation,
            precision=self.precision(executor),
        )

    def final_setting(self, executor: Executor) -> TrainingSetting:
        """Return how the final trainings go."""
        return TrainingSetting(
            recipe=self.config.final_training,
            augmentation=self.config.final_augmentation,
            precision=self.precision(executor),
        )

    def precision(self, executor: Executor) -> Precision:
        """Return the study's precision: as stored, or measured now and stored."""
        note = self.storage.note("precision")
        if note is not None:
            return Precision.from_dict(note.get("choice"))
        time_s = self.timetable.time_s
        task = MeasurePrecision(seconds=1.5 if time_s is None else min(1.5, time_s / 60))
        choice: Precision
        choice, speeds = run_one(executor, task)
        self.storage.set_note(
            "precision",
            {
                "choice": choice.to_dict(),
                "description": str(choice),
                "images_per_second": speeds,
            },
        )
        return choice
