"""What the coordinator can handle: finished trials per second, and how fast a long study resumes.

Evaluations cost nothing and run in this process, one after the other, which is the least kind to
the coordinator: each is asked for, started, finished and told alone. Aims: at least 500 trials a
second on one core, and a study of 100,000 trials resumed in under 30 seconds.
"""

import tempfile
import time
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.cells import Cells, print_table, setting, spread
from benchmarks.null_search import OBJECTIVE, new_strategy, null_evaluation, search
from evoconv.execution.executor import Job
from evoconv.execution.inline import InlineExecutor
from evoconv.genomes.topology import Topology
from evoconv.records import Individual
from evoconv.study.replay import resume
from evoconv.study.stop import StopRules
from evoconv.study.storage import FILE_NAME, Storage

TRIALS = int(setting("EVOCONV_TRIALS", "100000"))

_REPEATS = 3
_METHOD, _POPULATION, _SEED = "async", 20, 0


def run() -> None:
    """Measure the missing cells."""
    cells = Cells("coordinator")
    for repeat in range(_REPEATS):
        cells.measure(f"rate {repeat}", partial(_measure_rate, max(10, TRIALS // 20)))
    cells.measure("resume", _measure_resume)


def tables() -> None:
    """Print the table of the stored cells."""
    cells = Cells("coordinator")
    rows = []
    if rates := cells.repeats("rate"):
        values = [one["per_second"] for one in rates]
        rows.append(
            (f"{rates[0]['trials']:,} trials: trials/s", spread(values, ",.0f"), len(rates))
        )
    if (got := cells.get("resume")) is not None:
        rows.append((f"{got['trials']:,} trials: trials/s", f"{got['per_second']:,.0f}", 1))
        rows.append(
            (f"{got['trials']:,} trials: resume, s", spread(got["seconds"], ".1f"), got["n"])
        )
    print_table("The coordinator alone (medians, extremes)", ("what", "value", "n"), rows)


def _measure_rate(num_trials: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        return _generate(Path(folder), num_trials)


def _measure_resume() -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        figures = _generate(Path(folder), TRIALS)
        size = (Path(folder) / FILE_NAME).stat().st_size
        seconds = [_resume(Path(folder), figures["trials"]) for _ in range(_REPEATS)]
    return {**figures, "n": _REPEATS, "seconds": seconds, "file_bytes": size}


def _generate(folder: Path, num_trials: int) -> dict[str, Any]:
    """Run a search of that many evaluations; copies, which need no worker, come on top."""
    strategy = new_strategy(_METHOD, _POPULATION, _SEED)
    executor = InlineExecutor(lambda _slot, _device: None)
    started = time.perf_counter()
    search(
        folder,
        strategy,
        executor,
        _null_job,
        stop=StopRules(evaluations=num_trials),
        clock=time.time,
    )
    seconds = time.perf_counter() - started
    return {"trials": num_trials, "per_second": num_trials / seconds, "search_s": seconds}


def _null_job(individual: Individual) -> Job:
    return Job(number=individual.number, task=null_evaluation(individual))


def _resume(folder: Path, num_trials: int) -> float:
    started = time.perf_counter()
    with closing(Storage.open(folder, Topology.from_json)) as storage:
        resumed = resume(storage, new_strategy(_METHOD, _POPULATION, _SEED), OBJECTIVE)
        seconds = time.perf_counter() - started
    assert resumed.tally.num_evaluations == num_trials, "the study resumed is another one"
    return seconds
