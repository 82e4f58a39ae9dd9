"""What a search remembers: trials and the log of asks and tells, in one database per study.

Every method that changes something is one transaction: once it has returned, its facts are there
whatever happens to the process. One process at a time writes (``lock``); others may read meanwhile.
"""

import contextlib
import gc
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Row, bindparam, delete, insert, select, update

from evoconv.errors import StudyError
from evoconv.records import Event, Genome, Individual, Trial, TrialState
from evoconv.study import tables
from evoconv.study.database import connect, disconnect, plain_errors, remove, transaction
from evoconv.study.rows import (
    columns_of_finish,
    event_of_row,
    load_json,
    row_of_individual,
    session_of_row,
    trial_of_row,
)

T = TypeVar("T")

FILE_NAME = "study.db"

_TOUCH_EVERY_S = 1.0

_number = tables.trials.c.number == bindparam("which")
_unfinished = (
    update(tables.trials)
    .where(_number)
    .where(tables.trials.c.state != TrialState.COMPLETE.value)
    .where(tables.trials.c.state != TrialState.FAILED.value)
)
# Made once: SQLAlchemy then finds their compiled form by identity.
_START = _unfinished.values(
    state=TrialState.RUNNING.value, attempts=tables.trials.c.attempts + 1
).returning(tables.trials.c.attempts)
_REQUEUE = _unfinished.values(state=TrialState.WAITING.value)
_INSERT_TRIAL = insert(tables.trials)
_INSERT_EVENT = insert(tables.events)
_INSERT_SESSION = insert(tables.sessions)
_TOUCH = update(tables.sessions).where(tables.sessions.c.id == bindparam("which"))


