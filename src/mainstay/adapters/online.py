"""The online store: the values of entities as they are now, where Feast wrote them, read without Feast.

Who writes agrees with this reader on the following, beside Feast's own layout (`feast_format.py`):

- A dataset version has a Feast project of its own (`project_of`); a view there is called as in its feature service,
  the source itself as the use case. Each entity has one join key, a text: the entity as it is stored.
- How far a view has been materialised is kept beside its values. In SQLite, in the same file: the table
  `mainstay_watermarks(project TEXT, view TEXT, watermark TEXT, PRIMARY KEY (project, view))`, RFC 3339. In Redis: the
  hash `mainstay:watermarks:PROJECT` of view to RFC 3339. A view without one has no watermark.
- Feast's SQLite store keeps times in whole seconds, and takes them for the writer's local time: a writer in another
  zone than UTC would shift them. Where there is a table `mainstay_times(project, view, entity_key, event_us)`, the
  exact time is read from there, unless Feast itself has written the row since.
- The SQLite file is in WAL mode (`PRAGMA journal_mode=WAL`, once): otherwise readers are locked out for as long as a
  large batch is being written, and look-ups are answered with 503 meanwhile.
"""

import os
import sqlite3
import threading
from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Final, NamedTuple, Protocol
from urllib.parse import quote, unquote, urlsplit

from mainstay.adapters.feast_format import check_key, entity_key, key_prefix, micros_of, redis_field, value_of
from mainstay.errors import Misconfigured, Refused, Unavailable
from mainstay.logged import micros
from mainstay.nouns import Value

LOCKED: Final = 0.01
"""Seconds to wait for a SQLite file that is being written: whoever waits holds up every other request."""
PATIENCE: Final = 0.25
"""Seconds to wait for Redis, to connect and for each answer."""
_SAMPLED: Final = 100
_KEPT: Final = 100
_TIMES: Final = -1
"""From here down are the places of times, from 0 up those of values."""


class Wanted(NamedTuple):
    """What is read of a view."""

    view: str
    features: tuple[str, ...]


class Seen(NamedTuple):
    """An entity's row of a view: values by feature, and the row's own time in microseconds since the epoch."""

    values: Mapping[str, Value]
    event_time: int


class Read(NamedTuple):
    """What was read: for each entity, in order, its rows by view (none for a view that has none); and the watermarks.

    Those are microseconds since the epoch by view, and lack a view that has none.
    """

    rows: Sequence[Mapping[str, Seen]]
    watermarks: Mapping[str, int]


class Online(Protocol):
    """An online store. Any thread may read; nothing is opened before the first read."""

    quick: ClassVar[bool]
    """Whether a read takes so little time that an event loop may wait for it."""

    def read(self, project: str, join_key: str, wanted: Sequence[Wanted], entities: Sequence[str]) -> Read:
        """The rows of entities (of one at least) in one round trip.

        A feature that was never written is lacking in its row's values. Unavailable where the store cannot be read, or
        holds nothing of the project. Refused where what it holds is not what Feast writes, keys of another
        serialisation version among them.
        """
        ...

    async def read_soon(self, project: str, join_key: str, wanted: Sequence[Wanted], entities: Sequence[str]) -> Read:
        """As `read`, without holding up the event loop for longer than a quick read takes."""
        ...


def online_from(url: str) -> Online:
    """The store at an address, `sqlite:///PATH`, `redis://…` or `rediss://…`. Misconfigured for any other."""
    if url.startswith("sqlite:///"):
        return SQLiteOnline(Path(unquote(url.removeprefix("sqlite:///"))))
    if url.startswith(("redis://", "rediss://")):
        return RedisOnline(url)
    scheme = url.partition(":")[0]
    raise Misconfigured(
        f"`{scheme}:` is no online store; write sqlite:///PATH or redis://HOST:PORT", "MAINSTAY_ONLINE_URL"
    )


