"""A tiny set of images, studies on it that take seconds, and a look at them while they run."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import psutil
from PIL import Image
from rich.console import Console

from evoconv.genomes.architecture import read_genome
from evoconv.records import Trial, TrialState
from evoconv.report.read_standing import read_standing
from evoconv.report.show import print_study
from evoconv.study.storage import Storage
from evoconv.study.watch import Unwatched

T = TypeVar("T")

# Long enough for a machine that is busy with something else; never waited for in full.
PATIENCE_S = 240.0

# A few hundred images per evaluation; nothing here is about accuracy.
FAST: dict[str, Any] = {
    "image_passes": 400,
    "final_epochs": 3,
    "baseline": False,
    "max_macs": 300_000,
}


def write_stripes(path: Path, num_images: int = 150) -> Path:
    """Write an .npz of three classes: rows, columns, checks; return its path."""
    images, labels = draw_stripes(num_images)
    np.savez(path, images=images, labels=labels)
    return path


def write_stripe_files(folder: Path, num_images: int = 150) -> Path:
    """Write the same images as PNG files in folders of their classes; return the folder."""
    for number, (pixels, label) in enumerate(zip(*draw_stripes(num_images), strict=True)):
        home = folder / ("rows", "columns", "checks")[label]
        home.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(home / f"{number}.png")
    return folder


def draw_stripes(num_images: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """Return images (N, 10, 10) and labels (N,) in 0, 1, 2."""
    rng = np.random.default_rng(11)
    labels = rng.integers(3, size=num_images)
    images = rng.integers(0, 60, size=(num_images, 10, 10), dtype=np.uint8)
    images[labels == 0, ::2] += 120
    images[labels == 1, :, ::2] += 120
    images[labels == 2, ::2, ::2] += 120
    return images, labels


def flags(options: dict[str, Any]) -> list[str]:
    """Return options as the words of a command line."""
    words: list[str] = []
    for name, value in options.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            words.append(f"--{'' if value else 'no-'}{flag}")
        else:
            words += [f"--{flag}", str(value)]
    return words


def command(*words: str) -> list[str]:
    """Return the command line of an evoconv process."""
    return [sys.executable, "-m", "evoconv", *words]


def start(*words: str, cwd: Path) -> "subprocess.Popen[str]":
    """Start an evoconv process in a session of its own."""
    return subprocess.Popen(
        command(*words),
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def wait_until(condition: Callable[[], T], what: str) -> T:
    """Return the condition's value as soon as it is true; ``AssertionError`` after a long time."""
    end = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < end, f"waited in vain until {what}"
        time.sleep(0.02)
    return value


def kill_when(process: "subprocess.Popen[str]", condition: Callable[[], object], what: str) -> None:
    """Kill a process and its workers with SIGKILL when something is so; wait till all are gone."""
    try:
        wait_until(condition, what)
        workers = workers_of(process)
        os.killpg(process.pid, signal.SIGKILL)
    finally:
        process.communicate()
    wait_until_gone(workers)


def workers_of(process: "subprocess.Popen[str]") -> list[psutil.Process]:
    """Return all processes that a command has started and that are alive."""
    try:
        found: list[psutil.Process] = psutil.Process(process.pid).children(recursive=True)
        return found
    except psutil.NoSuchProcess:
        return []


def wait_until_gone(processes: Iterable[psutil.Process]) -> None:
    """Return once none of the processes is alive."""
    for one in processes:
        wait_until(lambda: not _is_alive(one), f"{one} is gone")  # noqa: B023 - used at once


def trials_in(run: Path) -> list[Trial]:
    """Return a study's trials as they stand now; none while it isn't there."""
    if not (run / "study.db").is_file():
        return []
    with closing(Storage.open(run, read_genome)) as storage:
        return storage.trials()


def note_in(run: Path, name: str) -> Any:
    """Return a note of a study as it stands now; None while it isn't there."""
    if not (run / "study.db").is_file():
        return None
    with closing(Storage.open(run, read_genome)) as storage:
        return storage.note(name)


def tells_in(run: Path) -> list[int]:
    """Return the numbers of the individuals that were told, in order."""
    with closing(Storage.open(run, read_genome)) as storage:
        return [n for event in storage.events() if event.kind == "tell" for n in event.numbers]


def finished(trials: Iterable[Trial]) -> dict[int, str]:
    """Return all that is kept of finished trials, by number, so that it can be compared."""
    # As text: a NaN in a learning curve differs from itself.
    return {one.number: repr(one) for one in trials if one.state.is_finished}


def running(trials: Iterable[Trial]) -> dict[int, int]:
    """Return attempts of the trials under way, by number."""
    return {one.number: one.attempts for one in trials if one.state is TrialState.RUNNING}


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


class Listening(Unwatched):
    """Keeps what a person is told."""

    def __init__(self) -> None:
        self.sentences: list[str] = []

    def notify(self, sentence: str) -> None:
        self.sentences.append(sentence)


def shown(run: Path) -> str:
    """Return what ``evoconv show`` prints of a study, 100 columns wide."""
    with closing(Storage.open(run, read_genome)) as storage:
        standing = read_standing(run, storage)
    console = Console(width=100, file=StringIO())
    print_study(console, standing)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()