class Storage:
    """One study's memory.

    Made by ``create`` or ``open``; not to be shared between threads.
    """

    def __init__(
        self,
        path: Path,
        connection: Connection,
        config: Mapping[str, Any],
        genome_from_json: Callable[[str], Genome],
    ) -> None:
        self.path = path
        self.config = config
        self._connection = connection
        self._genome_from_json = genome_from_json
        self._opened_at = time.time()
        self._session: int | None = None
        self._touched_at = 0.0

    @classmethod
    def create(
        cls,
        folder: Path,
        config: Mapping[str, Any],
        genome_from_json: Callable[[str], Genome],
    ) -> "Storage":
        """Return a new study in the folder, which is made if it isn't there.

        Args:
            folder: the run folder.
            config: all that is needed to build the same search again, as JSON can hold it.
            genome_from_json: as for ``open``.

        Raises:
            StudyError: the folder holds a study already, or can't be written.
        """
        path = folder / FILE_NAME
        if path.exists():
            raise StudyError(f"{folder} holds a study already")
        text = json.dumps(dict(config))
        unborn = folder / f"{FILE_NAME}.new"
        with plain_errors(path):
            folder.mkdir(parents=True, exist_ok=True)
        for gone in (path, unborn):
            remove(gone)
        connection = connect(unborn)
        try:
            with transaction(connection, path):
                tables.metadata.create_all(connection)
                version = tables.FORMAT_VERSION
                row = {"format_version": version, "created_at": time.time(), "config": text}
                connection.execute(insert(tables.study), row)
        finally:
            disconnect(connection)
        # Under its name there is a whole study or none, even if we are killed in between.
        with plain_errors(path):
            unborn.replace(path)
        return cls.open(folder, genome_from_json)

    @classmethod
    def open(cls, folder: Path, genome_from_json: Callable[[str], Genome]) -> "Storage":
        """Return the study in the folder; nothing is written before the first change.

        Args:
            folder: the run folder.
            genome_from_json: makes a genome of its canonical JSON; on other text it may raise
                anything.

        Raises:
            StudyError: no study there, a damaged one, or one of a newer evoconv.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise StudyError(f"{folder} holds no study: there is no file {FILE_NAME} in it")
        connection = connect(path)
        try:
            with transaction(connection, path):
                rows = connection.execute(select(tables.study)).all()
            config = _read_study(rows, path)
        except BaseException:
            disconnect(connection)
            raise
        return cls(path, connection, config, genome_from_json)

    def record_ask(self, slots: int, individuals: Sequence[Individual]) -> None:
        """Add the individuals that an ask for so many slots gave, as waiting trials."""
        numbers = [individual.number for individual in individuals]
        with self._change() as connection:
            if individuals:
                connection.execute(_INSERT_TRIAL, [row_of_individual(one) for one in individuals])
            _record_event(connection, Event(kind="ask", slots=slots, numbers=tuple(numbers)))

    def start(self, number: int) -> int:
        """Set the trial running and return how often it has been begun, this time included.

        Raises:
            StudyError: it is finished, or there is no such trial.
        """
        with self._change() as connection:
            attempts = connection.execute(_START, {"which": number}).scalar()
            if attempts is None:
                raise self._not_under_way(number)
        return int(attempts)

    def requeue(self, number: int) -> None:
        """Set the trial waiting again; its attempts stay counted.

        Raises:
            StudyError: it is finished, or there is no such trial.
        """
        with self._change() as connection:
            if connection.execute(_REQUEUE, {"which": number}).rowcount != 1:
                raise self._not_under_way(number)

    def finish(self, trial: Trial) -> None:
        """Store how the trial ended and that its individual is told; ``start`` counted attempts.

        Raises:
            StudyError: it is finished already, or there is no such trial.
            ValueError: it isn't finished, or lacks the measurement or the failure of its state.
        """
        _check_finished(trial)
        with self._change() as connection:
            columns = columns_of_finish(trial)
            if connection.execute(_unfinished, {"which": trial.number, **columns}).rowcount != 1:
                raise self._not_under_way(trial.number)
            _record_event(connection, Event(kind="tell", numbers=(trial.number,)))

    def trials(self) -> list[Trial]:
        """Return all trials in the order of their numbers."""
        return self._read(select(tables.trials).order_by(tables.trials.c.number), self._to_trial)

    def outlines(self) -> list[Trial]:
        """Return all trials as ``trials`` does, but with genomes that only know their text.

        Reading a genome takes as long as all the rest; a replay makes each of them anyway.
        """
        query = select(tables.trials).order_by(tables.trials.c.number)
        return self._read(query, lambda row: trial_of_row(row, None))

    def trial(self, number: int) -> Trial:
        """Return one trial; raises ``StudyError`` if there is none of that number."""
        found = self._read(
            select(tables.trials).where(tables.trials.c.number == number), self._to_trial
        )
        if not found:
            raise StudyError(f"there is no trial {number} in {self.path}")
        return found[0]

    def events(self) -> Iterator[Event]:
        """Return the log, as it stands now, in the order it was written."""
        query = select(tables.events).order_by(tables.events.c.sequence)
        return iter(self._read(query, event_of_row))

    def note(self, name: str) -> Any:
        """Return a fact that was kept under the name, or None."""
        query = select(tables.notes.c.value).where(tables.notes.c.name == name)
        texts = self._read(query, lambda row: row.value)
        try:
            return load_json(texts[0]) if texts else None
        except ValueError as error:
            raise StudyError(f"the note {name} in {self.path} is damaged: {error}") from error

    def note_names(self) -> list[str]:
        """Return the names of all facts that were kept."""
        return self._read(select(tables.notes.c.name), lambda row: str(row.name))

    def set_note(self, name: str, value: Any) -> None:
        """Keep a fact, anything that JSON can hold (NaN and infinities too), under the name."""
        text = json.dumps(value)
        with self._change() as connection:
            connection.execute(delete(tables.notes).where(tables.notes.c.name == name))
            connection.execute(insert(tables.notes), {"name": name, "value": text})

    def elapsed_s(self) -> float:
        """Return seconds that all processes together have worked on the study.

        A process counts from opening the study to its last sign of life, a change or ``touch``;
        this one, once it has changed something, up to now.
        """
        total = 0.0
        for number, started_at, last_seen_at in self._read(select(tables.sessions), session_of_row):
            end = time.time() if number == self._session else last_seen_at
            total += max(0.0, end - started_at)  # a clock may have been set back
        return total

    def touch(self) -> None:
        """Note that this process is at work; for times when no trial begins or ends."""
        with self._change():
            pass

    def close(self) -> None:
        """Close the database. Safe to call twice."""
        disconnect(self._connection)

    @contextlib.contextmanager
    def _change(self) -> Iterator[Connection]:
        """Begin a transaction that also shows that this process is alive."""
        now, session = time.time(), self._session
        touching = now - self._touched_at >= _TOUCH_EVERY_S
        with transaction(self._connection, self.path) as connection:
            if session is None:
                times = {"started_at": self._opened_at, "last_seen_at": now}
                key = connection.execute(_INSERT_SESSION, times).inserted_primary_key
                assert key is not None
                session = int(key[0])
            elif touching:
                connection.execute(_TOUCH, {"which": session, "last_seen_at": now})
            yield connection
        self._session = session
        if touching:
            self._touched_at = now

    def _read(self, query: Any, make: Callable[[Any], T]) -> list[T]:
        with _without_collections(), transaction(self._connection, self.path) as connection:
            # In portions: the text of all rows needn't be in memory at once.
            return [make(row) for row in connection.execute(query).yield_per(1000)]

    def _to_trial(self, row: Any) -> Trial:
        return trial_of_row(row, self._genome_from_json)

    def _not_under_way(self, number: int) -> StudyError:
        return StudyError(f"trial {number} in {self.path} is finished already or doesn't exist")


@contextlib.contextmanager
def _without_collections() -> Iterator[None]:
    """Spare a million new objects, none of them garbage, from being searched for it."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _read_study(rows: Sequence[Row[Any]], path: Path) -> dict[str, Any]:
    """Return the configuration in the study's one row."""
    if len(rows) != 1 or type(rows[0].format_version) is not int:
        raise StudyError(f"{path} is damaged or isn't a study of evoconv")
    if rows[0].format_version != tables.FORMAT_VERSION:
        age = "a newer" if rows[0].format_version > tables.FORMAT_VERSION else "an older"
        raise StudyError(
            f"{path} was written by {age} evoconv: it has format {rows[0].format_version}, "
            f"this one reads format {tables.FORMAT_VERSION}"
        )
    try:
        config = load_json(rows[0].config)
    except ValueError as error:
        raise StudyError(f"the configuration in {path} is damaged: {error}") from error
    if not isinstance(config, dict):
        raise StudyError(f"the configuration in {path} is damaged: it has no names")
    return config


def _record_event(connection: Connection, event: Event) -> None:
    numbers = json.dumps(event.numbers)
    row = {"kind": event.kind, "slots": event.slots, "numbers": numbers}
    connection.execute(_INSERT_EVENT, row)


def _check_finished(trial: Trial) -> None:
    measured = trial.individual.measurement is not None
    failed = trial.individual.failure is not None
    complete = trial.state is TrialState.COMPLETE
    if not trial.state.is_finished or measured != complete or failed == complete:
        raise ValueError(f"trial {trial.number} is {trial.state} but has no result that fits")
