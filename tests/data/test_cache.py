import multiprocessing as mp
import os
import signal
import subprocess
import sys
from functools import partial
from multiprocessing.connection import Connection
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from evoconv.data.cache import cache_root, cached_set
from evoconv.data.image_set import ImageSet
from evoconv.errors import DataError
from tests.data.files import load, tree_of, write_tree, write_zip

SPAWN = mp.get_context("spawn")


def quiet(_: str) -> None:
    pass


def copy_from(made: Path, folder: Path) -> None:
    for path in made.iterdir():
        (folder / path.name).write_bytes(path.read_bytes())


def copy_slowly(made: Path, begun: Event, may_end: Event, folder: Path) -> None:
    (folder / "images.npy").write_bytes(b"half")
    begun.set()
    may_end.wait()
    copy_from(made, folder)


def prepare_slowly(made: Path, begun: Event, may_end: Event) -> None:
    cached_set("key", partial(copy_slowly, made, begun, may_end), quiet)


def prepare_and_tell(made: Path, pipe: Connection) -> None:
    def refuse(folder: Path) -> None:
        raise AssertionError("made twice")

    opened = cached_set("key", refuse, pipe.send)
    pipe.send(opened.digest)


@pytest.fixture
def made(tmp_path: Path) -> ImageSet:
    return load(write_tree(tmp_path / "set", tree_of()))


def test_the_second_process_waits_for_the_first_and_takes_its_work(made: ImageSet) -> None:
    begun, may_end = SPAWN.Event(), SPAWN.Event()
    here, there = SPAWN.Pipe()
    first = SPAWN.Process(target=prepare_slowly, args=(made.folder, begun, may_end))
    second = SPAWN.Process(target=prepare_and_tell, args=(made.folder, there))
    first.start()
    assert begun.wait(30)
    second.start()
    assert here.poll(30)
    assert here.recv() == "another process is decoding the same images; waiting for it"
    may_end.set()
    assert here.poll(30)
    assert here.recv() == made.digest
    first.join(30)
    second.join(30)
    assert (first.exitcode, second.exitcode) == (0, 0)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_what_a_killed_process_left_half_written_is_not_used(made: ImageSet) -> None:
    begun, may_end = SPAWN.Event(), SPAWN.Event()
    first = SPAWN.Process(target=prepare_slowly, args=(made.folder, begun, may_end))
    first.start()
    assert begun.wait(30)
    assert first.pid is not None
    os.kill(first.pid, signal.SIGKILL)
    first.join(30)
    sets = cache_root() / "sets"
    assert (sets / "key.partial" / "images.npy").read_bytes() == b"half"
    opened = cached_set("key", partial(copy_from, made.folder), quiet)
    assert opened.digest == made.digest
    assert not list(sets.glob("*.partial"))


FULL_DISK = """
import resource, sys
from evoconv.data.sources import DataOptions, load_image_set
from evoconv.errors import DataError
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
try:
    load_image_set(sys.argv[1], DataOptions(), notify=print)
except DataError as error:
    sys.exit(str(error))
"""


@pytest.mark.skipif(os.name == "nt", reason="needs file size limits")
def test_a_full_disk_is_said_clearly_and_leaves_nothing_behind(
    tmp_path: Path, own_cache: Path
) -> None:
    source = write_tree(tmp_path / "set", tree_of(count=40, size=(30, 30)))
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(source)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.startswith(f"no space left for decoded images in {own_cache / 'sets'}")
    assert done.stderr.count("\n") == 1
    assert [path.suffix for path in (own_cache / "sets").iterdir()] in ([], [".lock"])
    assert len(load(source)) == 80


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_cache_that_cannot_be_written_is_said_clearly(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("EVOCONV_CACHE", str(tmp_path / place))
    source = write_tree(tmp_path / "set", tree_of())
    with pytest.raises(DataError, match=r"can't keep decoded images in .*set EVOCONV_CACHE"):
        load(source)


def test_what_fails_leaves_no_partial_folder(tmp_path: Path, own_cache: Path) -> None:
    files = tree_of() | {"cat/bad.png": b"no image"}
    with pytest.raises(DataError, match=r"cat/bad.png is no PNG"):
        load(write_zip(tmp_path / "x.zip", files))
    assert not list((own_cache / "sets").glob("*.partial"))


def test_a_set_is_decoded_once_per_source_and_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = write_tree(tmp_path / "set", tree_of())
    first = load(source)
    other = load(source, image_size="16")
    monkeypatch.setattr("evoconv.data.sources.write_set", None)
    assert load(source).folder == first.folder != other.folder
    assert load(str(source), image_size="16x16").folder == other.folder


def test_the_cache_is_where_the_system_keeps_caches_by_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("EVOCONV_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_root().name == "evoconv"
    monkeypatch.setenv("EVOCONV_CACHE", "~/somewhere")
    assert cache_root() == Path.home() / "somewhere"
