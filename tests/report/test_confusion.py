import json
from io import StringIO

import numpy as np
from rich.console import Console

from evoconv.report.confusion import class_report, evaluation_json, evaluation_line


def report(classes: list[str], confusion: list[list[int]], width: int = 80) -> str:
    console = Console(file=StringIO(), width=width)
    console.print(class_report(classes, np.array(confusion), width))
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


def diagonal(num_classes: int, wrong: int = 0) -> list[list[int]]:
    """Return a confusion matrix with ``wrong`` images of the last class taken for the first."""
    confusion = 5 * np.eye(num_classes, dtype=np.int64)
    confusion[-1, 0] = wrong
    return [[int(cell) for cell in row] for row in confusion]


def test_each_class_has_its_recall_and_what_it_is_taken_for() -> None:
    text = report(["crack", "dent"], [[3, 1], [0, 6]])
    assert "crack       4   75.00 %  dent (1)" in text
    assert "dent        6  100.00 %" in text


def test_short_names_head_the_matrix() -> None:
    lines = report(["a", "b"], [[3, 1], [0, 6]]).splitlines()
    assert lines[-3:] == ["  a b", "a 3 1", "b · 6"]


def test_long_names_are_numbered() -> None:
    lines = report(["a crack", "b"], [[3, 1], [0, 6]]).splitlines()
    assert lines[-3:] == ["          1 2", "1 a crack 3 1", "2 b       · 6"]


def test_a_class_without_images_has_no_recall() -> None:
    lines = report(["empty", "full"], [[0, 0], [0, 6]]).splitlines()
    assert lines[2].split() == ["empty", "0", "–"]


def test_many_classes_are_told_by_the_weakest_and_the_largest_confusions() -> None:
    text = report([f"class {index}" for index in range(30)], diagonal(30, wrong=5))
    assert "Recall of the 10 weakest of 30 classes" in text
    assert "Confusion matrix" not in text
    assert text.splitlines()[-1].split() == ["class", "29", "class", "0", "5", "50.0", "%"]


def test_a_matrix_too_wide_for_the_screen_is_a_list() -> None:
    names = [f"class {index}" for index in range(15)]
    assert "Confusion matrix" in report(names, diagonal(15, wrong=1), width=80)
    assert "Largest confusions" in report(names, diagonal(15, wrong=1), width=40)


def test_no_confusion_is_said_in_words() -> None:
    assert "No image was taken for another class." in report(["x"] * 25, diagonal(25))


def test_names_of_classes_are_text_not_markup() -> None:
    text = report(["[bold]a[/bold]", "\x1b[2J"], [[3, 1], [0, 6]])
    assert "[bold]a[/bold]" in text
    assert "\x1b" not in text


def test_an_evaluation_is_one_line_or_json() -> None:
    measures = {"accuracy": 0.9, "cross-entropy": 0.25}
    assert evaluation_line(10, measures) == "10 images: accuracy 90.00 %, cross-entropy 0.2500"
    found = json.loads(evaluation_json(["a", "b"], np.array([[3, 1], [0, 6]]), measures))
    assert found["num_images"] == 10
    assert found["cross_entropy"] == 0.25
    assert found["recalls"] == {"a": 0.75, "b": 1.0}
    assert found["confusion"] == [[3, 1], [0, 6]]
