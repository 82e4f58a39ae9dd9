"""The search as a picture: the study's metric over evaluations, saved as ``fitness.png``.

Accuracies crowd together near 100 %, so their axis is logarithmic in the error, as errors differ by
factors; one bad network then doesn't flatten all others.
"""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, FuncFormatter, NullLocator

from evoconv.records import Trial, TrialState
from evoconv.report.result import write_report
from evoconv.report.sentences import measure_text, printable
from evoconv.report.standing import Standing, read_standing
from evoconv.study.storage import Storage

FILE_NAME = "fitness.png"

_STEPS = tuple(digit * 10.0**power for power in range(-6, 3) for digit in (1, 2, 5))
_COUNTS = tuple(digit * 10.0**power for power in range(12) for digit in (1, 2, 5))
_BLUE, _RED = "#1f4e79", "#b03a2e"

Floats = npt.NDArray[np.float64]


def draw_fitness(run: Path, storage: Storage) -> Path:
    """Save the study's plot in its run folder and return its path.

    Raises:
        StudyError: the study is damaged, or the file can't be written.
    """
    return save_plot(read_standing(run, storage))


def save_plot(standing: Standing) -> Path:
    """Save the plot of a study that was read already; see ``draw_fitness``."""
    figure = fitness_figure(standing)
    path = standing.run / FILE_NAME
    content = BytesIO()
    figure.savefig(content, format="png")
    write_report(path, content.getvalue())
    return path


def fitness_figure(standing: Standing) -> Figure:
    """Return the figure: a dot per evaluation, the best so far, failed ones at the bottom."""
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    heights = _heights(standing)
    _draw_scale(axes, standing, heights)
    _draw_trials(figure, axes, standing.evaluations, heights)
    _draw_failures(axes, standing.evaluations)
    _draw_best(axes, standing, heights)
    axes.set_xlabel("evaluations finished")
    axes.set_ylabel(f"{standing.metric} on validation images")
    margin = 0.5 + 0.01 * len(heights)
    axes.set_xlim(1 - margin, max(len(heights), 1) + margin)
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        # Below the axes, where no dot can be.
        figure.legend(handles, labels, loc="outside lower right", ncols=2, frameon=False)
    axes.set_title(_title(standing), loc="left", fontsize=10, parse_math=False)
    return figure


def _heights(standing: Standing) -> Floats:
    """Return what is drawn per evaluation, (N,): errors, or cross-entropies; NaN where it failed.

    A perfect score has no place of its own on a logarithmic axis.
    """
    name = standing.objective.name
    measured = [one.individual.measurement for one in standing.evaluations]
    values = np.array(
        [np.nan if one is None else one.values.get(name, np.nan) for one in measured], np.float64
    )
    if standing.objective.direction == "minimize":
        return values.clip(min=1e-9)
    return (1 - values).clip(min=_smallest_error(standing))


def _draw_scale(axes: Axes, standing: Standing, heights: Floats) -> None:
    """Make a logarithmic axis, better ones up, labelled with the measure itself."""
    is_error = standing.objective.direction == "maximize"
    known = heights[np.isfinite(heights)]
    low, high = (known.min(), known.max()) if len(known) else (0.01, 1.0)
    axes.set_yscale("log")
    # Room below for the failed, and at least a factor of two, so that a tick is in sight.
    axes.set_ylim(max(high * 1.25, low * 2), low / 1.25)
    if is_error:
        perfect = _smallest_error(standing)
        ticks = [one for one in _STEPS if perfect < one <= 1]
        axes.yaxis.set_major_locator(FixedLocator([perfect, *ticks]))
        axes.yaxis.set_major_formatter(
            FuncFormatter(lambda error, _: _percent(0.0 if error == perfect else error))
        )
    else:
        axes.yaxis.set_major_locator(FixedLocator(_STEPS))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def _smallest_error(standing: Standing) -> float:
    """Return where a perfect score is drawn: at half an image's error."""
    num_images = 1000 if standing.images is None else max(standing.images.num_validation, 1)
    return 0.5 / num_images


def _percent(error: float) -> str:
    return f"{100 * (1 - error):.6g} %"


def _draw_trials(figure: Figure, axes: Axes, trials: Sequence[Trial], heights: Floats) -> None:
    parameters = np.array([_parameters(one) for one in trials], np.float64)
    is_known = np.isfinite(heights) & np.isfinite(parameters)
    if not is_known.any():
        return
    shown = parameters[is_known]
    dots = axes.scatter(
        np.flatnonzero(is_known) + 1,
        heights[is_known],
        c=shown,
        s=18 if len(trials) <= 500 else 4,
        cmap="viridis_r",
        norm=LogNorm(shown.min() / 1.01, shown.max() * 1.01),
        linewidths=0,
    )
    bar = figure.colorbar(dots, ax=axes, pad=0.02)
    bar.set_label("parameters")
    bar.set_ticks([one for one in _COUNTS if shown.min() <= one <= shown.max()])
    bar.ax.yaxis.set_major_formatter(EngFormatter(sep=""))
    bar.ax.yaxis.set_minor_locator(NullLocator())
    bar.outline.set_visible(False)


def _draw_failures(axes: Axes, trials: Sequence[Trial]) -> None:
    places = [index for index, one in enumerate(trials, 1) if one.state is TrialState.FAILED]
    if places:
        axes.plot(
            places,
            [0.02] * len(places),
            "x",
            color=_RED,
            markersize=5,
            transform=axes.get_xaxis_transform(),
            label=f"failed ({len(places)})",
        )


def _draw_best(axes: Axes, standing: Standing, heights: Floats) -> None:
    if not np.isfinite(heights).any():
        return
    # As fmin leaves NaN out, the line begins with the first that is measured.
    best = np.fmin.accumulate(heights)
    places = np.arange(1, len(best) + 1)
    label = f"best so far: {measure_text(standing.metric, _best_value(standing))}"
    axes.step(places, best, where="post", color=_BLUE, linewidth=1.6, label=label)


def _best_value(standing: Standing) -> float | None:
    measured = standing.ranked[0].individual.measurement
    return None if measured is None else measured.values.get(standing.objective.name)


def _parameters(trial: Trial) -> float:
    measured = trial.individual.measurement
    return np.nan if measured is None else measured.values.get("parameters", np.nan)


def _title(standing: Standing) -> str:
    source = "study" if standing.images is None else Path(standing.images.source).name[:40]
    workers = len({one.worker for one in standing.evaluations if one.worker is not None})
    return printable(
        f"{source}, method {standing.method}: {len(standing.evaluations):,} evaluations"
        f" by {workers} worker{'' if workers == 1 else 's'}"
    )
