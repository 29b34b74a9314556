"""What Feast's own stores hold is read as Feast reads it: the pinned SDK writes, into SQLite and a real Redis."""

import asyncio
import sqlite3
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from redised import RedisServer

from mainstay.adapters.feast_format import entity_key, key_prefix, murmur3, redis_field, value_of
from mainstay.adapters.online import Online, Wanted, online_from
from mainstay.defined import FeatureColumn, FeatureService, FeatureView
from mainstay.errors import Misconfigured, Refused, Unavailable
from mainstay.features import feast
from mainstay.logged import micros
from mainstay.nouns import rfc3339

START = datetime(2026, 1, 1, tzinfo=UTC)
PROJECT = "lines__0123456789ab"
VIEWS = (
    FeatureView("phone-lines", "id", (FeatureColumn("age", "integer"), FeatureColumn("plan", "category")),
                None, None, None, "lines.csv"),
    FeatureView("usage", "id", (FeatureColumn("calls", "number"),), "measured", None, "5d", "usage.csv"),
)  # fmt: skip
SERVICE = FeatureService("lines_v1", "0" * 64, VIEWS)
WANTED = [Wanted("phone-lines", ("age", "plan")), Wanted("usage", ("calls",))]


@dataclass
class Store:
    """One store: its address for us, and Feast's own over it."""

    url: str
    feast: Any
    execute: Callable[[str, str, str], None]
    break_it: Callable[[], object]
    mend: Callable[[], object]

    def write(self, view: str, rows: Sequence[Mapping[str, Any]]) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.feast.write_to_online_store(view, pd.DataFrame([{"created_timestamp": START, **row} for row in rows]))

    def watermark(self, view: str, at: datetime) -> None:
        self.execute(PROJECT, view, rfc3339(at))

    @property
    def online(self) -> Online:
        return online_from(self.url)


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    """An empty store of each kind in turn, with the views of the service defined."""
    folder = tmp_path / "feast"
    made = _sqlite(folder) if request.param == "sqlite" else _redis(folder, request.getfixturevalue("redis_server"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for view in VIEWS:
            feast.offline_file(folder, PROJECT, view.name).parent.mkdir(parents=True, exist_ok=True)
            names = [view.entity, feast.EVENT_TIME, feast.KNOWN_AT, *(each.name for each in view.features)]
            pd.DataFrame({name: [] for name in names}).to_parquet(feast.offline_file(folder, PROJECT, view.name))
        made.feast.apply(feast.objects(SERVICE, folder, PROJECT))
    return made


def _sqlite(folder: Path) -> Store:
    path = folder / "online.db"

    def execute(project: str, view: str, at: str) -> None:
        with sqlite3.connect(path) as opened:
            opened.execute(
                "CREATE TABLE IF NOT EXISTS mainstay_watermarks"
                " (project TEXT, view TEXT, watermark TEXT, PRIMARY KEY (project, view))"
            )
            opened.execute("INSERT OR REPLACE INTO mainstay_watermarks VALUES (?, ?, ?)", (project, view, at))

    aside = path.with_suffix(".aside")
    return Store(
        f"sqlite:///{path}",
        feast.open_store(folder, PROJECT),
        execute,
        lambda: path.rename(aside),
        lambda: aside.rename(path),
    )


def _redis(folder: Path, server: RedisServer) -> Store:
    from redis import Redis

    database = next(server.databases)
    client = Redis(port=server.port, db=database)
    online = {"type": "redis", "connection_string": f"127.0.0.1:{server.port},db={database}"}

    def execute(project: str, view: str, at: str) -> None:
        client.hset(f"mainstay:watermarks:{project}", view, at)

    return Store(
        f"redis://127.0.0.1:{server.port}/{database}",
        feast.open_store(folder, PROJECT, online),
        execute,
        server.kill,
        server.start,
    )


def full(store: Store) -> None:
    store.write("phone-lines", [{"id": "a", "event_timestamp": START, "age": 12.0, "plan": "Gold"},
                                {"id": "b", "event_timestamp": START, "age": 0.0, "plan": None}])  # fmt: skip
    store.write("usage", [{"id": "a", "event_timestamp": START + timedelta(days=1, microseconds=5), "calls": 3.5}])
    store.watermark("phone-lines", START + timedelta(hours=1))
    store.watermark("usage", START + timedelta(hours=2))


def test_a_batch_is_read_in_order_with_values_times_and_watermarks(store: Store) -> None:
    full(store)
    read = store.online.read(PROJECT, "id", WANTED, ["b", "nobody", "a", "b"])
    b, nobody, a, again = read.rows
    assert a["phone-lines"].values == {"age": 12.0, "plan": "Gold"}
    assert a["usage"].values == {"calls": 3.5}
    assert a["phone-lines"].event_time == micros(START)
    assert a["usage"].event_time // 1_000_000 == micros(START + timedelta(days=1)) // 1_000_000  # SQLite's: in seconds
    assert b["phone-lines"].values == {"age": 0.0, "plan": None} == again["phone-lines"].values
    assert "usage" not in b
    assert nobody == {}
    assert read.watermarks == {
        "phone-lines": micros(START + timedelta(hours=1)),
        "usage": micros(START + timedelta(hours=2)),
    }


def test_the_exact_time_is_read_where_it_is_kept_unless_feast_has_written_since(tmp_path: Path) -> None:
    (tmp_path / "feast").mkdir()
    made = _sqlite(tmp_path / "feast")
    made.execute(PROJECT, "usage", rfc3339(START))
    key, at = entity_key(key_prefix("id"), "a"), micros(START) + 5
    with sqlite3.connect(made.url.removeprefix("sqlite:///")) as opened:
        opened.execute(f'CREATE TABLE "{PROJECT}_usage" (entity_key BLOB, feature_name TEXT, value BLOB, event_ts)')
        opened.execute(f'INSERT INTO "{PROJECT}_usage" VALUES (?, ?, ?, ?)', (key, "calls", b"", at // 1_000_000))
        opened.execute("CREATE TABLE mainstay_times (project TEXT, view TEXT, entity_key BLOB, event_us INTEGER)")
        opened.execute("INSERT INTO mainstay_times VALUES (?, ?, ?, ?)", (PROJECT, "usage", key, at))
    online = made.online
    assert online.read(PROJECT, "id", WANTED[1:], ["a"]).rows[0]["usage"].event_time == at
    with sqlite3.connect(made.url.removeprefix("sqlite:///")) as opened:
        opened.execute(f'UPDATE "{PROJECT}_usage" SET event_ts = event_ts + 60')
    assert online.read(PROJECT, "id", WANTED[1:], ["a"]).rows[0]["usage"].event_time == at - 5 + 60_000_000


def test_an_event_loop_reads_the_same(store: Store) -> None:
    full(store)
    online = store.online

    async def both() -> None:
        for _ in range(2):
            assert await online.read_soon(PROJECT, "id", WANTED, ["a", "b", "c"]) == online.read(
                PROJECT, "id", WANTED, ["a", "b", "c"]
            )
        store.break_it()
        try:
            with pytest.raises(Unavailable, match="the online store cannot be"):
                await online.read_soon(PROJECT, "id", WANTED, ["a"])
        finally:
            store.mend()

    asyncio.run(both())


def test_only_what_is_wanted_is_read(store: Store) -> None:
    full(store)
    (a,) = store.online.read(PROJECT, "id", [Wanted("phone-lines", ("plan",))], ["a"]).rows
    assert {view: dict(seen.values) for view, seen in a.items()} == {"phone-lines": {"plan": "Gold"}}


def test_what_is_written_later_is_read_by_whoever_read_before(store: Store) -> None:
    full(store)
    online = store.online
    assert online.read(PROJECT, "id", WANTED, ["b"]).rows[0].keys() == {"phone-lines"}
    store.write("usage", [{"id": "b", "event_timestamp": START, "calls": 1.0}])
    store.watermark("usage", START + timedelta(hours=9))
    read = online.read(PROJECT, "id", WANTED, ["b"])
    assert read.rows[0]["usage"].values == {"calls": 1.0}
    assert read.watermarks["usage"] == micros(START + timedelta(hours=9))


@pytest.mark.parametrize("name", ["a b", "é✓", "x" * 200, "'; DROP TABLE x; --", "12"])
def test_an_entity_of_any_spelling_is_found(store: Store, name: str) -> None:
    store.write("usage", [{"id": name, "event_timestamp": START, "calls": 7.0}])
    (row,) = store.online.read(PROJECT, "id", WANTED, [name]).rows
    assert row["usage"].values == {"calls": 7.0}


def test_ten_thousand_entities_are_one_read(store: Store) -> None:
    full(store)
    rows = store.online.read(PROJECT, "id", WANTED, [f"n{n}" for n in range(9_999)] + ["a"]).rows
    assert len(rows) == 10_000
    assert rows[-1]["usage"].values == {"calls": 3.5}
    assert not any(rows[:-1])


def test_it_agrees_with_feasts_own_reading(store: Store) -> None:
    names = [f"c{n}" for n in range(50)]
    store.write("phone-lines", [{"id": each, "event_timestamp": START + timedelta(seconds=n), "age": n * 1e9 / 7,
                                 "plan": None if n % 3 else f"p{n}"} for n, each in enumerate(names)])  # fmt: skip
    asked = [*names, "nobody"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = store.feast.get_online_features(
            ["phone-lines:age", "phone-lines:plan"], [{"id": each} for each in asked]
        ).to_dict()
    ours = [row["phone-lines"].values if row else {} for row in store.online.read(PROJECT, "id", WANTED, asked).rows]
    assert [each.get("age") for each in ours] == theirs["age"]
    assert [each.get("plan") for each in ours] == theirs["plan"]


def test_a_project_of_which_nothing_was_materialised_is_no_unknown_entity(store: Store) -> None:
    full(store)
    with pytest.raises(Unavailable, match="holds nothing of lines__other"):
        store.online.read("lines__other", "id", WANTED, ["a"])


def test_a_view_that_was_never_brought_online_keeps_nobody_from_the_others(store: Store) -> None:
    """As while a challenger's feature service has a view that the champion's has not."""
    full(store)
    online, wanted = store.online, [*WANTED, Wanted("of_the_challenger", ("visits",))]
    for _ in range(2):
        found = online.read(PROJECT, "id", wanted, ["a", "nobody"])
        assert found.rows[0] == online.read(PROJECT, "id", WANTED, ["a"]).rows[0]
        assert found.rows[1] == {}
        assert "of_the_challenger" not in found.watermarks


def test_a_store_that_is_gone_is_unavailable_and_found_again_when_it_is_back(store: Store) -> None:
    full(store)
    online = store.online
    assert online.read(PROJECT, "id", WANTED, ["a"]).rows[0]
    store.break_it()
    try:
        began = time.monotonic()
        with pytest.raises(Unavailable, match="the online store cannot be"):
            online.read(PROJECT, "id", WANTED, ["a"])
        assert time.monotonic() - began < 2
    finally:
        store.mend()
    full(store)  # our Redis keeps nothing on disk
    assert online.read(PROJECT, "id", WANTED, ["a"]).rows[0]["usage"].values == {"calls": 3.5}


def test_keys_of_another_serialisation_version_are_refused(store: Store) -> None:
    """Version 2 had no number of keys in front: nobody would be found, and everybody would seem to be unknown."""
    old = bytes.fromhex("02000000") + b"id" + bytes.fromhex("0200000001000000") + b"a"
    if store.url.startswith("sqlite"):
        with sqlite3.connect(store.url.removeprefix("sqlite:///")) as opened:
            opened.execute(f'INSERT INTO "{PROJECT}_usage" (entity_key, feature_name) VALUES (?, ?)', (old, "calls"))
    else:
        from redis import Redis

        Redis.from_url(store.url).hset((old + PROJECT.encode()).decode("latin-1"), "x", "y")
    with pytest.raises(Refused, match="serialisation version 3, the only one that is read"):
        store.online.read(PROJECT, "id", WANTED, ["a"])


def test_a_locked_file_is_unavailable_at_once(tmp_path: Path) -> None:
    made = _sqlite(tmp_path / "feast")
    (tmp_path / "feast").mkdir(exist_ok=True)
    with sqlite3.connect(made.url.removeprefix("sqlite:///"), isolation_level=None) as writer:
        writer.execute("CREATE TABLE something (x)")
        writer.execute("BEGIN EXCLUSIVE")
        began = time.monotonic()
        with pytest.raises(Unavailable, match="locked"):
            made.online.read(PROJECT, "id", WANTED, ["a"])
        assert time.monotonic() - began < 0.2


def test_a_reader_is_not_held_up_by_a_writer_in_wal_mode(tmp_path: Path) -> None:
    made = _sqlite(tmp_path / "feast")
    (tmp_path / "feast").mkdir(exist_ok=True)
    with sqlite3.connect(made.url.removeprefix("sqlite:///"), isolation_level=None) as writer:
        writer.execute("PRAGMA journal_mode=WAL")
        writer.execute(f'CREATE TABLE "{PROJECT}_usage" (entity_key BLOB, feature_name TEXT, value BLOB, event_ts)')
        writer.execute(
            f'INSERT INTO "{PROJECT}_usage" VALUES (?, ?, ?, ?)',
            (entity_key(key_prefix("id"), "a"), "calls", b"\x29" + bytes(8), "2026-01-01 00:00:00"),
        )
        writer.execute("BEGIN EXCLUSIVE")
        writer.execute(f'DELETE FROM "{PROJECT}_usage"')
        (row,) = made.online.read(PROJECT, "id", WANTED[1:], ["a"]).rows
        assert row["usage"].values == {"calls": 0.0}


@pytest.mark.parametrize("url", ["mysql://x", "", "sqlite://relative.db"])
def test_an_address_of_no_store_is_refused_by_its_settings_name(url: str) -> None:
    with pytest.raises(Misconfigured, match=r"MAINSTAY_ONLINE_URL.*write sqlite:///PATH or redis://HOST:PORT"):
        online_from(url)


@given(st.text(max_size=40))
def test_fields_are_hashed_as_feast_hashes_them(text: str) -> None:
    from feast.infra.online_stores.helpers import _mmh3

    assert redis_field(text, "x") == _mmh3(f"{text}:x")
    assert 0 <= murmur3(text.encode()) < 2**32


@given(st.text(min_size=1, max_size=20), st.text(min_size=1, max_size=300))
def test_keys_are_those_that_feast_makes(name: str, entity: str) -> None:
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    made = serialize_entity_key(EntityKey(join_keys=[name], entity_values=[Value(string_val=entity)]), 3)
    assert entity_key(key_prefix(name), entity) == made


@given(st.one_of(st.floats(), st.text(max_size=300), st.integers(-(2**63), 2**63 - 1), st.booleans(), st.none()))
def test_values_are_read_as_they_were_written(value: Any) -> None:
    from feast.protos.feast.types.Value_pb2 import Value

    kinds = {float: "double_val", str: "string_val", int: "int64_val", bool: "bool_val"}
    data = Value() if value is None else Value(**{kinds[type(value)]: value})
    wanted = None if value is None or value != value else value if isinstance(value, str) else float(value)
    assert value_of(data.SerializeToString()) == wanted


@pytest.mark.parametrize("data", [b"\x29\x00", b"\x12\x05ab", b"\x12\x01\xff", b"\x40\x05", b"\x20\xff", b"\x99"])
def test_a_damaged_value_is_refused_and_never_guessed(data: bytes) -> None:
    with pytest.raises(Refused, match="in the online store is"):
        value_of(data)
