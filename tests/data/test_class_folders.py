import os
from pathlib import Path

import pytest

from evoconv.data.class_folders import iter_image_files
from evoconv.errors import DataError
from tests.data.files import draw, encode, load, tree_of, write_tree


def test_a_tree_gives_its_images_with_labels_and_names(tmp_path: Path) -> None:
    files = {f"{name}/{seed}.png": encode(draw(seed, 5, 7)) for seed, name in enumerate("abab")}
    opened = load(write_tree(tmp_path, files))
    assert opened.classes == ("a", "b")
    assert opened.names == ("a/0.png", "a/2.png", "b/1.png", "b/3.png")
    assert opened.labels.tolist() == [0, 0, 1, 1]
    assert (opened.images[..., 0] == [draw(seed, 5, 7) for seed in (0, 2, 1, 3)]).all()


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    with pytest.raises(DataError, match="is an empty folder"):
        load(tmp_path)


def test_an_empty_class_folder_is_noted(tmp_path: Path) -> None:
    write_tree(tmp_path, tree_of())
    (tmp_path / "cow").mkdir()
    assert "Empty folders ignored: cow." in load(tmp_path).notes


def test_linked_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    write_tree(tmp_path / "elsewhere", tree_of(("dog",)))
    write_tree(tmp_path / "set", tree_of(("cat",)))
    (tmp_path / "set" / "dog").symlink_to(tmp_path / "elsewhere" / "dog")
    (tmp_path / "set" / "cat" / "again").symlink_to(tmp_path / "set")
    assert len(load(tmp_path / "set")) == 12


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    write_tree(tmp_path, tree_of())
    (tmp_path / "cat").chmod(0)
    try:
        with pytest.raises(DataError, match=r"can't read .*cat: Permission denied"):
            load(tmp_path)
    finally:
        (tmp_path / "cat").chmod(0o700)


def test_a_changed_file_is_decoded_anew(tmp_path: Path) -> None:
    write_tree(tmp_path, tree_of())
    before = load(tmp_path)
    (tmp_path / "cat" / "0.png").write_bytes(encode(draw(99, 8, 10)))
    after = load(tmp_path)
    assert (after.images[0, ..., 0] == draw(99, 8, 10)).all()
    assert after.digest != before.digest


def test_image_files_are_found_in_files_and_folders(tmp_path: Path) -> None:
    write_tree(
        tmp_path, {name: b"" for name in ("b/2.png", "b/x/1.JPG", "a.png", "b/.h.png", "b/t")}
    )
    found = list(iter_image_files([tmp_path / "b", str(tmp_path / "a.png"), tmp_path / "b" / "t"]))
    assert found == [tmp_path / name for name in ("b/2.png", "b/x/1.JPG", "a.png", "b/t")]


def test_missing_files_and_folders_without_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file or folder"):
        list(iter_image_files([tmp_path / "gone.png"]))
    with pytest.raises(DataError, match="holds no images"):
        list(iter_image_files([tmp_path]))
