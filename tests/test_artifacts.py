"""Weight files: whole or not there, noticed when damaged, removed when nobody needs them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from evoconv.artifacts import WeightFiles
from evoconv.errors import StudyError

HOUSE = Path(__file__).parents[1]


@pytest.fixture
def files(tmp_path: Path) -> WeightFiles:
    return WeightFiles(tmp_path / "weights")


def test_weights_come_back_as_they_were_written(files: WeightFiles) -> None:
    assert files.path(1) is None
    assert files.read(1) is None
    path = files.write(1, b"\0weights")
    assert files.path(1) == path
    assert path.suffix == ".safetensors"
    assert files.read(1) == b"\0weights"
    assert files.read(11) is None


def test_writing_again_replaces_the_file(files: WeightFiles) -> None:
    files.write(1, b"old")
    files.write(1, b"new")
    files.write(1, b"new")
    assert files.read(1) == b"new"
    assert len(list(files.folder.iterdir())) == 1


def test_a_damaged_file_is_refused(files: WeightFiles) -> None:
    path = files.write(1, b"weights")
    path.write_bytes(b"weighty")
    with pytest.raises(StudyError, match="is damaged"):
        files.read(1)


def test_an_unreadable_file_is_refused(files: WeightFiles) -> None:
    path = files.write(1, b"weights")
    path.unlink()
    path.mkdir()
    with pytest.raises(StudyError, match="can't be read"):
        files.read(1)


def test_only_retained_weights_stay(files: WeightFiles) -> None:
    for number in (1, 2, 12):
        files.write(number, b"weights")
    (files.folder / "3-half.part").write_bytes(b"of a process that was killed")
    (files.folder / "2-half.part").write_bytes(b"of one that is running")
    (files.folder / "my-notes.txt").write_bytes(b"a person's")
    files.retain([2])
    assert files.read(2) == b"weights"
    names = sorted(path.name.partition("-")[0] for path in files.folder.iterdir())
    assert names == ["2", "2", "my"]


def test_beyond_the_limit_the_least_needed_go(files: WeightFiles) -> None:
    for number, size in ((1, 50), (2, 30), (3, 40), (4, 10)):
        files.write(number, b"x" * size)
    files.retain([3, 1, 2, 4], max_bytes=100)
    assert [number for number in (1, 2, 3, 4) if files.path(number)] == [1, 3]
    files.retain([3, 1], max_bytes=0)
    assert not any(files.folder.iterdir())


def test_retaining_before_the_first_file_is_nothing(files: WeightFiles) -> None:
    files.retain([1])
    assert not files.folder.exists()


def test_a_full_disk_is_said_and_leaves_nothing_behind(files: WeightFiles, tmp_path: Path) -> None:
    files.write(1, b"old")
    # A limit on file size stands for the disk: the write fails amid the file, for real.
    script = f"""
import resource, signal
from pathlib import Path
from evoconv.artifacts import WeightFiles
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    WeightFiles(Path({str(files.folder)!r})).write(1, bytes(100_000))
except Exception as error:
    print(type(error).__name__, error)
"""
    environment = os.environ | {"PYTHONPATH": str(HOUSE / "src")}
    output = subprocess.run(
        [sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True
    ).stdout
    assert output.startswith("StudyError the weights of trial 1 can't be saved: ")
    assert files.read(1) == b"old"
    assert len(list(files.folder.iterdir())) == 1


def test_weights_that_can_not_be_saved_are_said(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match="weights of trial 1 can't be saved"):
        WeightFiles(tmp_path / "file").write(1, b"weights")
