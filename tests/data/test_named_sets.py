import gzip
import hashlib
import io
import os
import socket
import tarfile
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from evoconv.data.image_set import Declared
from evoconv.data.named_sets import DOWNLOADS, Download, fetch
from evoconv.errors import DataError
from tests.data.files import (
    draw,
    encode_idx,
    load,
    tree_of,
    write_idx_pair,
    write_tree,
    write_zip,
)


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder whose content a local server offers as the mirror."""
    folder = tmp_path / "served"
    folder.mkdir()
    handler = partial(QuietHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        monkeypatch.setenv("EVOCONV_MIRROR", f"http://127.0.0.1:{server.server_port}/")
        yield folder
        server.shutdown()
        thread.join()


def offer(folder: Path, name: str, files: dict[str, bytes]) -> Download:
    write_tree(folder / name, files)
    return Download(
        sha256={one: hashlib.sha256(data).hexdigest() for one, data in files.items()}, mirrors=()
    )


def small_mnist() -> dict[str, bytes]:
    images, labels = draw(0, 20, 28, 28), np.arange(20, dtype=np.uint8) % 10
    return {
        name: gzip.compress(encode_idx(images if "images" in name else labels))
        for name in DOWNLOADS["mnist"].sha256
    }


def test_digits_need_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVOCONV_MIRROR", "http://127.0.0.1:1")
    opened = load("digits")
    assert opened.images.shape == (1797, 8, 8, 1)
    assert opened.classes == tuple("0123456789")
    assert (opened.images.min(), opened.images.max()) == (0, 255)
    assert len(np.unique(opened.images)) == 17
    assert set(opened.declared) == {Declared.ANY}


def test_a_set_is_downloaded_checked_and_kept(
    served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(DOWNLOADS, "mnist", offer(served, "mnist", small_mnist()))
    opened = load("mnist")
    assert opened.images.shape == (40, 28, 28, 1)
    assert opened.declared.tolist() == [Declared.TRAIN] * 20 + [Declared.TEST] * 20
    for path in (served / "mnist").iterdir():
        path.unlink()
    assert load("mnist").digest == opened.digest


def test_fashion_gets_its_class_names(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = offer(served, "fashion-mnist", small_mnist())
    known = DOWNLOADS["fashion-mnist"]
    monkeypatch.setitem(
        DOWNLOADS,
        "fashion-mnist",
        Download(sha256=offered.sha256, mirrors=(), classes=known.classes),
    )
    opened = load("fashion-mnist")
    assert opened.classes[:2] == ("T-shirt/top", "Trouser")
    assert opened.labels[:12].tolist() == [*range(10), 0, 1]


def test_cifar10_is_read_from_its_authors_records(
    served: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images, labels = draw(1, 60, 32, 32, 3), np.arange(60, dtype=np.uint8) % 10
    records = np.concatenate([labels[:, None], images.transpose(0, 3, 1, 2).reshape(60, -1)], 1)
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        names = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"]
        for number, name in enumerate(names):
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}.bin")
            member.size = 10 * 3073
            archive.addfile(member, io.BytesIO(records[10 * number : 10 * number + 10].tobytes()))
    offered = offer(served, "cifar10", {"cifar-10-binary.tar.gz": packed.getvalue()})
    known = DOWNLOADS["cifar10"]
    monkeypatch.setitem(
        DOWNLOADS, "cifar10", Download(sha256=offered.sha256, mirrors=(), locate=known.locate)
    )
    opened = load("cifar10")
    assert np.array_equal(opened.images, images)
    assert np.array_equal(opened.labels, labels)
    assert opened.classes[3] == "cat"
    assert opened.declared.tolist() == [Declared.TRAIN] * 50 + [Declared.TEST] * 10


def test_a_wrong_checksum_is_refused(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offered = offer(served, "mnist", small_mnist())
    monkeypatch.setitem(DOWNLOADS, "mnist", offered)
    (served / "mnist" / "t10k-labels-idx1-ubyte.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"127.0.0.1:.* gave a file with another checksum"):
        load("mnist")


def test_a_missing_file_on_the_mirror_is_said(served: Path) -> None:
    with pytest.raises(DataError, match=r"127.0.0.1:.* answered 404"):
        load("mnist")


def test_without_a_network_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        monkeypatch.setenv("EVOCONV_MIRROR", f"http://127.0.0.1:{port}")
        with pytest.raises(DataError) as caught:
            load("cifar10")
    message = str(caught.value)
    assert f"can't download cifar10 (127.0.0.1:{port} can't be reached)" in message
    assert "put cifar-10-binary.tar.gz into a folder called cifar10 and set EVOCONV_DATA" in message
    assert "\n" not in message


def test_the_second_mirror_is_tried_when_the_first_fails(
    served: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    good = os.environ["EVOCONV_MIRROR"].rstrip("/")
    monkeypatch.delenv("EVOCONV_MIRROR")
    offered = offer(served, "there", {"file.bin": b"content"})
    download = Download(sha256=offered.sha256, mirrors=(f"{good}/nowhere", f"{good}/there"))
    folder = fetch("some", download, lambda _: None)
    assert (folder / "file.bin").read_bytes() == b"content"


def test_a_local_copy_is_preferred_to_a_download(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVOCONV_MIRROR", "http://127.0.0.1:1")
    monkeypatch.setenv("EVOCONV_DATA", str(tmp_path))
    labels = np.arange(20, dtype=np.uint8) % 10
    write_idx_pair(tmp_path / "fashion-mnist", "train", draw(2, 20, 28, 28), labels)
    write_zip(tmp_path / "cifar10.zip", tree_of())
    assert load("fashion-mnist").classes[9] == "Ankle boot"
    assert load("cifar10").classes == ("cat", "dog")


def test_every_download_has_checksums_and_public_mirrors() -> None:
    for download in DOWNLOADS.values():
        assert len(download.mirrors) >= 2
        assert all(len(bytes.fromhex(one)) == 32 for one in download.sha256.values())
