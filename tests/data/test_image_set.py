import json
from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.data.image_set import (
    BIT_DEPTHS,
    MAX_SIDE,
    RESIZE_POLICIES,
    Preprocessing,
    open_image_set,
)
from evoconv.errors import DataError
from tests.data.files import load, tree_of, write_tree

preprocessings = st.builds(
    Preprocessing,
    height=st.integers(1, MAX_SIDE),
    width=st.integers(1, MAX_SIDE),
    channels=st.sampled_from([1, 3]),
    bit_depth=st.sampled_from(BIT_DEPTHS),
    resize=st.sampled_from(RESIZE_POLICIES),
)


@given(preprocessings)
def test_a_preprocessing_survives_json(one: Preprocessing) -> None:
    assert Preprocessing.from_dict(json.loads(json.dumps(one.to_dict()))) == one


GOOD = Preprocessing(height=8, width=8, channels=1).to_dict()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (GOOD | {"height": 0}, "height of images must be in"),
        (GOOD | {"width": 2000}, r"width of images must be in \[1, 1024\], got 2000"),
        (GOOD | {"width": "8"}, "width of images"),
        (GOOD | {"channels": 2}, "channels must be one of 1, 3, got 2"),
        (GOOD | {"channels": True}, "channels must be one of"),
        (GOOD | {"bit_depth": 9}, "bit_depth must be one of"),
        (GOOD | {"resize": "squash"}, "resize must be one of fit, stretch, crop, got squash"),
        (GOOD | {"resize": []}, "resize must be one of"),
        (GOOD | {"more": 1}, "has the fields"),
        ({}, "has the fields"),
        (None, "has the fields"),
    ],
)
def test_a_wrong_preprocessing_is_refused(content: Any, reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        Preprocessing.from_dict(content)


def test_an_opened_set_is_mapped_whole_and_frozen(tmp_path: Path) -> None:
    made = load(write_tree(tmp_path, tree_of()))
    opened = open_image_set(made.folder)
    assert isinstance(opened.images, np.memmap)
    assert opened.input_shape == (1, 8, 10)
    assert len(opened) == 12
    assert opened.digest == made.digest
    assert opened.names == made.names
    with pytest.raises(ValueError, match="read-only"):
        opened.images[0] = 0
    with pytest.raises(FrozenInstanceError):
        opened.notes = ()  # type: ignore[misc]


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "fingerprints.npy", "set.json"])
@pytest.mark.parametrize("damage", ["missing", "cut", "empty", "garbage", "another"])
def test_a_damaged_cache_is_refused_and_made_again(name: str, damage: str, tmp_path: Path) -> None:
    write_tree(tmp_path, tree_of())
    made = load(tmp_path)
    path = made.folder / name
    data = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "another":
        path.write_bytes(
            b"{}" if name == "set.json" else (made.folder / "declared.npy").read_bytes()
        )
    else:
        path.write_bytes({"cut": data[:-9], "empty": b"", "garbage": b"\x80\x04."}[damage])
    with pytest.raises(DataError, match="missing or damaged"):
        open_image_set(made.folder)
    assert load(tmp_path).digest == made.digest
    assert path.read_bytes() == data


def test_a_cache_of_another_version_is_refused(tmp_path: Path) -> None:
    made = load(write_tree(tmp_path, tree_of()))
    facts = json.loads((made.folder / "set.json").read_text())
    (made.folder / "set.json").write_text(json.dumps(facts | {"format": 999}))
    with pytest.raises(DataError, match="another version of evoconv"):
        open_image_set(made.folder)


def test_the_digest_follows_the_content_not_the_place(tmp_path: Path) -> None:
    first = load(write_tree(tmp_path / "here", tree_of()))
    same = load(write_tree(tmp_path / "there", tree_of()))
    other = load(write_tree(tmp_path / "other", tree_of(("cat", "cow"))))
    assert first.digest == same.digest != other.digest
