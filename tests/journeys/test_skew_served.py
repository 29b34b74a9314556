"""The monitor of skew over what a real server looked up, logged and shipped; and the same with a bug in the store."""

import json
import sqlite3
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mainstay.adapters.feast_format import value_bytes, value_of
from mainstay.adapters.signing import KeyFile, make_pseudonym_key
from mainstay.defined import project_of
from mainstay.journeys import progress
from mainstay.journeys.asked import Asked
from mainstay.journeys.materialize import before_it_is_live, head
from mainstay.journeys.push import push, take_up
from mainstay.journeys.release import ingest
from mainstay.journeys.skew import skew
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import SPLITS
from mainstay.ledger.shipping import ship
from mainstay.nouns import Arm, Split, Window
from mainstay.registry.configured import store_configuration
from mainstay.registry.manifest import Entity
from mainstay.scoring.bundle import Bundle
from mainstay.settings import Settings
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads
from mainstay.verdicts import Outcome
from mainstay.wiring import Platform, platform

USE_CASE = """
schema: 1
name: tiny
source: tiny.parquet
entity: id
event_time: {column: seen}
label: {column: left, positive: "Yes", horizon: 1d, absent_means: "No"}
contract:
  columns:
    id: {type: identifier, personal: hash}
    seen: {type: timestamp}
    age: {type: integer, range: [18, 120]}
    left: {type: category, values: ["No", "Yes"]}
features:
  service: tiny_v1
  views:
    - name: bills
      source: bills.parquet
      event_time: at
      known_at: loaded
      ttl: 30d
      columns:
        spent: {type: number, nullable: true, range: [0, 1000]}
        plan: {type: category, values: [basic, plus], nullable: true}
serving: {unknown_entity: refuse, stale_features: flag}
"""
PEOPLE = [f"čeněk {n}" for n in range(40)]
INSTANT = pa.timestamp("us", "UTC")


@pytest.fixture
def use_case() -> UseCase:
    return loads(USE_CASE)