class SQLiteOnline:
    """Feast's SQLite store: a table for each view of a project, a row for each feature of an entity."""

    quick: ClassVar[bool] = True

    def __init__(self, path: Path) -> None:
        self._path = path
        self._mine = threading.local()

    def read(self, project: str, join_key: str, wanted: Sequence[Wanted], entities: Sequence[str]) -> Read:
        prefix = key_prefix(join_key)
        keys = [entity_key(prefix, each) for each in entities]
        try:
            opened = self._opened()
            query = opened.query(project, prefix, tuple(wanted), len(keys))
            rows = opened.connection.execute(query, [project, *(each.view for each in wanted), *keys]).fetchall()
        except sqlite3.Error as error:
            self._mine.opened = None
            if "no such table" in str(error):
                raise _empty(project, str(self._path)) from error
            raise Unavailable(f"the online store cannot be read ({error})", str(self._path)) from error
        return _or_empty(_of_rows(rows, wanted, len(keys)), project, str(self._path))

    async def read_soon(self, project: str, join_key: str, wanted: Sequence[Wanted], entities: Sequence[str]) -> Read:
        return self.read(project, join_key, wanted, entities)

    def _opened(self) -> "_Opened":
        """This thread's connection, to the file that is there now."""
        try:
            found = os.stat(self._path)  # noqa: PTH116  (for every look-up, and pathlib is slower)
        except OSError as error:
            words = (error.strerror or str(error)).lower()
            raise Unavailable(f"the online store cannot be opened ({words})", str(self._path)) from error
        opened: _Opened | None = getattr(self._mine, "opened", None)
        if opened is None or opened.file != (found.st_dev, found.st_ino):
            opened = self._mine.opened = _Opened(self._path, (found.st_dev, found.st_ino))
        return opened


