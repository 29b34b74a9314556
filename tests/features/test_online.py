"""What is brought online: read by Feast itself, never replaced by what is older, whoever writes at the same time."""

import importlib
import threading
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mainstay.adapters.feast_format import entity_key as key_bytes
from mainstay.adapters.feast_format import key_prefix, time_bytes, value_bytes, value_of
from mainstay.adapters.online import Online, Wanted, online_from
from mainstay.defined import FeatureColumn, FeatureService, FeatureView
from mainstay.errors import Misconfigured, Unavailable
from mainstay.features import feast
from mainstay.features.materialize import differing, due, holding, materialise
from mainstay.features.online import Writer, writer_from
from mainstay.journeys.materialize import feast_online
from mainstay.settings import Settings

START = datetime(2026, 1, 1, tzinfo=UTC)
VIEW = FeatureView(
    "usage", "id", (FeatureColumn("calls", "number"), FeatureColumn("plan", "category")), "at", "known", "5d", "x"
)
SERVICE = FeatureService("lines_v1", "m" * 64, (VIEW,))


@pytest.fixture
def online(online_url: str) -> Writer:
    return writer_from(online_url)


@pytest.fixture
def reader(online_url: str) -> Online:
    return online_from(online_url)


def rows(*told: tuple[str, float, float, float | None, str | None]) -> pa.Table:
    """Offline rows: entity, event time and arrival in seconds after the start, calls, plan."""
    instant = pa.timestamp("us", "UTC")
    return pa.table({
        "id": pa.array([each[0] for each in told], pa.string()),
        feast.EVENT_TIME: pa.array([START + timedelta(seconds=each[1]) for each in told], instant),
        feast.KNOWN_AT: pa.array([START + timedelta(seconds=each[2]) for each in told], instant),
        "calls": pa.array([each[3] for each in told], pa.float64()),
        "plan": pa.array([each[4] for each in told], pa.string()),
    })  # fmt: skip


def there(reader: Online, *entities: str, project: str = "lines") -> list[tuple[Any, ...]]:
    try:
        found = reader.read(project, "id", [Wanted("usage", ("calls", "plan"))], entities).rows
    except Unavailable:  # nothing at all of the project
        found = [{}] * len(entities)
    seen = [each["usage"].values if "usage" in each else None for each in found]
    return [(False, None, None) if each is None else (True, each["calls"], each["plan"]) for each in seen]


def test_what_is_written_is_what_feast_reads(
    online: Writer, online_url: str, tmp_path: Path, imported_feast: None
) -> None:
    settings = Settings(home=tmp_path, online_url=online_url)
    feast.apply(SERVICE, settings.feast, "lines", feast_online(settings))
    online.write(
        "lines", "usage", rows(("a", 7200.5, 7200.5, 3.25, "größer"), ("b", 0, 0, None, "p"), ("c", 0, 0, 0.0, None))
    )
    store = feast.open_store(settings.feast, "lines", feast_online(settings))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        view = store.get_feature_view("usage")
        asked = store.get_online_features(["usage:calls", "usage:plan"], [{"id": each} for each in "abcd"]).to_dict()
        read = store._get_provider().online_read(store.config, view, [entity_key("a")], ["calls"])
    assert asked["calls"] == [3.25, None, 0.0, None]
    assert asked["plan"] == ["größer", "p", None, None]
    assert abs(read[0][0] - (START + timedelta(hours=2))) < timedelta(seconds=1)


def entity_key(entity: str) -> Any:
    from feast.protos.feast.types.EntityKey_pb2 import EntityKey
    from feast.protos.feast.types.Value_pb2 import Value

    return EntityKey(join_keys=["id"], entity_values=[Value(string_val=entity)])


def test_keys_values_and_times_are_the_bytes_of_the_pinned_sdk(imported_feast: None) -> None:
    from feast.infra.key_encoding_utils import serialize_entity_key
    from feast.protos.feast.types.Value_pb2 import Value

    timestamps = importlib.import_module("google.protobuf.timestamp_pb2")  # which publishes no types

    for text in ("a", "größer 7", "x" * 300):
        assert key_bytes(key_prefix("id"), text) == serialize_entity_key(entity_key(text), 3)
        assert value_bytes(text) == Value(string_val=text).SerializeToString()
        assert value_of(value_bytes(text)) == text
    for number in (0.0, -1.5, 1e300, 3.0):
        assert value_bytes(number) == Value(double_val=number).SerializeToString()
        assert value_of(value_bytes(number)) == number
    assert value_bytes(None) == Value().SerializeToString()
    for micros in (0, 1, 999_999, 1_767_225_600_000_001, -1_500_000):
        made = timestamps.Timestamp()
        made.FromMicroseconds(micros)
        assert time_bytes(micros) == made.SerializeToString()


