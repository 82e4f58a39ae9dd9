"""Networks of a search trained in full and validated, for comparisons before the final training."""

from typing import Any

from evoconv.data.splits import SearchSplits
from evoconv.execution.executor import Outcome
from evoconv.problems.finalist import TrainFinalist
from evoconv.problems.subject import Subject
from evoconv.problems.training import FullTraining, TrainingSetting
from evoconv.records import Individual


def train_in_full(
    subject: Subject,
    setting: TrainingSetting,
    *,
    seed: int,
    epochs: int,
    splits: SearchSplits,
    time_limit_s: float | None,
) -> TrainFinalist:
    """Return the task that trains and validates a network on each fold.

    The time is for all folds together.
    """
    return TrainFinalist(
        training=FullTraining(
            subject=subject,
            setting=setting,
            seed=seed,
            epochs=epochs,
            time_limit_s=None if time_limit_s is None else time_limit_s / len(splits.folds),
        )
    )


def result_row(outcome: Outcome) -> dict[str, Any]:
    """Return what to store of such a task: the ``values`` measured, or its ``failure``."""
    if outcome.failure is None:
        return {"values": outcome.result}
    return {"failure": str(outcome.failure)}


def seconds_per_image(individual: Individual) -> float:
    """Return what training its network took in the search, seconds per image.

    Validation after the last epoch doesn't count: of a large network's short evaluation it may be
    most.
    """
    measurement = individual.measurement
    assert measurement is not None, "candidates are measured"
    lasted = {point.fold: point.seconds for point in measurement.curve}
    seconds = sum(lasted.values()) or measurement.values["training_seconds"]
    return seconds / measurement.values["image_passes"]
