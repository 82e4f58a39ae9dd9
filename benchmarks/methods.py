"""Which method when: all of them under the same limits, time and machine.

Each cell is one command line in a process of its own: ``evoconv evolve DATA --method M --time 10m``
with the limits of its data, everything else by default. Test error, parameters and
multiply-accumulates are compared with what Mitschke et al. report, mean with mean; numbers of
layers show whether independent runs agree. ``gradient`` returns the weights that its search left,
as published; ``gradient-continued`` trains them on for a part of the time. ``EVOCONV_TIME`` sets
another time, whose cells stand beside the others; ``EVOCONV_METHODS`` and ``EVOCONV_SETS`` pick
some methods and sets of images.
"""

from functools import partial
from statistics import fmean
from typing import Any

from benchmarks.accuracy import evolve_in_a_process, percent, source_of
from benchmarks.cells import Cells, print_table, setting

TIME = setting("EVOCONV_TIME", "10m")
REPEATS = int(setting("EVOCONV_REPEATS", "3"))
METHODS = setting(
    "EVOCONV_METHODS", "gradient,gradient-continued,async,compact,nsga2,aging,random"
).split(",")
# Rows that are a method with other options than its own.
_OPTIONS = {"gradient-continued": ["--method", "gradient", "--final", "continued"]}
SETS = setting("EVOCONV_SETS", "mnist,fashion-mnist,neu-cls").split(",")

# Below what the poster's networks have, in both.
_LIMITS = {
    "mnist": {"max-parameters": "75k", "max-macs": "1.3M"},
    "fashion-mnist": {"max-parameters": "75k", "max-macs": "1.3M"},
    "neu-cls": {"max-parameters": "50k", "max-macs": "14M"},
}
# Mean and least error and the network's size, as reported; of how many runs is not said.
_POSTER = {
    "mnist": ("0.8, least 0.6", "767,000", "6,500,000"),
    "fashion-mnist": ("8.7, least 7.7", "77,000", "1,400,000"),
    "neu-cls": ("0.3, least 0.0", "250,000", "14,600,000"),
}


def run() -> None:
    """Measure the missing cells."""
    cells = Cells("methods")
    for seed in range(REPEATS):
        for data in SETS:
            if (source := source_of(data)) is None:
                print(f"methods: {data} is left out: EVOCONV_DATA holds no {data}.tar")
                continue
            for method in METHODS:
                words = [*_OPTIONS.get(method, ["--method", method]), "--time", TIME]
                for name, value in _LIMITS[data].items():
                    words += [f"--{name}", value]
                cells.measure(
                    f"{data} {TIME} {method} {seed}", partial(_measure, source, words, seed)
                )


def tables() -> None:
    """Print a table of the stored cells for each set of images and time."""
    cells = Cells("methods")
    for data, limits in _LIMITS.items():
        times = {one.split()[1] for one in cells.names() if one.startswith(f"{data} ")}
        for time in sorted(times):
            _print_methods(cells, data, time, limits)


def _print_methods(cells: Cells, data: str, time: str, limits: dict[str, str]) -> None:
    names = {one.split()[2] for one in cells.names() if one.startswith(f"{data} {time} ")}
    rows = []
    for method in sorted(names, key=lambda one: _mean_error(cells, data, time, one)):
        got = cells.repeats(f"{data} {time} {method}")
        layers = ", ".join(f"{one['convolutions']}+{one['dense']}" for one in got)
        rows.append(
            (
                method,
                percent([1 - one["test_accuracy"] for one in got]),
                *(f"{fmean(one[name] for one in got):,.0f}" for name in ("parameters", "macs")),
                layers,
                f"{fmean(one['evaluations'] for one in got):.0f}",
                len(got),
            )
        )
    rows.append(("Mitschke et al.", *_POSTER[data], "", "", ""))
    kept = ", ".join(f"{name} {value}" for name, value in limits.items())
    print_table(
        f"{data}, {time}, {kept}: test error in percent (mean ± deviation, extremes)",
        ("method", "error", "parameters", "MACs", "layers (conv+dense)", "evaluations", "n"),
        rows,
    )


def _mean_error(cells: Cells, data: str, time: str, method: str) -> float:
    return fmean(1 - one["test_accuracy"] for one in cells.repeats(f"{data} {time} {method}"))


def _measure(source: str, words: list[str], seed: int) -> dict[str, Any]:
    figures = evolve_in_a_process(source, words, seed)
    genome = figures["genome"]
    kinds = [layer["layer"] for layer in genome["features"]]
    return {
        **figures,
        "convolutions": kinds.count("convolution") + 2 * kinds.count("residual"),
        "dense": len(genome["classifier"]),
    }
