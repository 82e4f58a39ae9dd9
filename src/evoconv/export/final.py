"""The final training: a network trained on all training images and tested once.

This is the only file that asks for the test split.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from evoconv.data.batches import ImageTensor, Standardisation
from evoconv.data.image_set import ImageSet, Pixels
from evoconv.data.partition import Indices
from evoconv.data.test_split import test_indices
from evoconv.errors import StudyError
from evoconv.execution.executor import Control
from evoconv.networks.weights import load_weights, weights_to_bytes
from evoconv.problems.evolved import EvolvedWeights
from evoconv.problems.subject import Subject
from evoconv.problems.training import FullTraining, curve_points
from evoconv.problems.workplace import Workplace
from evoconv.records import CurvePoint
from evoconv.training.loop import predict_logits
from evoconv.training.precision import Precision


@dataclass(frozen=True, kw_only=True)
class FinalTraining:
    """A trained network's weights, and its logits (N, K) on the N test images with labels (N,)."""

    weights: bytes
    logits: npt.NDArray[np.float32]
    labels: npt.NDArray[np.int64]
    curve: tuple[CurvePoint, ...]
    num_images: int


@dataclass(frozen=True, kw_only=True)
class TrainFinal:
    """The task that trains a network on every training image, then tests it."""

    training: FullTraining

    def __call__(self, workplace: Workplace, control: Control) -> FinalTraining:
        """Return the trained network; raises as ``FullTraining.on`` does."""
        rows = workplace.splits.training
        network, reports = self.training.on(rows, workplace, control)
        curve = tuple(curve_points(reports, fold=0))
        return _tested(network, workplace, curve, len(rows))


@dataclass(frozen=True, kw_only=True)
class TestEvolved:
    """The task that tests a network with the weights its evaluation in the search left."""

    __test__ = False  # the name is no invitation to pytest

    subject: Subject
    evolved: EvolvedWeights

    def __call__(self, workplace: Workplace, control: Control) -> FinalTraining:  # noqa: ARG002
        """Return the tested network; ``StudyError`` where its weights are missing or damaged."""
        network = self.evolved.network(self.subject, workplace)
        trained_on = len(workplace.splits.folds[0][0])
        return _tested(network, workplace, (), trained_on)


@dataclass(frozen=True, kw_only=True)
class TestSaved:
    """The task that tests a network with the weights in a file."""

    __test__ = False

    subject: Subject
    file: Path

    def __call__(self, workplace: Workplace, control: Control) -> FinalTraining:  # noqa: ARG002
        """Return the tested network; ``StudyError`` where its weights are missing or damaged."""
        image_set = workplace.image_set
        network = self.subject.network(image_set.input_shape, len(image_set.classes))
        try:
            content = self.file.read_bytes()
        except OSError as error:
            raise StudyError(f"{self.file} can't be read: {error.strerror or error}") from error
        load_weights(network, content)
        return _tested(network, workplace, (), 0)


def test_logits(
    network: nn.Module,
    image_set: ImageSet,
    standardisation: Standardisation,
    training: Indices,
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Return logits (N, K) and labels (N,) of the test split: of what is not among ``training``.

    Computed as the saved network will be used elsewhere: on a CPU in float32, whatever it was
    trained in, so that a fresh process can reproduce them.
    """
    rows = test_indices(image_set, training)
    source = ImageTensor(image_set.images, image_set.labels, standardisation, torch.device("cpu"))
    logits = predict_logits(network, source, torch.from_numpy(rows), Precision())
    return logits.numpy(), image_set.labels[rows]


test_logits.__test__ = False  # type: ignore[attr-defined]  # the name is no invitation to pytest


def test_pixels(image_set: ImageSet, training: Indices) -> Pixels:
    """Return the pixels of the test split, (N, H, W, C), in the order of ``test_logits``."""
    return image_set.images[test_indices(image_set, training)]


test_pixels.__test__ = False  # type: ignore[attr-defined]  # the name is no invitation to pytest


def _tested(
    network: nn.Module,
    workplace: Workplace,
    curve: tuple[CurvePoint, ...],
    num_images: int,
) -> FinalTraining:
    logits, labels = test_logits(
        network,
        workplace.image_set,
        workplace.tensor.standardisation,
        workplace.splits.training,
    )
    return FinalTraining(
        weights=weights_to_bytes(network),
        logits=logits,
        labels=labels,
        curve=curve,
        num_images=num_images,
    )
