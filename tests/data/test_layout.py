import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoconv.data.image_set import Declared
from evoconv.data.layout import arrange
from evoconv.errors import DataError


def test_folders_are_classes_in_natural_order() -> None:
    layout = arrange(["10/a.png", "9/b.png", "9/sub/c.JPG"], "set")
    assert layout.classes == ("9", "10")
    assert layout.paths == ("9/b.png", "9/sub/c.JPG", "10/a.png")
    assert layout.labels.tolist() == [0, 0, 1]
    assert set(layout.declared) == {Declared.ANY}


@pytest.mark.parametrize("name", ["val", "valid", "validation", "Valid"])
def test_split_folders_are_known_by_their_names(name: str) -> None:
    paths = ["train/a/1.png", "train/b/1.png", f"{name}/a/1.png", "test/b/1.png"]
    layout = arrange(paths, "set")
    declared = dict(zip(layout.paths, layout.declared.tolist(), strict=True))
    assert [declared[path] for path in paths] == [
        Declared.TRAIN,
        Declared.TRAIN,
        Declared.VALIDATION,
        Declared.TEST,
    ]
    assert layout.classes == ("a", "b")


@pytest.mark.parametrize("around", ["", "set/", "set/images/"])
def test_single_folders_around_everything_do_not_count(around: str) -> None:
    plain = arrange([f"{around}a/1.png", f"{around}b/1.png"], "set")
    assert plain.classes == ("a", "b")
    split = arrange([f"{around}train/a/1.png", f"{around}train/b/1.png"], "set")
    assert split.classes == ("a", "b")
    assert set(split.declared) == {Declared.TRAIN}


def test_one_class_with_one_subfolder_is_not_taken_for_a_wrapper_of_images() -> None:
    assert arrange(["a/1.png"], "set").classes == ("a",)


@given(st.permutations(["b/2.png", "a/1.png", "a/10.png", "a/2.png", "b/1.png"]))
def test_the_order_of_paths_does_not_matter(paths: list[str]) -> None:
    assert arrange(paths, "set").paths == ("a/1.png", "a/2.png", "a/10.png", "b/1.png", "b/2.png")


def test_hidden_files_and_leftovers_are_passed_over_silently() -> None:
    hidden = ["__MACOSX/a/._1.png", "a/.thumb.png", ".git/x/1.png", "a/Thumbs.db", ".DS_Store"]
    layout = arrange(["a/1.png", "b/1.png", *hidden], "set")
    assert layout.paths == ("a/1.png", "b/1.png")
    assert layout.notes == ()


def test_other_files_are_ignored_with_a_note() -> None:
    layout = arrange(["a/1.png", "b/1.png", "a/labels.csv", "README"], "set")
    assert layout.notes == ("2 files ignored that are no images (.csv, no suffix).",)


def test_loose_images_are_ignored_with_a_note() -> None:
    layout = arrange(["a/1.png", "b/1.png", "preview.png"], "set")
    assert layout.notes == ("1 image ignored outside any class folder: preview.png.",)


def test_a_class_may_be_called_train() -> None:
    assert arrange(["train/1.png", "bus/1.png"], "set").classes == ("bus", "train")


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        ([], "holds no images"),
        (["a/1.txt"], "holds no images"),
        (["1.png", "2.png"], "one folder per class is expected"),
        (["train/a/1.png", "extra/a/1.png"], r"both split folders \(train\) and others \(extra\)"),
        (
            ["train/a/1.png", "train/b/1.png", "test/1.png"],
            "test/ in set holds images right inside",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(paths: list[str], reason: str) -> None:
    with pytest.raises(DataError, match=reason):
        arrange(paths, "set")
