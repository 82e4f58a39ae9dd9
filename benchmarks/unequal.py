"""``async`` beside ``sync`` with real trainings of very unequal length.

Each search has two workers and the same wall time; networks of up to 25 million
multiply-accumulates are trained on few images, so that evaluations last from a fraction of a second
to ten. Aims: workers of ``async`` busy at least 95 % of the time between their first job and the
end of the search; 1.3 times the evaluations of ``sync``. How long ``sync`` waits depends
on how many individuals share a generation's slowest, so there are cells for two per worker and for
four, as in the paper's comparison. In these the two methods soon breed networks of other lengths.
A third pair has the same mix in both: random networks, the same ones in the same order, handed out
as workers come free or in generations that wait for their slowest. Also the median size of the last
50 individuals born, finished or not: Vidnerová & Neruda 2018 suspect that ``async`` prefers small
networks.
"""

import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import fmean, median
from typing import Any

import evoconv
from benchmarks.cells import Cells, print_table, setting
from evoconv.evolution.catalogue import METHODS, Method
from evoconv.evolution.options import EvolutionOptions
from evoconv.evolution.random_search import RandomSearch
from evoconv.evolution.strategy import Space
from evoconv.execution.executor import Progress
from evoconv.genomes.shapes import cost
from evoconv.genomes.topology import Topology
from evoconv.records import Individual, Objective, Trial
from evoconv.study.stop import Tally
from evoconv.study.watch import Unwatched

PAIRS = int(setting("EVOCONV_UNEQUAL_PAIRS", "2"))
SEARCH_S = float(setting("EVOCONV_SEARCH_S", "120"))

_DATA = "fashion-mnist"
_WORKERS = 2
_PER_WORKER = (2, 4)  # individuals of a population
_SAME_MIX = ("random", "random in generations")
_FINAL_SHARE = 0.05
# Starting workers and measuring precision; and what a study keeps for saving and checking.
_AROUND_S = 11.0


def run() -> None:
    """Measure the missing cells."""
    METHODS["random in generations"] = Method(
        build=_InGenerations, summary="random networks in generations", source=""
    )
    cells = Cells("unequal")
    for pair in range(PAIRS):
        for population in (_WORKERS * count for count in _PER_WORKER):
            _measure_pair(cells, ("async", "sync"), population, pair)
        _measure_pair(cells, _SAME_MIX, _WORKERS * min(_PER_WORKER), pair)


def _measure_pair(cells: Cells, methods: tuple[str, str], population: int, pair: int) -> None:
    for method in methods if pair % 2 == 0 else methods[::-1]:
        cells.measure(
            f"{method} of {population} {pair}", partial(_search, method, population, pair)
        )


def tables() -> None:
    """Print a table of the stored cells for each size of population."""
    cells = Cells("unequal")
    for methods, count in (
        *((("async", "sync"), count) for count in _PER_WORKER),
        (_SAME_MIX, min(_PER_WORKER)),
    ):
        population = _WORKERS * count
        one, other = (cells.repeats(f"{method} of {population}") for method in methods)
        _print(methods, population, list(zip(one, other, strict=False)))


def _print(
    methods: tuple[str, str],
    population: int,
    pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]],
) -> None:
    if not pairs:
        return
    ratios = [one["per_minute"] / other["per_minute"] for one, other in pairs]
    rows = [
        (
            number,
            *(f"{it['evaluations']} in {it['seconds']:.0f} s" for it in pair),
            f"{ratio:.2f}",
            *(f"{100 * it['busy']:.1f} %" for it in pair),
            *(f"{it['median_parameters']:,.0f}" for it in pair),
            *(f"{it['shortest_s']:.1f}–{it['longest_s']:.1f} s" for it in pair),
        )
        for number, (pair, ratio) in enumerate(zip(pairs, ratios, strict=True))
    ]
    print_table(
        f"Real evaluations of unequal length, {_WORKERS} workers, population {population}:"
        f" {', '.join(methods)}; mean ratio of evaluations {fmean(ratios):.2f}, n = {len(pairs)}",
        (
            "seed",
            *("evaluations", "", "ratio", "busy", ""),
            *("median parameters", "", "lengths", ""),
        ),
        rows,
    )


class _InGenerations(RandomSearch):
    """Random networks in generations, each waiting for its slowest member."""

    def __init__(
        self, space: Space[Any], options: EvolutionOptions, objective: Objective, seed: int
    ) -> None:
        super().__init__(space, options, objective, seed)
        self._size, self._left, self._under_way = options.population, 0, 0

    def ask(self, slots: int) -> list[Individual]:
        """Return the next portion of the generation; nothing while its end is under way."""
        if self._left == 0 and self._under_way == 0:
            self._left = self._size
        born = super().ask(min(slots, self._left)) if self._left else []
        self._left -= len(born)
        self._under_way += len(born)
        return born

    def tell(self, individual: Individual) -> None:
        """Count the individual out."""
        self._under_way -= 1
        super().tell(individual)


class _Stopwatch(Unwatched):
    """Knows when the search ended, and since when the jobs under way at its end ran."""

    def __init__(self) -> None:
        self.end = 0.0
        self.since: dict[int, float] = {}

    def started(self, individual: Individual, attempt: int) -> None:  # noqa: ARG002 - protocol
        """Note when."""
        self.since[individual.number] = time.time()

    def finished(self, trial: Trial) -> None:
        """Forget a job that is over. One that is cancelled stays."""
        self.since.pop(trial.number, None)

    def progress(self, running: Sequence[Progress], tally: Tally) -> None:  # noqa: ARG002 - protocol
        """Note that the search goes on."""
        self.end = time.time()


def _search(method: str, population: int, seed: int) -> dict[str, Any]:
    watch = _Stopwatch()
    with tempfile.TemporaryDirectory() as folder:
        result = evoconv.evolve(
            _DATA,
            out=Path(folder) / "run",
            method=method,
            seed=seed,
            watch=watch,
            time=(SEARCH_S + _AROUND_S) / (1 - _FINAL_SHARE),
            max_macs=25_000_000,
            image_passes=6_000,
            train_images=6_000,
            max_validation=2_000,
            population=population,
            workers=_WORKERS,
            # Only the search counts: no training after it.
            final="evolved",
            final_share=_FINAL_SHARE,
            baseline=False,
        )
        return _figures(result.trials, watch)


def _figures(trials: Sequence[Trial], watch: _Stopwatch) -> dict[str, Any]:
    """Return what the search did between its first start and its end."""
    finished = [one for one in trials if one.worker is not None and one.started_at is not None]
    start = min(one.started_at or 0.0 for one in finished)
    seconds = watch.end - start
    busy_s = sum(
        min(one.finished_at or 0.0, watch.end) - (one.started_at or 0.0) for one in finished
    )
    busy_s += sum(max(0.0, watch.end - since) for since in watch.since.values())
    in_time = [one for one in finished if (one.finished_at or 0.0) <= watch.end]
    return {
        "evaluations": len(in_time),
        "seconds": seconds,
        "per_minute": 60 * len(in_time) / seconds,
        "busy": busy_s / (_WORKERS * seconds),
        "median_parameters": median(_parameters(one) for one in trials[-50:]),
        "shortest_s": min(one.seconds for one in in_time),
        "longest_s": max(one.seconds for one in in_time),
        "median_s": median(one.seconds for one in in_time),
    }


def _parameters(trial: Trial) -> int:
    topology = trial.individual.genome
    assert isinstance(topology, Topology)
    return cost(topology, (1, 28, 28), 10).parameters
