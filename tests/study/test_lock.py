"""The lock of a run folder, between real processes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from evoconv.errors import StudyError
from evoconv.study.lock import lock_folder

HOUSE = Path(__file__).parents[2]

HOLDING_SCRIPT = """
import sys
from pathlib import Path
from evoconv.study.lock import lock_folder

with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


@contextmanager
def other_process_holding(folder: Path) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"PYTHONPATH": str(HOUSE / "src")}
    with subprocess.Popen(
        [sys.executable, "-c", HOLDING_SCRIPT, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def lock_once(folder: Path) -> None:
    with lock_folder(folder):
        pass


def test_a_folder_in_use_is_refused_with_the_process_that_uses_it(tmp_path: Path) -> None:
    with other_process_holding(tmp_path / "run") as other:
        for _ in range(2):  # the first refusal mustn't loosen it
            with pytest.raises(StudyError, match=f"run is in use by process {other.pid}$"):
                lock_once(tmp_path / "run")


def test_the_lock_vanishes_with_a_killed_process(tmp_path: Path) -> None:
    with other_process_holding(tmp_path) as other:
        other.kill()
        other.wait()
        lock_once(tmp_path)


def test_the_lock_ends_with_its_block_and_holds_within_one_process(tmp_path: Path) -> None:
    lock_once(tmp_path)
    with lock_folder(tmp_path), pytest.raises(StudyError, match=f"process {os.getpid()}$"):
        lock_once(tmp_path)
    lock_once(tmp_path)


@pytest.mark.parametrize("owner", ["", "nobody", "-1", "99999999999999999999", "4194399"])
def test_an_owner_that_can_not_be_known_is_another_process(tmp_path: Path, owner: str) -> None:
    with other_process_holding(tmp_path):
        (tmp_path / "study.lock.owner").write_text(owner)
        with pytest.raises(StudyError, match=r"in use by another process$"):
            lock_once(tmp_path)


def test_a_folder_that_can_not_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match="can't be locked"):
        lock_once(tmp_path / "file" / "run")
