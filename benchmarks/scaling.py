"""Two one-thread workers beside one: images/s together. Aim: at least 1.8 on two idle cores.

Every task is the same real evaluation of one middle-sized network on MNIST, training and
validation, about ``EVOCONV_TASK_S`` long on one worker. In each pair one worker does one task, and
two workers do one each; the clock runs from the first start to the last end.
"""

import tempfile
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.cells import Cells, print_table, setting, spread
from benchmarks.evaluations import evaluation, mnist, run_jobs, stored_precision
from evoconv.execution.executor import Outcome
from evoconv.execution.processes import ProcessExecutor
from evoconv.genomes.reference import baseline
from evoconv.training.options import Recipe
from evoconv.training.precision import Precision

PAIRS = int(setting("EVOCONV_SCALING_PAIRS", "5"))
TASK_S = float(setting("EVOCONV_TASK_S", "15"))

_IMAGES = 2_000


def run() -> None:
    """Measure the missing cells."""
    cells = Cells("scaling")
    precision = stored_precision(cells)
    length = cells.measure("length", lambda: _length(precision))
    for pair in range(PAIRS):
        cells.measure(f"pair {pair}", partial(_measure, pair, length["epochs"], precision))


def tables() -> None:
    """Print the table of the stored cells."""
    pairs = Cells("scaling").repeats("pair")
    if not pairs:
        return
    columns = [
        spread([one[name] for one in pairs], form)
        for name, form in (("one", ",.0f"), ("two", ",.0f"), ("ratio", ".2f"))
    ]
    print_table(
        "Workers together: images/s of trainings (median, extremes)",
        ("one worker", "two workers", "ratio", "n"),
        [(*columns, len(pairs))],
    )


def _length(precision: Precision) -> dict[str, Any]:
    """Return the epochs that a task takes to last long enough, alone."""
    outcome, again = _run(1, 1, precision), _run(1, 5, precision)
    # Validation, the same in all, is not paid per epoch.
    epoch_s = (_seconds(again) - _seconds(outcome)) / 4
    rest_s = _seconds(outcome) - epoch_s
    return {"epochs": max(1, round((TASK_S - rest_s) / epoch_s))}


def _measure(pair: int, epochs: int, precision: Precision) -> dict[str, Any]:
    num_images = epochs * _IMAGES
    rates = {}
    for workers in (1, 2) if pair % 2 == 0 else (2, 1):
        rates[workers] = workers * num_images / _seconds(_run(workers, epochs, precision))
    return {"one": rates[1], "two": rates[2], "ratio": rates[2] / rates[1]}


def _run(workers: int, epochs: int, precision: Precision) -> list[Outcome]:
    recipe = Recipe(train_images=_IMAGES, epochs=epochs)
    shape, num_classes = mnist().image_set.input_shape, len(mnist().image_set.classes)
    topology = baseline(shape, num_classes)
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(ProcessExecutor(mnist().setup, ("cpu",) * workers)) as executor,
    ):
        # A worker's first task also reads the images and chooses kernels, and all must be up.
        brief = Recipe(train_images=_IMAGES, epochs=1)
        for size, first in ((brief, 0), (recipe, workers)):
            jobs = [
                evaluation(first + slot, topology, size, precision, Path(folder))
                for slot in range(workers)
            ]
            outcomes = run_jobs(executor, jobs)
    return outcomes


def _seconds(outcomes: list[Outcome]) -> float:
    start = min(one.started_at for one in outcomes)
    return max(one.finished_at for one in outcomes) - start
