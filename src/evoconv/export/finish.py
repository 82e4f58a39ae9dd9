"""The end of a study: the best individual retrained, tested once, and saved; a baseline beside it.

What was done is stored row by row, so that an interrupted end goes on where it stopped. The
network in ``best/`` is the first repeat, or the first of those that didn't fail; never the best one
on the test images.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np

from evoconv.artifacts import WeightFiles, make_folder, write_file
from evoconv.errors import EvoconvError
from evoconv.execution.executor import Executor, Outcome, Progress
from evoconv.execution.handful import run_handful
from evoconv.export.final import FinalTraining, TestEvolved, TestSaved, TrainFinal
from evoconv.export.model_file import ModelDescription, save_model
from evoconv.export.options import FinalOptions
from evoconv.genomes.shapes import Cost
from evoconv.problems.evolved import EvolvedWeights
from evoconv.problems.subject import Subject
from evoconv.problems.training import FullTraining, TrainingSetting
from evoconv.records import Trial
from evoconv.seeds import Purpose, seed_for
from evoconv.study.storage import Storage
from evoconv.training.metrics import measure

_Task = TrainFinal | TestEvolved | TestSaved


@dataclass(frozen=True, kw_only=True)
class Finish:
    """All that the end of a study needs to know.

    Attributes:
        folder: where the network and its test logits go.
        subject: the network of the best.
        note_name: the note of the study that holds what was done.
        time_left_s: seconds the trainings may take together, or None for as long as it needs.
        time_s: the whole command's limit, of which the baseline gets at most a tenth.
        baseline_file: the baseline's weights, where it is not to be trained.
    """

    folder: Path
    note_name: str
    storage: Storage
    weights: WeightFiles
    options: FinalOptions
    setting: TrainingSetting
    study_seed: int
    best: Trial
    subject: Subject
    baseline: Subject
    baseline_cost: Cost
    description: ModelDescription
    num_training_images: int
    time_left_s: float | None
    time_s: float | None
    baseline_file: Path | None = None

    def run_on(self, executor: Executor, watch: Callable[[list[Progress]], None]) -> dict[str, Any]:
        """Return the note of what was done: which weights were kept, and a row per training.

        Raises:
            EvoconvError: no training and no stored weights could be tested.
        """
        kept, why = self._which_weights()
        repeats = 1 if kept == "evolved" else self.options.repeats
        note = self.storage.note(self.note_name) or {"trial": self.best.number, "rows": []}
        if saved_repeat(note["rows"]) is not None and note["kept"] != kept:
            if kept == "evolved":  # no time for more: what was trained before stays
                kept, why, repeats = note["kept"], note["why"], 0
            else:  # there was no time before
                note["rows"] = [row for row in note["rows"] if row["name"] != "repeat"]
        note |= {"kept": kept, "why": why}
        self._do(executor, watch, note, self._jobs(kept, repeats, note["rows"], executor.num_slots))
        if saved_repeat(note["rows"]) is None:
            note |= {"kept": "evolved", "why": note.get("failure", "the final training failed")}
            self._do(executor, watch, note, {0: ("repeat", self._evolved())})
        if saved_repeat(note["rows"]) is None:
            raise EvoconvError(f"the best network could not be finished: {note.get('failure')}")
        return note

    def _which_weights(self) -> tuple[str, str]:
        """Return what ``--final`` names, or else ``evolved``, and why, a sentence or nothing."""
        if self.options.final == "evolved":
            return "evolved", ""
        needed = self.best.individual.measurement
        spent = needed.values["training_seconds"] if needed is not None else 0.0
        if self.time_left_s is not None and self.time_left_s < spent / 2:
            return "evolved", (
                f"the {max(self.time_left_s, 0):.0f} s left were too short to train it"
            )
        return self.options.final, ""

    def _jobs(
        self, kept: str, repeats: int, done: list[dict[str, Any]], slots: int
    ) -> dict[int, tuple[str, _Task]]:
        """Return the trainings still to be done: number → (row's name, task)."""
        is_trained = kept != "evolved"
        have = {row["number"] for row in done if row["name"] == "repeat"}
        limit_s, baseline_limit_s = self._time_limits(repeats if is_trained else 0, slots)
        jobs: dict[int, tuple[str, _Task]] = {}
        for number in sorted(set(range(repeats)) - have):
            task = self._trained(number, kept, limit_s) if is_trained else self._evolved()
            jobs[number] = ("repeat", task)
        has_time = baseline_limit_s is None or baseline_limit_s >= 1.0
        is_wanted = self.baseline_file is not None or (self.options.baseline and has_time)
        if is_wanted and not any(row["name"] == "baseline" for row in done):
            jobs[self.options.repeats] = ("baseline", self._baseline(baseline_limit_s))
        return jobs

    def _time_limits(self, repeats: int, slots: int) -> tuple[float | None, float | None]:
        """Return seconds for each repeat and for the baseline; None for no limit.

        The baseline goes beside the last repeats where a slot is free, else before the end.
        """
        if self.time_left_s is None or self.time_s is None:
            return None, None
        rounds = math.ceil(repeats / slots)
        baseline_s = min(self.time_s / 10, self.time_left_s)
        if not self.options.baseline or repeats % slots:
            return self.time_left_s / max(rounds, 1), baseline_s
        return max(self.time_left_s - baseline_s, 0.1) / max(rounds, 1), baseline_s

    def _trained(self, repeat: int, kept: str, limit_s: float | None) -> TrainFinal:
        start = self._weights_of_search if kept == "continued" else None
        return self._training(self.subject, Purpose.FINAL, repeat, limit_s, start)

    def _baseline(self, limit_s: float | None) -> TrainFinal | TestSaved:
        if self.baseline_file is not None:
            return TestSaved(subject=self.baseline, file=self.baseline_file)
        return self._training(self.baseline, Purpose.BASELINE, 0, limit_s)

    def _training(
        self,
        subject: Subject,
        purpose: Purpose,
        number: int,
        limit_s: float | None,
        start: EvolvedWeights | None = None,
    ) -> TrainFinal:
        return TrainFinal(
            training=FullTraining(
                subject=subject,
                seed=seed_for(self.study_seed, purpose, number),
                setting=self.setting,
                epochs=self.setting.recipe.longest_training(
                    self.num_training_images, is_timed=limit_s is not None
                ),
                time_limit_s=limit_s,
                start=start,
            )
        )

    def _evolved(self) -> TestEvolved:
        return TestEvolved(subject=self.subject, evolved=self._weights_of_search)

    @property
    def _weights_of_search(self) -> EvolvedWeights:
        return EvolvedWeights(files=self.weights, number=self.best.number)

    def _do(
        self,
        executor: Executor,
        watch: Callable[[list[Progress]], None],
        note: dict[str, Any],
        jobs: dict[int, tuple[str, _Task]],
    ) -> None:
        """Run the jobs; store each as it ends."""
        titles = {number: title for number, (title, _) in jobs.items()}

        def ended(outcome: Outcome) -> None:
            if outcome.failure is None:
                note["rows"].append(self._keep(titles[outcome.number], outcome, note["rows"]))
            else:
                note["failure"] = f"{titles[outcome.number]}: {outcome.failure}"
            self.storage.set_note(self.note_name, note)

        tasks = {number: task for number, (_, task) in jobs.items()}
        run_handful(executor, tasks, ended, watch, titles)

    def _keep(self, name: str, outcome: Outcome, done: list[dict[str, Any]]) -> dict[str, Any]:
        """Save what a training gave; return its row."""
        result: FinalTraining = outcome.result
        file = self.folder / "test" / f"{name}-{outcome.number}.npz"
        _save_logits(file, result)
        saved = saved_repeat(done)
        if name == "repeat" and (saved is None or outcome.number < saved):
            save_model(self.folder / "best", self.description, result.weights)
        spent = self._cost_of(name)
        return {
            "name": name,
            "number": outcome.number,
            "parameters": spent["parameters"],
            "macs": spent["macs"],
            "test": measure(result.logits, result.labels),
            "logits": f"test/{file.name}",
            "seconds": outcome.finished_at - outcome.started_at,
            "images": result.num_images,
            "curve": [[one.epoch, one.seconds, one.train_loss] for one in result.curve],
            "at": time.time(),
        }

    def _cost_of(self, name: str) -> Mapping[str, float]:
        measured = self.best.individual.measurement
        assert measured is not None, "who is finished was measured"
        return self.baseline_cost.as_values() if name == "baseline" else measured.values


def saved_repeat(rows: Iterable[Mapping[str, Any]]) -> int | None:
    """Return which repeat is the one in ``best``: the first, not the quickest; None without any."""
    return min((row["number"] for row in rows if row["name"] == "repeat"), default=None)


def _save_logits(file: Path, result: FinalTraining) -> None:
    content = BytesIO()
    np.savez_compressed(content, logits=result.logits, labels=result.labels)
    make_folder(file.parent)
    write_file(file, content.getvalue())


def save_search_weights(
    run: Path, weights: WeightFiles, number: int, description: ModelDescription
) -> None:
    """Save a trial's network as its evaluation in the search left it, untested.

    Raises:
        StudyError: its weights are missing or damaged, or the disk is full.
    """
    save_model(run / "best", description, weights.required(number))
