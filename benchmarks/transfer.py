"""Evolved transfer against what people do with few images: NEU with 10, 30, 100 images per class.

``evoconv pretrain`` trains the small DenseNet on CIFAR-10 once; its time is told beside the tables.
Each cell is one way with one number of images and one seed, in a process of its own, all with the
same time: evolved transfer, the whole backbone with a new classifier (all learn at 0.001, from
images as they are, or shifted as in the final training of evolved transfer), a new classifier alone
(linear probe), the backbone from scratch, and ``evolve``. One half of NEU is the test, for all; of
the other half, which defaults may be chosen on, a seed draws the training images of a cell, so the
ways are compared in pairs.

``searches`` compares methods at the same number of evaluations. ``features`` is the time of a trial
with 18 frozen layers of DenseNet-121, with and without shared outputs of frozen layers.
"""

import random
import tarfile
import tempfile
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from math import sqrt
from pathlib import Path
from statistics import fmean, median, stdev
from typing import Any

import torch
from torch import Tensor

from benchmarks.accuracy import percent, run_evoconv, source_of
from benchmarks.cells import Cells, print_table, setting
from benchmarks.evaluations import Patient
from evoconv.artifacts import WeightFiles
from evoconv.configure import configure
from evoconv.data.augmentation import Augmentation
from evoconv.data.batches import Standardisation
from evoconv.data.cache import cache_root
from evoconv.data.sources import DataOptions, load_image_set
from evoconv.data.splits import SplitOptions, search_splits
from evoconv.genomes.constraints import Limits
from evoconv.genomes.vector import Vector
from evoconv.networks.backbone import find_backbone
from evoconv.networks.weights import tensors_to_bytes
from evoconv.problems.candidate import Plan
from evoconv.problems.evaluation import Evaluate
from evoconv.problems.objectives import OBJECTIVES
from evoconv.problems.options import SavingOptions
from evoconv.problems.training import TrainingSetting
from evoconv.problems.transfer import TransferProblem
from evoconv.problems.transfer_options import TransferOptions
from evoconv.problems.workplace import OpenWorkplace
from evoconv.training.precision import Precision
from evoconv.training.stopping import StoppingOptions

TIME = setting("EVOCONV_TIME", "4m")
PRETRAINING = setting("EVOCONV_PRETRAINING", "8m")
REPEATS = int(setting("EVOCONV_REPEATS", "3"))
EVALUATIONS = int(setting("EVOCONV_EVALUATIONS", "40"))

PER_CLASS = (10, 30, 100)
_NUM_TEST = 150  # per class
_METHODS = ("sync", "annealing", "random")
_COMPARED_AT = 30  # images per class, for the methods

_LARGE, _FROZEN, _SIDE, _TRIALS = "densenet121", 18, 64, 3
_INCLUDED = (19, 28, 42)

_EVOLVED = "evolved transfer"


def _one_plan(frozen: int, rate: float) -> list[str]:
    """Return options that leave a single plan of all 18 layers, trained once."""
    ranges = {
        "included-range": "18,18",
        "frozen-range": f"{frozen},{frozen}",
        "rate-range": f"{rate},{rate}",
        "dropout-range": "0,0",
    }
    words = [word for name, ends in ranges.items() for word in (f"--{name}", ends)]
    words += ["--no-squeeze-excitation", "--rate-in-full", "100"]
    return [*words, "--evaluations", "1", "--method", "random"]


# The command, its options; transfers get the weights.
_WAYS: Mapping[str, tuple[str, list[str]]] = {
    _EVOLVED: ("transfer", []),
    "all layers, 0.001": ("transfer", [*_one_plan(0, 1e-3), "--shift", "0"]),
    "all layers, 0.001, shifted": ("transfer", _one_plan(0, 1e-3)),
    "linear probe": ("transfer", [*_one_plan(18, 1e-2), "--shift", "0"]),
    "from scratch": ("pretrain", []),
    "evolve": ("evolve", []),
}


def run() -> None:
    """Measure the missing cells."""
    if (source := source_of("neu-cls")) is None:
        print("transfer: left out: EVOCONV_DATA holds no neu-cls.tar")
        return
    cells = Cells("transfer")
    with tempfile.TemporaryDirectory() as folder:
        images = _Images(Path(source), Path(folder))
        weights = _Weights(cells)
        for seed in range(REPEATS):
            for per_class in PER_CLASS:
                for way in _WAYS:
                    measure = partial(_way, way, images, weights, per_class, seed)
                    cells.measure(f"{per_class} {way} {seed}", measure)
        for seed in range(REPEATS):
            for method in _METHODS:
                search = partial(_search, method, images, weights, seed)
                cells.measure(f"searches {method} {seed}", search)
        for way in ("shared", "computed"):
            cells.measure(f"features {way}", partial(_features, way, images))


