"""A study printed again from its folder, finished or not.

It reads what is stored and nothing else: of the test only the logits that were kept.
"""

import json
import shlex
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from evoconv.errors import StudyError
from evoconv.report.confusion import class_report
from evoconv.report.result import FILE_NAME, FITNESS_NAME, FRONT_NAME, as_json, summary_of
from evoconv.report.retrained import retrained_table
from evoconv.report.sentences import printable
from evoconv.report.standing import Standing
from evoconv.report.tables import (
    augmentations_table,
    best_trials_table,
    finalists_table,
    front_table,
    measures_table,
    network_table,
    search_table,
)


def print_study(console: Console, standing: Standing, *, num_trials: int = 0) -> None:
    """Print everything that is known of a study, with its ``num_trials`` best trials and front."""
    summary = summary_of(standing)
    parts = [search_table(standing, summary)]
    if num_trials and standing.ranked:
        parts.append(best_trials_table(standing, num_trials))
    if len(standing.front) > 1:
        parts.append(front_table(standing))
    if standing.augmentations is not None:
        parts.append(augmentations_table(standing.augmentations))
    if standing.finalists:
        parts.append(finalists_table(standing))
    parts.append(network_table(standing, summary))
    if standing.best is not None:
        parts.append(measures_table(summary))
    if summary["confusion"] is not None and standing.images is not None:
        confusion = np.array(summary["confusion"], np.int64)
        parts.append(class_report(standing.images.classes, confusion, console.width))
    for number, rows in standing.retrained.items():
        parts.append(retrained_table(number, rows))
    for part in parts:
        console.print(part)
        console.print()
    for sentence in _where_things_are(standing):
        console.print(Text(printable(sentence)), soft_wrap=True)


def print_retrained(console: Console, standing: Standing) -> None:
    """Print how networks that were trained again compare with the evolved weights."""
    for number, rows in standing.retrained.items():
        console.print(retrained_table(number, rows))


def result_json(standing: Standing) -> str:
    """Return the text of a finished study's ``result.json``, else the figures so far."""
    path = standing.run / FILE_NAME
    if standing.is_complete and path.is_file():
        try:
            content: dict[str, Any] = json.loads(path.read_text("utf-8"))
        except (OSError, RecursionError, ValueError) as error:
            raise StudyError(f"{path} can't be read: {error}") from error
        return as_json(content)
    return as_json(summary_of(standing))


def _where_things_are(standing: Standing) -> list[str]:
    run = standing.run
    sentences = []
    if (run / "best" / "model.json").is_file():
        state = "" if standing.is_complete else ", the best so far"
        sentences.append(f"network: {run / 'best'}{state}")
        if standing.compressed is not None:
            sentences.append(f"file:    {run / 'model.evo'}")
        sentences.append(f"use it:  evoconv predict {shlex.quote(str(run))} IMAGE...")
    elif standing.shown is not None:
        study = shlex.quote(str(run.parent))
        sentences.append(f"train it: evoconv finish {study} --trial {standing.shown}")
    for name in (FITNESS_NAME, FRONT_NAME):
        if (run / name).is_file():
            sentences.append(f"plot:    {run / name}")
    return sentences
