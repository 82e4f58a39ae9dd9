"""One training of a candidate in a search: inherited weights, frozen layers, an early stop.

Source: Litzinger et al., "Raising Efficiency": weight sharing, layer freezing, and early stopping
that finds a fitting duration for each architecture.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from evoconv.artifacts import WeightFiles
from evoconv.execution.executor import Control
from evoconv.genomes.shapes import Cost
from evoconv.problems.heritage import Heritage, Parent, inherit_weights
from evoconv.problems.learner import Learner, learner_of
from evoconv.problems.options import SavingOptions
from evoconv.problems.subject import Subject
from evoconv.problems.training import (
    TrainingSetting,
    adapted,
    curve_points,
    stratified_subset,
    train_network,
)
from evoconv.problems.workplace import Workplace
from evoconv.records import CurvePoint, Measurement, Objective
from evoconv.training.loop import EpochReport
from evoconv.training.stopping import Stop, StoppingOptions, stop_reason

# Images on which inserted normalisations are set to do nothing.
_SAMPLE = 256


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What one training of a candidate gave; shares are in [0, 1].

    Attributes:
        planned_passes: image passes had it gone on to its last epoch.
        inherited_share: share of parameters in layers that took over weights.
        frozen_share: share of the multiply-accumulates of training that freezing saved.
    """

    measured: Mapping[str, float]
    curve: tuple[CurvePoint, ...]
    image_passes: int
    planned_passes: int
    inherited_share: float
    frozen_share: float
    remarks: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a candidate is trained in a search.

    Attributes:
        parents: whose weights a training starts from.
        max_latency: seconds that one image may take; infinity: as many as it likes, but measured;
            None: not measured.
        entry: fitness below which the candidate couldn't live, fixed when it was submitted; None
            while there is room.
    """

    subject: Subject
    cost: Cost
    setting: TrainingSetting
    weights: WeightFiles
    objective: Objective
    stopping: StoppingOptions
    saving: SavingOptions
    parents: tuple[Parent, ...] = ()
    max_latency: float | None = None
    entry: float | None = None


@dataclass(frozen=True, kw_only=True)
class CandidateTraining:
    """One training of a candidate, and its validation; ``number`` counts them from 0."""

    plan: Plan
    workplace: Workplace
    control: Control
    number: int
    seed: int
    validation: npt.NDArray[np.int64]

    def run(self, training: npt.NDArray[np.int64]) -> tuple[nn.Module, Trained]:
        """Return the trained network, and what its training gave."""
        plan, workplace = self.plan, self.workplace
        setting = adapted(plan.setting, plan.subject)
        recipe = setting.recipe
        image_set = workplace.image_set
        if recipe.fresh_images:
            training = np.random.default_rng(self.seed).permutation(training)
        chosen = stratified_subset(training, image_set.labels, recipe.train_images)
        epochs = recipe.search_epochs(len(training), image_set.input_shape)
        network = plan.subject.new_network(
            image_set.input_shape, len(image_set.classes), recipe, self.seed
        )
        heritage = self._inherit(network, chosen) if plan.parents else Heritage()
        learner = learner_of(
            network, plan.subject, workplace, setting.augmentation, setting.precision, self.control
        )
        validate = _Validation(training=self, learner=learner, epochs=epochs)
        course = train_network(
            learner,
            workplace,
            chosen,
            setting,
            self.control,
            seed=self.seed,
            epochs=epochs,
            frozen=heritage.unchanged,
            after_epoch=validate if plan.stopping.is_on else None,
        )
        measured = self.measure(learner, self.validation)
        points = validate.points or curve_points(course.reports, self.number)
        stops = [
            _ending(one, is_last=one is course.reports[-1])
            for one in course.reports
            if one.stop is not None
        ]
        passes = len(course.reports) * len(chosen)
        return network, Trained(
            measured=measured,
            curve=tuple(_with_validation(points, measured)),
            image_passes=passes,
            planned_passes=epochs * len(chosen),
            inherited_share=heritage.share,
            frozen_share=learner.saved_share or course.saved_share,
            remarks=(*heritage.remarks, *learner.remarks, *stops),
        )

    def _inherit(self, network: nn.Module, chosen: npt.NDArray[np.int64]) -> Heritage:
        plan, image_set = self.plan, self.workplace.image_set
        # Of all classes: rows are often sorted by them.
        rows = stratified_subset(chosen, image_set.labels, _SAMPLE)
        sample, _ = self.workplace.tensor.cut(torch.from_numpy(rows).to(self.workplace.device))
        network.to(self.workplace.device)
        return inherit_weights(
            plan.subject.architecture,
            network,
            plan.parents,
            plan.weights,
            image_set.input_shape,
            len(image_set.classes),
            torch.Generator().manual_seed(self.seed),
            sample,
        )

    def measure(self, learner: Learner, rows: npt.NDArray[np.int64]) -> dict[str, float]:
        """Return all measures of the network on the rows."""
        precision = self.plan.setting.precision
        return learner.measures(rows, self.workplace, precision, self.control)


class _Validation:
    """Looks at a training after each epoch, and says when to stop it."""

    def __init__(self, *, training: CandidateTraining, learner: Learner, epochs: int) -> None:
        self.points: list[CurvePoint] = []
        self._training, self._learner, self._epochs = training, learner, epochs
        self._values: list[float] = []
        self._since = 0
        plan, labels = training.plan, training.workplace.image_set.labels
        # A part of the validation images is enough to see where a curve goes.
        self._rows = stratified_subset(training.validation, labels, plan.saving.curve_images)
        self._threshold = (
            None if plan.entry is None else plan.objective.needed(plan.entry, plan.cost.as_values())
        )

    def __call__(self, report: EpochReport) -> Stop | None:
        plan = self._training.plan
        measured = self._training.measure(self._learner, self._rows)
        if report.frozen:
            self._since = report.epoch
        self.points.append(
            CurvePoint(
                fold=self._training.number,
                epoch=report.epoch,
                seconds=report.seconds,
                train_loss=report.train_loss,
                validation_loss=measured["cross-entropy"],
                validation_accuracy=measured["accuracy"],
            )
        )
        self._values.append(
            plan.objective.value(Measurement(values=named_measures(measured, len(self._rows))))
        )
        return stop_reason(
            self.points,
            plan.stopping,
            self._threshold,
            self._epochs,
            len(self._training.workplace.image_set.classes),
            values=self._values,
            ceiling=1.0 if plan.objective.direction == "maximize" else 0.0,
            since=0 if report.frozen else self._since,
        )


def _ending(report: EpochReport, *, is_last: bool) -> str:
    """Return a sentence on a stop; frozen layers that had to learn again are no end."""
    is_thaw = report.frozen and not is_last
    what = "frozen layers were freed" if is_thaw else "training was stopped"
    return f"{what} after epoch {report.epoch}: {report.stop}"


def _with_validation(points: list[CurvePoint], values: dict[str, float]) -> list[CurvePoint]:
    """Return the points, the last one with the validation figures."""
    last = points[-1]
    return [
        *points[:-1],
        CurvePoint(
            fold=last.fold,
            epoch=last.epoch,
            seconds=last.seconds,
            train_loss=last.train_loss,
            validation_loss=values["cross-entropy"],
            validation_accuracy=values["accuracy"],
        ),
    ]


def named_measures(measured: Mapping[str, float], num_images: int) -> dict[str, float]:
    """Return measures by the names that a measurement has for them, and the accuracy's uncertainty.

    ``validation_accuracy_error`` is the standard error of an accuracy p on n images, each right or
    wrong: sqrt(p (1 - p) / n).
    """
    values = {f"validation_{name.replace('-', '_')}": value for name, value in measured.items()}
    accuracy = measured["accuracy"]
    values["validation_accuracy_error"] = math.sqrt(accuracy * (1 - accuracy) / num_images)
    return values