def test_nothing_late_replaces_what_is_newer(online: Writer, reader: Online) -> None:
    online.write("lines", "usage", rows(("a", 10.0, 10.0, 1.0, "new")))
    assert online.write("lines", "usage", rows(("a", 9.999999, 50.0, 2.0, "old"))) == 0
    assert there(reader, "a") == [(True, 1.0, "new")]
    assert online.write("lines", "usage", rows(("a", 10.0, 9.0, 2.0, "learnt of before"))) == 0
    assert online.write("lines", "usage", rows(("a", 10.0, 11.0, None, "corrected"))) == 1
    assert there(reader, "a", "b") == [(True, None, "corrected"), (False, None, None)]
    assert online.write("lines", "usage", rows(("a", 10.000001, 10.000001, 4.0, "a microsecond later"))) == 1
    assert there(reader, "a") == [(True, 4.0, "a microsecond later")]
    assert there(reader, "a", project="lines__2") == [(False, None, None)]


def test_nothing_late_replaces_what_is_newer_before_1970_either(online: Writer, reader: Online) -> None:
    long_ago = -2_000_000_000.0  # seconds from 2026, so in 1962
    assert online.write("lines", "usage", rows(("a", long_ago, 0, 1.0, "new"))) == 1
    assert online.write("lines", "usage", rows(("a", long_ago - 1, 1, 2.0, "late"))) == 0
    assert online.write("lines", "usage", rows(("a", long_ago + 0.000001, 1, 3.0, "newer"))) == 1
    assert online.write("lines", "usage", rows(("a", long_ago, 2, 4.0, "late"))) == 0
    assert there(reader, "a") == [(True, 3.0, "newer")]


@pytest.mark.parametrize("deleted", [0, 1, 2_000])
def test_a_namespace_that_was_dropped_by_half_promises_nothing_and_is_dropped_whole(
    redis_server: int, deleted: int
) -> None:
    """As a process that is killed leaves it: SQLite drops in one transaction, Redis cannot."""
    from redis import Redis

    url = f"redis://127.0.0.1:{redis_server}/13"
    client = Redis.from_url(url)
    client.flushdb()
    online = writer_from(url)
    materialise(online, "lines", "usage", rows(*((f"e{n}", 0, 0, 1.0, "a") for n in range(2_500))), START)
    client.rename("mainstay:watermarks:lines", "mainstay:dropping:lines")
    keys = [key for key in client.scan_iter(count=10_000) if not key.startswith(b"mainstay:")]
    if deleted:
        client.delete(*keys[:deleted])
    assert online.watermarks("lines") == {}
    assert online.projects("lin") == ["lines"]
    online.drop("lines", "id")
    assert (client.dbsize(), online.projects("lin")) == (0, [])
    client.close()


def test_what_feast_wrote_itself_is_not_replaced_by_an_older_value_either(
    online: Writer, reader: Online, online_url: str, tmp_path: Path, imported_feast: None
) -> None:
    from feast.protos.feast.types.Value_pb2 import Value

    settings = Settings(home=tmp_path, online_url=online_url)
    feast.apply(SERVICE, settings.feast, "lines", feast_online(settings))
    store = feast.open_store(settings.feast, "lines", feast_online(settings))
    values = {"calls": Value(double_val=9.0), "plan": Value(string_val="feast")}
    batch = [(entity_key("a"), values, START + timedelta(seconds=100), None)]
    store._get_provider().online_write_batch(store.config, store.get_feature_view("usage"), batch, None)
    online.write("lines", "usage", rows(("a", 50.0, 50.0, 1.0, "older")))
    assert there(reader, "a") == [(True, 9.0, "feast")]
    online.write("lines", "usage", rows(("a", 150.0, 150.0, 1.0, "newer")))
    assert there(reader, "a") == [(True, 1.0, "newer")]


