"""Whole studies that meet with misfortune: kills, signals, lost workers, a full disk.

Real processes, real signals. Nothing that was finished may be lost or done again.
"""

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import psutil
import pytest

import evoconv
from evoconv.cli import main
from evoconv.errors import SearchFailed
from evoconv.execution.executor import Progress
from evoconv.genomes.topology import Topology
from evoconv.records import Failure, FailureKind, Individual, TrialState
from evoconv.study.stop import Tally
from evoconv.study.storage import Storage
from evoconv.study.watch import Unwatched
from tests.small_studies import (
    FAST,
    finished,
    flags,
    note_in,
    running,
    start,
    tells_in,
    trials_in,
    wait_until,
    wait_until_gone,
    workers_of,
    write_stripes,
)

Capture = pytest.CaptureFixture[str]
Process = subprocess.Popen[str]

NUM_EVALUATIONS = 7
# Evaluations that take about a second.
STUDY = FAST | {
    "image_passes": 4000,
    "evaluations": NUM_EVALUATIONS,
    "final_epochs": 2,
    "workers": 2,
    "seed": 6,
}
ENDLESS = STUDY | {"evaluations": 100_000}
# Final trainings that take a second or two.
LONG_END = STUDY | {"image_passes": 400, "final_epochs": 80, "repeats": 3}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_stripes(tmp_path / "stripes.npz")


@contextmanager
def started(source: Path, options: dict[str, object]) -> Iterator[tuple[Process, Path]]:
    """A study of its own process, and its run folder; killed if it is still there at the end."""
    run = source.parent / "run"
    process = start("evolve", str(source), "--out", "run", *flags(options), cwd=source.parent)
    try:
        yield process, run
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def workers_start(process: Process, run: Path) -> bool:
    return (run / "study.db").is_file() and len(workers_of(process)) >= 2


def search_goes_on(process: Process, run: Path) -> bool:
    assert process.poll() is None, process.communicate()[1]
    trials = trials_in(run)
    return len(finished(trials)) >= 3 and len(running(trials)) >= 1


def final_training_goes_on(process: Process, run: Path) -> bool:
    assert process.poll() is None, process.communicate()[1]
    note = note_in(run, "final")
    return note is not None and 1 <= len(note["rows"]) < 3


MOMENTS: dict[str, tuple[Callable[[Process, Path], bool], dict[str, object]]] = {
    "worker start": (workers_start, STUDY),
    "search": (search_goes_on, STUDY),
    "final training": (final_training_goes_on, LONG_END),
}


def kill_coordinator(process: Process) -> None:
    process.kill()


def kill_all(process: Process) -> None:
    os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize(
    ("moment", "kill"),
    [
        ("search", kill_coordinator),
        *(
            pytest.param(moment, kill, marks=pytest.mark.slow)
            for moment in MOMENTS
            for kill in (kill_coordinator, kill_all)
            if (moment, kill) != ("search", kill_coordinator)
        ),
    ],
)
def test_killed_at_any_moment_a_study_goes_on_where_it_was(
    moment: str, kill: Callable[[Process], None], source: Path
) -> None:
    has_come, options = MOMENTS[moment]
    with started(source, options) as (process, run):
        wait_until(lambda: has_come(process, run), moment)
        workers = workers_of(process)
        kill(process)
        process.wait()
        wait_until_gone(workers)
    before, rows = trials_in(run), (note_in(run, "final") or {"rows": []})["rows"]
    done, under_way = finished(before), running(before)

    assert main(["resume", str(run), "--quiet"]) == 0

    after = trials_in(run)
    assert {number: finished(after)[number] for number in done} == done
    for number, attempts in under_way.items():
        assert after[number].attempts == attempts + 1
    assert sum(one.attempts for one in after) == NUM_EVALUATIONS + len(under_way)
    assert sorted(tells_in(run)) == [one.number for one in after]
    assert [one.number for one in after] == list(range(len(after)))
    final = note_in(run, "final")["rows"]
    assert final[: len(rows)] == rows
    assert sorted(row["number"] for row in final) == list(range(len(final)))
    assert_usable(run)


