"""How small LeNet-5 becomes: the published setting with every optimiser, and everything on.

The base networks, ReLU and tanh, are trained once, without the validation images, and stay in the
cache of images. ``published``: nothing is trained, numbers of clusters only, 400 evaluations by
each optimiser; the front of the true ratio against the validation accuracy, its hypervolume, and
the best ratio that costs at most a point there. ``all on``: pruning and training, ``EVOCONV_TIME``
each, for a loss of half a point and of a tenth. The file of the best is read in a fresh process and
tested once.
"""

import tempfile
from collections.abc import Mapping
from contextlib import closing
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np

import evoconv
from benchmarks.accuracy import percent, source_of
from benchmarks.cells import Cells, print_table, setting
from benchmarks.evaluations import Patient, images_of
from evoconv.data.augmentation import Augmentation
from evoconv.data.cache import cache_root
from evoconv.evolution.pareto import hypervolume
from evoconv.genomes.architecture import read_genome
from evoconv.genomes.reference import REFERENCES
from evoconv.networks.weights import weights_to_bytes
from evoconv.problems.subject import Subject
from evoconv.problems.training import FullTraining, TrainingSetting, measures_on
from evoconv.study.storage import Storage
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision

TIME = setting("EVOCONV_TIME", "15m")
REPEATS = int(setting("EVOCONV_REPEATS", "3"))
EVALUATIONS = int(setting("EVOCONV_EVALUATIONS", "400"))

NETWORKS = ("lenet5", "lenet5-tanh")
# Published, true ratio over all parameters at the best codebook's bits; and those bits.
_PUBLISHED: Mapping[str, tuple[float, int]] = {"lenet5": (10.96, 32), "lenet5-tanh": (16.15, 16)}
_OPTIMISERS: Mapping[str, dict[str, Any]] = {
    "genetic algorithm": {"method": "sync", "parent_selection": "roulette"},
    "swarm": {"method": "swarm"},
    "black hole": {"method": "black-hole"},
    "nsga2": {"method": "nsga2"},
    "random": {"method": "random"},
}
_DROPS = (0.005, 0.001)
_BASE_EPOCHS = 30


def run() -> None:
    """Measure the missing cells."""
    if source_of("mnist") is None:
        print("compression: left out: EVOCONV_DATA holds no mnist")
        return
    cells = Cells("compression")
    for network in NETWORKS:
        base = _base(network, cells)
        for seed in range(REPEATS):
            for optimiser in _OPTIMISERS:
                measure = partial(_published, network, optimiser, base, seed)
                cells.measure(f"published {network} {optimiser} {seed}", measure)
        for drop in _DROPS:
            for seed in range(REPEATS):
                measure = partial(_all_on, network, drop, base, seed)
                cells.measure(f"all on {network} {100 * drop:g} {seed}", measure)


def tables() -> None:
    """Print the tables of the stored cells."""
    cells = Cells("compression")
    rows: list[tuple[object, ...]] = []
    for network in NETWORKS:
        for optimiser in _OPTIMISERS:
            if got := cells.repeats(f"published {network} {optimiser}"):
                rows.append(
                    (
                        *(network, optimiser, _PUBLISHED[network][0]),
                        _figures([one["ratio_formula"] for one in got], ".2f"),
                        _figures([one["hypervolume"] for one in got], ".2f"),
                        percent([one["test_accuracy"] for one in got]),
                        percent([one["base_test_accuracy"] for one in got]),
                        len(got),
                    )
                )
    print_table(
        f"Numbers of clusters only, {EVALUATIONS} evaluations: best true ratio at a point of"
        " validation accuracy (mean, extremes)",
        (
            *("network", "optimiser", "published", "ratio", "hypervolume"),
            *("test accuracy %", "before %", "n"),
        ),
        rows,
    )
    rows = []
    for network in NETWORKS:
        for drop in _DROPS:
            if got := cells.repeats(f"all on {network} {100 * drop:g}"):
                losses = [100 * (one["base_test_accuracy"] - one["test_accuracy"]) for one in got]
                rows.append(
                    (
                        *(network, f"{100 * drop:g}"),
                        _figures([one["bytes"] for one in got], ",.0f"),
                        _figures([one["ratio_bytes"] for one in got], ".1f"),
                        _figures(losses, ".2f"),
                        percent([one["test_accuracy"] for one in got]),
                        sum(one["target_reached"] for one in got),
                        len(got),
                    )
                )
    print_table(
        f"Everything on, {TIME} each (mean, extremes)",
        (
            *("network", "points allowed", "bytes of the file", "ratio", "points lost on test"),
            *("test accuracy %", "of them allowed on validation", "n"),
        ),
        rows,
    )


def _figures(values: list[float], form: str) -> str:
    return f"{fmean(values):{form}} ({min(values):{form}}–{max(values):{form}})"


def _base(network: str, cells: Cells) -> Path:
    """Return the file of a base's weights; it is trained where there is none."""
    file = cache_root() / f"benchmarks-{network}-{_BASE_EPOCHS}.safetensors"

    def train() -> dict[str, Any]:
        images = images_of("mnist")
        workplace = images.setup(0, "cpu")
        training, validation = workplace.splits.folds[0]
        full = FullTraining(
            subject=Subject(architecture=REFERENCES[network].topology),
            seed=0,
            setting=TrainingSetting(
                recipe=Recipe(), augmentation=Augmentation(), precision=Precision()
            ),
            epochs=_BASE_EPOCHS,
            time_limit_s=None,
        )
        trained, reports = full.on(training, workplace, Patient())
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(weights_to_bytes(trained))
        accuracy = measures_on(trained, validation, workplace, Precision(), Patient())["accuracy"]
        return {"validation_accuracy": accuracy, "seconds": reports[-1].seconds}

    if not file.is_file():
        figures = train()
        cells.measure(f"base {network}", lambda: figures)
    return file


def _published(network: str, optimiser: str, base: Path, seed: int) -> dict[str, Any]:
    return _study(
        network,
        seed,
        **_OPTIMISERS[optimiser],
        recipe="untrained",
        evaluations=EVALUATIONS,
        max_accuracy_drop=0.01,
        codebook_bits=_PUBLISHED[network][1],
        base_weights=str(base),
    )


def _all_on(network: str, drop: float, base: Path, seed: int) -> dict[str, Any]:
    return _study(network, seed, time=TIME, max_accuracy_drop=drop, base_weights=str(base))


def _study(network: str, seed: int, **options: Any) -> dict[str, Any]:
    # The splits are those that the base was trained with, whatever the seed.
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        found = evoconv.compress(network, "mnist", out=run, seed=seed, split_seed=0, **options)
        summary = found.summary
        with closing(Storage.open(run, read_genome)) as storage:
            measured = [
                one.individual.measurement.values
                for one in storage.trials()
                if one.individual.measurement is not None
            ]
    points = [(one["ratio_formula"], one["validation_accuracy"]) for one in measured]
    names = (
        *("bytes", "ratio_bytes", "ratio_formula", "ratio_layer_mean", "test_accuracy"),
        *("base_test_accuracy", "validation_accuracy", "target_reached", "genome"),
        *("evaluations", "seconds"),
    )
    return {
        **{name: summary[name] for name in names},
        # Of ratios above 1 and accuracies above 0.9.
        "hypervolume": hypervolume(np.array(points), np.array([1.0, 0.9])),
        "front": _front(points),
    }


def _front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    best, front = 0.0, []
    for ratio, accuracy in sorted(points, reverse=True):
        if accuracy > best:
            best = accuracy
            front.append((round(ratio, 3), accuracy))
    return front
