"""Writing into Feast's online stores so that what is late never replaces what is newer. Feast itself is not imported.

Keys, values and tables are those of Feast 0.67 (entity keys of version 3), so that Feast and `adapters/online.py` read
them; tests hold every byte to the pinned SDK. Of two rows of an entity the one with the later event time stays, and of
equal ones the one learnt of later: compared in the store itself, to the microsecond, by whoever writes (Feast's SQLite
store compares nothing, and its times are whole seconds).

Beside Feast's own, in SQLite: `mainstay_watermarks(project, view, watermark)`, how far a view was materialised, and
`mainstay_times`, the exact times of an entity's row. In Redis: the hash `mainstay:watermarks:PROJECT`, and in each
entity's hash a field `_known:VIEW`.
"""

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol
from urllib.parse import unquote, urlsplit

import pyarrow as pa

from mainstay.adapters.feast_format import after_entity, entity_key, key_prefix, redis_field, time_bytes, value_bytes
from mainstay.errors import Misconfigured, Unavailable
from mainstay.features.feast import EVENT_TIME, KNOWN_AT
from mainstay.nouns import rfc3339

BATCH: Final = 1_000
"""Rows written at once: others get their turn in between."""
PATIENCE: Final = 10.0
"""Seconds to wait for another writer, or for a server that does not answer."""
_TABLES: Final = (
    "CREATE TABLE IF NOT EXISTS mainstay_watermarks"
    " (project TEXT, view TEXT, watermark TEXT, PRIMARY KEY (project, view))",
    "CREATE TABLE IF NOT EXISTS mainstay_times (project TEXT, view TEXT, entity_key BLOB, event_us INTEGER,"
    " known_us INTEGER, PRIMARY KEY (project, view, entity_key)) WITHOUT ROWID",
)
_TIMES: Final = (
    "INSERT INTO mainstay_times VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET event_us = excluded.event_us,"
    " known_us = excluded.known_us WHERE (excluded.event_us, excluded.known_us) >= (event_us, known_us)"
)
_MARK: Final = (
    "INSERT INTO mainstay_watermarks VALUES (?, ?, ?)"
    " ON CONFLICT DO UPDATE SET watermark = excluded.watermark WHERE excluded.watermark > watermark"
)
# The hash of an entity; the time that Feast keeps, as a protobuf Timestamp, is taken apart to compare it. Numbers are
# doubles there, so what is below zero (ten bytes, two's complement) is counted from below, and stays exact.
_SET_IF_NEWER: Final = """
local function parts(text)
  local found, i = {0, 0}, 1
  while i <= #text do
    local field, value, below, factor, byte, count = math.floor(text:byte(i) / 8), 0, 1, 1, 128, 0
    while byte >= 128 do
      i = i + 1
      count = count + 1
      byte = text:byte(i)
      if count == 10 then
        value = -below
      else
        value = value + (byte % 128) * factor
        below = below + (127 - byte % 128) * factor
        factor = factor * 128
      end
    end
    i = i + 1
    found[field] = value
  end
  return found[1], found[2]
end
local before = redis.call('HGET', KEYS[1], ARGV[1])
if before then
  local seconds, nanos = parts(before)
  local known = tonumber(redis.call('HGET', KEYS[1], ARGV[3]) or '0')
  local a, b, c = tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[4])
  if a < seconds or (a == seconds and (b < nanos or (b == nanos and c < known))) then return 0 end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2], ARGV[3], ARGV[4], unpack(ARGV, 7))
return 1
"""
_MARK_IF_LATER: Final = """
local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before or before < ARGV[2] then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end
"""
_DROPPING: Final = "dropping"
_UNMARK: Final = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('RENAME', KEYS[1], KEYS[2]) end
"""


class Writer(Protocol):
    """An online store, by project (one per dataset version) and view. Every method raises Unavailable, and no other.

    Rows are those of the offline store: the entity, `EVENT_TIME`, `KNOWN_AT`, then the features.
    """

    def write(self, project: str, view: str, rows: pa.Table) -> int:
        """Put rows there, unless what is there is newer; how many were. Doing it twice is the same as once.

        All features of a row come at once or not at all. At most one row of an entity.
        """

    def watermarks(self, project: str) -> Mapping[str, datetime]:
        """How far each view was materialised; a view that never was is not in it."""

    def mark(self, project: str, view: str, watermark: datetime) -> None:
        """Say how far a view is materialised, after its values are there. It never goes back."""

    def projects(self, prefix: str) -> list[str]:
        """The projects with a watermark, or half dropped, whose names begin so, sorted."""

    def drop(self, project: str, entity: str) -> None:
        """Remove a project with its watermarks. Doing it twice is the same as once."""


class SqliteWriter:
    """Feast's SQLite online store: one table for each project and view, in one file. Processes may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, project: str, view: str, rows: pa.Table) -> int:
        names = rows.column_names[3:]
        table = _quoted(f"{project}_{view}")
        # Feast's own statement, but for the condition: it keeps rows that Feast wrote itself from an older one, too.
        upsert = (
            f"INSERT INTO {table} (entity_key, feature_name, value, value_text, event_ts, created_ts)"  # noqa: S608
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (entity_key, feature_name) DO UPDATE SET value = excluded.value,"
            " value_text = excluded.value_text, event_ts = excluded.event_ts, created_ts = excluded.created_ts"
            " WHERE excluded.event_ts >= event_ts"
        )
        written = 0
        with self._open() as connection:
            self._make(connection, project, view)
            for batch in _batches(rows):
                with _transaction(connection):
                    for key, event_us, known_us, values in batch:
                        if not connection.execute(_TIMES, (project, view, key, event_us, known_us)).rowcount:
                            continue
                        seconds = (event_us // 1_000_000, known_us // 1_000_000)
                        connection.executemany(
                            upsert,
                            [
                                (key, name, value_bytes(value), None if value is None else str(value), *seconds)
                                for name, value in zip(names, values, strict=True)
                            ],
                        )
                        written += 1
        return written

    def watermarks(self, project: str) -> Mapping[str, datetime]:
        with self._open() as connection:
            query = "SELECT view, watermark FROM mainstay_watermarks WHERE project = ? ORDER BY view"
            return {view: datetime.fromisoformat(at) for view, at in connection.execute(query, (project,))}

    def mark(self, project: str, view: str, watermark: datetime) -> None:
        with self._open() as connection, _transaction(connection):
            connection.execute(_MARK, (project, view, rfc3339(watermark)))

    def projects(self, prefix: str) -> list[str]:
        with self._open() as connection:
            found = {name for (name,) in connection.execute("SELECT project FROM mainstay_watermarks")}
        return sorted(name for name in found if name.startswith(prefix))

    def drop(self, project: str, entity: str) -> None:
        with self._open() as connection, _transaction(connection):
            known = (
                "SELECT view FROM mainstay_watermarks WHERE project = ?1"
                " UNION SELECT DISTINCT view FROM mainstay_times WHERE project = ?1"
            )
            for (view,) in connection.execute(known, (project,)).fetchall():
                connection.execute(f"DROP TABLE IF EXISTS {_quoted(f'{project}_{view}')}")
            connection.execute("DELETE FROM mainstay_watermarks WHERE project = ?", (project,))
            connection.execute("DELETE FROM mainstay_times WHERE project = ?", (project,))

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """The database, with our tables: a writer does not keep readers waiting (its log is written ahead)."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            with closing(sqlite3.connect(self._path, timeout=PATIENCE, isolation_level=None)) as connection:
                connection.execute("PRAGMA journal_mode = WAL")
                for statement in _TABLES:
                    connection.execute(statement)
                yield connection
        except (sqlite3.Error, OSError) as error:
            raise Unavailable(f"the online store cannot be used: {error}", str(self._path)) from error

    @staticmethod
    def _make(connection: sqlite3.Connection, project: str, view: str) -> None:
        """The table as Feast makes it."""
        name = f"{project}_{view}"
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {_quoted(name)} (entity_key BLOB, feature_name TEXT, value BLOB,"
            " value_text TEXT, vector_value BLOB, event_ts timestamp, created_ts timestamp,"
            " PRIMARY KEY(entity_key, feature_name))"
        )
        connection.execute(f"CREATE INDEX IF NOT EXISTS {_quoted(name + '_ek')} ON {_quoted(name)} (entity_key)")


class RedisWriter:
    """Feast's Redis online store: a hash for each entity and project. Hosts may share it."""

    def __init__(self, url: str) -> None:
        self._url = url

    def write(self, project: str, view: str, rows: pa.Table) -> int:
        fields = [redis_field(view, name) for name in rows.column_names[3:]]
        written = 0
        with self._open() as client:
            script = client.register_script(_SET_IF_NEWER)
            client.script_load(_SET_IF_NEWER)
            for batch in _batches(rows):
                pipe = client.pipeline(transaction=False)
                for key, event_us, known_us, values in batch:
                    times = (time_bytes(event_us), f"_known:{view}", known_us)
                    apart = (event_us // 1_000_000, event_us % 1_000_000 * 1000)
                    said = [each for pair in zip(fields, map(value_bytes, values), strict=True) for each in pair]
                    script(keys=[key + project.encode()], args=[f"_ts:{view}", *times, *apart, *said], client=pipe)
                written += sum(pipe.execute())
        return written

    def watermarks(self, project: str) -> Mapping[str, datetime]:
        with self._open() as client:
            told = client.hgetall(_marks(project))
        return {view.decode(): datetime.fromisoformat(at.decode()) for view, at in sorted(told.items())}

    def mark(self, project: str, view: str, watermark: datetime) -> None:
        with self._open() as client:
            client.eval(_MARK_IF_LATER, 1, _marks(project), view, rfc3339(watermark))

    def projects(self, prefix: str) -> list[str]:
        with self._open() as client:
            found = {
                key.decode().removeprefix(start)
                for start in (_marks(""), _marks("", _DROPPING))
                for key in client.scan_iter(match=f"{start}*", count=BATCH)
            }
        return sorted(name for name in found if name.startswith(prefix))

    def drop(self, project: str, entity: str) -> None:
        prefix, ending = key_prefix(entity), project.encode()
        with self._open() as client:
            # First: whoever is killed in between must not leave a watermark of what is gone. `projects` knows it still.
            client.eval(_UNMARK, 2, _marks(project), _marks(project, _DROPPING))
            # Whole: the name of another project, or an entity, may end as this project does.
            gone = [key for key in client.scan_iter(count=10 * BATCH) if after_entity(key, prefix) == ending]
            for at in range(0, len(gone), BATCH):
                client.delete(*gone[at : at + BATCH])
            client.delete(_marks(project, _DROPPING))

    @contextmanager
    def _open(self) -> Iterator[Any]:
        import redis

        client = redis.Redis.from_url(self._url, socket_timeout=PATIENCE, socket_connect_timeout=PATIENCE)
        try:
            yield client
        except (redis.RedisError, OSError) as error:
            raise Unavailable(f"the online store cannot be used: {error}", _shown(self._url)) from error
        finally:
            client.close()


def _marks(project: str, state: str = "watermarks") -> str:
    return f"mainstay:{state}:{project}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")


def _batches(rows: pa.Table) -> Iterator[list[tuple[bytes, int, int, tuple[Any, ...]]]]:
    """Key, event time and arrival (microseconds), and values, of so many rows at a time."""
    entity = rows.column_names[0]
    prefix = key_prefix(entity)
    for start in range(0, rows.num_rows, BATCH):
        part = rows.slice(start, BATCH)
        events, known = (
            part[name].cast(pa.timestamp("us")).cast(pa.int64()).to_pylist() for name in (EVENT_TIME, KNOWN_AT)
        )
        keys = [entity_key(prefix, each) for each in part[entity].to_pylist()]
        columns = [column.to_pylist() for column in part.columns[3:]]
        yield list(zip(keys, events, known, zip(*columns, strict=True), strict=True))


def _shown(url: str) -> str:
    parts = urlsplit(url)
    host = parts.hostname or ""
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path}"


def writer_from(url: str) -> Writer:
    """The online store at an address: `sqlite:///FILE` or `redis://HOST:PORT/DATABASE`. Misconfigured for any other."""
    parts = urlsplit(url)
    match parts.scheme:
        case "sqlite" if parts.path.startswith("/") and not parts.netloc:
            return SqliteWriter(Path(unquote(parts.path[1:])))
        case "redis" | "rediss" if parts.hostname:
            return RedisWriter(url)
        case _:
            said = "features are kept online at sqlite:///FILE or redis://HOST:PORT/DATABASE"
            raise Misconfigured(f"{url or 'nothing'} is no online store: {said}")