@pytest.mark.parametrize(
    ("moment", "saved"),
    [
        pytest.param("worker start", False, marks=pytest.mark.slow),
        ("search", True),
        pytest.param("final training", True, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_saves_the_best_and_says_how_to_go_on(
    moment: str, saved: bool, source: Path, capsys: Capture
) -> None:
    has_come, options = MOMENTS[moment]
    with started(source, options) as (process, run):
        wait_until(lambda: has_come(process, run), moment)
        workers = workers_of(process)
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to all of them
        _, err = process.communicate()
        wait_until_gone(workers)
    assert process.returncode == 130
    assert err.count("\n") == 1
    assert err.startswith("evoconv: interrupted")
    assert "evoconv resume run" in err
    assert ("best so far is in run/best" in err) == saved
    done = finished(trials_in(run))
    assert not running(trials_in(run))
    if saved:
        assert len(evoconv.load(run).classes) == 3
        assert json.loads((run / "result.json").read_text())["complete"] is False

    assert main(["resume", str(run), "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    after = finished(trials_in(run))
    assert {number: after[number] for number in done} == done
    assert_usable(run)


@pytest.mark.slow
def test_an_interrupt_leaves_what_a_quicker_repeat_saved(source: Path) -> None:
    run = source.parent / "run"
    assert main(["evolve", str(source), "--out", str(run), *flags(LONG_END), "--quiet"]) == 0
    final = note_in(run, "final")
    with closing(Storage.open(run, Topology.from_json)) as storage:
        storage.set_note("final", final | {"rows": [o for o in final["rows"] if o["number"] == 1]})
        storage.set_note("checked", None)
    saved = (run / "best" / "model.safetensors").read_bytes()

    with start("resume", "run", cwd=source.parent) as process:
        wait_until(lambda: len(workers_of(process)) >= 2, "the workers start")
        os.killpg(process.pid, signal.SIGINT)
        _, err = process.communicate()
    assert "best so far is in run/best" in err
    assert (run / "best" / "model.safetensors").read_bytes() == saved


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["search", "final training"])
def test_a_request_to_terminate_is_orderly(moment: str, source: Path) -> None:
    has_come, options = MOMENTS[moment]
    with started(source, options) as (process, run):
        wait_until(lambda: has_come(process, run), moment)
        workers = workers_of(process)
        process.terminate()
        _, err = process.communicate()
        wait_until_gone(workers)
    assert process.returncode == 143
    assert "Traceback" not in err
    done = finished(trials_in(run))
    assert not running(trials_in(run))
    assert main(["resume", str(run), "--quiet"]) == 0
    after = finished(trials_in(run))
    assert {number: after[number] for number in done} == done
    assert_usable(run)


def test_a_second_process_on_a_run_folder_is_refused(source: Path, capsys: Capture) -> None:
    with started(source, ENDLESS) as (process, run):
        wait_until(lambda: running(trials_in(run)), "a trial runs")
        for words in (["resume", str(run)], ["evolve", str(source), "--out", str(run)]):
            assert main(words) == 2
            out, err = capsys.readouterr()
            assert out == ""
            assert err == f"evoconv: {run} is in use by process {process.pid}\n"
        # Looking on is allowed, and disturbs nobody.
        assert main(["show", str(run)]) == 0
        assert "not yet; running: " in capsys.readouterr().out
        many = len(finished(trials_in(run))) + 2
        wait_until(lambda: len(finished(trials_in(run))) >= many, "the search goes on")


class KillingWatch(Unwatched):
    """Kills the worker, by SIGKILL, when it first reports on certain attempts.

    Attributes:
        wanted: attempts to kill, as (number of the trial, number of the attempt).
        killed: those that were.
        requeued_for: the failures after which a trial was run again.
    """

    def __init__(self, wanted: set[tuple[int, int]]) -> None:
        self.wanted = wanted
        self.killed: set[tuple[int, int]] = set()
        self.requeued_for: list[tuple[int, FailureKind]] = []
        self._attempts: dict[int, int] = {}

    def started(self, individual: Individual, attempt: int) -> None:
        self._attempts[individual.number] = attempt

    def progress(self, running: Sequence[Progress], tally: Tally) -> None:
        for one in running:
            this = (one.number, self._attempts[one.number])
            if this in self.wanted - self.killed:
                self.killed.add(this)
                (worker,) = spawned_by_me()
                worker.kill()

    def requeued(self, individual: Individual, failure: Failure) -> None:
        self.requeued_for.append((individual.number, failure.kind))


def spawned_by_me() -> list[psutil.Process]:
    """Return the worker processes of this process."""
    found = []
    for child in psutil.Process().children():
        with suppress(psutil.Error):
            if any("spawn_main" in word for word in child.cmdline()):
                found.append(child)
    return found


@pytest.mark.slow
def test_a_killed_worker_costs_one_attempt_and_two_the_trial(source: Path) -> None:
    watch = KillingWatch({(1, 1), (2, 1), (2, 2)})
    # Long evaluations: a report must arrive before they end.
    changes = STUDY | {"evaluations": 4, "workers": 1, "image_passes": 40_000}
    result = evoconv.evolve(source, out=source.parent / "run", watch=watch, **changes)
    assert watch.killed == watch.wanted
    trials = result.trials
    assert [one.attempts for one in trials] == [1, 2, 2, 1]
    assert [one.state for one in trials] == [
        TrialState.COMPLETE,
        TrialState.COMPLETE,
        TrialState.FAILED,
        TrialState.COMPLETE,
    ]
    failure = trials[2].individual.failure
    assert failure is not None
    assert failure.kind is FailureKind.LOST
    assert "SIGKILL" in failure.message
    assert watch.requeued_for == [(1, FailureKind.LOST), (2, FailureKind.LOST)]
    assert result.summary["failed"] == 1
    assert result.summary["complete"] is True


@pytest.mark.slow
def test_if_every_candidate_needs_too_much_memory_the_search_says_so(
    source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from evoconv.session.context import Session
    from evoconv.training.precision import Precision

    # Or the limit would be met before the first candidate, where it is told as well.
    monkeypatch.setattr(Session, "precision", lambda *_: Precision())
    # Two at a time may fail at the same moment, and nine be told.
    changes = STUDY | {"worker_memory": "20MB", "image_passes": 10_000_000, "workers": 1}
    with pytest.raises(SearchFailed, match=r"all 8 evaluations .* out of memory: used .* 20 MB"):
        evoconv.evolve(source, out=source.parent / "run", **(changes | {"evaluations": 50}))
    for one in trials_in(source.parent / "run"):
        if one.state.is_finished:
            assert one.individual.failure is not None
            assert one.individual.failure.kind is FailureKind.OUT_OF_MEMORY


def test_too_little_memory_for_any_work_is_one_sentence(source: Path, capsys: Capture) -> None:
    run = source.parent / "run"
    words = ["evolve", str(source), "--out", str(run), "--worker-memory", "20MB", "--quiet"]
    assert main(words) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("evoconv: the workers can't train anything: out of memory: used ")
    assert err.count("\n") == 1
    wait_until(lambda: not spawned_by_me(), "all workers are gone")


def test_a_hopeless_search_ends_early_with_exit_code_1(source: Path, capsys: Capture) -> None:
    """A learning rate that makes every loss infinite: no candidate's own fault, but all fail."""
    run = source.parent / "run"
    hostile = ENDLESS | {
        "image_passes": 100_000,
        "optimizer": "sgd",
        "learning_rate": 100,
        "warm_up": 0,
        "normalisation": "none",
        "activations": "linear",
    }
    assert main(["evolve", str(source), "--out", str(run), "--quiet", *flags(hostile)]) == 1
    _, err = capsys.readouterr()
    assert err.startswith("evoconv: all 8 evaluations failed in the same way, the last with ")
    assert "not finite" in err
    assert err.count("\n") == 1
    assert not (run / "best").exists()


def test_weights_that_cannot_be_saved_are_no_fault_of_a_candidate(
    source: Path, capsys: Capture
) -> None:
    run = source.parent / "run"
    run.mkdir()
    (run / "weights").write_text("in the way")
    quick = STUDY | {"image_passes": 400}
    assert main(["evolve", str(source), "--out", str(run), "--quiet", *flags(quick)]) == 2
    err = capsys.readouterr().err
    assert err.startswith("evoconv: the weights of trial ")
    assert "can't be saved" in err
    assert err.count("\n") == 1
    assert not finished(trials_in(run))

    (run / "weights").unlink()
    assert main(["resume", str(run), "--quiet"]) == 0
    assert_usable(run)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of three megabytes; mounting it takes a superuser on Linux."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = shutil.which("mount")
    words = [str(mount), "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    if mount is None or subprocess.run(words, capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted here")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["search", "final training"])
def test_a_full_disk_ends_with_a_sentence_and_leaves_the_study_intact(
    moment: str, source: Path, small_disk: Path, capsys: Capture
) -> None:
    run, ballast = small_disk / "run", small_disk / "ballast"
    has_come, options = MOMENTS[moment]
    process = start("evolve", str(source), "--out", str(run), *flags(options), cwd=source.parent)
    try:
        wait_until(lambda: has_come(process, run), moment)
        # What the study removes makes room again.
        wait_until(lambda: has_ended_while_filling(process, ballast), "the study has ended")
        _, err = process.communicate()
    finally:
        process.kill()
    assert process.returncode == 2
    assert err.startswith("evoconv: ")
    assert "no space" in err.lower()
    assert err.count("\n") == 1
    ballast.unlink()
    done = finished(trials_in(run))
    assert len(done) >= 3
    assert all(one.individual.failure is None for one in trials_in(run))
    assert main(["show", str(run)]) == 0

    capsys.readouterr()
    assert main(["resume", str(run), "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    after = finished(trials_in(run))
    assert {number: after[number] for number in done} == done
    assert_usable(run)


def has_ended_while_filling(process: Process, path: Path) -> bool:
    """Let a file grow until the disk is full, to its last bytes."""
    with path.open("ab", buffering=0) as file:
        for size in (65536, 4096, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return process.poll() is not None


def assert_usable(run: Path) -> None:
    """Check that a study has come to its end with a network that can be used."""
    result = evoconv.Result(run)
    assert result.summary["complete"] is True
    assert result.summary["evaluations"] == NUM_EVALUATIONS
    assert result.summary["failed"] == 0
    assert result.summary["test_accuracy"] > 0.2
    assert not running(result.trials)
    assert result.best.classifier.classes == ("0", "1", "2")
