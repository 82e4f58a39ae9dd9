"""Storage: what went in comes out, in order, whatever happens in between."""

import math
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from evoconv.errors import StudyError
from evoconv.records import (
    CurvePoint,
    Event,
    Failure,
    FailureKind,
    Individual,
    Measurement,
    Trial,
    TrialState,
)
from evoconv.study import tables
from evoconv.study.storage import FILE_NAME, Storage
from tests.study.text_genome import TextGenome, text_genome

HOUSE = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "run"


@pytest.fixture
def storage(folder: Path) -> Iterator[Storage]:
    with closing(Storage.create(folder, {"seed": 7, "nested": {"a": [1]}}, text_genome)) as one:
        yield one


def individual(number: int, **changes: object) -> Individual:
    return replace(Individual(number=number, genome=TextGenome(f"tower {number}")), **changes)  # type: ignore[arg-type]


def complete(number: int, accuracy: float = 0.5) -> Trial:
    measurement = Measurement(values={"validation_accuracy": accuracy})
    return Trial(
        individual=individual(number, measurement=measurement),
        state=TrialState.COMPLETE,
        worker=0,
        started_at=10.0,
        finished_at=12.5,
    )


def reopened(storage: Storage) -> Storage:
    storage.close()
    return Storage.open(storage.path.parent, text_genome)


def test_trials_come_back_as_they_were(storage: Storage) -> None:
    curve = (
        CurvePoint(fold=0, epoch=1, seconds=1.5, train_loss=0.25),
        CurvePoint(
            fold=1,
            epoch=1,
            seconds=3.0,
            train_loss=math.inf,
            validation_loss=-math.inf,
            validation_accuracy=1.0,
        ),
    )
    born = [
        individual(0),
        individual(1, parents=(0,), operator="change", redraws=3),
        individual(2, parents=(0, 1), operator="crossover", copy_of=0),
        individual(3),
    ]
    measured = replace(
        born[0],
        measurement=Measurement(
            values={"a": 0.1, "b": 3.0}, curve=curve, remarks=('stopped, "why"',)
        ),
    )
    failure = Failure(kind=FailureKind.NOT_FINITE, message="loss ist NaN – schade")
    ends = [
        Trial(
            individual=measured,
            state=TrialState.COMPLETE,
            attempts=2,
            worker=1,
            started_at=1.25,
            finished_at=2.5,
            peak_memory_bytes=5_000_000_000,
        ),
        Trial(individual=replace(born[1], failure=failure), state=TrialState.FAILED, attempts=1),
    ]
    storage.record_ask(4, born)
    for number in (0, 0, 1, 3):
        storage.start(number)
    for end in ends:
        storage.finish(end)
    with closing(reopened(storage)) as again:
        trials = again.trials()
        assert again.trial(1) == trials[1]
        assert again.config == {"seed": 7, "nested": {"a": [1]}}
    # NaN is unequal to itself, but what prints the same is the same.
    assert repr(trials) == repr(
        [
            *ends,
            Trial(individual=born[2]),
            Trial(individual=born[3], state=TrialState.RUNNING, attempts=1),
        ]
    )


def test_the_log_has_asks_and_tells_in_their_order(storage: Storage) -> None:
    storage.record_ask(3, [individual(0), individual(1)])
    storage.start(0)
    storage.start(1)
    storage.finish(complete(1))
    storage.record_ask(1, [individual(2)])
    storage.requeue(0)
    storage.start(0)
    storage.finish(complete(0))
    storage.record_ask(1, [])
    expected = [
        Event(kind="ask", slots=3, numbers=(0, 1)),
        Event(kind="tell", numbers=(1,)),
        Event(kind="ask", slots=1, numbers=(2,)),
        Event(kind="tell", numbers=(0,)),
        Event(kind="ask", slots=1),
    ]
    assert list(storage.events()) == expected
    with closing(reopened(storage)) as again:
        assert list(again.events()) == expected


def test_the_log_may_grow_while_it_is_read(storage: Storage) -> None:
    storage.record_ask(2, [individual(0), individual(1)])
    for event in storage.events():
        storage.finish(complete(event.numbers[0]))
    assert len(list(storage.events())) == 2


def test_start_counts_attempts_and_requeue_keeps_them(storage: Storage) -> None:
    storage.record_ask(1, [individual(0)])
    assert storage.start(0) == 1
    storage.requeue(0)
    assert storage.trial(0) == Trial(individual=individual(0), attempts=1)
    assert storage.start(0) == 2
    assert storage.trial(0).state is TrialState.RUNNING


