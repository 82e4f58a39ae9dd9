"""Networks of a search trained in full: the final trainings, and comparisons before these."""

import math
from dataclasses import replace
from typing import Any

from evoconv.data.splits import SearchSplits
from evoconv.execution.executor import Outcome
from evoconv.problems.evolved import EvolvedWeights
from evoconv.problems.finalist import TrainFinalist
from evoconv.problems.subject import Subject
from evoconv.problems.training import FullTraining, TrainingSetting
from evoconv.records import Individual


def full_training(
    individual: Individual,
    subject: Subject,
    setting: TrainingSetting,
    *,
    seed: int,
    epochs: int,
    num_images: int,
    time_limit_s: float | None,
    start: EvolvedWeights | None = None,
) -> FullTraining:
    """Return an individual's training as long as a final one, with a learning rate for that."""
    passes = epochs * num_images
    return FullTraining(
        subject=_subject_for(individual, subject, passes, time_limit_s),
        seed=seed,
        setting=setting,
        epochs=epochs,
        time_limit_s=time_limit_s,
        start=start,
    )


def train_in_full(
    individual: Individual,
    subject: Subject,
    setting: TrainingSetting,
    *,
    seed: int,
    epochs: int,
    splits: SearchSplits,
    time_limit_s: float | None,
) -> TrainFinalist:
    """Return the task that trains and validates an individual's network on each fold.

    The time is for all folds together.
    """
    return TrainFinalist(
        training=full_training(
            individual,
            subject,
            setting,
            seed=seed,
            epochs=epochs,
            num_images=len(splits.folds[0][0]),
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


def _subject_for(
    individual: Individual, subject: Subject, passes: int, limit_s: float | None
) -> Subject:
    """Return an individual's subject for a training of so many image passes, as far as time allows.

    Its own learning rate was found with the shorter trainings of a search. One n times as long gets
    1/√n of it, as the best constant step size of stochastic gradient descent goes with the number
    of steps (Nemirovski et al. 2009, "Robust Stochastic Approximation Approach to Stochastic
    Programming", section 2.2).
    """
    if subject.learning_rate is None or not subject.scales_rate:
        return subject
    assert individual.measurement is not None, "candidates are measured"
    values = individual.measurement.values
    if limit_s is not None:
        passes = min(passes, int(limit_s / _unshared_seconds_per_image(individual)))
    longer = max(1.0, passes * values["trainings"] / values["image_passes"])
    return replace(subject, learning_rate=subject.learning_rate / math.sqrt(longer))


def _unshared_seconds_per_image(individual: Individual) -> float:
    """Return seconds per image where what frozen layers give must be computed each time.

    A third of a layer's work in training is forward; that of frozen layers the search saved.
    """
    assert individual.measurement is not None, "candidates are measured"
    saved = min(0.999, individual.measurement.values["frozen_share"])
    return seconds_per_image(individual) * (1 + saved / (3 * (1 - saved)))
