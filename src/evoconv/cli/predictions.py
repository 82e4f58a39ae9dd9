"""Predictions written as lines for people, as CSV, or as JSON."""

import csv
import json
from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from evoconv.report.sentences import printable
from evoconv.units import format_percent

if TYPE_CHECKING:
    from evoconv.export.classifier import Prediction


def write_lines(output: TextIO, predictions: "Iterable[Prediction]", paths: Sequence[Path]) -> None:
    """Write a line per image, aligned for the longest of the paths; probabilities in percent."""
    width = max((len(str(path)) for path in paths), default=0)
    for one in predictions:
        output.write(f"{_line(one, width)}\n")


def write_json(output: TextIO, predictions: "Iterable[Prediction]") -> None:
    """Write a list with an object per image; probabilities in [0, 1]."""
    json.dump([_as_object(one) for one in predictions], output, indent=1)
    output.write("\n")


def write_csv(output: TextIO, predictions: "Iterable[Prediction]") -> None:
    """Write a row per image below a row of names; probabilities in [0, 1].

    In a network's labels, characters that could steer a terminal are replaced.
    """
    writer = csv.writer(output, lineterminator="\n")
    for index, one in enumerate(predictions):
        if index == 0:
            ranks = ["", *(f"_{rank}" for rank in range(2, len(one.ranking) + 1))]
            names = [(f"label{rank}", f"probability{rank}") for rank in ranks]
            writer.writerow(["path", *chain.from_iterable(names)])
        cells = ((printable(label), f"{chance:.6f}") for label, chance in one.ranking)
        writer.writerow([one.path, *chain.from_iterable(cells)])


def _as_object(one: "Prediction") -> dict[str, object]:
    ranking = [{"label": label, "probability": chance} for label, chance in one.ranking]
    return {
        "path": str(one.path),
        "label": one.label,
        "probability": one.probability,
        "ranking": ranking,
    }


def _line(one: "Prediction", width: int) -> str:
    ranked = [f"{printable(label)} {format_percent(chance)}" for label, chance in one.ranking]
    rest = f"   then {', '.join(ranked[1:])}" if ranked[1:] else ""
    return f"{printable(str(one.path)):<{width}}  {ranked[0]}{rest}"
