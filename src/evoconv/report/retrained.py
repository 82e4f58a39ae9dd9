"""What became of an architecture that was trained again, beside its evolved weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from evoconv.report.notes import Retrained
from evoconv.report.tables import new_table

_EVOLVED = "evolved"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Accuracies of some networks, in [0, 1]; ``std`` is of a sample, None for one network."""

    mean: float
    std: float | None
    min: float
    max: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Return the spread of at least one value."""
        deviation = stdev(values) if len(values) > 1 else None
        return cls(mean=fmean(values), std=deviation, min=min(values), max=max(values))

    def __str__(self) -> str:
        if self.std is None:
            return f"{100 * self.mean:.2f}"
        return (
            f"{100 * self.mean:.2f} ± {100 * self.std:.2f}"
            f" ({100 * self.min:.2f}–{100 * self.max:.2f})"
        )


def retrained_figures(rows: Sequence[Retrained]) -> list[dict[str, Any]]:
    """Return for each way: its name, ``n``, ``failed``, and the accuracies of its networks."""
    figures = []
    for way in _ways(rows):
        done = _done(rows, way)
        figures.append(
            {
                "way": way,
                "n": len(done),
                "failed": sum(one.way == way for one in rows) - len(done),
                "validation_accuracies": [one.validation for one in done],
                "test_accuracies": [one.test for one in done],
            }
        )
    return figures


def retrained_table(trial: int, rows: Sequence[Retrained]) -> RenderableType:
    """Return a line per way, and how many new trainings stay below the evolved weights."""
    table = new_table("weights", "n", "validation %", "test %", "epochs", num_left=1)
    for way in _ways(rows):
        done = _done(rows, way)
        if not done:
            table.add_row(way, "0", "–", "–", "–")
            continue
        table.add_row(
            way,
            str(len(done)),
            str(Spread.of([one.validation for one in done])),
            str(Spread.of([one.test for one in done])),
            f"{fmean(one.epochs for one in done):.0f}" if done[0].epochs else "",
        )
    title = f"The network of trial {trial} trained again on the search's images: accuracy"
    return Group(Text(title, style="bold"), table, *map(Text, _verdicts(rows)))


def _verdicts(rows: Sequence[Retrained]) -> list[str]:
    evolved = _done(rows, _EVOLVED)
    if not evolved:
        return []
    said = []
    for way in _ways(rows):
        done = _done(rows, way)
        if way == _EVOLVED or not done:
            continue
        num_below = sum(one.test < evolved[0].test for one in done)
        said.append(
            f"{num_below} of {len(done)} networks {way} stay below the evolved weights on the"
            " test images"
        )
    return said


def _ways(rows: Sequence[Retrained]) -> list[str]:
    return list(dict.fromkeys(one.way for one in rows))


def _done(rows: Sequence[Retrained], way: str) -> list[Retrained]:
    return [one for one in rows if one.way == way and not one.failed]
