"""How well each class is recognised, and what it is taken for: recalls and the confusion matrix."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
from rich.console import Group, RenderableType
from rich.text import Text

from evoconv.report.result import as_json
from evoconv.report.sentences import measure_text, printable
from evoconv.report.tables import new_table
from evoconv.training.metrics import recalls
from evoconv.units import format_percent

Confusion = npt.NDArray[np.int64]

MAX_CLASSES = 20
"""Beyond it only the weakest classes and the largest confusions are listed."""

_NUM_LISTED = 10
_MAX_NAME = 24
_MAX_HEAD = 4


def class_report(classes: Sequence[str], confusion: Confusion, width: int) -> RenderableType:
    """Return recall per class, then the matrix where it fits the width, else its largest cells."""
    names = [_short(name) for name in classes]
    matrix = None if len(names) > MAX_CLASSES else _matrix(names, confusion, width)
    return Group(
        _recall_table(names, confusion), Text(), matrix or _largest_confusions(names, confusion)
    )


def _recall_table(names: Sequence[str], confusion: Confusion) -> RenderableType:
    order = list(range(len(names)))
    title = "Recall per class"
    by_class = recalls(confusion)
    if len(names) > MAX_CLASSES:
        title = f"Recall of the {_NUM_LISTED} weakest of {len(names)} classes"
        order = np.argsort(by_class, kind="stable")[:_NUM_LISTED].tolist()
    table = new_table("class", "images", "recall", "most often taken for", num_left=1)
    table.columns[-1].justify = "left"
    for index in order:
        wrong = confusion[index].copy()
        wrong[index] = 0
        worst = int(wrong.argmax())
        taken_for = f"{names[worst]} ({wrong[worst]:,})" if wrong[worst] else ""
        recall = measure_text("recall", float(by_class[index]))
        table.add_row(names[index], f"{confusion[index].sum():,}", recall, taken_for)
    return Group(Text(title, style="bold"), table)


def _matrix(names: Sequence[str], confusion: Confusion, width: int) -> RenderableType | None:
    """Return the matrix, or None where it is too wide.

    Columns have the classes' names where they are short, else numbers that the rows repeat.
    """
    heads, columns = list(names), list(names)
    if max(len(name) for name in names) > _MAX_HEAD:
        columns = [str(index) for index in range(1, len(names) + 1)]
        heads = [f"{number} {name}" for number, name in zip(columns, names, strict=True)]
    cell = max(len(str(confusion.max())), *(len(one) for one in columns)) + 1
    head = max(len(one) for one in heads)
    if head + cell * len(names) > width:
        return None
    lines = [Text("Confusion matrix: true classes down, predicted ones across", style="bold")]
    lines.append(Text(" " * head + "".join(f"{one:>{cell}}" for one in columns), style="dim"))
    for row, name in enumerate(heads):
        line = Text(f"{name:<{head}}")
        for column, count in enumerate(confusion[row].tolist()):
            # Zeros out of the way: what is left to see are the mistakes.
            style = "bold green" if row == column else "red" if count else "dim"
            line.append(f"{count or '·':>{cell}}", style=style)
        lines.append(line)
    return Group(*lines)


def _largest_confusions(names: Sequence[str], confusion: Confusion) -> RenderableType:
    wrong = confusion.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:_NUM_LISTED]
    cells = [divmod(int(one), len(names)) for one in order if wrong.flat[one] > 0]
    if not cells:
        return Text("No image was taken for another class.")
    table = new_table("true class", "taken for", "images", "of the class", num_left=2)
    for row, column in cells:
        share = wrong[row, column] / confusion[row].sum()
        table.add_row(
            names[row], names[column], f"{wrong[row, column]:,}", format_percent(share, digits=1)
        )
    return Group(Text("Largest confusions", style="bold"), table)


def _short(name: str) -> str:
    text = printable(name)
    return text if len(text) <= _MAX_NAME else f"{text[: _MAX_NAME - 1]}…"


def evaluation_line(num_images: int, measures: Mapping[str, float]) -> str:
    """Return '1,000 images: accuracy 98.70 %, balanced-accuracy …' in one line."""
    figures = ", ".join(f"{name} {measure_text(name, measures[name])}" for name in measures)
    return f"{num_images:,} image{'' if num_images == 1 else 's'}: {figures}"


def evaluation_json(
    classes: Sequence[str], confusion: Confusion, measures: Mapping[str, float]
) -> str:
    """Return measures, recall per class and the confusion matrix as strict JSON."""
    return as_json(
        {
            "num_images": int(confusion.sum()),
            **{name.replace("-", "_"): value for name, value in measures.items()},
            "recalls": dict(zip(classes, recalls(confusion).tolist(), strict=True)),
            "classes": list(classes),
            "confusion": confusion.tolist(),
        }
    )