def tables() -> None:
    """Print the tables of the stored cells."""
    cells = Cells("transfer")
    _print_ways(cells)
    _print_searches(cells)
    features = [cells.get(f"features {way}") for way in ("shared", "computed")]
    shared, computed = features
    if shared is not None and computed is not None:
        rows = []
        for included in _INCLUDED:
            one, other = (median(got["seconds"][str(included)]) for got in (shared, computed))
            rows.append((included, f"{one:.2f}", f"{other:.2f}", f"{other / one:.1f}"))
        print_table(
            f"Seconds per trial with {_FROZEN} frozen layers of DenseNet-121,"
            f" {_SIDE}×{_SIDE} pixels (medians of {_TRIALS})",
            ("layers included", "outputs shared", "computed in each epoch", "ratio"),
            rows,
        )


def _print_ways(cells: Cells) -> None:
    pretrained = cells.get("pretrained")
    rows = []
    for per_class in PER_CLASS:
        evolved = cells.repeats(f"{per_class} {_EVOLVED}")
        for way in _WAYS:
            got = cells.repeats(f"{per_class} {way}")
            if not got:
                continue
            pairs = [
                100 * (one["test_accuracy"] - other["test_accuracy"])
                for one, other in zip(evolved, got, strict=False)
            ]
            rows.append(
                (
                    *(per_class, way, percent([one["test_accuracy"] for one in got])),
                    "" if way == _EVOLVED else _difference(pairs),
                    f"{fmean(one['parameters'] for one in got):,.0f}",
                    f"{fmean(one['evaluations'] for one in got):.0f}",
                    len(got),
                )
            )
    spent = "" if pretrained is None else f"; pretraining took {pretrained['seconds']:.0f} s more"
    print_table(
        f"NEU, {TIME} each{spent}: test accuracy in percent (mean ± deviation, extremes)",
        (
            *("images per class", "way", "accuracy", "evolved transfer's lead (± standard error)"),
            *("parameters", "evaluations", "n"),
        ),
        rows,
    )


def _print_searches(cells: Cells) -> None:
    rows = []
    for method in _METHODS:
        if got := cells.repeats(f"searches {method}"):
            losses = [one["validation_cross_entropy"] for one in got]
            rows.append(
                (
                    method,
                    f"{fmean(losses):.4f} ({min(losses):.4f}–{max(losses):.4f})",
                    percent([one["test_accuracy"] for one in got]),
                    len(got),
                )
            )
    print_table(
        f"{EVALUATIONS} evaluations, {_COMPARED_AT} images per class: best validation"
        " cross-entropy (mean, extremes)",
        ("method", "cross-entropy", "test accuracy %", "n"),
        rows,
    )


def _difference(pairs: Sequence[float]) -> str:
    if len(pairs) < 2:
        return f"{fmean(pairs):+.2f}" if pairs else ""
    return f"{fmean(pairs):+.2f} ± {stdev(pairs) / sqrt(len(pairs)):.2f}"


class _Images:
    """NEU with few training images: drawn by a seed, as folders of classes."""

    def __init__(self, archive: Path, folder: Path) -> None:
        self._archive, self._folder = archive, folder

    def drawn(self, per_class: int, seed: int) -> Path:
        """Return the folder; each class has ``_NUM_TEST`` test images, always the same."""
        target = self._folder / f"neu-{per_class}-{seed}"
        if target.exists():
            return target
        by_class = defaultdict(list)
        with tarfile.open(self._archive) as tar:
            for member in tar.getmembers():
                if member.isfile():
                    by_class[Path(member.name).parent.name].append(member)
            for name, members in sorted(by_class.items()):
                order = sorted(members, key=lambda one: one.name)
                random.Random(f"test {name}").shuffle(order)
                tested, others = order[:_NUM_TEST], order[_NUM_TEST:]
                random.Random(f"{seed} {name}").shuffle(others)
                parts = {"test": tested, "train": others[:per_class]}
                for part, chosen in parts.items():
                    home = target / part / name
                    home.mkdir(parents=True)
                    for one in chosen:
                        content = tar.extractfile(one)
                        assert content is not None, "it is a file"
                        (home / Path(one.name).name).write_bytes(content.read())
        return target


