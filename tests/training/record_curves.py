"""Records learning curves of real trainings for the tests of the stopping rules.

They are kept as numbers, so that the tests don't depend on a machine's arithmetic. To record them
again (a minute or two; MNIST and Fashion-MNIST must be at hand)::

    python -m tests.training.record_curves
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from sklearn.datasets import load_digits

from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Batches, ImageTensor, Standardisation
from evoconv.data.image_set import Declared
from evoconv.data.sources import DataOptions, load_image_set
from evoconv.genomes.layers import Convolution, Dense, Pooling
from evoconv.genomes.topology import Topology
from evoconv.networks.cnn import build
from evoconv.networks.initialise import initialise
from evoconv.records import CurvePoint
from evoconv.training.loop import EpochReport, predict_logits, train
from evoconv.training.metrics import measure
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision

PATH = Path(__file__).with_name("curves.json")
VALIDATION = 800

Arrays = tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]


class Patient:
    """A control that lets everything run to its end."""

    def checkpoint(self) -> None:
        """Go on."""

    def report(self, progress: float, message: str = "") -> None:
        """Tell nobody."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One training: which images, which network, how."""

    data: str
    images: int
    topology: Topology
    recipe: Recipe
    epochs: int
    seed: int = 1


def convolutions(
    *filters: int, activation: str = "relu", normalisation: str = "batch"
) -> tuple[Convolution | Pooling, ...]:
    layers: list[Convolution | Pooling] = []
    for one in filters:
        layers.append(
            Convolution(
                filters=one,
                kernel=(3, 3),
                activation=activation,
                normalisation=normalisation,  # type: ignore[arg-type]
            )
        )
        layers.append(Pooling(size=(2, 2)))
    return tuple(layers)


ADAGRAD = Recipe(
    optimizer="adagrad", learning_rate=0.02, weight_decay=0.0, schedule="inverse", batch_size=64
)
ADAMW = Recipe(learning_rate=0.003, schedule="constant", batch_size=64)
SGD = Recipe(optimizer="sgd", learning_rate=0.02, weight_decay=0.0, schedule="constant")
SMALL = Topology(features=convolutions(6, 8))
LARGER = Topology(features=convolutions(12, 16), classifier=(Dense(units=32, dropout=0.3),))
POOR = Topology(features=convolutions(3, 4), reduction="global-average")
SATURATED = Topology(
    features=convolutions(6, 6, activation="sigmoid", normalisation="none"),
    classifier=(Dense(units=24, activation="sigmoid"),),
)

CASES: Mapping[str, Case] = {
    "digits-small-adagrad": Case(
        data="digits", images=900, topology=SMALL, recipe=ADAGRAD, epochs=40
    ),
    "digits-few-images": Case(data="digits", images=120, topology=LARGER, recipe=ADAMW, epochs=60),
    "digits-slow": Case(
        data="digits",
        images=900,
        topology=SMALL,
        recipe=replace(ADAGRAD, learning_rate=0.001, schedule="constant"),
        epochs=60,
    ),
    "digits-poor": Case(data="digits", images=900, topology=POOR, recipe=ADAMW, epochs=60),
    # These stay on a plateau and then learn, at a third of their epochs.
    "digits-poor-5": Case(
        data="digits", images=900, topology=POOR, recipe=ADAMW, epochs=60, seed=5
    ),
    "digits-poor-7": Case(
        data="digits", images=900, topology=POOR, recipe=ADAMW, epochs=60, seed=7
    ),
    "digits-late": Case(
        data="digits",
        images=900,
        topology=SATURATED,
        recipe=replace(ADAMW, learning_rate=0.002, batch_size=32),
        epochs=60,
    ),
    "digits-guessing": Case(data="digits", images=900, topology=SATURATED, recipe=SGD, epochs=20),
    "digits-diverging": Case(
        data="digits",
        images=900,
        topology=Topology(
            features=convolutions(12, 16, normalisation="none"), classifier=(Dense(units=32),)
        ),
        recipe=replace(SGD, learning_rate=0.03, momentum=0.99, batch_size=32, label_smoothing=0.0),
        epochs=20,
    ),
    "mnist-small-adagrad": Case(
        data="mnist", images=2000, topology=SMALL, recipe=ADAGRAD, epochs=30
    ),
    "mnist-larger-exponential": Case(
        data="mnist",
        images=2000,
        topology=LARGER,
        recipe=replace(ADAGRAD, schedule="exponential"),
        epochs=25,
    ),
    "fashion-small-adamw": Case(
        data="fashion-mnist", images=2000, topology=SMALL, recipe=ADAMW, epochs=40
    ),
    "fashion-poor": Case(data="fashion-mnist", images=2000, topology=POOR, recipe=ADAMW, epochs=40),
    "mnist-one-cycle": Case(
        data="mnist",
        images=2000,
        topology=SMALL,
        recipe=replace(ADAMW, schedule="one-cycle", learning_rate=0.01),
        epochs=30,
    ),
}


