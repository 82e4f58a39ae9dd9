from pathlib import Path

import numpy as np
import pytest

from evoconv.data.decode import decode_file
from evoconv.data.image_set import Declared, Preprocessing
from evoconv.data.sources import DataOptions, load_labelled
from evoconv.errors import ConfigError, DataError
from tests.data.files import (
    draw,
    encode,
    load,
    tree_of,
    write_idx_pair,
    write_tar,
    write_tree,
    write_zip,
)


@pytest.mark.parametrize(
    "text", ["", "big", "0", "3", "48x", "x48", "-5", "48x48x3", "5000", "4.5"]
)
def test_nonsense_sizes_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"image_size is written 48 or 48x64"):
        DataOptions(image_size=text)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ConfigError, match="resize must be one of fit, stretch, crop, got squash"):
        DataOptions(resize="squash")


def test_a_wrong_name_lists_the_known_ones() -> None:
    with pytest.raises(
        DataError, match=r"no such file or folder: mnits.*digits, mnist, fashion-mnist, cifar10"
    ):
        load("mnits")


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.rar").write_bytes(b"")
    with pytest.raises(DataError, match=r"x.rar is no folder, no .tar, .tar.gz"):
        load(tmp_path / "x.rar")


def test_one_class_is_refused_from_every_kind_of_source(tmp_path: Path) -> None:
    files = tree_of(("cat",))
    np.savez(tmp_path / "x.npz", images=draw(0, 5, 4, 4), labels=np.zeros(5, int))
    write_idx_pair(tmp_path / "idx", "train", draw(0, 5, 4, 4), np.zeros(5, np.uint8))
    for source in (
        write_tree(tmp_path / "tree", files),
        write_tar(tmp_path / "x.tar", files),
        write_zip(tmp_path / "x.zip", files),
        tmp_path / "x.npz",
        tmp_path / "idx",
    ):
        with pytest.raises(DataError, match=r"only one class, .*at least two are needed"):
            load(source)


def test_a_class_that_is_only_tested_is_refused(tmp_path: Path) -> None:
    files = tree_of(splits=("train", "test")) | tree_of(("cow",), splits=("test",))
    with pytest.raises(DataError, match="has no training images of cow"):
        load(write_tree(tmp_path, files))


def test_a_test_split_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no training images of cat, dog"):
        load(write_tree(tmp_path, tree_of(splits=("test",))))


GIVEN = Preprocessing(height=12, width=9, channels=3, bit_depth=10, resize="crop")


def test_labelled_images_take_a_given_form_and_given_classes(tmp_path: Path) -> None:
    files = tree_of(("dog", "cat"), splits=("train", "test"), count=2)
    write_tree(tmp_path, files)
    opened = load_labelled(tmp_path, GIVEN, ("bird", "dog", "cat"))
    assert opened.classes == ("bird", "dog", "cat")
    assert opened.preprocessing == GIVEN
    assert [opened.classes[label] for label in opened.labels] == [
        name.split("/")[1] for name in opened.names
    ]
    assert set(opened.declared) == {Declared.TRAIN, Declared.TEST}
    for row, name in enumerate(opened.names):
        assert np.array_equal(opened.images[row], decode_file(tmp_path / name, GIVEN))


def test_labelled_images_may_be_of_one_class(tmp_path: Path) -> None:
    opened = load_labelled(write_tree(tmp_path, tree_of(("cat",))), GIVEN, ("cat", "dog"))
    assert set(opened.labels) == {0}


def test_an_unknown_class_is_refused(tmp_path: Path) -> None:
    write_tree(tmp_path, tree_of(("cat", "cow")))
    with pytest.raises(DataError, match="has images of cow, but the known classes are cat, dog"):
        load_labelled(tmp_path, GIVEN, ("cat", "dog"))


def test_bad_labelled_images_are_named_or_skipped(tmp_path: Path) -> None:
    write_tree(tmp_path, tree_of() | {"cat/bad.png": encode(draw(0, 9, 9))[:60]})
    with pytest.raises(DataError, match=r"cat/bad.png is damaged"):
        load_labelled(tmp_path, GIVEN, ("cat", "dog"))
    opened = load_labelled(tmp_path, GIVEN, ("cat", "dog"), skip_bad_images=True)
    assert len(opened) == 12


def test_a_path_is_preferred_to_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_tree(tmp_path / "digits", tree_of())
    monkeypatch.chdir(tmp_path)
    assert load("digits").classes == ("cat", "dog")