class _Weights:
    """The small DenseNet trained on CIFAR-10, once; it stays in the cache of images."""

    def __init__(self, cells: Cells) -> None:
        self._folder = cache_root() / f"benchmarks-pretrained-{PRETRAINING}"
        self._cells = cells

    def made(self) -> str:
        """Return the folder."""
        if not (self._folder / "result.json").exists():
            words = ["pretrain", "cifar10", "--time", PRETRAINING, "--seed", "0"]
            started = time.perf_counter()
            found = run_evoconv(*words, "--out", str(self._folder))
            self._cells.measure(
                "pretrained",
                lambda: {
                    "command": f"evoconv {' '.join(words)}",
                    "seconds": time.perf_counter() - started,
                    "test_accuracy": found["test_accuracy"],
                },
            )
        return str(self._folder)


def _way(way: str, images: _Images, weights: _Weights, per_class: int, seed: int) -> dict[str, Any]:
    command, options = _WAYS[way]
    words = [*options, "--time", TIME, "--no-baseline"]
    if command == "transfer":
        words += ["--weights", weights.made()]
    return _study(command, images.drawn(per_class, seed), words, seed)


def _search(method: str, images: _Images, weights: _Weights, seed: int) -> dict[str, Any]:
    words = ["--method", method, "--evaluations", str(EVALUATIONS), "--no-baseline"]
    source = images.drawn(_COMPARED_AT, seed)
    return _study("transfer", source, [*words, "--weights", weights.made()], seed)


def _features(way: str, images: _Images) -> dict[str, Any]:
    """Return seconds of evaluations, after a first one, by how many layers they include."""
    torch.set_num_threads(1)
    options = DataOptions(image_size=str(_SIDE))
    image_set = load_image_set(images.drawn(_COMPARED_AT, 0), options, notify=print)
    splits = search_splits(image_set, SplitOptions(), 0)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "pretrained.safetensors"
        backbone = find_backbone(_LARGE)
        whole = backbone.build(1, 2, included=backbone.num_layers, excited_from=None, dropout=0.0)
        file.write_bytes(tensors_to_bytes(_without_head(whole.state_dict())))
        workplace = OpenWorkplace(
            folder=image_set.folder,
            splits=splits,
            standardisation=Standardisation.of(image_set.images, splits.training),
            features=Path(folder) / "features",
            feature_cache=2_000_000_000 if way == "shared" else 0,
        )(0, "cpu")
        problem = TransferProblem(
            backbone=_LARGE,
            pretrained=file,
            options=TransferOptions(),
            input_shape=image_set.input_shape,
            num_classes=len(image_set.classes),
            limits=Limits(),
        )
        wanted = {"weights": str(file), "image_passes": 2_000}
        if way == "computed":  # not even once per training
            wanted["freeze_cache"] = 0
        recipe = configure("neu", wanted, command="transfer").training
        seconds: dict[int, list[float]] = {included: [] for included in _INCLUDED}
        # The first one computes the outputs for the others, and doesn't count.
        for number, included in enumerate([_INCLUDED[0], *(_INCLUDED * _TRIALS)]):
            genome = Vector((included, _FROZEN, 1e-3, 0.5))
            plan = Plan(
                subject=problem.subject(genome),
                cost=problem.cost(genome),
                setting=TrainingSetting(
                    recipe=recipe, augmentation=Augmentation(shift=0.0), precision=Precision()
                ),
                weights=WeightFiles(Path(folder) / "weights"),
                objective=OBJECTIVES["cross-entropy"],
                stopping=StoppingOptions(),
                saving=SavingOptions(),
            )
            started = time.perf_counter()
            Evaluate(number=number, seed=number, plan=plan)(workplace, Patient())
            if number > 0:
                seconds[included].append(time.perf_counter() - started)
    return {"seconds": seconds, "image_side": _SIDE}


def _without_head(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {
        name: one
        for name, one in tensors.items()
        if not name.startswith("classifier") and "num_batches" not in name
    }


def _study(command: str, source: Path, options: list[str], seed: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        words = [command, str(source), *options, "--seed", str(seed)]
        result = run_evoconv(*words, "--out", str(Path(folder) / "run"))
    names = (
        *("test_accuracy", "validation_accuracy", "validation_cross_entropy", "parameters"),
        *("macs", "evaluations", "seconds", "genome", "kept"),
    )
    return {"command": f"evoconv {' '.join(words)}", **{name: result[name] for name in names}}