def record(case: Case) -> list[CurvePoint]:
    """Return the learning curve of the case."""
    images, labels = _digits() if case.data == "digits" else _set(case.data)
    shape = (images.shape[3], images.shape[1], images.shape[2])
    training, validation = np.arange(VALIDATION, VALIDATION + case.images), np.arange(VALIDATION)
    source = ImageTensor(images, labels, Standardisation.of(images, training), torch.device("cpu"))
    torch.manual_seed(case.seed)
    network = build(case.topology, shape, 10)
    initialise(network, case.recipe.initialisation, torch.Generator().manual_seed(case.seed))
    batches = Batches(
        source=source,
        rows=torch.from_numpy(training),
        batch_size=case.recipe.batch_size,
        augmentation=Augmentation(),
        generator=torch.Generator().manual_seed(case.seed),
    )
    points: list[CurvePoint] = []

    def validate(report: EpochReport) -> None:
        rows = torch.from_numpy(validation)
        logits = predict_logits(network, source, rows, Precision()).numpy()
        values = measure(logits, labels[validation])
        points.append(
            CurvePoint(
                fold=0,
                epoch=report.epoch,
                seconds=round(report.seconds, 2),
                train_loss=round(report.train_loss, 4),
                validation_loss=round(values["cross-entropy"], 4),
                validation_accuracy=round(values["accuracy"], 5),
            )
        )

    train(
        network,
        batches,
        case.recipe,
        Precision(),
        Patient(),
        epochs=case.epochs,
        after_epoch=validate,
    )
    return points


def _digits() -> Arrays:
    digits = load_digits()
    shuffled = np.random.default_rng(0).permutation(len(digits.target))
    images = (digits.images[shuffled, :, :, None] * 15).astype(np.uint8)
    return images, digits.target[shuffled].astype(np.int64)


def _set(name: str) -> Arrays:
    opened = load_image_set(name, DataOptions(), notify=lambda words: None)
    rows = np.random.default_rng(0).permutation(np.flatnonzero(opened.declared == Declared.TRAIN))
    rows = rows[:4000]
    return np.asarray(opened.images[rows], dtype=np.uint8), opened.labels[rows]


def read() -> dict[str, list[CurvePoint]]:
    """Return the recorded curves by name."""
    stored = json.loads(PATH.read_text("utf-8"))
    return {
        name: [
            CurvePoint(
                fold=0,
                epoch=epoch,
                seconds=seconds,
                train_loss=train_loss,
                validation_loss=validation_loss,
                validation_accuracy=accuracy,
            )
            for epoch, seconds, train_loss, validation_loss, accuracy in rows
        ]
        for name, rows in stored.items()
    }


def write(curves: Mapping[str, list[CurvePoint]]) -> None:
    """Write the curves: a row of epoch, seconds, losses and accuracy for each point."""
    blocks = []
    for name, points in curves.items():
        rows = [
            [p.epoch, p.seconds, p.train_loss, p.validation_loss, p.validation_accuracy]
            for p in points
        ]
        lines = ",\n".join(f"    {json.dumps(row)}" for row in rows)
        blocks.append(f"  {json.dumps(name)}: [\n{lines}\n  ]")
    PATH.write_text("{\n" + ",\n".join(blocks) + "\n}\n", "utf-8")


if __name__ == "__main__":
    torch.set_num_threads(1)
    write({name: record(case) for name, case in CASES.items()})
