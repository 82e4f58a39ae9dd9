"""Augmentations compared on validation images before the final trainings."""

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import evoconv
from evoconv.errors import StudyError
from evoconv.genomes.topology import Topology
from evoconv.report.read_standing import read_standing
from evoconv.study.storage import Storage
from tests.small_studies import FAST, Listening, shown

OPTIONS: dict[str, Any] = FAST | {
    "evaluations": 3,
    "try_augmentations": True,
    "finalists": 0,
    "final_epochs": 20,
    "normalisation": "batch",
    "shift": 0.0,
    "seed": 4,
    "workers": 2,
}


def spots(count: int, sides: tuple[int, ...], seed: int) -> tuple[npt.NDArray[np.uint8], Any]:
    """Draw a bright spot in the upper (class 0) or lower (class 1) half, on one of the sides."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=count)
    images = rng.integers(0, 40, size=(count, 12, 12), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        row, column = 6 * label + rng.integers(4), 6 * rng.choice(sides) + rng.integers(4)
        image[row : row + 3, column : column + 3] = 200
    return images, labels


@pytest.fixture(scope="module")
def one_sided(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write images whose training part has spots on the left only, the other parts on both."""
    path = tmp_path_factory.mktemp("images") / "spots.npz"
    parts = {}
    for number, (part, count, sides) in enumerate(
        (("train", 200, (0,)), ("val", 200, (0, 1)), ("test", 300, (0, 1)))
    ):
        parts[f"x_{part}"], parts[f"y_{part}"] = spots(count, sides, number)
    np.savez(path, **parts)  # type: ignore[arg-type]
    return path


@pytest.fixture(scope="module")
def study(one_sided: Path, tmp_path_factory: pytest.TempPathFactory) -> evoconv.Result:
    return evoconv.evolve(one_sided, out=tmp_path_factory.mktemp("runs") / "run", **OPTIONS)


def compared(result: evoconv.Result) -> dict[str, dict[str, Any]]:
    return {row["augmentation"]: row for row in result.summary["augmentations"]}


def test_a_change_that_helps_is_used_at_the_end(study: evoconv.Result, one_sided: Path) -> None:
    rows = compared(study)
    assert set(rows) == {"as configured", "rotate 10", "flip horizontal"}
    plain, flipped = rows["as configured"], rows["flip horizontal"]
    assert flipped["validation_cross_entropy"] < 0.99 * plain["validation_cross_entropy"]
    assert flipped["taken"]
    without = evoconv.evolve(
        one_sided, out=study.run.parent / "without", **(OPTIONS | {"try_augmentations": False})
    )
    assert without.summary["augmentations"] == []
    assert study.summary["trial"] == without.summary["trial"]
    assert study.summary["test_cross_entropy"] < without.summary["test_cross_entropy"]


def test_a_change_that_swaps_classes_is_not_taken(tmp_path: Path) -> None:
    images, labels = spots(500, (0, 1), 3)
    # Turned, the classes are left and right.
    np.savez(tmp_path / "turned.npz", images=images.transpose(0, 2, 1), labels=labels)
    rows = compared(evoconv.evolve(tmp_path / "turned.npz", out=tmp_path / "run", **OPTIONS))
    assert not rows["flip horizontal"]["taken"]
    assert rows["flip horizontal"]["validation_accuracy"] < 0.9


def test_what_is_configured_is_not_tried(one_sided: Path, tmp_path: Path) -> None:
    options = OPTIONS | {"flip": "both", "rotate": 5}
    result = evoconv.evolve(one_sided, out=tmp_path / "run", **options)
    assert set(compared(result)) == {"as configured"}


def test_they_are_shown(study: evoconv.Result) -> None:
    text = shown(study.run)
    assert "Augmentations: compared on trial" in text
    assert "used at the end" in text


def test_a_resume_does_what_is_missing_and_keeps_what_is_there(
    one_sided: Path, study: evoconv.Result, tmp_path: Path
) -> None:
    first = evoconv.evolve(one_sided, out=tmp_path / "run", **OPTIONS)
    with closing(Storage.open(first.run, Topology.from_json)) as storage:
        note = storage.note("augmentations")
        assert note is not None
        kept = [row for row in note["rows"] if row["name"] != "flip horizontal"]
        for row in kept:
            row["values"]["validation_cross_entropy"] *= 1.5
        storage.set_note("augmentations", note | {"rows": kept, "taken": []})
        for name in ("final", "checked"):
            storage.set_note(name, None)
    again = compared(evoconv.resume(first.run))
    before = compared(study)
    assert again["flip horizontal"] == before["flip horizontal"]
    for name in ("as configured", "rotate 10"):
        raised = 1.5 * before[name]["validation_cross_entropy"]
        assert again[name]["validation_cross_entropy"] == pytest.approx(raised)


def test_too_little_time_leaves_them_out(one_sided: Path, tmp_path: Path) -> None:
    listening = Listening()
    options = OPTIONS | {"time_s": 30, "final_epochs": 100_000}
    result = evoconv.evolve(one_sided, out=tmp_path / "run", watch=listening, **options)
    assert result.summary["augmentations"] == []
    assert any(one.startswith("no augmentations are tried") for one in listening.sentences)


@pytest.mark.parametrize("note", [{"rows": [{}]}, {"trial": 0, "rows": "x", "taken": []}])
def test_a_damaged_note_is_refused(study: evoconv.Result, note: object) -> None:
    with closing(Storage.open(study.run, Topology.from_json)) as storage:
        before = storage.note("augmentations")
        storage.set_note("augmentations", note)
        try:
            with pytest.raises(StudyError, match="damaged"):
                read_standing(study.run, storage)
        finally:
            storage.set_note("augmentations", before)
