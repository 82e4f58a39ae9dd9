import gzip
import os
import stat
import tarfile
import zipfile
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest

from evoconv.errors import DataError
from tests.data.files import load, tree_of, write_tar, write_tree, write_zip

FILES = tree_of(splits=("train", "test"))


@pytest.mark.parametrize("name", ["set.tar", "set.tar.gz", "set.tgz", "set.zip", "SET.ZIP"])
def test_an_archive_gives_the_same_set_as_its_tree(name: str, tmp_path: Path) -> None:
    backwards = dict(reversed(FILES.items()))
    if name.lower().endswith(".zip"):
        path = write_zip(tmp_path / name, backwards)
    else:
        path = write_tar(tmp_path / name, backwards, "w" if name.endswith(".tar") else "w:gz")
    from_tree = load(write_tree(tmp_path / "tree", FILES))
    from_archive = load(path)
    assert from_archive.digest == from_tree.digest
    assert np.array_equal(from_archive.images, from_tree.images)


OUTSIDE = ["../a/1.png", "/etc/1.png", "a/../../1.png", "..\\a\\1.png", "C:\\a\\1.png"]


@pytest.mark.parametrize("outside", OUTSIDE)
def test_a_member_outside_the_archive_is_refused(outside: str, tmp_path: Path) -> None:
    files = FILES | {outside: b"x"}
    for path in (write_tar(tmp_path / "x.tar", files), write_zip(tmp_path / "x.zip", files)):
        with pytest.raises(DataError, match="points outside it"):
            load(path)


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_refused(kind: bytes, tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", FILES)
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("train/cat/link.png")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(DataError, match="holds a link, a device or a sparse file"):
        load(path)


def test_links_in_a_zip_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", FILES)
    with zipfile.ZipFile(path, "a") as archive:
        member = zipfile.ZipInfo("train/cat/link.png")
        member.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(member, "/etc/passwd")
    with pytest.raises(DataError, match="holds a link or a device"):
        load(path)


def test_a_repeated_member_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", FILES)
    with tarfile.open(path, "a") as archive:
        member = tarfile.TarInfo("train//cat/./0.png")
        archive.addfile(member, BytesIO())
    with pytest.raises(DataError, match=r"holds 'train/cat/0.png' more than once"):
        load(path)


def test_a_bomb_is_refused_by_the_size_it_declares(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", FILES)
    data = bytearray(path.read_bytes())
    # The uncompressed size in the first entry of the central directory: 4 GiB less a little.
    entry = data.index(b"PK\x01\x02")
    data[entry + 24 : entry + 28] = b"\xfe\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(DataError, match="unpacks to more than the"):
        load(path)


def test_a_bomb_is_refused_by_the_size_that_comes_out(
    tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evoconv.data.archives._ALWAYS_ALLOWED_BYTES", 2**20)
    path = tmp_path / "x.tar.gz"
    path.write_bytes(gzip.compress(bytes(2**25)))
    with pytest.raises(DataError, match="unpacks to more than the 6,"):
        load(path)
    assert not [one for one in own_cache.rglob("*") if one.is_file() and one.suffix != ".lock"]


def test_a_member_larger_than_an_image_may_be_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evoconv.data.archives.MAX_FILE_BYTES", 10_000)
    path = write_tar(tmp_path / "x.tar", FILES | {"train/cat/large.png": bytes(20_000)})
    with pytest.raises(DataError, match=r"train/cat/large.png in .* is larger than"):
        load(path)


@pytest.mark.parametrize("name", ["x.tar", "x.tar.gz", "x.zip"])
def test_a_truncated_archive_is_refused(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name == "x.zip":
        write_zip(path, FILES)
    else:
        write_tar(path, FILES, "w:gz" if name.endswith("gz") else "w")
    os.truncate(path, path.stat().st_size // 2 - 7)
    with pytest.raises(DataError, match="is a damaged archive"):
        load(path)


def test_an_archive_of_garbage_is_refused(tmp_path: Path) -> None:
    for name in ("x.tar", "x.zip", "x.tgz"):
        (tmp_path / name).write_bytes(b"\x1f\x8b" + bytes(range(256)) * 4)
        with pytest.raises(DataError, match="is a damaged archive"):
            load(tmp_path / name)


def test_a_damaged_member_is_named_and_can_be_skipped(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in FILES.items():
            archive.writestr(name, data)
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(FILES["train/cat/3.png"]) + 60] ^= 255
    path.write_bytes(damaged)
    with pytest.raises(DataError, match=r"train/cat/3.png in .* is damaged: Bad CRC-32"):
        load(path)
    assert len(load(path, skip_bad_images=True)) == len(FILES) - 1


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", FILES)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02")
    data[entry + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(DataError, match="is encrypted"):
        load(path)


def test_a_zip_without_images_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no images"):
        load(write_zip(tmp_path / "x.zip", {"notes.txt": zlib.compress(b"x")}))
