"""The search as pictures: the metric over evaluations, and against the size of the networks."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, FixedLocator, NullLocator

from evoconv.artifacts import write_file
from evoconv.records import Trial, TrialState
from evoconv.report.metric_axis import Floats, draw_metric_axis, heights_of, values_of
from evoconv.report.result import FITNESS_NAME, FRONT_NAME
from evoconv.report.sentences import measure_text, printable
from evoconv.report.standing import Standing

_COUNTS = tuple(digit * 10.0**power for power in range(12) for digit in (1, 2, 5))
_BLUE, _RED = "#1f4e79", "#b03a2e"


def save_plots(standing: Standing) -> None:
    """Save ``fitness.png`` and ``front.png`` in the run folder.

    Raises:
        StudyError: a file can't be written.
    """
    for name, figure in (
        (FITNESS_NAME, fitness_figure(standing)),
        (FRONT_NAME, front_figure(standing)),
    ):
        content = BytesIO()
        figure.savefig(content, format="png")
        write_file(standing.run / name, content.getvalue())


def fitness_figure(standing: Standing) -> Figure:
    """Return the figure: a dot per evaluation, the best so far, failed ones at the bottom."""
    figure, axes = _new_figure()
    heights = heights_of(standing, standing.evaluations)
    draw_metric_axis(axes, standing, heights)
    places = np.arange(1.0, len(heights) + 1)
    _draw_trials(figure, axes, standing.evaluations, places, heights, colour=standing.size)
    _draw_failures(axes, standing.evaluations)
    _draw_best(axes, standing, heights)
    axes.set_xlabel("evaluations finished")
    margin = 0.5 + 0.01 * len(heights)
    axes.set_xlim(1 - margin, max(len(heights), 1) + margin)
    _finish(figure, axes, standing)
    return figure


def front_figure(standing: Standing) -> Figure:
    """Return the figure: a dot per evaluation by its size, and the Pareto front.

    The front of three values, seen from the side of two: its line is the lower edge, and members
    above it are there for their multiply-accumulates.
    """
    figure, axes = _new_figure()
    heights = heights_of(standing, standing.evaluations)
    draw_metric_axis(axes, standing, heights)
    axes.set_xscale("log")
    sizes = values_of(standing.evaluations, standing.size)
    _draw_trials(figure, axes, standing.evaluations, sizes, heights, colour="macs")
    _draw_front(axes, standing)
    axes.set_xlabel(standing.size)
    axes.xaxis.set_major_locator(FixedLocator(_COUNTS))
    axes.xaxis.set_major_formatter(EngFormatter(sep=""))
    axes.xaxis.set_minor_locator(NullLocator())
    _finish(figure, axes, standing)
    return figure


def _new_figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _finish(figure: Figure, axes: Axes, standing: Standing) -> None:
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        # Below the axes, where no dot can be.
        figure.legend(handles, labels, loc="outside lower right", ncols=2, frameon=False)
    axes.set_title(_title(standing), loc="left", fontsize=10, parse_math=False)


def _draw_trials(
    figure: Figure,
    axes: Axes,
    trials: Sequence[Trial],
    places: Floats,
    heights: Floats,
    *,
    colour: str,
) -> None:
    """Draw a dot per trial, and a bar that explains their colours where these tell something.

    Nothing where all failed.
    """
    costs = values_of(trials, colour)
    is_known = np.isfinite(places) & np.isfinite(heights) & np.isfinite(costs)
    if not is_known.any():
        return
    shown = costs[is_known]
    dots = axes.scatter(
        places[is_known],
        heights[is_known],
        c=shown,
        s=18 if len(trials) <= 500 else 4,
        cmap="viridis_r",
        norm=LogNorm(shown.min() / 1.01, shown.max() * 1.01),
        linewidths=0,
    )
    if shown.min() == shown.max():  # as of a compression, which computes what it did before
        return
    bar = figure.colorbar(dots, ax=axes, pad=0.02)
    bar.set_label({"macs": "multiply-accumulates"}.get(colour, colour))
    ticks = [one for one in _COUNTS if shown.min() <= one <= shown.max()]
    bar.set_ticks(ticks or [float(shown.min()), float(shown.max())])
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


def _draw_front(axes: Axes, standing: Standing) -> None:
    if not standing.front:
        return
    heights = heights_of(standing, standing.front)
    sizes = values_of(standing.front, standing.size)
    order = np.argsort(sizes, kind="stable")
    edge = np.minimum.accumulate(heights[order])
    axes.step(sizes[order], edge, where="post", color=_BLUE, linewidth=1.2)
    axes.plot(
        sizes,
        heights,
        "o",
        markersize=7,
        markerfacecolor="none",
        markeredgecolor=_BLUE,
        label=f"Pareto front ({len(sizes)})",
    )
    best = standing.best
    if best is not None and best.individual.measurement is not None:
        own = heights_of(standing, [best])
        label = f"chosen: trial {best.number}"
        axes.plot(
            values_of([best], standing.size), own, "*", color=_RED, markersize=11, label=label
        )


def _best_value(standing: Standing) -> float | None:
    measured = standing.ranked[0].individual.measurement
    return None if measured is None else measured.values.get(standing.objective.name)


def _title(standing: Standing) -> str:
    source = "study" if standing.images is None else Path(standing.images.source).name[:40]
    workers = len({one.worker for one in standing.evaluations if one.worker is not None})
    return printable(
        f"{source}, method {standing.method}: {len(standing.evaluations):,} evaluations"
        f" by {workers} worker{'' if workers == 1 else 's'}"
    )