def test_a_finished_trial_stays_as_it_is(storage: Storage) -> None:
    storage.record_ask(1, [individual(0)])
    storage.start(0)
    storage.finish(complete(0, accuracy=0.75))
    with pytest.raises(StudyError, match=r"trial 0 .* is finished already"):
        storage.finish(complete(0, accuracy=0.25))
    with pytest.raises(StudyError, match=r"trial 0 .* is finished already"):
        storage.start(0)
    with pytest.raises(StudyError, match=r"trial 0 .* is finished already"):
        storage.requeue(0)
    assert storage.trial(0) == replace(complete(0, accuracy=0.75), attempts=1)
    assert [event.kind for event in storage.events()] == ["ask", "tell"]


def test_a_trial_that_was_not_asked_can_not_be_changed_or_read(storage: Storage) -> None:
    with pytest.raises(StudyError, match="doesn't exist"):
        storage.start(3)
    with pytest.raises(StudyError, match="doesn't exist"):
        storage.finish(complete(3))
    with pytest.raises(StudyError, match="there is no trial 3"):
        storage.trial(3)
    assert list(storage.events()) == []


@pytest.mark.parametrize(
    "trial",
    [
        Trial(individual=individual(0)),
        Trial(individual=individual(0), state=TrialState.COMPLETE),
        replace(complete(0), state=TrialState.FAILED),
        replace(complete(0), state=TrialState.RUNNING),
    ],
)
def test_finishing_needs_a_result_that_fits_the_state(storage: Storage, trial: Trial) -> None:
    storage.record_ask(1, [individual(0)])
    with pytest.raises(ValueError, match="has no result that fits"):
        storage.finish(trial)


def test_an_ask_is_recorded_whole_or_not_at_all(storage: Storage) -> None:
    storage.record_ask(1, [individual(0)])
    with pytest.raises(StudyError):
        storage.record_ask(2, [individual(1), individual(0)])
    assert [trial.number for trial in storage.trials()] == [0]
    assert len(list(storage.events())) == 1
    storage.record_ask(1, [individual(1)])
    assert [trial.number for trial in storage.trials()] == [0, 1]


def test_notes_are_kept_and_replaced(storage: Storage) -> None:
    assert storage.note("precision") is None
    storage.set_note("precision", {"dtype": "bfloat16"})
    storage.set_note("final", [math.nan, math.inf, 0.1])
    storage.set_note("precision", {"dtype": "float32"})
    with closing(reopened(storage)) as again:
        assert again.note("precision") == {"dtype": "float32"}
        assert str(again.note("final")) == "[nan, inf, 0.1]"


def test_elapsed_time_adds_up_over_sessions_and_leaves_out_pauses(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1000.0]
    monkeypatch.setattr("evoconv.study.storage.time.time", lambda: now[0])
    with closing(Storage.create(folder, {}, text_genome)) as first:
        first.record_ask(1, [individual(0)])
        now[0] += 5
        assert first.elapsed_s() == 5
        first.touch()
        now[0] += 0.5
        first.start(0)  # so soon after the touch that it isn't noted
    now[0] += 100
    with closing(Storage.open(folder, text_genome)) as reader:
        now[0] += 100
        assert reader.elapsed_s() == 5
    with closing(Storage.open(folder, text_genome)) as second:
        now[0] += 2
        second.finish(complete(0))
        now[0] += 1
        assert second.elapsed_s() == 5 + 3
        now[0] -= 1000
        assert second.elapsed_s() == 5


def test_a_study_can_be_read_while_it_is_written(storage: Storage) -> None:
    with closing(Storage.open(storage.path.parent, text_genome)) as reader:
        storage.record_ask(1, [individual(0)])
        assert [trial.number for trial in reader.trials()] == [0]
        storage.finish(complete(0))
        assert reader.trial(0).state is TrialState.COMPLETE


def test_a_second_study_in_a_folder_is_refused(storage: Storage) -> None:
    with pytest.raises(StudyError, match="holds a study already"):
        Storage.create(storage.path.parent, {}, text_genome)


def test_a_creation_that_was_killed_is_begun_again(folder: Path) -> None:
    folder.mkdir()
    (folder / f"{FILE_NAME}.new").write_bytes(b"half of it")
    with closing(Storage.create(folder, {"seed": 1}, text_genome)) as storage:
        assert storage.config == {"seed": 1}
    assert [path.name for path in folder.iterdir()] == [FILE_NAME]


def test_what_a_deleted_study_left_behind_does_not_enter_the_next(storage: Storage) -> None:
    storage.record_ask(1, [individual(0)])
    log = storage.path.with_name(f"{FILE_NAME}-wal")
    content = log.read_bytes()
    assert content
    storage.close()
    storage.path.unlink()
    log.write_bytes(content)
    with closing(Storage.create(storage.path.parent, {}, text_genome)) as fresh:
        assert fresh.trials() == []


