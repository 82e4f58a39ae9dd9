"""Memory of one worker on MNIST beyond the shared images. Aim: at most 600 MB.

The peak, looked at twice a second, of the resident memory that is the worker's alone while it
evaluates a network with the default recipe on fewer images.
"""

import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.cells import Cells, print_table, setting, spread
from benchmarks.evaluations import evaluation, mnist, run_jobs, stored_precision
from evoconv.execution.processes import ProcessExecutor
from evoconv.genomes.reference import REFERENCES, baseline
from evoconv.genomes.topology import Topology
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision

PASSES = int(setting("EVOCONV_PASSES", "4000"))

_REPEATS = 3
NETWORKS = {
    "typical: the baseline": baseline((1, 28, 28), 10),
    "large: the paper's for Fashion-MNIST": REFERENCES["async-fashion-evolved"].topology,
    "large: TensorFlow's tutorial": REFERENCES["tensorflow-tutorial"].topology,
}


def run() -> None:
    """Measure the missing cells."""
    cells = Cells("memory")
    precision = stored_precision(cells)
    for repeat in range(_REPEATS):
        for name, topology in NETWORKS.items():
            cells.measure(f"{name} {repeat}", partial(_measure, topology, precision))


def tables() -> None:
    """Print the table of the stored cells."""
    cells = Cells("memory")
    rows = []
    for name in NETWORKS:
        if not (got := cells.repeats(name)):
            continue
        peaks = [one["peak_memory_bytes"] / 1e6 for one in got]
        rows.append((name, f"{got[0]['parameters']:,}", spread(peaks, ".0f"), len(got)))
    print_table(
        "Memory of a worker on MNIST beyond shared data, MB (median, extremes)",
        ("network", "parameters", "peak", "n"),
        rows,
    )


def _measure(topology: Topology, precision: Precision) -> dict[str, Any]:
    recipe = Recipe(image_passes=PASSES, train_images=PASSES)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(ProcessExecutor(mnist().setup, ("cpu",))) as executor,
    ):
        job = evaluation(0, topology, recipe, precision, Path(folder))
        outcome = run_jobs(executor, [job])[0]
    return {
        "peak_memory_bytes": outcome.peak_memory_bytes,
        "parameters": int(outcome.result.values["parameters"]),
        "macs": int(outcome.result.values["macs"]),
        "seconds": outcome.finished_at - outcome.started_at,
    }
