"""Exact clusters beside scikit-learn's K-means: the seconds of an evaluation, and sums of squares.

An evaluation of a LeNet-5 with shared weights, as a search draws their numbers (2 to 64 per layer),
on validation images, in a worker: as ``compress`` does it, which makes each clustering once; with
exact clusters made anew; and with scikit-learn's K-means from one start made anew, all in turns.
Aim: ``compress`` at least three times faster than that. Beside it is told what an evaluation takes
whose numbers are asked for the first time, all clusterings together, and the network alone.
"""

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.cells import Cells, print_table, spread
from benchmarks.evaluations import mnist, run_jobs
from benchmarks.lenet import CLASSES, LENET, SHAPE, layers_of, trained_lenet
from benchmarks.rivals import means, shared_by_means
from evoconv.compression.clustering import LayerClusterings
from evoconv.compression.network_tensors import number_tensors, set_tensors, shareable_names
from evoconv.compression.sharing import Shareable
from evoconv.compression.tensors import Bits, DenseTensor, StoredTensor
from evoconv.execution.executor import Control, Job
from evoconv.execution.processes import ProcessExecutor
from evoconv.genomes.shapes import cost
from evoconv.genomes.sharing_space import Sharing
from evoconv.problems.shared_weights import Base, MeasureShared
from evoconv.problems.subject import Subject
from evoconv.problems.training import stratified_subset
from evoconv.problems.workplace import Workplace
from evoconv.training.loop import predict_logits
from evoconv.training.metrics import measure
from evoconv.training.precision import Precision

Clusters = tuple[int, ...]

IMAGES = (9_000, 2_000)

# Of an evaluation: clusterings known, asked for the first time, and made anew in two ways.
_WAYS = ("again", "first", "anew", "scikit-learn", "network alone")

_INDIVIDUALS = 15
_FEWEST, _MOST = 2, 64
_BITS: Bits = 16

_SQUARES_COUNT = 8
_STARTS = (1, 10)
_SEEDS = 10


def compare_evaluations(images: int) -> dict[str, Any]:
    """Return the seconds of evaluations on so many images, and their ratios."""
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(ProcessExecutor(mnist().setup, ("cpu",))) as executor,
    ):
        weights = Path(folder) / "model.safetensors"
        weights.write_bytes(trained_lenet().weights)
        job = Job(number=0, task=partial(_compare, weights, images))
        figures: dict[str, Any] = run_jobs(executor, [job])[0].result
    return figures


def compare_squares(kind: str, name: str) -> dict[str, Any]:
    """Return scikit-learn's sums of squared distances, over the exact one, of one layer."""
    weights = layers_of(kind)[name]
    exact = LayerClusterings(weights).clustering(_SQUARES_COUNT).error
    values = weights.astype(np.float64)
    ratios = {
        f"{starts}": [
            float(means(values, _SQUARES_COUNT, starts, seed).inertia_) / exact
            for seed in range(_SEEDS)
        ]
        for starts in _STARTS
    }
    return {"n": _SEEDS, "weights": weights.size, "exact": exact, "ratios": ratios}


def print_evaluations(cells: Cells) -> None:
    """Print the table of the stored evaluations."""
    rows = []
    for images in IMAGES:
        if (got := cells.get(f"evaluation, {images:,} images")) is None:
            continue
        ours = got["again"]
        ratios = [
            spread([other / own for other, own in zip(got[way], ours, strict=True)], ".1f")
            for way in ("anew", "scikit-learn")
        ]
        seconds = (spread(got[way], ".3f") for way in _WAYS)
        everything = f"{got['all_clusterings']:.1f}"
        rows.append((f"{got['images']:,}", *seconds, *ratios, everything, got["n"]))
    print_table(
        "Seconds of one evaluation of LeNet-5 with shared weights (medians, extremes)",
        (
            *("images", "evoconv", "numbers asked for the first time", "exact anew"),
            *("scikit-learn anew", "nothing clustered"),
            *("exact anew / evoconv", "scikit-learn / evoconv"),
            *(f"all clusterings of {_FEWEST} to {_MOST}, s", "n"),
        ),
        rows,
    )


def print_squares(cells: Cells) -> None:
    """Print the table of the stored sums of squares."""
    rows = []
    for cell in cells.names():
        kind, _, name = cell.removeprefix("squares, ").partition(", ")
        if cell.startswith("squares, ") and (got := cells.get(cell)) is not None:
            ratios = (spread(got["ratios"][f"{starts}"], ".4f") for starts in _STARTS)
            rows.append((kind, name, f"{got['weights']:,}", *ratios, got["n"]))
    print_table(
        f"Sum of squares of scikit-learn's K-means over the exact one, {_SQUARES_COUNT} clusters"
        " (medians, extremes)",
        ("weights", "layer", "number", *(f"n_init={starts}" for starts in _STARTS), "n"),
        rows,
    )


