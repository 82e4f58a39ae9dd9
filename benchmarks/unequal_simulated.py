"""``async`` beside ``sync`` with simulated latencies, for 8, 64 and 512 workers.

The loop, the strategies, the storage and the topologies are real, the clock is not. An evaluation
takes a minute at birth on average: a tenth of it for whatever network, the rest in proportion to
its multiply-accumulates, all times a log-normal factor of mean 1. Accuracies are random, so a
method that ends with smaller networks than the other has a bias to them. Aims: workers of ``async``
busy at least 95 %, 1.3 times the evaluations of ``sync``.
"""

import tempfile
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.cells import Cells, print_table, setting, spread
from benchmarks.null_search import SPACE, new_strategy, null_evaluation, search
from benchmarks.simulated import SimulatedExecutor, VirtualClock, unequal_latency
from evoconv.execution.executor import Job
from evoconv.genomes.topology import Topology
from evoconv.records import Individual
from evoconv.study.stop import StopRules
from evoconv.study.storage import Storage

SEEDS = int(setting("EVOCONV_SEEDS", "5"))
VIRTUAL_S = float(setting("EVOCONV_VIRTUAL_S", "1200"))

CASES = ((8, 20), (64, 64), (512, 512), (64, 20), (512, 20))
"""Workers and population."""

_MEAN_S = 60.0
_SIGMA = 0.5
_FIXED = 0.1


def run() -> None:
    """Measure the missing cells."""
    cells = Cells("unequal_simulated")
    for seed in range(SEEDS):
        for workers, population in CASES:
            cells.measure(
                _name(workers, population, seed), partial(_pair, workers, population, seed)
            )


def tables() -> None:
    """Print the table of the stored cells."""
    cells = Cells("unequal_simulated")
    rows = []
    for workers, population in CASES:
        got = cells.repeats(f"{workers} workers, population {population}, seed")
        if not got:
            continue
        columns = [
            spread([scale * one[name] for one in got], form)
            for name, scale, form in (
                ("async_evaluations", 1, ",.0f"),
                ("sync_evaluations", 1, ",.0f"),
                ("ratio", 1, ".2f"),
                ("async_busy", 100, ".1f"),
                ("sync_busy", 100, ".1f"),
                ("async_median_parameters", 1, ",.0f"),
                ("sync_median_parameters", 1, ",.0f"),
            )
        ]
        rows.append((workers, population, *columns, len(got)))
    print_table(
        "Simulated latencies, async and sync in the same time (medians, extremes)",
        (
            *("workers", "population", "evaluations async", "sync", "ratio"),
            *("busy % async", "sync", "parameters of the last 50 async", "sync", "n"),
        ),
        rows,
    )


def _name(workers: int, population: int, seed: int) -> str:
    return f"{workers} workers, population {population}, seed {seed}"


def _pair(workers: int, population: int, seed: int) -> dict[str, Any]:
    figures = {
        f"{method}_{name}": value
        for method in ("async", "sync")
        for name, value in _search(method, workers, population, seed).items()
    }
    figures["ratio"] = figures["async_evaluations"] / figures["sync_evaluations"]
    return figures


def _search(method: str, workers: int, population: int, seed: int) -> dict[str, float]:
    clock = VirtualClock()
    latencies: dict[int, float] = {}
    factor = unequal_latency(seed, mean_s=_MEAN_S, sigma=_SIGMA)
    mean_macs = _mean_macs(seed)

    def make_job(individual: Individual) -> Job:
        task = null_evaluation(individual)
        size = _FIXED + (1 - _FIXED) * task.cost.macs / mean_macs
        latencies[individual.number] = factor(individual.number) * size
        return Job(number=individual.number, task=task)

    executor = SimulatedExecutor(workers, latencies.__getitem__, clock)
    with tempfile.TemporaryDirectory() as folder:
        search(
            Path(folder),
            new_strategy(method, population, seed),
            executor,
            make_job,
            stop=StopRules(deadline=VIRTUAL_S),
            clock=clock,
        )
        storage = Storage.open(Path(folder), Topology.from_json)
        trials = storage.trials()
        storage.close()
    lengths = sorted(one.seconds for one in trials if one.worker is not None)
    return {
        "evaluations": len(lengths),
        "busy": executor.busy_s / (executor.busy_s + executor.idle_s),
        # The last born, finished or not: the last to finish would be the largest of a generation.
        "median_parameters": median(_parameters(one.individual) for one in trials[-50:]),
        "longest_tenth_takes": sum(lengths[-max(1, len(lengths) // 10) :]) / sum(lengths),
    }


def _mean_macs(seed: int) -> float:
    born = new_strategy("random", 20, seed).ask(200)
    return fmean(null_evaluation(one).cost.macs for one in born)


def _parameters(individual: Individual) -> int:
    topology = individual.genome
    assert isinstance(topology, Topology)
    return SPACE.cost(topology).parameters
