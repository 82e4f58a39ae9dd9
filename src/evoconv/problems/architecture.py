"""WHAT is searched: the architecture of a CNN; measured by training it on the training images.

Source: Vidnerová & Neruda 2018, section 3.3: the mean over k folds of the loss on the held-out
fold. Differs: one hold-out (k = 1) and other measures can be chosen; all measures are always
stored.
"""

import time
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from evoconv.artifacts import WeightFiles
from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Batches
from evoconv.execution.executor import Control
from evoconv.genomes.shapes import Cost
from evoconv.genomes.topology import Topology
from evoconv.networks.cnn import build
from evoconv.networks.initialise import initialise
from evoconv.networks.weights import weights_to_bytes
from evoconv.problems.workplace import Workplace
from evoconv.records import CurvePoint, Measurement
from evoconv.training.loop import EpochReport, predict_logits, train
from evoconv.training.metrics import measure
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision, measure_precision


@dataclass(frozen=True, kw_only=True)
class MeasurePrecision:
    """The task that finds the fastest precision; its result is stored in the study."""

    seconds: float

    def __call__(
        self,
        workplace: Workplace,
        control: Control,  # noqa: ARG002 - too short to be cancelled
    ) -> tuple[Precision, dict[str, float]]:
        """Return the fastest precision on the worker's device, and images/s of each."""
        channels = workplace.image_set.input_shape[0]
        return measure_precision(workplace.device, channels, seconds=self.seconds)


@dataclass(frozen=True, kw_only=True)
class EvaluateArchitecture:
    """The task that measures one topology: trains it anew on each fold and validates it."""

    number: int
    topology: Topology
    cost: Cost
    seed: int
    recipe: Recipe
    augmentation: Augmentation
    precision: Precision
    weights: WeightFiles

    def __call__(self, workplace: Workplace, control: Control) -> Measurement:
        """Return means over the folds; the weights of the first fold are kept as an artefact.

        Raises:
            JobFailed: the loss left the finite numbers.
        """
        started = time.perf_counter()
        folds = workplace.splits.folds
        measured: list[dict[str, float]] = []
        curve: list[CurvePoint] = []
        num_passes = 0
        for fold, (training, validation) in enumerate(folds):
            part = _Part(control, fold / len(folds), 1 / len(folds))
            network, points, passes = self._train_fold(workplace, part, fold, training)
            num_passes += passes
            rows = torch.from_numpy(validation)
            logits = predict_logits(network, workplace.tensor, rows, self.precision, part)
            values = measure(logits.numpy(), workplace.image_set.labels[validation])
            measured.append(values)
            curve += _with_validation(points, values)
            if fold == 0:
                self.weights.write(self.number, weights_to_bytes(network))
        seconds = time.perf_counter() - started
        return Measurement(
            values={
                **_means(measured),
                **self.cost.as_values(),
                "training_seconds": seconds,
                "image_passes": float(num_passes),
            },
            curve=tuple(curve),
        )

    def _train_fold(
        self, workplace: Workplace, control: Control, fold: int, training: npt.NDArray[np.int64]
    ) -> tuple[nn.Module, list[CurvePoint], int]:
        image_set = workplace.image_set
        chosen = stratified_subset(training, image_set.labels, self.recipe.train_images)
        epochs = self.recipe.search_epochs(len(training), image_set.input_shape)
        network, reports = train_topology(
            self.topology,
            workplace,
            chosen,
            self.recipe,
            self.augmentation,
            self.precision,
            control,
            seed=self.seed + fold,
            epochs=epochs,
        )
        return network, curve_points(reports, fold), len(chosen) * epochs


def train_topology(
    topology: Topology,
    workplace: Workplace,
    rows: npt.NDArray[np.int64],
    recipe: Recipe,
    augmentation: Augmentation,
    precision: Precision,
    control: Control,
    *,
    seed: int,
    epochs: int,
    time_limit_s: float | None = None,
) -> tuple[nn.Module, list[EpochReport]]:
    """Return the topology's network, trained anew on the rows, and a report per epoch.

    The seed fixes the initial weights and the batches; the rest is as ``train`` has it.

    Raises:
        JobFailed: the loss left the finite numbers.
    """
    image_set = workplace.image_set
    network = new_network(topology, image_set.input_shape, len(image_set.classes), recipe, seed)
    batches = Batches(
        source=workplace.tensor,
        rows=torch.from_numpy(rows),
        batch_size=recipe.batch_size,
        augmentation=augmentation,
        generator=torch.Generator().manual_seed(seed),
    )
    reports = train(
        network,
        batches,
        recipe,
        precision,
        control,
        epochs=epochs,
        time_limit_s=time_limit_s,
        class_weights=workplace.class_weights(rows, recipe.class_weights),
    )
    return network, reports


def new_network(
    topology: Topology,
    input_shape: tuple[int, int, int],
    num_classes: int,
    recipe: Recipe,
    seed: int,
) -> nn.Module:
    """Return the topology's network with initial weights, and dropout, fixed by the seed."""
    # Dropout draws from torch's own generator, which belongs to the worker's process alone.
    torch.manual_seed(seed)
    network = build(topology, input_shape, num_classes)
    initialise(network, recipe.initialisation, torch.Generator().manual_seed(seed))
    return network


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


def _means(measured: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each measure over the folds, and the deviation of the accuracy."""
    values = {
        f"validation_{name.replace('-', '_')}": float(np.mean([one[name] for one in measured]))
        for name in measured[0]
    }
    values["validation_accuracy_std"] = float(np.std([one["accuracy"] for one in measured]))
    return values


class _Part:
    """A control that reports the progress of one fold as a part of the whole."""

    def __init__(self, whole: Control, offset: float, share: float) -> None:
        self._whole, self._offset, self._share = whole, offset, share

    def checkpoint(self) -> None:
        self._whole.checkpoint()

    def report(self, progress: float, message: str = "") -> None:
        self._whole.report(self._offset + self._share * progress, message)