def _compare(weights: Path, images: int, workplace: Workplace, control: Control) -> dict[str, Any]:
    """Evaluate random individuals in all ways, one after the other; return the seconds of each."""
    ways = _Ways(weights, _with_images(workplace, images), control)
    ways.evoconv((_FEWEST,) * len(ways.names))  # opens the network
    turns = {
        "again": ways.evoconv,
        "anew": ways.anew,
        "scikit-learn": ways.scikit_learn,
        "network alone": ways.network_alone,
    }
    seconds: dict[str, list[float]] = {way: [] for way in _WAYS}
    for number, clusters in enumerate(_individuals(len(ways.names))):
        first, accuracy = _timed(ways.evoconv, clusters)
        seconds["first"].append(first)
        for way in list(turns)[:: 1 if number % 2 == 0 else -1]:
            took, got = _timed(turns[way], clusters)
            seconds[way].append(took)
            assert way not in ("again", "anew") or got == accuracy, "exact clusters are the same"
    return {
        "n": _INDIVIDUALS,
        "images": len(ways.rows),
        "all_clusterings": ways.seconds_of_all(),
        **seconds,
    }


class _Ways:
    """The same network evaluated in several ways; each gives the accuracy."""

    def __init__(self, weights: Path, workplace: Workplace, control: Control) -> None:
        self._base = Base(
            subject=Subject(architecture=LENET),
            weights=weights,
            input_shape=SHAPE,
            num_classes=CLASSES,
            bits=_BITS,
            dense_bits=_BITS,
        )
        self._network = self._base.network(self._base.content())
        numbers = number_tensors(self._network)
        self._values = {name: one.numpy().copy() for name, one in numbers.items()}
        self.names = tuple(shareable_names(self._network))
        self.rows = workplace.splits.folds[0][1]
        self._workplace, self._control = workplace, control

    def evoconv(self, clusters: Clusters) -> float:
        """Evaluate as ``compress`` does."""
        sharing = Sharing(clusters=clusters)
        task = MeasureShared(base=self._base, cost=cost(LENET, SHAPE, CLASSES), sharing=sharing)
        return task(self._workplace, self._control).values["validation_accuracy"]

    def anew(self, clusters: Clusters) -> float:
        """Evaluate with exact clusters made for it."""
        return self._accuracy(self._shareable().stored(clusters))

    def scikit_learn(self, clusters: Clusters) -> float:
        """Evaluate with K-means from one start."""
        tensors: dict[str, StoredTensor] = {
            name: DenseTensor(values=one) for name, one in self._values.items()
        }
        for name, count in zip(self.names, clusters, strict=True):
            tensors[name] = shared_by_means(self._values[name], count, _BITS, seed=0)
        return self._accuracy(tensors)

    def network_alone(self, _: Clusters) -> float:
        """Evaluate with the weights as they are: nothing is clustered."""
        return self._accuracy({})

    def seconds_of_all(self) -> float:
        """Return how long all clusterings of the space take."""
        started = time.perf_counter()
        for layer in self._shareable().clusterings.values():
            for count in range(_FEWEST, min(_MOST, layer.most) + 1):
                layer.clustering(count)
        return time.perf_counter() - started

    def _shareable(self) -> Shareable:
        return Shareable(
            self._values, {name: (name,) for name in self.names}, bits=_BITS, dense_bits=_BITS
        )

    def _accuracy(self, tensors: Mapping[str, StoredTensor]) -> float:
        set_tensors(self._network, tensors)
        source, rows = self._workplace.tensor, torch.from_numpy(self.rows)
        logits = predict_logits(self._network, source, rows, Precision(), self._control)
        return measure(logits.numpy(), self._workplace.image_set.labels[self.rows])["accuracy"]


def _with_images(workplace: Workplace, images: int) -> Workplace:
    """Return the workplace with at most about so many validation images."""
    training, validation = workplace.splits.folds[0]
    rows = stratified_subset(validation, workplace.image_set.labels, images)
    splits = replace(workplace.splits, folds=((training, rows),))
    return replace(workplace, splits=splits)


def _individuals(num_layers: int) -> list[Clusters]:
    """Return random numbers of clusters, drawn by their logarithm as a search draws them."""
    rng = np.random.default_rng(0)
    ends = np.log(_FEWEST - 0.5), np.log(_MOST + 0.5)
    drawn = np.exp(rng.uniform(*ends, (_INDIVIDUALS, num_layers))).round().astype(int)
    return [tuple(one) for one in drawn.clip(_FEWEST, _MOST).tolist()]


def _timed(evaluate: Callable[[Clusters], float], clusters: Clusters) -> tuple[float, float]:
    """Return the seconds, and what it gave."""
    started = time.perf_counter()
    found = evaluate(clusters)
    return time.perf_counter() - started, found
