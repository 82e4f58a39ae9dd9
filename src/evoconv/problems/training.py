"""A network trained on some of the study's images: for an evaluation as for the final training."""

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Batches
from evoconv.execution.executor import Control
from evoconv.problems.evolved import EvolvedWeights
from evoconv.problems.learner import Learner, learner_of
from evoconv.problems.subject import Subject
from evoconv.problems.workplace import Workplace
from evoconv.records import CurvePoint
from evoconv.training.freezing import Course, train_thawing
from evoconv.training.loop import AfterEpoch, EpochReport
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision


@dataclass(frozen=True, kw_only=True)
class TrainingSetting:
    """What all trainings of a study have in common."""

    recipe: Recipe
    augmentation: Augmentation
    precision: Precision


def adapted(setting: TrainingSetting, subject: Subject) -> TrainingSetting:
    """Return the setting as a network is trained by it that has its own learning rate."""
    return replace(setting, recipe=subject.recipe(setting.recipe))


def train_network(
    learner: Learner,
    workplace: Workplace,
    rows: npt.NDArray[np.int64],
    setting: TrainingSetting,
    control: Control,
    *,
    seed: int,
    epochs: int,
    time_limit_s: float | None = None,
    frozen: Collection[str] = (),
    after_epoch: AfterEpoch | None = None,
) -> Course:
    """Train what learns of a network in place on the rows; the seed fixes the batches.

    ``frozen`` layers of a whole network are held still at first, as ``train_thawing`` says.

    Raises:
        JobFailed: the loss left the finite numbers.
    """
    batches = Batches(
        source=learner.source,
        rows=torch.from_numpy(rows),
        batch_size=setting.recipe.batch_size,
        augmentation=setting.augmentation,
        generator=torch.Generator().manual_seed(seed),
    )
    return train_thawing(
        learner.network,
        batches,
        setting.recipe,
        setting.precision,
        control,
        frozen=learner.frozen or frozen,
        epochs=epochs,
        time_limit_s=time_limit_s,
        class_weights=workplace.class_weights(rows, setting.recipe.class_weights),
        after_epoch=after_epoch,
    )


@dataclass(frozen=True, kw_only=True)
class FullTraining:
    """The training of a network as a final network is trained.

    It takes ``epochs`` epochs or ``time_limit_s`` seconds, whichever is less; the schedule is
    stretched to fit. The seed fixes the initial weights and the batches; where there are weights to
    start from, the batches.
    """

    subject: Subject
    seed: int
    setting: TrainingSetting
    epochs: int
    time_limit_s: float | None
    start: EvolvedWeights | None = None

    def on(
        self, rows: npt.NDArray[np.int64], workplace: Workplace, control: Control
    ) -> tuple[nn.Module, list[EpochReport]]:
        """Return the network trained on the rows, and a report per epoch.

        Raises:
            JobFailed: the loss left the finite numbers.
            StudyError: the weights to start from are missing or damaged.
        """
        image_set, setting = workplace.image_set, adapted(self.setting, self.subject.in_full())
        if self.start is None:
            network = self.subject.new_network(
                image_set.input_shape, len(image_set.classes), setting.recipe, self.seed
            )
        else:
            network = self.start.network(self.subject, workplace)
            torch.manual_seed(self.seed)  # of dropout
        learner = learner_of(
            network, self.subject, workplace, setting.augmentation, setting.precision, control
        )
        course = train_network(
            learner,
            workplace,
            rows,
            setting,
            control,
            seed=self.seed,
            epochs=self.epochs,
            time_limit_s=self.time_limit_s,
        )
        return network, course.reports


def measures_on(
    network: nn.Module,
    rows: npt.NDArray[np.int64],
    workplace: Workplace,
    precision: Precision,
    control: Control,
) -> dict[str, float]:
    """Return all measures of the network on the rows."""
    whole = Learner(network=network, source=workplace.tensor)
    return whole.measures(rows, workplace, precision, control)


def stratified_subset(
    rows: npt.NDArray[np.int64], labels: npt.NDArray[np.int64], size: int | None
) -> npt.NDArray[np.int64]:
    """Return at most about ``size`` of the rows with each class's share kept; at least 1 per class.

    Every k-th row of a class in the order given (splits are shuffled already), so all candidates
    of a study are compared on the same images.
    """
    if size is None or len(rows) <= size:
        return rows
    share = size / len(rows)
    parts = []
    for label in np.unique(labels[rows]):
        members = rows[labels[rows] == label]
        wanted = max(1, round(share * len(members)))
        parts.append(members[np.linspace(0, len(members) - 1, wanted).round().astype(np.int64)])
    return np.sort(np.concatenate(parts))


def curve_points(reports: list[EpochReport], fold: int) -> list[CurvePoint]:
    """Return the training's reports as points of a learning curve."""
    return [
        CurvePoint(fold=fold, epoch=one.epoch, seconds=one.seconds, train_loss=one.train_loss)
        for one in reports
    ]
