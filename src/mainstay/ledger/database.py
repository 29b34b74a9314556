"""Where facts are kept: SQLite by default, PostgreSQL by URL. The tables, their guards, and transactions.

Nothing here knows what a fact means. Everything that goes wrong with the database leaves here as Unavailable, or as
Refused where the database is of another release.
"""

import hashlib
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
    TypeDecorator,
    UniqueConstraint,
    create_engine,
    event,
    func,
    inspect,
    literal,
    make_url,
    select,
    type_coerce,
)
from sqlalchemy.engine.url import URL
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError, SQLAlchemyError
from sqlalchemy.pool import ConnectionPoolEntry
from sqlalchemy.types import TypeEngine

from mainstay.errors import Conflict, Misconfigured, Refused, Unavailable
from mainstay.nouns import rfc3339

TABLES = 3  # the version of the tables below, kept in the database beside them
SHAPES = "sqlite:///FILE or postgresql://USER@HOST/DATABASE"


class Time(TypeDecorator[datetime]):
    """An instant: RFC 3339 text with microseconds and Z in SQLite, which has no times; timestamptz in PostgreSQL."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return dialect.type_descriptor(Text() if dialect.name == "sqlite" else DateTime(timezone=True))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        return rfc3339(value) if value is not None and dialect.name == "sqlite" else value

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime:
        found: datetime = datetime.fromisoformat(value) if dialect.name == "sqlite" else value
        return found.astimezone(UTC)


METADATA = MetaData()
VERSION = Table("ledger_tables", METADATA, Column("version", Integer, primary_key=True, autoincrement=False))
FACTS = Table(
    "facts",
    METADATA,
    # SQLite counts up only a column that is exactly INTEGER, which is 64 bits there.
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), Identity(always=True), primary_key=True),
    Column("use_case", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("number", Integer, nullable=False),
    Column("at", Time, nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("schema", Integer, nullable=False),
    Column("body", Text, nullable=False),
    UniqueConstraint("use_case", "kind", "subject", "number", name="facts_numbered"),
    sqlite_autoincrement=True,
)
Index("facts_in_order", FACTS.c.use_case, FACTS.c.seq)
# Tables that are not facts: serving processes as they last reported themselves, deltas of observation files, an index
# of what was told in feedback, and who is at work.
REPLICAS = Table(
    "replicas",
    METADATA,
    Column("use_case", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("split", Integer, nullable=False),
    Column("warm", Text, nullable=False),  # a JSON list of versions
    Column("at", Time, nullable=False),  # by the database's clock, and no replica's own
)
FILES = Table(
    "files",
    METADATA,
    Column("seq", BigInteger().with_variant(Integer, "sqlite"), Identity(always=True), primary_key=True),
    Column("use_case", Text, nullable=False),
    Column("op", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("hour", Time, nullable=False),
    Column("rows", BigInteger, nullable=False),
    Column("bytes", BigInteger, nullable=False),
    Column("first_at", Time, nullable=False),
    Column("last_at", Time, nullable=False),
    Column("at", Time, nullable=False),  # when this delta was written, by the database's clock
    # What was added once is never added again, whoever tries: so a segment shipped twice is stored once.
    UniqueConstraint("use_case", "kind", "hour", "digest", "op", name="files_once"),
    sqlite_autoincrement=True,
)
FEEDBACK = Table(
    "feedback",
    METADATA,
    Column("use_case", Text, primary_key=True),
    Column("anchor", Text, primary_key=True),  # the digest of whom or what was told about
    Column("value", Text, nullable=False),  # the digest of what was told last
    Column("known_at", Time, nullable=False),
)
LEASES = Table(
    "leases",
    METADATA,
    Column("use_case", Text, primary_key=True),
    Column("work", Text, primary_key=True),  # what only one process at a time does
    Column("holder", Text, nullable=False),
    Column("until", Time, nullable=False),  # by the database's clock
)
ADDED = {2: (REPLICAS, FILES, FEEDBACK), 3: (LEASES,)}
"""The tables that each version brought to those of the version before."""

GUARDS = {
    "sqlite": (
        "CREATE TRIGGER facts_never_updated BEFORE UPDATE ON facts"
        " BEGIN SELECT RAISE(ABORT, 'facts are never updated'); END",
        "CREATE TRIGGER facts_never_deleted BEFORE DELETE ON facts"
        " BEGIN SELECT RAISE(ABORT, 'facts are never deleted'); END",
        # INSERT OR REPLACE deletes without firing the trigger above.
        "CREATE TRIGGER facts_never_replaced BEFORE INSERT ON facts WHEN EXISTS (SELECT 1 FROM facts WHERE"
        " seq = NEW.seq OR (use_case = NEW.use_case AND kind = NEW.kind AND subject = NEW.subject"
        " AND number = NEW.number)) BEGIN SELECT RAISE(ABORT, 'facts are never replaced'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION facts_are_kept() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION 'facts are never updated or deleted'; END $$",
        "CREATE TRIGGER facts_are_kept BEFORE UPDATE OR DELETE OR TRUNCATE ON facts"
        " FOR EACH STATEMENT EXECUTE FUNCTION facts_are_kept()",
    ),
}


class Database:
    """One database of facts, by its address. Threads may share it; processes may not (make one after a fork).

    Making one touches nothing: the tables are made on first use, whoever else is doing so at that moment.
    Misconfigured for an address that is not `sqlite:///FILE` or `postgresql://…`. `patience` is how many seconds to
    wait for another writer, or for a server that does not answer.
    """

    def __init__(self, address: str, patience: float) -> None:
        url = _parsed(address)
        shown = URL.create(url.get_backend_name(), url.username, None, url.host, url.port, url.database)
        self.place = shown.render_as_string()  # as people may see it: no password, no options
        self._engine = _engine(url, patience, self.place)
        self._writers = self._engine.execution_options(writing=True)
        self._patience = patience
        self._prepared = False
        self._preparing = threading.Lock()

    def close(self) -> None:
        """Let go of every connection. A later call opens new ones."""
        self._engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """One snapshot in SQLite; one per statement in PostgreSQL."""
        with self._world():
            self._prepare()
            with self._engine.connect() as connection:
                yield connection

    @contextmanager
    def writing(self, use_case: str | None) -> Iterator[Connection]:
        """A transaction that is the only one to write about its use case; committed at the end, or nothing is.

        None locks nothing in PostgreSQL: for rows that have one writer each, which need not wait for others.
        """
        with self._world():
            self._prepare()
            with self._writers.begin() as connection:
                if use_case is not None:
                    self._lock(connection, use_case)
                yield connection

    @contextmanager
    def _world(self) -> Iterator[None]:
        """What goes wrong in the database, in our own words."""
        try:
            yield
        except IntegrityError as error:
            raise Conflict(f"somebody else moved first, read it again: {_said(error)}", self.place) from error
        except (DataError, UnicodeEncodeError) as error:
            raise Refused(f"no database holds such text: {_said(error)}", self.place) from error
        except (SQLAlchemyError, OSError) as error:
            self._prepared = False  # what comes back may be another database: look at it again
            raise Unavailable(f"the ledger cannot be used: {_said(error)}", self.place) from error

    def _prepare(self) -> None:
        if self._prepared:
            return
        with self._preparing:
            if self._engine.dialect.name == "sqlite":
                Path(str(self._engine.url.database)).parent.mkdir(parents=True, exist_ok=True)
            with self._engine.connect() as connection:
                found = _version(connection)
            if found is None or found < TABLES:
                with self._writers.begin() as connection:
                    self._lock(connection, "")
                    found = _version(connection) or _made(connection)
                    if found < TABLES:
                        found = _upgraded(connection, found)
            if found > TABLES:
                raise Refused(f"its tables are of version {found}, not {TABLES}: upgrade Mainstay", self.place)
            self._prepared = True

    def _lock(self, connection: Connection, use_case: str) -> None:
        """Wait until no other writer of this use case is at work. SQLite did so when the transaction began."""
        if connection.dialect.name == "postgresql":
            key = int.from_bytes(hashlib.sha256(f"ledger\0{use_case}".encode()).digest()[:8], signed=True)
            connection.execute(select(func.set_config("lock_timeout", f"{round(self._patience * 1000)}ms", True)))
            connection.execute(select(func.pg_advisory_xact_lock(literal(key, BigInteger))))


def _parsed(address: str) -> URL:
    try:
        url = make_url(address)
    except (ArgumentError, ValueError):
        # Neither the address nor the cause is repeated: what does not parse may hold a password anywhere.
        raise Misconfigured(f"the ledger's address is not one: use {SHAPES}") from None
    if url.drivername not in ("sqlite", "postgresql", "postgresql+psycopg"):
        raise Misconfigured(f"no ledger is kept at {url.drivername}://: use {SHAPES}")
    if url.drivername == "sqlite" and url.database in (None, "", ":memory:"):
        raise Misconfigured("a ledger in memory would forget: name a file, as in sqlite:///ledger.db")
    return url


def _engine(url: URL, patience: float, place: str) -> Engine:
    if url.drivername == "sqlite":
        engine = create_engine(url, connect_args={"timeout": patience})
        event.listen(engine, "connect", _open_sqlite)
        event.listen(engine, "begin", _begin_sqlite)
        return engine
    waits = {"connect_timeout": max(2, round(patience)), "tcp_user_timeout": round(patience * 1000)}
    try:
        return create_engine(
            url.set(drivername="postgresql+psycopg"),
            connect_args={name: value for name, value in waits.items() if name not in url.query},
            pool_pre_ping=True,  # a server that was restarted is noticed before it costs a fact
        )
    except ModuleNotFoundError as error:
        raise Misconfigured("a ledger on PostgreSQL needs psycopg: install mainstay[postgres]", place) from error


def _open_sqlite(connection: sqlite3.Connection, _: ConnectionPoolEntry) -> None:
    connection.isolation_level = None  # transactions begin where _begin_sqlite says, not where the driver guesses
    # WAL is the file's mode, not the connection's: where it cannot be set (another process is just setting it, the
    # directory is read-only) the ledger works without, or the next statement says why it cannot.
    with suppress(sqlite3.Error):
        connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")  # what is committed survives power loss


def _begin_sqlite(connection: Connection) -> None:
    # A transaction that begins by reading and writes later can be turned away without waiting: writers lock first.
    writing = connection.get_execution_options().get("writing", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writing else "BEGIN")


def _version(connection: Connection) -> int | None:
    """The version of the tables that stand; None where there are none."""
    if not inspect(connection).has_table(VERSION.name):
        return None
    found: int | None = connection.scalar(select(func.max(VERSION.c.version)))
    return found


def _made(connection: Connection) -> int:
    """Make the tables and their guards; both databases do so within the transaction."""
    METADATA.create_all(connection, checkfirst=False)
    for statement in GUARDS[connection.dialect.name]:
        connection.exec_driver_sql(statement)
    connection.execute(VERSION.insert().values(version=TABLES))
    return TABLES


def _upgraded(connection: Connection, found: int) -> int:
    """Add what later versions brought; whoever comes second, after waiting for the lock, finds it done."""
    for version in range(found + 1, TABLES + 1):
        METADATA.create_all(connection, tables=ADDED[version], checkfirst=False)
    connection.execute(VERSION.update().values(version=TABLES))
    return TABLES


def clock(connection: Connection) -> ColumnElement[datetime]:
    """The time by the clock of the database, as a term of a statement: one clock for every host."""
    if connection.dialect.name == "sqlite":  # which counts no further than milliseconds
        return type_coerce(func.strftime("%Y-%m-%dT%H:%M:%f000Z", "now"), Time)
    return type_coerce(func.clock_timestamp(), Time)


def _said(error: Exception) -> str:
    """The driver's own first line, without the statement and its parameters."""
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return next(iter(str(cause).strip().splitlines()), type(cause).__name__)
