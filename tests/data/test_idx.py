import gzip
from pathlib import Path

import numpy as np
import pytest

from evoconv.data.idx import read_idx
from evoconv.data.image_set import Declared
from evoconv.errors import DataError
from tests.data.files import Bytes, draw, encode_idx, load, write_idx_pair

IMAGES = draw(0, 20, 6, 5)
LABELS = np.arange(20, dtype=np.uint8) % 3


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("dot", [False, True])
def test_idx_files_give_back_images_labels_and_splits(
    dot: bool, pack: bool, tmp_path: Path
) -> None:
    write_idx_pair(tmp_path, "train", IMAGES, LABELS, dot=dot, pack=pack)
    write_idx_pair(tmp_path, "t10k", IMAGES[::-1], LABELS[::-1], dot=dot, pack=pack)
    opened = load(tmp_path)
    assert np.array_equal(opened.images[:20, ..., 0], IMAGES)
    assert np.array_equal(opened.images[20:, ..., 0], IMAGES[::-1])
    assert np.array_equal(opened.labels, [*LABELS, *LABELS[::-1]])
    assert opened.declared.tolist() == [Declared.TRAIN] * 20 + [Declared.TEST] * 20
    assert opened.classes == ("0", "1", "2")


def test_the_test_pair_may_be_missing(tmp_path: Path) -> None:
    write_idx_pair(tmp_path, "train", IMAGES, LABELS)
    assert set(load(tmp_path).declared) == {Declared.TRAIN}


@pytest.mark.parametrize("missing", ["train-labels-idx1-ubyte.gz", "t10k-images-idx3-ubyte.gz"])
def test_half_a_pair_is_refused(missing: str, tmp_path: Path) -> None:
    for prefix in ("train", "t10k"):
        write_idx_pair(tmp_path, prefix, IMAGES, LABELS)
    (tmp_path / missing).unlink()
    with pytest.raises(DataError, match=f"but no {missing.partition('-idx')[0]} file"):
        load(tmp_path)


def test_test_images_alone_are_refused(tmp_path: Path) -> None:
    write_idx_pair(tmp_path, "t10k", IMAGES, LABELS)
    with pytest.raises(DataError, match="no train-images file"):
        load(tmp_path)


def test_labels_that_do_not_match_the_images_are_refused(tmp_path: Path) -> None:
    write_idx_pair(tmp_path, "train", IMAGES, LABELS[:-1])
    with pytest.raises(DataError, match="20 train images but 19 labels"):
        load(tmp_path)


def test_pairs_of_different_sizes_are_refused(tmp_path: Path) -> None:
    write_idx_pair(tmp_path, "train", IMAGES, LABELS)
    write_idx_pair(tmp_path, "t10k", draw(1, 20, 5, 5), LABELS)
    with pytest.raises(DataError, match=r"t10k images of shape \(5, 5, 1\)"):
        load(tmp_path)


GOOD = encode_idx(IMAGES)


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (encode_idx(LABELS), "magic number 00000801 instead of 00000803"),
        (b"\x89PNG" + GOOD, "magic number 89504e47"),
        (GOOD[:3], "magic number 000008"),
        (GOOD[:10], "fewer"),
        (GOOD[:-1], "declares 20 x 6 x 5 values but holds 599"),
        (GOOD + b"x", "declares 20 x 6 x 5 values but holds more"),
        (GOOD[:4] + b"\xff" * 12, "holds fewer"),
        (b"", "magic number"),
    ],
)
def test_a_wrong_magic_number_or_length_is_refused(
    data: bytes, reason: str, pack: bool, tmp_path: Path
) -> None:
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(gzip.compress(data) if pack else data)
    with pytest.raises(DataError, match=reason):
        read_idx(path, num_axes=3)


def test_a_damaged_gzip_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(GOOD)[:-40])
    with pytest.raises(DataError, match="is damaged"):
        read_idx(path, num_axes=3)


def test_a_gzip_bomb_is_read_no_further_than_declared(tmp_path: Path) -> None:
    small: Bytes = np.zeros((1, 2, 2), np.uint8)
    path = tmp_path / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(encode_idx(small) + bytes(2**26)))
    with pytest.raises(DataError, match="declares 1 x 2 x 2 values but holds more"):
        read_idx(path, num_axes=3)
