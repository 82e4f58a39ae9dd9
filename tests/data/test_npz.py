import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from evoconv.data.image_set import Declared
from evoconv.errors import DataError
from tests.data.files import draw, load

LABELS = np.arange(12) % 3


def write(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


@pytest.mark.parametrize("shape", [(12, 6, 5), (12, 6, 5, 1), (12, 6, 5, 3)])
def test_images_and_labels_come_back(shape: tuple[int, ...], tmp_path: Path) -> None:
    images = draw(0, *shape)
    opened = load(write(tmp_path / "x.npz", images=images, labels=LABELS))
    assert np.array_equal(opened.images, images.reshape(*shape[:3], -1))
    assert np.array_equal(opened.labels, LABELS)
    assert set(opened.declared) == {Declared.ANY}


@pytest.mark.parametrize(
    "keys",
    [
        ("x_train", "y_train", "x_val", "y_val", "x_test", "y_test"),
        (
            "train_images",
            "train_labels",
            "val_images",
            "val_labels",
            "test_images",
            "test_labels",
        ),
    ],
)
def test_known_spellings_declare_splits(keys: tuple[str, ...], tmp_path: Path) -> None:
    images = draw(1, 36, 4, 4)
    arrays: dict[str, Any] = {}
    for number in range(3):
        rows = slice(12 * number, 12 * number + 12)
        arrays[keys[2 * number]] = images[rows]
        arrays[keys[2 * number + 1]] = LABELS[:, None]
    opened = load(write(tmp_path / "x.npz", **arrays))
    assert np.array_equal(opened.images[..., 0], images)
    assert opened.declared.tolist() == [1] * 12 + [2] * 12 + [3] * 12


def test_labels_may_be_text(tmp_path: Path) -> None:
    labels = np.array(["good", "bad"] * 6)
    opened = load(write(tmp_path / "x.npz", images=draw(2, 12, 4, 4), labels=labels))
    assert opened.classes == ("bad", "good")
    assert opened.labels.tolist() == [1, 0] * 6


def test_integers_of_12_bits_stay_as_they_are(tmp_path: Path) -> None:
    images = np.random.default_rng(3).integers(0, 4096, (12, 4, 4))
    opened = load(write(tmp_path / "x.npz", images=images, labels=LABELS))
    assert opened.images.dtype == np.uint16
    assert opened.preprocessing.bit_depth == 12
    assert np.array_equal(opened.images[..., 0], images)


def test_fractions_become_bytes_again_with_a_note(tmp_path: Path) -> None:
    images = draw(4, 12, 4, 4)
    opened = load(write(tmp_path / "x.npz", images=(images / 255).astype("f4"), labels=LABELS))
    assert np.array_equal(opened.images[..., 0], images)
    assert "Floating-point images in [0, 1] were read as 8 bits." in opened.notes


def test_bilevel_images_become_black_and_white(tmp_path: Path) -> None:
    images = draw(5, 12, 4, 4) > 100
    opened = load(write(tmp_path / "x.npz", images=images, labels=LABELS))
    assert np.array_equal(opened.images[..., 0] == 255, images)


IMAGES = draw(6, 12, 4, 4)


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"pictures": IMAGES}, "holds pictures; expected one of images and labels"),
        ({"x_train": IMAGES}, "expected one of"),
        ({"x_train": IMAGES, "y_train": LABELS, "x_test": IMAGES}, "only one of x_test and y_test"),
        ({"images": IMAGES, "labels": LABELS[1:]}, "12 any images but 11 labels"),
        ({"images": IMAGES[0], "labels": LABELS}, r"must have shape \(N, H, W\)"),
        ({"images": draw(7, 12, 4, 4, 2), "labels": LABELS}, "must have shape"),
        ({"images": IMAGES - 128.0, "labels": LABELS}, r"only \[0, 1\] is understood"),
        ({"images": IMAGES * np.nan, "labels": LABELS}, "floating-point values from nan"),
        ({"images": IMAGES.astype(int) - 200, "labels": LABELS}, "allowed are 0 to 65535"),
        ({"images": IMAGES.astype(str), "labels": LABELS}, "must hold numbers"),
        ({"images": IMAGES, "labels": LABELS / 2}, "must be integers or text"),
        ({"images": IMAGES, "labels": np.eye(12)}, "must be integers or text"),
        ({"images": IMAGES[:0], "labels": LABELS[:0]}, "holds no images"),
        ({"images": IMAGES[:, :0], "labels": LABELS}, "images of shape"),
    ],
)
def test_what_is_no_labelled_set_is_refused(
    arrays: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=reason):
        load(write(tmp_path / "x.npz", **arrays))


class Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (os.mkdir, ("unpickled",))


def test_nothing_is_unpickled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    objects = np.array([Bomb()] * 12, dtype=object)
    with pytest.raises(DataError, match="can't read"):
        load(write(tmp_path / "x.npz", images=IMAGES, labels=objects))
    assert not (tmp_path / "unpickled").exists()


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "x.npz", images=IMAGES, labels=LABELS)
    os.truncate(path, path.stat().st_size - 50)
    with pytest.raises(DataError, match=r"can't read .*x.npz"):
        load(path)