def test_writers_at_the_same_time_leave_the_newest_value_whole(online: Writer, reader: Online) -> None:
    """Eight of them, each with its own shuffle of the same events: a torn or older row would show."""
    said: list[BaseException] = []

    def write(seed: int) -> None:
        try:
            for n in np.random.default_rng(seed).permutation(24):
                told = [(f"e{k}", float(n), float(n), float(n), f"p{n}") for k in range(5)]
                online.write("lines", "usage", rows(*told))
        except BaseException as error:  # noqa: BLE001  (told below, by the test's own thread)
            said.append(error)

    threads = [threading.Thread(target=write, args=(seed,)) for seed in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert said == []
    assert there(reader, *(f"e{k}" for k in range(5))) == [(True, 23.0, "p23")] * 5


def test_a_view_is_materialised_as_far_as_it_is_asked_and_twice_is_once(online: Writer, reader: Online) -> None:
    told = rows(
        ("a", 0, 0, 1.0, "x"), ("a", 5, 20, 2.0, "late"), ("a", 10, 10, 3.0, "y"), ("b", 30, 30, 4.0, "z"),
        ("c", 1, 1, 5.0, None), ("c", 2, 2, None, "null stays null"),
    )  # fmt: skip
    first, last = START + timedelta(seconds=12), START + timedelta(seconds=40)
    assert materialise(online, "lines", "usage", told, first) == (2, first)
    assert there(reader, "a", "b", "c") == [(True, 3.0, "y"), (False, None, None), (True, None, "null stays null")]
    assert online.watermarks("lines") == {"usage": first}
    assert materialise(online, "lines", "usage", told, first) == (0, first)
    assert materialise(online, "lines", "usage", told, START) == (0, first)
    assert due(told, first, last)["id"].to_pylist() == ["a", "b"]
    materialise(online, "lines", "usage", told, last)
    assert there(reader, "a", "b") == [(True, 3.0, "y"), (True, 4.0, "z")]
    assert differing(reader, "lines", VIEW, told, last) == 0
    online.write("lines", "usage", rows(("b", 31, 31, 4.5, "z")))
    assert differing(reader, "lines", VIEW, told, last) == 1


def test_a_watermark_never_goes_back_and_goes_with_its_namespace(online: Writer, reader: Online) -> None:
    later = START + timedelta(days=1)
    online.write("a__1", "usage", rows(("a", 0, 0, 1.0, "x")))
    online.write("b_a__1", "usage", rows(("a", 0, 0, 2.0, "y")))
    online.mark("a__1", "usage", later)
    online.mark("a__1", "usage", START)
    online.mark("b_a__1", "usage", START)
    assert online.watermarks("a__1") == {"usage": later}
    assert online.projects("a__") == ["a__1"]
    online.drop("a__1", "id")
    online.drop("a__1", "id")
    assert online.projects("") == ["b_a__1"]
    assert online.watermarks("a__1") == {}
    assert there(reader, "a", project="a__1") == [(False, None, None)]
    assert there(reader, "a", project="b_a__1") == [(True, 2.0, "y")]
    assert online.write("a__1", "usage", rows(("a", 0, 0, 1.0, "x"))) == 1


def test_online_is_offline_for_every_feature_of_ten_thousand_customers(online: Writer, reader: Online) -> None:
    """Random histories: several events each, out of order, late, missing values, brought online in steps."""
    random = np.random.default_rng(5)
    count, customers = 30_000, 10_000
    event = random.integers(0, 90 * 86_400_000_000, count)
    late = np.where(random.random(count) < 0.3, random.integers(0, 20 * 86_400_000_000, count), 0)
    who = random.integers(0, customers, count)
    who[:customers] = np.arange(customers)
    start = np.datetime64("2026-01-01", "us")
    instant = pa.timestamp("us", "UTC")
    made: dict[str, Any] = {
        "id": pa.array([f"c{n}" for n in who]),
        feast.EVENT_TIME: pa.array(start + event.astype("timedelta64[us]")).cast(instant),
        feast.KNOWN_AT: pa.array(start + (event + late).astype("timedelta64[us]")).cast(instant),
    }
    for n in range(4):
        made[f"number{n}"] = pa.array(random.normal(size=count), mask=random.random(count) < 0.1)
        texts = np.array([f"v{each}" for each in random.integers(0, 9, count)], dtype=object)
        made[f"text{n}"] = pa.array(texts, pa.string(), mask=random.random(count) < 0.1)
    history = pa.table(made)
    for day in (30, 60, 120):
        materialise(online, "lines", "usage", history, START + timedelta(days=day))
    names = history.column_names[3:]
    columns = tuple(FeatureColumn(name, "number" if name[0] == "n" else "category") for name in names)
    view = FeatureView("usage", "id", columns, "at", "known", None, "x")
    entities = [f"c{n}" for n in range(customers)]
    assert holding(history, entities, START + timedelta(days=120)).num_rows == customers
    assert differing(reader, "lines", view, history, START + timedelta(days=120)) == 0


def test_a_store_that_cannot_be_used_is_unavailable_and_an_address_that_is_none_is_misconfigured(
    tmp_path: Path,
) -> None:
    (tmp_path / "online.db").write_text("no database" * 200)
    for url in (f"sqlite:///{tmp_path / 'online.db'}", "redis://127.0.0.1:1/0"):
        with pytest.raises(Unavailable, match="the online store cannot be used"):
            writer_from(url).watermarks("lines")
    for url in ("", "mysql://x/y", "redis:///0", "online.db"):
        with pytest.raises(Misconfigured, match="is no online store"):
            writer_from(url)
