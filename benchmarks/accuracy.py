"""The headline: what ``evoconv evolve`` reaches in its time on real images, and its baseline.

Each cell is one command line in a process of its own, with no option but the data, the time and the
seed. Aims for ten minutes on two cores: 99.3 % on MNIST and 91.5 % on Fashion-MNIST.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmarks.cells import Cells, print_table, setting

REPEATS = int(setting("EVOCONV_REPEATS", "1"))
TIME = setting("EVOCONV_TIME", "10m")

DATA = ("mnist", "fashion-mnist", "neu-cls")
_KEPT = (
    *("test_accuracy", "test_balanced_accuracy", "baseline_test_accuracy", "validation_accuracy"),
    *("parameters", "macs", "memory_bytes", "baseline_parameters", "evaluations", "failed"),
    *("seconds", "worker_busy", "kept", "latency_s", "precision", "genome"),
)


def run() -> None:
    """Measure the missing cells."""
    cells = Cells("accuracy")
    for seed in range(REPEATS):
        for data in DATA:
            if (source := source_of(data)) is None:
                print(f"accuracy: {data} is left out: EVOCONV_DATA holds no {data}.tar")
                continue
            words = ["--time", TIME]
            cells.measure(f"{data} {seed}", partial(evolve_in_a_process, source, words, seed))


def tables() -> None:
    """Print the table of the stored cells."""
    cells = Cells("accuracy")
    rows = []
    for data in DATA:
        got = cells.repeats(data)
        if not got:
            continue
        rows.append(
            (
                data,
                percent([one["test_accuracy"] for one in got]),
                percent([one["baseline_test_accuracy"] for one in got]),
                *(_mean(got, name) for name in ("parameters", "macs", "evaluations")),
                f"{100 * fmean(one['worker_busy'] for one in got):.1f}",
                _mean(got, "wall_s"),
                len(got),
            )
        )
    print_table(
        "Test accuracy in percent (mean ± deviation, extremes) of evoconv evolve DATA; other means",
        (
            *("data", "evolved", "baseline", "parameters", "macs", "evaluations", "busy %"),
            *("seconds", "n"),
        ),
        rows,
    )


def source_of(data: str) -> str | None:
    """Return what to write on the command line, or None where the images are missing."""
    if data != "neu-cls":  # the others are known names
        return data
    path = Path(os.environ.get("EVOCONV_DATA", ".")) / "neu-cls.tar"
    return str(path) if path.exists() else None


def evolve_in_a_process(source: str, options: list[str], seed: int) -> dict[str, Any]:
    """Return the figures of a study by the command line, its command, and the seconds it took."""
    words = ("evolve", source, *options, "--seed", str(seed))
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        result = run_evoconv(*words, "--out", str(Path(folder) / "run"))
        wall_s = time.perf_counter() - started
    return {
        "command": f"evoconv {' '.join(words).replace(source, Path(source).name)} --json",
        **{name: result[name] for name in _KEPT},
        "wall_s": wall_s,
    }


def run_evoconv(*words: str) -> dict[str, Any]:
    """Return the figures that a command line prints as JSON, in a process of its own.

    Raises:
        RuntimeError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", "evoconv", *words, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(words)}: exit code {done.returncode}\n{done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    return result


def percent(shares: list[float | None]) -> str:
    """Return the mean with its spread; a baseline row may be missing where time was short."""
    values = [100 * one for one in shares if one is not None]
    if len(values) < 2:
        return f"{values[0]:.2f}" if values else "none"
    return f"{fmean(values):.2f} ± {stdev(values):.2f} ({min(values):.2f}–{max(values):.2f})"


def _mean(cells: list[dict[str, Any]], name: str) -> str:
    return f"{fmean(one[name] for one in cells):,.0f}"