def test_a_folder_that_can_not_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StudyError, match="can't be read or written"):
        Storage.create(tmp_path / "file" / "run", {}, text_genome)


def test_a_folder_without_a_study_is_refused(folder: Path) -> None:
    with pytest.raises(StudyError, match="holds no study"):
        Storage.open(folder, text_genome)
    (folder / FILE_NAME).mkdir(parents=True)
    with pytest.raises(StudyError, match="holds no study"):
        Storage.open(folder, text_genome)


@pytest.mark.parametrize("content", [b"", b"not a database at all" * 100, b"SQLite format 3\0" * 9])
def test_a_file_that_is_no_study_is_refused(folder: Path, content: bytes) -> None:
    folder.mkdir()
    (folder / FILE_NAME).write_bytes(content)
    with pytest.raises(StudyError, match="isn't a study"):
        Storage.open(folder, text_genome)


def test_a_truncated_study_is_refused(storage: Storage) -> None:
    storage.record_ask(300, [individual(number) for number in range(300)])
    storage.close()
    content = storage.path.read_bytes()
    storage.path.write_bytes(content[: len(content) // 2])

    def read() -> None:
        with closing(Storage.open(storage.path.parent, text_genome)) as again:
            again.trials()
            list(again.events())

    with pytest.raises(StudyError, match="damaged"):
        read()


def change(storage: Storage, *statements: str) -> None:
    """Alter the file behind storage's back."""
    storage.close()
    with closing(sqlite3.connect(storage.path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        (f"UPDATE study SET format_version = {tables.FORMAT_VERSION + 1}", "by a newer evoconv"),
        (f"UPDATE study SET format_version = {tables.FORMAT_VERSION - 1}", "by an older evoconv"),
        ("UPDATE study SET format_version = 'x'", "isn't a study"),
        ("UPDATE study SET config = '{'", "configuration .* is damaged"),
        ("UPDATE study SET config = '[]'", "configuration .* is damaged"),
        ("UPDATE study SET config = CAST(x'ff' AS TEXT)", "can't be read"),
        ("DELETE FROM study", "isn't a study"),
        ("DROP TABLE study", "isn't a study"),
        ("CREATE VIEW extra AS SELECT 1", "isn't a study"),
        (
            "CREATE TRIGGER extra AFTER INSERT ON trials BEGIN DELETE FROM trials; END",
            "isn't a study",
        ),
    ],
)
def test_a_study_that_was_tampered_with_is_refused(
    storage: Storage, statement: str, message: str
) -> None:
    change(storage, statement)
    with pytest.raises(StudyError, match=message):
        Storage.open(storage.path.parent, text_genome)


DEEP = "[" * 100_000


@pytest.mark.parametrize(
    "value",
    [
        "genome = '{'",
        "genome = '{}'",
        "genome = '{\"text\": 1}'",
        'genome = \'{"text": "another"}\'',
        "genome = x'00'",
        "genome = CAST(x'ff' AS TEXT)",
        "digest = 'x'",
        "parents = '[0.5]'",
        "parents = '{\"0\": 1}'",
        f"parents = '{DEEP}'",
        f"parents = '[{'9' * 5000}]'",
        "operator = x'00'",
        "redraws = 'many'",
        "state = 'asleep'",
        "attempts = x'00'",
        "worker = 'me'",
        "started_at = 9e999",
        "finished_at = 'now'",
        "peak_memory_bytes = 0.5",
        "measured = NULL",
        "measured = '[1]'",
        'measured = \'{"a": "1"}\'',
        "measured = '{\"a\": true}'",
        "curve = NULL",
        "curve = '[[0, 1]]'",
        "curve = '[[0.5, 1, 1, 1, 1, 1]]'",
        "curve = '[[0, 1, 1, 1, null, 1]]'",
        "state = 'failed', failure_kind = 'bored', failure_message = ''",
        "state = 'failed', failure_kind = 'error', failure_message = NULL",
    ],
    ids=lambda value: value[:40],
)
def test_a_damaged_trial_is_refused(storage: Storage, value: str) -> None:
    storage.record_ask(1, [individual(0)])
    storage.finish(complete(0))
    change(storage, f"UPDATE trials SET {value}")
    with (
        closing(Storage.open(storage.path.parent, text_genome)) as again,
        pytest.raises(StudyError),
    ):
        again.trials()


@pytest.mark.parametrize(
    "value",
    ["kind = 'shout'", "slots = 'x'", "numbers = '[\"1\"]'", "numbers = '7'", "numbers = x'00'"],
)
def test_a_damaged_log_is_refused(storage: Storage, value: str) -> None:
    storage.record_ask(1, [individual(0)])
    change(storage, f"UPDATE events SET {value}")
    with (
        closing(Storage.open(storage.path.parent, text_genome)) as again,
        pytest.raises(StudyError, match="entry 1 of the log is damaged"),
    ):
        list(again.events())


def test_a_damaged_note_and_session_are_refused(storage: Storage) -> None:
    storage.set_note("precision", 1)
    change(storage, "UPDATE notes SET value = '{'", "UPDATE sessions SET started_at = 'x'")
    with closing(Storage.open(storage.path.parent, text_genome)) as again:
        with pytest.raises(StudyError, match=r"note precision .* is damaged"):
            again.note("precision")
        with pytest.raises(StudyError, match="session 1 is damaged"):
            again.elapsed_s()


def fill(storage: Storage) -> int:
    """Record asks until there is no more space; return how many were recorded."""
    text = "x" * 10_000
    recorded = []

    def record_without_end() -> None:
        for number in range(10_000):
            born = Individual(number=number, genome=TextGenome(text), operator=text)
            storage.record_ask(1, [born])
            recorded.append(number)

    with pytest.raises(StudyError, match="no space is left on the disk"):
        record_without_end()
    return len(recorded)


def test_a_full_disk_is_said_and_the_study_goes_on_when_there_is_space(storage: Storage) -> None:
    connection = storage._connection
    connection.exec_driver_sql("PRAGMA max_page_count = 100")
    connection.rollback()
    num_recorded = fill(storage)
    assert num_recorded > 5
    assert len(storage.trials()) == len(list(storage.events())) == num_recorded
    connection.exec_driver_sql("PRAGMA max_page_count = 1000")
    connection.rollback()
    storage.record_ask(1, [individual(num_recorded)])
    assert storage.start(num_recorded) == 1


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no right to mount a file system")
    yield disk
    subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_disk_that_is_really_full_leaves_the_study_intact(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    ballast.write_bytes(bytes(300_000))
    with closing(Storage.create(small_disk / "run", {}, text_genome)) as storage:
        num_recorded = fill(storage)
        assert num_recorded > 5
        assert len(storage.trials()) == num_recorded
        ballast.unlink()
        storage.record_ask(1, [individual(num_recorded)])
    with closing(Storage.open(small_disk / "run", text_genome)) as storage:
        assert len(storage.trials()) == len(list(storage.events())) == num_recorded + 1


def test_a_study_can_not_be_created_on_a_full_disk(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (small_disk / "ballast").write_bytes(bytes(2_000_000))
    with pytest.raises(StudyError, match="no space is left on the disk"):
        Storage.create(small_disk / "run", {}, text_genome)


BUSY_SCRIPT = """
import sys
from pathlib import Path
from evoconv.study.storage import Storage
from tests.study.test_storage import complete, individual
from tests.study.text_genome import text_genome

storage = Storage.open(Path(sys.argv[1]), text_genome)
number = len(storage.trials())
while True:
    storage.record_ask(1, [individual(number)])
    print("asked", number, flush=True)
    storage.start(number)
    print("started", number, flush=True)
    storage.finish(complete(number))
    print("finished", number, flush=True)
    number += 1
"""


def work_until_killed(folder: Path, num_lines: int) -> list[tuple[str, int]]:
    """Let a process work on the study, kill it after so many lines, and return all it had said."""
    environment = os.environ | {"PYTHONPATH": f"{HOUSE / 'src'}{os.pathsep}{HOUSE}"}
    command = [sys.executable, "-c", BUSY_SCRIPT, str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(num_lines)]
        process.kill()
        lines += process.stdout.readlines()
    assert process.returncode == -signal.SIGKILL
    said = [line.split() for line in lines if line.endswith("\n")]
    return [(step, int(number)) for step, number in said]


def test_what_was_reported_before_a_kill_is_there(storage: Storage) -> None:
    storage.close()
    folder = storage.path.parent
    said = []
    for num_lines in (1, 50, 101, 213):
        said += work_until_killed(folder, num_lines)
        with closing(Storage.open(folder, text_genome)) as again:
            trials = {trial.number: trial for trial in again.trials()}
            events = list(again.events())
        for step, number in said:
            trial = trials[number]
            assert trial.attempts == 1 or step == "asked"
            assert trial.state.is_finished or step != "finished"
        # Each fact has its entry in the log, and the other way round.
        asked = [number for event in events if event.kind == "ask" for number in event.numbers]
        told = [number for event in events if event.kind == "tell" for number in event.numbers]
        assert asked == list(trials)
        assert told == [number for number, trial in trials.items() if trial.state.is_finished]
        # All in all at most one step more than was said.
        assert len(asked) <= sum(step == "asked" for step, _ in said) + len((1, 50, 101, 213))
