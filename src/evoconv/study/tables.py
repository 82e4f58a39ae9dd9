"""The tables of a study.

Nested facts are JSON in text columns, written and read by ``rows``, and numbers are plain, so that
any database that SQLAlchemy knows will do.
"""

from sqlalchemy import BigInteger, Column, Float, Integer, MetaData, Table, Text

# Raised whenever one evoconv couldn't read what another one writes.
FORMAT_VERSION = 2

metadata = MetaData()

study = Table(
    "study",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("format_version", Integer, nullable=False),
    Column("created_at", Float(53), nullable=False),
    Column("config", Text, nullable=False),
)

trials = Table(
    "trials",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("genome", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("parents", Text, nullable=False),
    Column("operator", Text, nullable=False),
    Column("redraws", Integer, nullable=False),
    Column("copy_of", Integer),
    Column("state", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("worker", Integer),
    Column("started_at", Float(53)),
    Column("finished_at", Float(53)),
    Column("peak_memory_bytes", BigInteger),
    Column("measured", Text),
    Column("curve", Text),
    Column("remarks", Text),
    Column("failure_kind", Text),
    Column("failure_message", Text),
)

events = Table(
    "events",
    metadata,
    Column("sequence", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("slots", Integer, nullable=False),
    Column("numbers", Text, nullable=False),
)

notes = Table(
    "notes",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

# One row per process that worked on the study, for the time used over all of them.
sessions = Table(
    "sessions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("started_at", Float(53), nullable=False),
    Column("last_seen_at", Float(53), nullable=False),
)