class Shop:
    """A home whose rows are frozen, looked up by a real server, and real in time."""

    def __init__(self, home: Path, use_case: UseCase) -> None:
        self.home, self.use_case = home, use_case
        self.heard: list[Any] = []
        self.asked = Asked("user:ada", "a test", home)

    def opened(self) -> Platform:
        return platform(Settings(home=self.home))

    def now(self) -> datetime:
        return self.opened().settings.clock()

    def goes_live(self) -> None:
        """Freeze rows and bills of yesterday (of some, bills past their TTL), and have 1.0.0 look them up."""
        now = self.now()
        seen = pa.array([now - timedelta(days=5)] * len(PEOPLE), INSTANT)
        left = ["No", "Yes"] * (len(PEOPLE) // 2)
        ages = [20 + n for n in range(len(PEOPLE))]
        pq.write_table(pa.table({"id": PEOPLE, "seen": seen, "age": ages, "left": left}), self.home / "tiny.parquet")
        billed = pa.array([now - timedelta(days=40 if n % 8 == 0 else 6) for n in range(len(PEOPLE))], INSTANT)
        spent = [None if n % 10 == 1 else 10.5 + n for n in range(len(PEOPLE))]
        bills = {"id": PEOPLE, "at": billed, "loaded": billed, "spent": spent, "plan": ["basic"] * len(PEOPLE)}
        pq.write_table(pa.table(bills), self.home / "bills.parquet")
        opened = self.opened()
        made = ingest(opened, self.use_case, self.asked, progress.Release("tiny"), self.heard.append)
        assert made is not None, self.heard
        before_it_is_live(opened, self.use_case, made.id, self.asked, self.heard.append)
        configuration = store_configuration(self.use_case, opened.blobs)
        before = opened.ledger.latest("tiny", SPLITS, "tiny")
        assert before is not None
        split = Split(2, "tiny", (Arm("1.0.0", 1.0),), configuration, feature_service="tiny_v1", dataset_head=made.id)
        opened.ledger.write("tiny", Entry(SPLITS, "tiny", split, before.number), at=now, actor="ada", reason="live")

    def pushes(self, person: str, spent: float) -> None:
        opened, now = self.opened(), self.now()
        values = {"spent": spent, "plan": "plus"}
        told = {"view": "bills", "entity": person, "event_time": now.isoformat(), "values": values}
        push(opened, self.use_case, [json.dumps(told)], "-", now)
        assert take_up(opened, self.use_case, self.heard.append) == 1

    def measured(self) -> tuple[Outcome, dict[str, tuple[int, float, float | None]]]:
        """The verdict, and of each feature how many look-ups there were, the share that was off, and the factor."""
        opened, now = self.opened(), self.now()
        ship(opened.stream(), opened.ledger, opened.blobs, "tiny", now)
        window = Window(now - timedelta(hours=1), now + timedelta(seconds=1))
        verdict, found = skew(opened, self.use_case, window, self.heard.append, limit=0.2)
        return verdict.outcome, {each.feature: (each.estimate.rows, each.estimate.value, each.times) for each in found}


@pytest.fixture
def shop(
    strict_home: Path, use_case: UseCase, shelve: Callable[..., None], tiny_bundle: Bundle, tiny_signer: KeyFile
) -> Shop:
    opened = platform(Settings(home=strict_home))
    key, _ = make_pseudonym_key_of(opened)
    entity = Entity("id", "identifier", "hash", key)
    shelve("1.0.0", tiny_bundle, opened.blobs, tiny_signer, entity)
    made = Shop(strict_home, use_case)
    made.goes_live()
    return made


def make_pseudonym_key_of(opened: Platform) -> tuple[str, bytes]:
    make_pseudonym_key(opened.settings.keys)
    return opened.pseudonym_key()


Running = Callable[..., AbstractContextManager[tuple[Any, str]]]


def test_a_real_server_serves_what_the_offline_store_says_and_a_planted_unit_is_found(
    shop: Shop, running: Running
) -> None:
    with running(shop.home) as (_, line), httpx.Client(base_url=line.split()[0], timeout=10) as client:
        for person in PEOPLE:
            assert client.post("/predict", json={"entity": person}).status_code == 200
        shop.pushes(PEOPLE[3], 777.0)
        rows = [{"entity": person} for person in [*PEOPLE, "nobody"]]
        batch = client.post("/predict_batch", json={"rows": rows}).json()["predictions"]
        assert [each.get("status", 200) for each in batch] == [200] * len(PEOPLE) + [404]
        given = {"entity": PEOPLE[5], "features": {"spent": 1.0}}
        assert client.post("/predict", json=given).json()["flags"] == []
        outcome, found = until_shipped(shop, 81)
        assert outcome is Outcome.PASS
        assert found == {"age": (81, 0.0, None), "spent": (80, 0.0, None), "plan": (81, 0.0, None)}
        everything = b"".join(path.read_bytes() for path in shop.home.rglob("*") if path.is_file())
        assert PEOPLE[3].encode() not in everything.replace((shop.home / "tiny.parquet").read_bytes(), b"").replace(
            (shop.home / "bills.parquet").read_bytes(), b""
        )
        spoil(shop)
        for person in PEOPLE * 4:
            assert client.post("/predict", json={"entity": person}).status_code == 200
        outcome, found = until_shipped(shop, 241)
    assert outcome is Outcome.FAIL
    rows_seen, off, times = found["spent"]
    assert (found["age"][1], found["plan"][1], rows_seen) == (0.0, 0.0, 240)
    assert times == pytest.approx(100)
    # Of forty, five were billed too long ago, and of three of the others the bill does not say.
    assert off == pytest.approx(4 * 31 / 240, abs=0.02)


def until_shipped(shop: Shop, look_ups: int) -> tuple[Outcome, dict[str, tuple[int, float, float | None]]]:
    """What is measured once so many look-ups were logged: a segment is sealed seconds after it was begun."""
    until = shop.now() + timedelta(seconds=30)
    while True:
        measured = shop.measured()
        if measured[1].get("age", (0,))[0] >= look_ups or shop.now() > until:
            return measured
        time.sleep(0.5)


def spoil(shop: Shop) -> None:
    """A bug of one path alone: what is online is in cents."""
    opened = shop.opened()
    project = project_of("tiny", head(opened, shop.use_case).body.id)
    with closing(sqlite3.connect(opened.settings.online.removeprefix("sqlite:///"))) as store, store:
        table = f'"{project}_bills"'
        found = store.execute(f"SELECT entity_key, value FROM {table} WHERE feature_name = 'spent'").fetchall()
        for key, value in found:
            number = value_of(value)
            if isinstance(number, float):
                store.execute(
                    f"UPDATE {table} SET value = ? WHERE entity_key = ? AND feature_name = 'spent'",
                    (value_bytes(number * 100), key),
                )
