"""LeNet-5 for measurements of compression: its weights at random, and after one epoch on MNIST."""

from dataclasses import dataclass
from functools import cache

import torch

from benchmarks.evaluations import mnist
from evoconv.compression.network_tensors import number_tensors, shareable_names
from evoconv.compression.tensors import Floats
from evoconv.data.augmentation import Augmentation
from evoconv.execution.executor import Control, Job
from evoconv.execution.inline import InlineExecutor
from evoconv.genomes.reference import REFERENCES
from evoconv.genomes.topology import Topology
from evoconv.networks.build import build_network
from evoconv.networks.initialise import initialise
from evoconv.networks.weights import load_weights, weights_to_bytes
from evoconv.problems.subject import Subject
from evoconv.problems.training import (
    FullTraining,
    TrainingSetting,
    measures_on,
    stratified_subset,
)
from evoconv.problems.workplace import Workplace
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision

LENET: Topology = REFERENCES["lenet5-tanh"].topology
SHAPE, CLASSES = REFERENCES["lenet5-tanh"].input_shape, REFERENCES["lenet5-tanh"].num_classes

_TRAINED_ON = 12_500  # images
_SEED = 0


@dataclass(frozen=True, kw_only=True)
class Trained:
    """A trained LeNet-5.

    Attributes:
        weights: as a safetensors file.
        images: that it was trained on, once each.
        accuracy: on the validation images, in [0, 1].
    """

    weights: bytes
    images: int
    accuracy: float


@cache
def trained_lenet() -> Trained:
    """Return LeNet-5 after one epoch on a part of MNIST; float32, so alike on every machine."""
    executor = InlineExecutor(mnist().setup)
    executor.submit(Job(number=0, task=_train))
    outcome = executor.wait()[0]
    if outcome.failure is not None:
        raise RuntimeError(str(outcome.failure))
    trained: Trained = outcome.result
    return trained


def layer_names() -> list[str]:
    """Return the names of the weights of convolutions and dense layers."""
    return shareable_names(build_network(LENET, SHAPE, CLASSES))


@cache
def layers_of(kind: str) -> dict[str, Floats]:
    """Return these weights by name, of a network that is ``random`` (He-normal) or ``trained``."""
    network = build_network(LENET, SHAPE, CLASSES)
    if kind == "random":
        initialise(network, "he-normal", torch.Generator().manual_seed(_SEED))
    else:
        load_weights(network, trained_lenet().weights)
    tensors = number_tensors(network)
    return {name: tensors[name].numpy() for name in layer_names()}


def _train(workplace: Workplace, control: Control) -> Trained:
    rows, validation = workplace.splits.folds[0]
    rows = stratified_subset(rows, workplace.image_set.labels, _TRAINED_ON)
    training = FullTraining(
        subject=Subject(architecture=LENET),
        seed=_SEED,
        setting=TrainingSetting(
            recipe=Recipe(), augmentation=Augmentation(), precision=Precision()
        ),
        epochs=1,
        time_limit_s=None,
    )
    network, _ = training.on(rows, workplace, control)
    measured = measures_on(network, validation, workplace, Precision(), control)
    return Trained(
        weights=weights_to_bytes(network), images=len(rows), accuracy=measured["accuracy"]
    )
