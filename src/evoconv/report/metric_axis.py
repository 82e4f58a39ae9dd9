"""The vertical axis of all figures of a search: the study's metric, better ones up.

Accuracies crowd together near 100 %, so their axis is logarithmic in the error, as errors differ by
factors; one bad network then doesn't flatten all others.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from evoconv.records import Trial
from evoconv.report.standing import Standing

Floats = npt.NDArray[np.float64]

_STEPS = tuple(digit * 10.0**power for power in range(-6, 3) for digit in (1, 2, 5))


def values_of(trials: Sequence[Trial], name: str) -> Floats:
    """Return a measured value per trial, (N,); NaN where it isn't known."""
    measured = [one.individual.measurement for one in trials]
    return np.array(
        [np.nan if one is None else one.values.get(name, np.nan) for one in measured], np.float64
    )


def heights_of(standing: Standing, trials: Sequence[Trial]) -> Floats:
    """Return what is drawn per trial, (N,): errors, or cross-entropies; NaN where it failed.

    A perfect score has no place of its own on a logarithmic axis.
    """
    values = values_of(trials, standing.objective.name)
    if standing.objective.direction == "minimize":
        return values.clip(min=1e-9)
    return (1 - values).clip(min=_smallest_error(standing))


def draw_metric_axis(axes: Axes, standing: Standing, heights: Floats) -> None:
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
    axes.set_ylabel(f"{standing.metric} on validation images")
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _smallest_error(standing: Standing) -> float:
    """Return where a perfect score is drawn: at half an image's error."""
    num_images = 1000 if standing.images is None else max(standing.images.num_validation, 1)
    return 0.5 / num_images


def _percent(error: float) -> str:
    return f"{100 * (1 - error):.6g} %"
