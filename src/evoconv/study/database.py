"""The database behind a study: opened, distrusted, and its errors in plain words.

All that is particular to SQLite is here. Every commit survives a ``kill -9``; a power cut may take
the last ones, but never the study.
"""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event
from sqlalchemy.exc import SQLAlchemyError

from evoconv.errors import StudyError

_PRAGMAS = (
    "PRAGMA trusted_schema = OFF",
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    "PRAGMA busy_timeout = 5000",
)
_CODE_IN_SCHEMA = "SELECT count(*) FROM sqlite_master WHERE type NOT IN ('table', 'index')"


def connect(path: Path) -> Connection:
    """Return a connection to the SQLite file, made if it isn't there.

    Raises:
        StudyError: not an SQLite file, one with views or triggers, not writable, or no space.
    """
    engine = create_engine(URL.create("sqlite", database=str(path)))
    _listen(engine)
    with plain_errors(path):
        connection = engine.connect()
        # A study has none; a file from somebody else could run queries without end in them.
        if connection.exec_driver_sql(_CODE_IN_SCHEMA).scalar():
            connection.close()
            raise StudyError(f"{path} isn't a study of evoconv")
        connection.rollback()
    return connection


def disconnect(connection: Connection) -> None:
    """Close the connection and its engine; the write-ahead log becomes part of the file."""
    engine = connection.engine
    connection.close()
    engine.dispose()


def remove(path: Path) -> None:
    """Remove the file and what SQLite keeps beside it: its log would enter the next one."""
    with plain_errors(path):
        for suffix in ("", "-wal", "-shm"):
            path.with_name(path.name + suffix).unlink(missing_ok=True)


@contextlib.contextmanager
def transaction(connection: Connection, path: Path) -> Iterator[Connection]:
    """Begin a transaction; commit at the end, or roll back and raise ``StudyError``."""
    with plain_errors(path), connection.begin():
        yield connection


@contextlib.contextmanager
def plain_errors(path: Path) -> Iterator[None]:
    """Turn errors of the database and the disk into one sentence, as ``StudyError``."""
    try:
        yield
    except (SQLAlchemyError, OSError) as error:
        raise StudyError(_explain(error, path)) from error


def _explain(error: Exception, path: Path) -> str:
    text = str(getattr(error, "orig", None) or error)
    full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
    if full or "disk is full" in text:
        return f"no space is left on the disk of {path}; what was recorded before is intact"
    if "locked" in text:
        return f"{path} is in use by another program"
    if "readonly" in text or "unable to open" in text:
        return f"{path} can't be opened for writing: {text}"
    if "not a database" in text or "malformed" in text or "no such" in text:
        return f"{path} is damaged or isn't a study of evoconv: {text}"
    return f"{path} can't be read or written: {text}"


def _listen(engine: Engine) -> None:
    """Take transactions into our own hands: the driver begins them at the first change only."""

    @event.listens_for(engine, "connect")
    def set_up(driver: Any, record: object) -> None:  # noqa: ARG001 - SQLAlchemy's signature
        driver.isolation_level = None
        for pragma in _PRAGMAS:
            driver.execute(pragma)

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN")