class _Opened:
    """One thread's connection to one file, and the queries it has made."""

    def __init__(self, path: Path, file: tuple[int, int]) -> None:
        self.file = file
        self._path = path
        address = f"file:{quote(str(path.absolute()))}?mode=ro"
        self.connection = sqlite3.connect(address, uri=True, timeout=LOCKED, isolation_level=None)
        self._queries: dict[Any, str] = {}

    def query(self, project: str, prefix: bytes, wanted: tuple[Wanted, ...], entities: int) -> str:
        """The query for rows and watermarks; kept once the keys of every view were seen to be those that are read."""
        made = self._queries.get((project, wanted, entities))
        if made is None:
            known = {name for (name,) in self.connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            # A view that was never brought online has no table. It keeps nobody from the others.
            here = [f"{project}_{each.view}" in known for each in wanted]
            if not any(here):
                raise sqlite3.OperationalError("no such table")
            firsts = [
                self.connection.execute(f"SELECT entity_key FROM {_table(project, each.view)} LIMIT 1").fetchone()  # noqa: S608
                if there
                else None
                for each, there in zip(wanted, here, strict=True)
            ]
            for first in firsts:
                if first is not None:
                    check_key(bytes(first[0]), prefix, str(self._path))
            made = _query(project, wanted, entities, known)
            if "mainstay_watermarks" in known and None not in firsts and len(self._queries) < _KEPT:
                self._queries[project, wanted, entities] = made
        return made


def _table(project: str, view: str) -> str:
    return '"' + f"{project}_{view}".replace('"', '""') + '"'


def _query(project: str, wanted: Sequence[Wanted], entities: int, known: Collection[str]) -> str:
    """Rows of a place, a name and two values, which `_of_rows` reads.

    `?1` is the project; then come the names of the views, then the keys of the entities. `known` tables are read alone.
    """
    start = 2 + len(wanted)
    views = ",".join(f"?{at}" for at in range(2, start))
    # A number for each key: the keys themselves, of a hundred bytes, would be made anew for every row.
    keys = ",".join(f"({n * len(wanted)},?{start + n})" for n in range(entities))
    parts = [
        f"SELECT n + {n}, feature_name, value, event_ts FROM k CROSS JOIN {_table(project, each.view)} "  # noqa: S608
        "ON entity_key = key"
        for n, each in enumerate(wanted)
        if f"{project}_{each.view}" in known
    ]
    if "mainstay_times" in known:
        parts += [
            f"SELECT {_TIMES} - n - {n}, NULL, event_us, NULL FROM k CROSS JOIN mainstay_times "  # noqa: S608
            f"ON project = ?1 AND view = ?{2 + n} AND entity_key = key"
            for n in range(len(wanted))
        ]
    if "mainstay_watermarks" in known:
        parts.append(
            f"SELECT NULL, view, watermark, NULL FROM mainstay_watermarks "  # noqa: S608
            f"WHERE project = ?1 AND view IN ({views})"
        )
    return f"WITH k(n, key) AS (VALUES {keys}) {' UNION ALL '.join(parts)}"


def _of_rows(rows: Sequence[Any], wanted: Sequence[Wanted], entities: int) -> Read:
    """What rows of a query say. Places count the views of the first entity, then those of the second."""
    names = [frozenset(each.features) for each in wanted]
    views = len(wanted)
    values: dict[int, dict[str, Value]] = {}
    times: dict[int, int] = {}
    exact: list[tuple[int, int]] = []
    watermarks: dict[str, int] = {}
    last: int | None = None
    before: Any = None
    found: dict[str, Value] = {}
    for place, name, value, at in rows:
        if place is None:
            watermarks[name] = _instant(value)
            continue
        if place < 0:
            exact.append((_TIMES - place, value))
            continue
        if place != last or at != before:
            last, before = place, at
            found = values.setdefault(place, {})
            time = at * 1_000_000 if at.__class__ is int else _instant(at)
            times[place] = min(time, times.get(place, time))  # a row is as old as the oldest of its values
            wants = names[place % views]
        if name in wants:
            found[name] = value_of(value)
    for place, time in exact:
        if place in times and time // 1_000_000 == times[place] // 1_000_000:
            times[place] = time
    told = [(n, each.view) for n, each in enumerate(wanted)]
    return Read(
        [
            {view: Seen(values[first + n], times[first + n]) for n, view in told if first + n in values}
            for first in range(0, entities * views, views)
        ],
        watermarks,
    )


class RedisOnline:
    """Feast's Redis store: a hash for each entity of a project. `read_soon` is for one event loop, always the same."""

    quick: ClassVar[bool] = False

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        self._shown = f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}{parts.path}"
        self._url = url
        # redis.Redis and redis.asyncio.Redis, whose types are wrong about bytes.
        self._client: Any = None
        self._client_soon: Any = None
        self._checked: set[tuple[str, str]] = set()
        self._opening = threading.Lock()

    def read(self, project: str, join_key: str, wanted: Sequence[Wanted], entities: Sequence[str]) -> Read:
        client = self._opened()
        from redis.exceptions import RedisError

        try:
            if (project, join_key) not in self._checked:
                self._check(client.scan(0, match=f"*{project}", count=_SAMPLED)[1], project, join_key)
            answers = client.execute_command(*_asking(project, join_key, tuple(wanted), entities))
        except (RedisError, OSError) as error:
            raise self._unavailable(error) from error
        return self._read(answers, project, wanted)

    async def read_soon(self, project: str, join_key: str, wanted: Sequence[Wanted], entities: Sequence[str]) -> Read:
        client = self._opened(soon=True)
        from redis.exceptions import RedisError

        try:
            if (project, join_key) not in self._checked:
                self._check((await client.scan(0, match=f"*{project}", count=_SAMPLED))[1], project, join_key)
            answers = await client.execute_command(*_asking(project, join_key, tuple(wanted), entities))
        except (RedisError, OSError) as error:
            raise self._unavailable(error) from error
        return self._read(answers, project, wanted)

    def _opened(self, soon: bool = False) -> Any:
        with self._opening:
            if self._client is None:
                try:
                    import redis
                    import redis.asyncio
                    from redis.asyncio.retry import Retry as RetrySoon
                    from redis.backoff import NoBackoff
                    from redis.retry import Retry
                except ImportError as error:
                    raise Unavailable("an online store in Redis needs the extra `redis`", self._shown) from error
                patience: dict[str, Any] = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE}
                # Tried once more: a connection that rested may have been closed by the other side.
                self._client_soon = redis.asyncio.Redis.from_url(self._url, **patience, retry=RetrySoon(NoBackoff(), 1))
                self._client = redis.Redis.from_url(self._url, **patience, retry=Retry(NoBackoff(), 1))
            return self._client_soon if soon else self._client

    def _read(self, answers: Sequence[Any], project: str, wanted: Sequence[Wanted]) -> Read:
        told, *hashes = answers
        watermarks = {name.decode(): _instant(text.decode()) for name, text in zip(told[::2], told[1::2], strict=True)}
        return _or_empty(Read([_of_hash(each, wanted) for each in hashes], watermarks), project, self._shown)

    def _check(self, keys: Sequence[bytes], project: str, join_key: str) -> None:
        """Look, once, whether some keys of the project are those that are read."""
        for key in keys:
            if not key.startswith(b"mainstay:"):
                check_key(key, key_prefix(join_key), self._shown)
                self._checked.add((project, join_key))

    def _unavailable(self, error: Exception) -> Unavailable:
        return Unavailable(f"the online store cannot be read ({type(error).__name__})", self._shown)


