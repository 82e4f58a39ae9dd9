"""Which augmentation the final trainings use: measured, for no rule of thumb suits all images.

A few degrees of rotation help a network to read digits and hurt it on clothes; mirroring helps with
animals and hurts with letters. So the fittest candidate is trained once as configured and once with
each change, for a part of a full training, and what lowers the validation cross-entropy is used. It
is compared by cross-entropy because that is less noisy than accuracy. Each result is stored at
once: an interrupted comparison goes on where it stopped.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from evoconv.data.augmentation import Augmentation
from evoconv.data.splits import SearchSplits
from evoconv.execution.executor import Executor, Outcome, Progress
from evoconv.execution.handful import run_handful
from evoconv.export.in_full import result_row, seconds_per_image, train_in_full
from evoconv.problems.finalist import TrainFinalist
from evoconv.problems.subject import Subject
from evoconv.problems.training import TrainingSetting
from evoconv.records import Individual
from evoconv.seeds import Purpose, seed_for
from evoconv.study.finished import AUGMENTATIONS_NOTE
from evoconv.study.storage import Storage

_AS_CONFIGURED = "as configured"
# Tried is what the configuration leaves out.
_CHANGES: Mapping[str, Mapping[str, Any]] = {
    "rotate 10": {"rotate": 10.0},
    "flip horizontal": {"flip": "horizontal"},
}
# A change must lower the cross-entropy by this share, which is more than two trainings differ by.
_LEAST_GAIN = 0.01
# Of the usual epochs of a full training; of the time left; and what a training may be cut to.
_LENGTH = 0.25
_SHARE = 0.2
_LEAST_LENGTH = 0.5


@dataclass(frozen=True, kw_only=True)
class Augmentations:
    """What it takes to choose an augmentation.

    Attributes:
        individual: whose network is trained.
        subject: that network.
        setting: how the final network would be trained.
        splits: the images of the search.
        time_left_s: seconds for everything after the search; None without limit.
    """

    storage: Storage
    individual: Individual
    subject: Subject
    setting: TrainingSetting
    study_seed: int
    splits: SearchSplits
    time_left_s: float | None

    def choose(
        self,
        executor: Executor,
        watch: Callable[[list[Progress]], None],
        notify: Callable[[str], None],
    ) -> Augmentation:
        """Return the augmentation of the setting, with the changes that help."""
        note = self.storage.note(AUGMENTATIONS_NOTE) or {"trial": self.individual.number}
        rows: list[dict[str, Any]] = note.setdefault("rows", [])
        names = [_AS_CONFIGURED, *_changes_to(self.setting.augmentation)]
        left = {
            number: name
            for number, name in enumerate(names)
            if name not in {row["name"] for row in rows}
        }
        rounds = math.ceil(len(names) / executor.num_slots)
        num_images = len(self.splits.folds[0][0])
        epochs = math.ceil(_LENGTH * self.setting.recipe.usual_training(num_images))
        if not rows and (too_slow := self._too_slow(epochs, rounds)):
            notify(too_slow)
            return self.setting.augmentation
        limit_s = None if self.time_left_s is None else self.time_left_s * _SHARE / rounds

        def ended(outcome: Outcome) -> None:
            rows.append({"name": names[outcome.number], **result_row(outcome)})
            note["taken"] = _helpful(rows)
            self.storage.set_note(AUGMENTATIONS_NOTE, note)

        tasks = {number: self._task(name, epochs, limit_s) for number, name in left.items()}
        run_handful(executor, tasks, ended, watch, dict.fromkeys(tasks, "augmentation"))
        return chosen_augmentation(self.storage, self.setting.augmentation)

    def _too_slow(self, epochs: int, rounds: int) -> str | None:
        """Return a sentence where the time is too short for the trainings."""
        if self.time_left_s is None:
            return None
        passes = epochs * self.splits.num_trained
        needed_s = rounds * passes * seconds_per_image(self.individual)
        if _LEAST_LENGTH * needed_s <= _SHARE * self.time_left_s:
            return None
        return (
            f"no augmentations are tried: that takes about {needed_s:.0f} s of the"
            f" {self.time_left_s:.0f} s left"
        )

    def _task(self, name: str, epochs: int, limit_s: float | None) -> TrainFinalist:
        changed = replace(self.setting.augmentation, **_CHANGES.get(name, {}))
        return train_in_full(
            self.subject,
            replace(self.setting, augmentation=changed),
            # The same weights and batches for all.
            seed=seed_for(self.study_seed, Purpose.AUGMENTATION, 0),
            epochs=epochs,
            time_limit_s=limit_s,
            splits=self.splits,
        )


def chosen_augmentation(storage: Storage, configured: Augmentation) -> Augmentation:
    """Return the configured augmentation with the changes that were found to help, if any."""
    taken = (storage.note(AUGMENTATIONS_NOTE) or {}).get("taken", ())
    for name, change in _CHANGES.items():
        if name in taken:
            configured = replace(configured, **change)
    return configured


def _changes_to(configured: Augmentation) -> list[str]:
    """Return the changes that the configuration leaves out."""
    off = Augmentation(rotate=0.0, flip="none")
    return [
        name
        for name, change in _CHANGES.items()
        if all(getattr(configured, field) == getattr(off, field) for field in change)
    ]


def _helpful(rows: list[dict[str, Any]]) -> list[str]:
    """Return the changes that lower the cross-entropy; none unless the plain training is known."""
    losses = {
        row["name"]: row["values"]["validation_cross_entropy"] for row in rows if "values" in row
    }
    if _AS_CONFIGURED not in losses:
        return []
    most = (1 - _LEAST_GAIN) * losses[_AS_CONFIGURED]
    return [name for name in _CHANGES if losses.get(name, math.inf) <= most]
