"""Skew: a hundred days of a system that writes, looks up and logs; clean it is quiet, and each planted bug is found."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mainstay.adapters.online import Wanted, online_from
from mainstay.defined import FeatureColumn, FeatureView
from mainstay.features import feast
from mainstay.features.materialize import materialise
from mainstay.features.online import writer_from
from mainstay.journeys.skew import Gathered, compare_view
from mainstay.ledger.columnar import SCHEMAS
from mainstay.monitoring.skew import Pairs, Skew, compare, judge
from mainstay.nouns import Window
from mainstay.verdicts import Outcome

START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = ("calls", "spent", "plan")
VIEW = FeatureView(
    "usage", "id",
    (FeatureColumn("calls", "integer"), FeatureColumn("spent", "number"), FeatureColumn("plan", "category")),
    "at", "known", "20d", "x",
)  # fmt: skip
INSTANT = pa.timestamp("us", "UTC")
WINDOW = Window(START, START + timedelta(days=101))


@dataclass
class LookedUp:
    """One look-up as serving logs it."""

    entity: str
    asked_at: datetime
    features: dict[str, Any]
    origins: dict[str, str]
    event_time: datetime | None
    watermark: datetime


def history() -> pa.Table:
    """Events of 30 customers over 100 days, late by up to four days, with values missing, to the microsecond."""
    random = np.random.default_rng(3)
    rows = []
    for n in range(30):
        for _ in range(12):
            at = START + timedelta(microseconds=int(random.integers(0, 100 * 86_400_000_000)))
            late = timedelta(seconds=float(random.choice([0, 0, 3_600, 345_600])))
            spent = None if random.random() < 0.2 else float(random.gamma(2, 50))
            told = (float(random.integers(1, 90)), spent, f"p{random.integers(3)}")
            rows.append((f"c{n}", at, at + late, *told))
    columns = list(zip(*rows, strict=True))
    types = [pa.string(), INSTANT, INSTANT, pa.float64(), pa.float64(), pa.string()]
    names = ["id", feast.EVENT_TIME, feast.KNOWN_AT, *NAMES]
    return pa.table({name: pa.array(c, t) for name, c, t in zip(names, columns, types, strict=True)})


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> tuple[pa.Table, list[LookedUp]]:
    """The history, and a hundred days of looking up: brought online every night, asked about through the day."""
    rows, random = history(), np.random.default_rng(4)
    url = f"sqlite:///{tmp_path_factory.mktemp('skew') / 'online.db'}"
    writer, reader = writer_from(url), online_from(url)
    made = []
    for day in range(1, 101):
        until = START + timedelta(days=day)
        materialise(writer, "lines", "usage", rows, until)
        entities = [f"c{n}" for n in random.integers(0, 32, 25)]  # two of them nobody knows
        read = reader.read("lines", "id", [Wanted("usage", NAMES)], entities)
        for entity, row in zip(entities, read.rows, strict=True):
            asked_at = until + timedelta(seconds=float(random.uniform(1, 80_000)))
            seen = row.get("usage")
            at = None if seen is None else datetime.fromtimestamp(0, UTC) + timedelta(microseconds=seen.event_time)
            fresh = at is not None and asked_at - at <= timedelta(days=20)
            values = dict(seen.values) if seen is not None and fresh else {}
            origins = {name: "looked_up" if name in values else "missing" for name in NAMES}
            features = {name: values.get(name) for name in NAMES}
            made.append(LookedUp(entity, asked_at, features, origins, at, until))
    return rows, made


def logged(looked_up: list[LookedUp]) -> pa.Table:
    """Observations as a reader of them has them."""
    count = len(looked_up)
    seen = [[("usage", {"event_time": e.event_time, "watermark": e.watermark})] for e in looked_up]
    made: dict[str, Any] = {
        "prediction_id": pa.array([f"p{n}" for n in range(count)]),
        "asked_at": pa.array([each.asked_at for each in looked_up], INSTANT),
        "entity": pa.array([each.entity for each in looked_up]),
        "features_at": pa.array(seen, SCHEMAS["prediction"].field("features_at").type),
    }
    for name in NAMES:
        made[f"f.{name}"] = pa.array([each.features[name] for each in looked_up])
        made[f"o.{name}"] = pa.array([each.origins[name] for each in looked_up]).dictionary_encode()
    return pa.table(made)


def skew(rows: pa.Table, looked_up: list[LookedUp]) -> dict[str, Skew]:
    made: dict[str, Gathered] = {}
    compare_view(VIEW, rows, logged(looked_up), made)
    found = compare({name: Pairs(x.served, x.offline, x.predictions, x.asked_at) for name, x in made.items()})
    return {each.feature: each for each in found}


def test_a_clean_system_shows_no_skew_in_a_hundred_days(days: tuple[pa.Table, list[LookedUp]]) -> None:
    rows, looked_up = days
    found = skew(rows, looked_up)
    assert {name: each.estimate.value for name, each in found.items()} == dict.fromkeys(NAMES, 0.0)
    assert all(each.estimate.rows == 2500 and each.examples == () for each in found.values())
    assert judge(list(found.values()), "lines", WINDOW).outcome is Outcome.PASS
    served = [each.features["calls"] for each in looked_up]
    assert 0 < served.count(None) < 1000  # strangers, and what is too old
    for day in range(100):  # nor does any day alone
        daily = skew(rows, looked_up[25 * day : 25 * day + 25])
        assert judge(list(daily.values()), "lines", WINDOW).outcome is not Outcome.FAIL


def changed(looked_up: list[LookedUp], change: Callable[[LookedUp], dict[str, Any]]) -> list[LookedUp]:
    return [
        LookedUp(e.entity, e.asked_at, e.features | change(e), e.origins, e.event_time, e.watermark) for e in looked_up
    ]


def test_a_unit_is_found_and_which_it_is(days: tuple[pa.Table, list[LookedUp]]) -> None:
    rows, looked_up = days
    bug = changed(looked_up, lambda e: {"calls": e.features["calls"] and 12 * e.features["calls"]})
    found = skew(rows, bug)
    verdict = judge(list(found.values()), "lines", WINDOW)
    assert verdict.outcome is Outcome.FAIL
    assert [each.subject for each in verdict.checks if each.outcome is Outcome.FAIL] == ["calls"]
    assert found["calls"].times == 12
    example = found["calls"].examples[0]
    assert isinstance(example.offline, float)
    assert example.served == 12 * example.offline
    assert len(found["calls"].examples) == 5


def test_a_default_in_place_of_nothing_is_found(days: tuple[pa.Table, list[LookedUp]]) -> None:
    rows, looked_up = days
    bug = changed(looked_up, lambda e: {"spent": 0.0} if e.features["spent"] is None else {})
    found = skew(rows, bug)
    verdict = judge(list(found.values()), "lines", WINDOW)
    assert [each.subject for each in verdict.checks if each.outcome is Outcome.FAIL] == ["spent"]
    assert {(each.served, each.offline) for each in found["spent"].examples} == {(0.0, None)}
    assert found["spent"].estimate.low > 0.05
    assert found["spent"].times is None


def test_a_stale_cache_is_found(days: tuple[pa.Table, list[LookedUp]]) -> None:
    """Whoever was looked up once is answered from memory ever after; the watermark that is logged is today's."""
    rows, looked_up = days
    kept: dict[str, LookedUp] = {}
    bug = []
    for each in looked_up:
        first = kept.setdefault(each.entity, each)
        bug.append(
            LookedUp(each.entity, each.asked_at, first.features, first.origins, first.event_time, each.watermark)
        )
    found = skew(rows, bug)
    assert {each.outcome for each in judge(list(found.values()), "lines", WINDOW).checks} == {Outcome.FAIL}


def test_what_a_request_gave_itself_is_not_compared(days: tuple[pa.Table, list[LookedUp]]) -> None:
    rows, looked_up = days
    given = changed(looked_up, lambda e: {"calls": 1e6})
    for each in given:
        each.origins = each.origins | {"calls": "given"}
    found = skew(rows, given)
    assert "calls" not in found
    assert found["plan"].estimate.value == 0


def test_a_look_up_between_values_and_their_watermark_is_no_skew(days: tuple[pa.Table, list[LookedUp]]) -> None:
    rows, looked_up = days
    late = [
        LookedUp(e.entity, e.asked_at, e.features, e.origins, e.event_time, e.watermark - timedelta(days=1))
        for e in looked_up
    ]
    off = max(each.estimate.value for each in skew(rows, late).values())
    assert off < 0.02  # only what came between night and request, and is younger than what was found


def test_nothing_looked_up_is_no_verdict() -> None:
    verdict = judge([], "lines", WINDOW)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    empty = compare({"calls": Pairs([], [], [], [])})
    assert judge(empty, "lines", WINDOW).outcome is Outcome.INCONCLUSIVE
