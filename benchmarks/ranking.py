"""Does the short evaluation of a search rank networks as a long training does?

Random topologies, within the limit on multiply-accumulates that such a study sets itself, are
trained shortly, in several ways, and long, from scratch, on the same training images; all are
validated on the same validation images, never on the test. A recipe that can't rank is worthless.

Topologies come from two spaces: the default one, with the one-cycle schedule of the recipe ``fast``
and with a constant rate and averaged weights; and that of the method ``compact``, with its recipe
and with AdamW in it. A cell is one topology in one kind of training, or all of those in the space
of ``compact``. The table gives Spearman's rank correlation of the short accuracies with the long
one, and what the short one cost.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.cells import Cells, print_table, setting
from benchmarks.evaluations import Patient, images_of, stored_precision
from evoconv.configure import configure
from evoconv.data.augmentation import Augmentation
from evoconv.genomes.constraints import Limits
from evoconv.genomes.space import TopologySpace
from evoconv.genomes.space_options import SpaceOptions
from evoconv.genomes.topology import Topology
from evoconv.problems.subject import Subject
from evoconv.problems.training import (
    FullTraining,
    TrainingSetting,
    measures_on,
    stratified_subset,
)
from evoconv.problems.workplace import Workplace
from evoconv.seeds import Purpose, stream
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision

NETWORKS = int(setting("EVOCONV_NETWORKS", "24"))
_LEAST = 3  # networks that a rank correlation needs
DATA = ("mnist", "fashion-mnist")

# Images of the subset, epochs on them.
SHORT = ((6_250, 1), (6_250, 2), (12_500, 1), (12_500, 2), (25_000, 1), (12_500, 4))
AVERAGED = Recipe(schedule="constant", weight_average=0.995)
COMPACT = configure("mnist", {}, method="compact", seed=0)
RECIPES_OF_COMPACT: Mapping[str, Recipe] = {
    "compact": COMPACT.training,
    "compact with AdamW at 0.01": replace(COMPACT.training, optimizer="adamw", learning_rate=0.01),
}
_OTHER_WAYS = ((12_500, 2), (12_500, 4))
LONG_EPOCHS = 8

# What ten minutes of the default afford, and an hour of ``compact``.
_MAX_MACS = 4_000_000
_MAX_MACS_OF_COMPACT = 1_360_000


def run(only: Sequence[str] = ()) -> None:
    """Measure the missing cells; ``only`` some data sets, to share the work between processes."""
    torch.set_num_threads(1)
    cells = Cells("ranking")
    precision = stored_precision(cells)
    for data in DATA:
        if only and data not in only:
            continue
        for number in range(NETWORKS):
            for name, measure in _KINDS.items():
                cells.measure(f"{data}{name} {number}", partial(measure, data, number, precision))


def tables() -> None:
    """Print the tables of the stored cells."""
    cells = Cells("ranking")
    for data in DATA:
        got, averaged, compact = (cells.repeats(f"{data}{name}") for name in _KINDS)
        if len(got) >= _LEAST and len(averaged) == len(got):
            long = [one["long"] for one in got]
            rows = [
                _row("one-cycle", way, [one[_name(*way)] for one in got], long) for way in SHORT
            ]
            for way in _OTHER_WAYS:
                rows.append(_row("averaged", way, [one[_name(*way)] for one in averaged], long))
            _print(f"{data}, the default space", rows, len(got))
        if len(compact) >= _LEAST:
            long = [one["long"] for one in compact]
            rows = [
                _row(name, way, [one[name][_name(*way)] for one in compact], long)
                for name in RECIPES_OF_COMPACT
                for way in _OTHER_WAYS
            ]
            _print(f"{data}, the space of compact", rows, len(compact))


def _row(
    title: str,
    way: tuple[int, int],
    short: Sequence[Mapping[str, float]],
    long: Sequence[Mapping[str, float]],
) -> tuple[str, ...]:
    accuracies = [[one["accuracy"] for one in some] for some in (short, long)]
    rank = f"{spearmanr(*accuracies).statistic:.2f}"
    seconds = f"{np.median([one['seconds'] for one in short]):.1f}"
    return (title, _name(*way), f"{way[0] * way[1]:,}", rank, seconds)


def _print(title: str, rows: Sequence[tuple[str, ...]], num_networks: int) -> None:
    print_table(
        f"{title}: rank correlation with {LONG_EPOCHS} epochs on all training images,"
        f" n = {num_networks} networks",
        ("training", "images × epochs", "image passes", "Spearman", "seconds (median)"),
        rows,
    )


def _measure(data: str, number: int, precision: Precision) -> dict[str, Any]:
    space, topology = _drawn(data, number)
    workplace = images_of(data).setup(0, "cpu")
    found: dict[str, Any] = {"parameters": space.cost(topology).parameters}
    for way in SHORT:
        found[_name(*way)] = _train(workplace, topology, precision, *way)
    found["long"] = _train(workplace, topology, precision, None, LONG_EPOCHS)
    return found


def _measure_averaged(data: str, number: int, precision: Precision) -> dict[str, Any]:
    _, topology = _drawn(data, number)
    workplace = images_of(data).setup(0, "cpu")
    return {
        _name(*way): _train(workplace, topology, precision, *way, AVERAGED) for way in _OTHER_WAYS
    }


def _measure_compact(data: str, number: int, precision: Precision) -> dict[str, Any]:
    space, topology = _drawn(data, number, COMPACT.space, _MAX_MACS_OF_COMPACT)
    workplace = images_of(data).setup(0, "cpu")
    found: dict[str, Any] = {"parameters": space.cost(topology).parameters}
    for name, recipe in RECIPES_OF_COMPACT.items():
        found[name] = {
            _name(*way): _train(workplace, topology, precision, *way, recipe) for way in _OTHER_WAYS
        }
    found["long"] = _train(workplace, topology, precision, None, LONG_EPOCHS)
    return found


_KINDS: Mapping[str, Callable[[str, int, Precision], dict[str, Any]]] = {
    "": _measure,
    " averaged": _measure_averaged,
    " compact": _measure_compact,
}


def _drawn(
    data: str,
    number: int,
    options: SpaceOptions = SpaceOptions(normalisation="batch"),  # noqa: B008  frozen
    max_macs: int = _MAX_MACS,
) -> tuple[TopologySpace, Topology]:
    """Return the space on these images, and its random topology of a number."""
    image_set = images_of(data).image_set
    space = TopologySpace(
        options, image_set.input_shape, len(image_set.classes), Limits(max_macs=max_macs)
    )
    rng = stream(0, Purpose.BIRTH, number)
    return space, space.repair(space.sample(rng), rng)


def _train(
    workplace: Workplace,
    topology: Topology,
    precision: Precision,
    size: int | None,
    epochs: int,
    recipe: Recipe = Recipe(),  # noqa: B008  frozen
) -> dict[str, float]:
    training, validation = workplace.splits.folds[0]
    labels = workplace.image_set.labels
    full = FullTraining(
        subject=Subject(architecture=topology),
        seed=1 if size is None else 0,
        setting=TrainingSetting(recipe=recipe, augmentation=Augmentation(), precision=precision),
        epochs=epochs,
        time_limit_s=None,
    )
    subset = stratified_subset(training, labels, size)
    network, reports = full.on(subset, workplace, Patient())
    accuracy = measures_on(network, validation, workplace, precision, Patient())["accuracy"]
    return {"accuracy": accuracy, "seconds": reports[-1].seconds}


def _name(images: int, epochs: int) -> str:
    return f"{images:,} × {epochs}"


if __name__ == "__main__":
    run(sys.argv[1:])
    tables()