_SCRIPT = """
local found = {redis.call('HGETALL', KEYS[1])}
for n = 2, #KEYS do found[n] = redis.call('HMGET', KEYS[n], unpack(ARGV)) end
return found
"""
"""Everything in one command with one answer."""


def _asking(project: str, join_key: str, wanted: tuple[Wanted, ...], entities: Sequence[str]) -> list[Any]:
    """All that is asked, as one command."""
    prefix, ending = key_prefix(join_key), project.encode()
    keys = [entity_key(prefix, each) + ending for each in entities]
    return ["EVAL", _SCRIPT, len(keys) + 1, f"mainstay:watermarks:{project}", *keys, *_fields(wanted)]


@lru_cache(maxsize=64)
def _fields(wanted: tuple[Wanted, ...]) -> tuple[bytes, ...]:
    """The fields of an entity's hash: of each view its time, then its features."""
    return tuple(
        field
        for each in wanted
        for field in (f"_ts:{each.view}".encode(), *(redis_field(each.view, name) for name in each.features))
    )


def _of_hash(values: Sequence[bytes | None], wanted: Sequence[Wanted]) -> Mapping[str, Seen]:
    found, at = {}, 0
    for each in wanted:
        time, end = values[at], at + 1 + len(each.features)
        if time is not None:
            named = zip(each.features, values[at + 1 : end], strict=True)
            found[each.view] = Seen({name: value_of(one) for name, one in named if one is not None}, micros_of(time))
        at = end
    return found


def _or_empty(read: Read, project: str, place: str) -> Read:
    """What was read, unless there is nothing of the project that it could have been read from."""
    if not read.watermarks and not any(read.rows):
        raise _empty(project, place)
    return read


def _empty(project: str, place: str) -> Unavailable:
    return Unavailable(f"the online store holds nothing of {project}; `mainstay features materialize` fills it", place)


@lru_cache(maxsize=1024)
def _instant(text: str) -> int:
    """Microseconds since the epoch of a time as it is kept: RFC 3339, or as Feast writes it, UTC without saying so."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused("a time in the online store is damaged") from error
    return micros(at if at.tzinfo is not None else at.replace(tzinfo=UTC))
