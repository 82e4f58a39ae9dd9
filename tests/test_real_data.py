"""Small studies on real images: every kind of source from the path to a network that predicts."""

import re
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import evoconv
from evoconv.cli import main

pytestmark = pytest.mark.slow

# Two short evaluations and no long training at the end; nothing here is about accuracy.
SHORT: dict[str, Any] = {
    "evaluations": 2,
    "image_passes": 4000,
    "train_images": 2000,
    "max_macs": 1_000_000,
    "baseline": False,
    "seed": 1,
}


@pytest.mark.parametrize(
    ("name", "num_images", "input_shape"),
    [
        ("mnist", 70_000, [1, 28, 28]),
        ("fashion-mnist", 70_000, [1, 28, 28]),
        ("cifar10.zip", 60_000, [3, 32, 32]),
    ],
)
def test_a_known_set_runs_from_its_files(
    name: str, num_images: int, input_shape: list[int], real_data: Path, tmp_path: Path
) -> None:
    source = existing(real_data / name)
    result = evoconv.evolve(source, out=tmp_path / "run", final="evolved", **SHORT)
    data = result.summary["data"]
    assert data["input_shape"] == input_shape
    assert len(data["classes"]) == 10
    assert data["num_images"] == num_images
    # The set's own test images, and no others.
    assert data["num_test"] == 10_000
    assert result.summary["kept"] == "evolved"
    assert_better_than_guessing(result)


def test_steel_defects_run_with_nothing_but_their_path(real_data: Path, tmp_path: Path) -> None:
    source = existing(real_data / "neu-cls.tar")
    result = evoconv.evolve(source, out=tmp_path / "run", final_epochs=2, **SHORT)
    assert result.summary["kept"] == "retrained"
    assert len(result.summary["data"]["classes"]) == 6
    assert_better_than_guessing(result)


def test_a_pretraining_is_transferred_to_a_few_steel_defects(
    real_data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pictures, defects = existing(real_data / "cifar10.zip"), existing(real_data / "neu-cls.tar")
    few = tmp_path / "few"
    with tarfile.open(defects) as archive:
        numbered = re.compile(r"[^/]+/[^/]+_([0-9]+)\.jpg")
        members = [
            one
            for one in archive.getmembers()
            if (found := numbered.fullmatch(one.name)) and int(found[1]) <= 20
        ]
        archive.extractall(few, members, filter="data")
    assert len(members) == 6 * 20
    pretrained = evoconv.pretrain(
        pictures, out=tmp_path / "pre", seed=1, image_passes=4000, final="evolved"
    )
    options: dict[str, Any] = SHORT | {"image_passes": 800, "evaluations": 3, "max_macs": None}
    result = evoconv.transfer(
        few,
        pretrained.run,
        out=tmp_path / "run",
        image_size="32",
        folds=1,
        final_epochs=20,
        **options,
    )
    summary = result.summary
    assert (summary["complete"], summary["evaluations"], summary["failed"]) == (True, 3, 0)
    assert summary["data"]["num_images"] == 120
    assert summary["test_accuracy"] > 2 / 6, "twice as often right as by guessing"
    mine, theirs = result.best.classifier, pretrained.best.classifier
    colours = theirs.standardisation.mean
    assert mine.standardisation.mean == pytest.approx([sum(colours) / len(colours)])
    capsys.readouterr()
    files = sorted(str(one) for one in few.glob("crazing/*.jpg"))
    assert main(["predict", str(result.run), *files]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(files)


def existing(path: Path) -> Path:
    if not path.exists():
        pytest.skip(f"{path} isn't here")
    return path


def assert_better_than_guessing(result: evoconv.Result) -> None:
    summary = result.summary
    assert summary["complete"] is True
    assert summary["evaluations"] == 2
    assert summary["failed"] == 0
    assert summary["macs"] <= 1_000_000
    assert summary["test_accuracy"] > 1.3 / len(summary["data"]["classes"])
    classifier = result.best.classifier
    shape = classifier.preprocessing
    pixels = np.zeros((2, shape.height, shape.width, shape.channels), np.uint8)
    assert classifier.logits(pixels).shape == (2, len(classifier.classes))
