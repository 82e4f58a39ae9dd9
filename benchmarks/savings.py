"""What inheritance, freezing and early stopping are worth, together and alone.

The same search of ``compact`` (same seeds, an evaluation budget, two workers) with everything on,
with everything off, and once with each saving alone. 'Off' trains every candidate from scratch for
the number of epochs at which the median random candidate stops improving, which is measured first:
no gain of 0.1 points of validation accuracy in two epochs of 12,500 images. All arms average
weights. An arm that does not inherit trains at most as long as 'off'; one that does, four epochs of
about a twentieth of the images that 'off' sees, for its lines go on learning. Freezing needs
inherited layers, so it is measured beside inheritance alone. Compared are image passes, seconds of
training, validation accuracies, and the test accuracy of the final network, trained alike in all
arms: every cell tests one network. Aim: a fifth of the image passes at no loss. (On Fashion-MNIST
'on' was first measured with epochs as short as MNIST's: those cells are kept as 'on, 5,500'. There
'on, finalists' trains candidates a third shorter instead, and two finalists in full, which count.)
"""

import tempfile
from collections.abc import Mapping
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean, median
from typing import Any

import evoconv
from benchmarks.cells import Cells, print_table, setting
from benchmarks.evaluations import images_of
from evoconv.records import Measurement

SEEDS = int(setting("EVOCONV_SEEDS", "3"))
EVALUATIONS = int(setting("EVOCONV_EVALUATIONS", "60"))

DATA = ("mnist", "fashion-mnist")

_MAX_MACS = 600_000
_LONGEST = 40  # epochs
_PATIENCE = 2
_FINAL_EPOCHS = 8
_EPOCH = 12_500  # images
# Four of these are a little less than a fifth of what 'off' trains on: 9 and 16 epochs.
_EPOCH_OF_HEIRS = {"mnist": 5_500, "fashion-mnist": 9_800}
_NO_STOPPING = {
    name: "unset" for name in ("epoch_patience", "divergence", "guessing_epochs", "optimism")
}
_NO_INHERITANCE = {"inherit": False, "freeze_share": 0.0, "train_images": _EPOCH}
_ARMS: Mapping[str, Mapping[str, Any]] = {
    "on": {},
    "off": {**_NO_STOPPING, **_NO_INHERITANCE},
    "stopping alone": _NO_INHERITANCE,
    "inheritance alone": {**_NO_STOPPING, "freeze_share": 0.0},
    "inheritance and freezing": _NO_STOPPING,
    "on, finalists": {"train_images": 6_600, "finalists": 2},
}
# By the aim: so often as there are seeds, the others once.
_COMPARED = ("on", "off", "on, finalists")


def run() -> None:
    """Measure the missing cells."""
    cells = Cells("savings")
    epochs = {
        data: cells.measure(f"{data} epochs", partial(_median_epochs, data))["epochs"]
        for data in DATA
    }
    # The arms that the aim compares come first.
    for arm, seed, data in product(_ARMS, range(SEEDS), DATA):
        is_left_out = arm == "on, finalists" and data == "mnist"
        if is_left_out or (arm not in _COMPARED and seed > 0):
            continue
        cells.measure(f"{data} {arm} {seed}", partial(_search, data, arm, seed, epochs[data]))


def tables() -> None:
    """Print a table of the stored cells for each set of images."""
    cells = Cells("savings")
    for data in DATA:
        plain = cells.get(f"{data} epochs")
        off = cells.repeats(f"{data} off")
        if plain is None or not off:
            continue
        whole = fmean(one["image_passes"] for one in off)
        rows = []
        for arm in (*_ARMS, "on, 5,500"):
            if got := cells.repeats(f"{data} {arm}"):
                rows.append(
                    (
                        arm,
                        f"{fmean(one['image_passes'] for one in got) / whole:.2f}",
                        f"{fmean(one['training_seconds'] for one in got):,.0f}",
                        *(
                            f"{100 * fmean(one[name] for one in got):.2f}"
                            for name in ("best", "median", "test_accuracy")
                        ),
                        len(got),
                    )
                )
        print_table(
            f"{data}: {EVALUATIONS} evaluations; 'off' trains {plain['epochs']} epochs",
            (
                *("savings", "image passes / off", "seconds of training"),
                *("best validation %", "median", "test %", "n"),
            ),
            rows,
        )


def _median_epochs(data: str) -> dict[str, Any]:
    """Return after how many epochs the median of random candidates stops improving."""
    result = _evolve(
        data,
        method="random",
        evaluations=24,
        seed=1_000,
        epochs=_LONGEST,
        optimism="unset",
        guessing_epochs="unset",
        epoch_patience=_PATIENCE,
        min_improvement=0.001,
        final="evolved",
        **_NO_INHERITANCE,
    )
    # Those epochs that brought nothing are not counted.
    lengths = [
        len(one.curve) - (_PATIENCE if len(one.curve) < _LONGEST else 0)
        for one in _measurements(result)
    ]
    return {"epochs": round(median(lengths)), "lengths": lengths}


def _search(data: str, arm: str, seed: int, epochs: int) -> dict[str, Any]:
    inherits = _ARMS[arm].get("inherit", True)
    longest = {} if inherits else {"epochs": epochs}
    result = _evolve(data, evaluations=EVALUATIONS, seed=seed, **longest, **_ARMS[arm])
    values = [one.values for one in _measurements(result)]
    accuracies = [one["validation_accuracy"] for one in values]
    in_full = len(images_of(data).setup.splits.folds[0][0]) * _FINAL_EPOCHS
    return {
        "image_passes": sum(one["image_passes"] for one in values)
        + in_full * len(result.summary["finalists"]),
        "training_seconds": sum(one["training_seconds"] for one in values),
        "best": max(accuracies),
        "median": median(accuracies),
        "test_accuracy": result.summary["test_accuracy"],
        "parameters": result.summary["parameters"],
        "savings": result.summary["savings"],
    }


def _evolve(data: str, **options: Any) -> evoconv.Result:
    settings: dict[str, Any] = {
        "method": "compact",
        "recipe": "compact",
        "train_images": _EPOCH_OF_HEIRS[data],
        "max_macs": _MAX_MACS,
        "max_trainings": 1,
        "finalists": 0,
        "try_augmentations": False,
        "final_epochs": _FINAL_EPOCHS,
        "baseline": False,
        "workers": 2,
    }
    with tempfile.TemporaryDirectory() as folder:
        result = evoconv.evolve(data, out=Path(folder) / "run", **(settings | options))
        # Read before the folder goes.
        assert result.summary
        assert result.trials
    return result


def _measurements(result: evoconv.Result) -> list[Measurement]:
    """Return what was measured by training, copies left out."""
    return [
        one.individual.measurement
        for one in result.trials
        if one.individual.measurement is not None and one.individual.copy_of is None
    ]
