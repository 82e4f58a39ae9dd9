"""Inherited against reinitialised weights: Mitschke et al., section 4, with ``evoconv retrain``.

Each cell evolves a network by ``gradient`` (``EVOCONV_TIME``) and then trains its architecture from
new weights ``EVOCONV_REPEATS`` times, on the images that the search trained on. Both are judged by
validation images and by test images; the poster's finding is that no new network reaches the
evolved one.
"""

import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.accuracy import percent, run_evoconv, source_of
from benchmarks.cells import Cells, print_table, setting

TIME = setting("EVOCONV_TIME", "10m")
REPEATS = int(setting("EVOCONV_REPEATS", "5"))
DATA = ("fashion-mnist", "neu-cls")

_SEED = 0


def run() -> None:
    """Measure the missing cells."""
    cells = Cells("reinitialised")
    for data in DATA:
        if (source := source_of(data)) is None:
            print(f"reinitialised: {data} is left out: EVOCONV_DATA holds no {data}.tar")
            continue
        cells.measure(f"{data} {TIME}", partial(_measure, source))


def tables() -> None:
    """Print the table of the stored cells."""
    cells = Cells("reinitialised")
    rows = []
    for data in DATA:
        if (got := cells.get(f"{data} {TIME}")) is None:
            continue
        for way in ("evolved", "from scratch"):
            one = got[way]
            accuracies = (percent(one[split]) for split in ("validation", "test"))
            rows.append((data, way, *accuracies, len(one["test"])))
    print_table(
        f"Accuracy in percent of what gradient evolved in {TIME} (mean ± deviation, extremes)",
        ("data", "weights", "validation", "test", "n"),
        rows,
    )


def _measure(source: str) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        run = str(Path(folder) / "run")
        words = ["--method", "gradient", "--time", TIME, "--seed", str(_SEED), "--no-baseline"]
        run_evoconv("evolve", source, *words, "--out", run)
        result = run_evoconv("retrain", run, "--from-scratch", "--repeats", str(REPEATS))
        (figures,) = result["retrained"].values()
    return {
        "n": REPEATS,
        "parameters": result["parameters"],
        "evaluations": result["evaluations"],
        **{
            one["way"]: {split: one[f"{split}_accuracies"] for split in ("validation", "test")}
            for one in figures
        },
    }
