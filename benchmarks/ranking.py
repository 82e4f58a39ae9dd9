"""Does the short evaluation of a search rank networks as a long training does?

Random topologies of the default space, within the limit that a ten-minute study sets itself, are
trained shortly, in several ways, and long, from scratch, on the same training images; all are
validated on the same validation images, never on the test. Short ways are the one-cycle schedule of
the recipe ``fast``, a constant rate with averaged weights, and the recipe ``compact``. A cell is
one topology in one kind of schedule. The table gives Spearman's rank correlation of the short
accuracies with the long one, and what the short one cost. A recipe that can't rank is worthless.
"""

import sys
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr

from benchmarks.cells import Cells, print_table, setting
from benchmarks.evaluations import Patient, images_of, stored_precision
from evoconv.config import configure
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
DATA = ("mnist", "fashion-mnist")

# Images of the subset, epochs on them.
SHORT = ((6_250, 1), (6_250, 2), (12_500, 1), (12_500, 2), (25_000, 1), (12_500, 4))
OTHERS: Mapping[str, Recipe] = {
    "averaged": Recipe(schedule="constant", weight_average=0.995),
    "compact": configure("mnist", {}, method="compact", seed=0).training,
}
_OTHER_WAYS = ((12_500, 2), (12_500, 4))
LONG_EPOCHS = 8
_MAX_MACS = 4_000_000


def run(only: Sequence[str] = ()) -> None:
    """Measure the missing cells; ``only`` some data sets, to share the work between processes."""
    torch.set_num_threads(1)
    cells = Cells("ranking")
    precision = stored_precision(cells)
    for data in DATA:
        if only and data not in only:
            continue
        for number in range(NETWORKS):
            cells.measure(f"{data} {number}", partial(_measure, data, number, precision))
            for name, recipe in OTHERS.items():
                other = partial(_measure_other, recipe, data, number, precision)
                cells.measure(f"{data} {name} {number}", other)


def tables() -> None:
    """Print the table of the stored cells."""
    cells = Cells("ranking")
    for data in DATA:
        got = cells.repeats(data)
        if len(got) < 3:
            continue
        long = [one["long"]["accuracy"] for one in got]
        rows = []
        others = ((name, _OTHER_WAYS, cells.repeats(f"{data} {name}")) for name in OTHERS)
        for title, ways, cell in (("one-cycle", SHORT, got), *others):
            for images, epochs in ways if len(cell) == len(got) else ():
                name = _name(images, epochs)
                short = [one[name]["accuracy"] for one in cell]
                seconds = float(np.median([one[name]["seconds"] for one in cell]))
                rank = f"{spearmanr(short, long).statistic:.2f}"
                rows.append((title, name, f"{images * epochs:,}", rank, f"{seconds:.1f}"))
        print_table(
            f"{data}: rank correlation with {LONG_EPOCHS} epochs on all training images,"
            f" n = {len(got)} networks",
            ("schedule", "images × epochs", "image passes", "Spearman", "seconds (median)"),
            rows,
        )


def _measure(data: str, number: int, precision: Precision) -> dict[str, Any]:
    space, topology = _drawn(data, number)
    workplace = images_of(data).setup(0, "cpu")
    found: dict[str, Any] = {"parameters": space.cost(topology).parameters}
    for size, epochs in SHORT:
        found[_name(size, epochs)] = _train(workplace, topology, precision, size, epochs)
    found["long"] = _train(workplace, topology, precision, None, LONG_EPOCHS)
    return found


def _measure_other(recipe: Recipe, data: str, number: int, precision: Precision) -> dict[str, Any]:
    _, topology = _drawn(data, number)
    workplace = images_of(data).setup(0, "cpu")
    return {
        _name(size, epochs): _train(workplace, topology, precision, size, epochs, recipe)
        for size, epochs in _OTHER_WAYS
    }


def _drawn(data: str, number: int) -> tuple[TopologySpace, Topology]:
    """Return the default space on these images, and its random topology of a number."""
    image_set = images_of(data).image_set
    space = TopologySpace(
        SpaceOptions(normalisation="batch"),
        image_set.input_shape,
        len(image_set.classes),
        Limits(max_macs=_MAX_MACS),
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
