"""Point in time: whatever the history, each label sees what was known then, and no label is lost.

The oracle below is the definition, row by row, and shares nothing with the code it judges.
"""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from mainstay.errors import Refused
from mainstay.features.asof import NEVER, History, as_of
from mainstay.features.offline import with_views
from mainstay.nouns import DatasetVersion, Holdout
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads

START = datetime(2026, 1, 1, tzinfo=UTC)
TTL = timedelta(hours=5)
LINES = """
schema: 1
name: lines
source: lines.parquet
entity: id
event_time: {column: seen}
label: {column: left, positive: "Yes"}
contract:
  columns:
    id: {type: identifier}
    seen: {type: timestamp}
    age: {type: integer}
    left: {type: category, values: ["No", "Yes"]}
features:
  views:
    - name: usage
      source: usage.parquet
      event_time: at
      known_at: loaded
      ttl: 5h
      columns: {calls: {type: number}, plan: {type: category}}
    - {name: bills, source: bills.parquet, event_time: at, columns: {owed: {type: number}}}
"""
Event = tuple[str, datetime, datetime, float]
"""Whom, when it was so, when it was known, what."""


def oracle(entity: str, at: datetime, events: list[Event], ttl: timedelta | None) -> float | None:
    """What was known of an entity at a time: looked for among all there is, by the definition."""
    best: Event | None = None
    for event in events:
        who, so_at, known_at, _ = event
        if who != entity or so_at > at or known_at > at:
            continue
        if ttl is not None and at - so_at > ttl:
            continue
        if best is None or (so_at, known_at, event[3]) > (best[1], best[2], best[3]):
            best = event
    return None if best is None else best[3]


# Few entities, few hours and few values: ties, duplicates, TTL edges and gaps are the rule. A microsecond either way,
# and other zones, are the same instants written otherwise. One entity never has any history.
ENTITIES = st.sampled_from(["a", "b", "c"])
ZONES = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
MOMENTS = st.builds(
    lambda hours, micros, zone: (START + timedelta(hours=hours, microseconds=micros)).astimezone(zone),
    st.integers(0, 14),
    st.sampled_from([0, 0, 0, -1, 1]),
    ZONES,
)
VALUES = st.integers(0, 3).map(float)
EVENTS = st.lists(st.tuples(ENTITIES, MOMENTS, MOMENTS, VALUES), max_size=25)
ASKED = st.lists(st.tuples(st.sampled_from(["a", "b", "c", "nobody"]), MOMENTS), min_size=1, max_size=12)


@settings(max_examples=400, deadline=None)
@given(events=EVENTS, asked=ASKED, ttl=st.sampled_from([None, TTL, timedelta(hours=1), timedelta(microseconds=1)]))
@example([("a", START, START + timedelta(hours=9), 1.0)], [("a", START + timedelta(hours=8))], None)  # arrived later
@example([("a", START, START, 1.0)], [("a", START + TTL)], TTL)  # as old as it may be
@example([], [("a", START)], None)
def test_each_label_sees_what_was_known_then(
    events: list[Event], asked: list[tuple[str, datetime]], ttl: timedelta | None
) -> None:
    places = as_of(*_asked(asked), _history(events), None if ttl is None else np.timedelta64(ttl))
    seen = [None if place == NEVER else events[place][3] for place in places]
    assert seen == [oracle(entity, at, events, ttl) for entity, at in asked]


def _asked(asked: list[tuple[str, datetime]]) -> tuple[Any, Any]:
    return np.array([ord(entity[0]) for entity, _ in asked], dtype=np.int64), _times(at for _, at in asked)


def _times(moments: Any) -> Any:
    return np.array([at.astimezone(UTC).replace(tzinfo=None) for at in moments], dtype="datetime64[us]")


def _history(events: list[Event]) -> History:
    return History(
        np.array([ord(event[0][0]) for event in events], dtype=np.int64),
        _times(event[1] for event in events),
        _times(event[2] for event in events),
        np.array([event[3] for event in events]).astype(np.int64),
    )


@pytest.fixture(scope="module")
def lines() -> UseCase:
    """Will a line be given up? By its age, and by two views: usage, which comes late and goes stale, and bills."""
    return loads(LINES)


def rows(asked: list[tuple[str, datetime]]) -> pa.Table:
    return pa.table(
        {
            "id": pa.array([entity for entity, _ in asked], pa.string()),
            "seen": pa.array([at for _, at in asked], pa.timestamp("us", "UTC")),
            "age": pa.array(range(len(asked)), pa.int64()),
            "left": pa.array(["No"] * len(asked), pa.string()),
        }
    )


def histories(usage: list[Event], bills: list[Event]) -> dict[str, pa.Table]:
    def table(events: list[Event], columns: dict[str, Any]) -> dict[str, Any]:
        times = [pa.array([event[n] for event in events], pa.timestamp("us", "UTC")) for n in (1, 2)]
        ids = pa.array([event[0] for event in events], pa.string())
        return {"id": ids, "at": times[0], "loaded": times[1], **columns}

    values = pa.array([event[3] for event in usage], pa.float64())
    plans = pa.array([f"p{event[3]:g}" for event in usage], pa.string())
    owed = pa.array([event[3] for event in bills], pa.float64())
    return {
        "usage": pa.table(table(usage, {"calls": values, "plan": plans})),
        "bills": pa.table(table(bills, {"owed": owed})).drop_columns(["loaded"]),
    }


def joined(lines: UseCase, asked: list[tuple[str, datetime]], usage: list[Event], bills: list[Event]) -> pa.Table:
    dataset = DatasetVersion("ds_1", "lines", len(asked), (), "", Holdout("lines", 0.2))
    return with_views(rows(asked), histories(usage, bills), dataset, lines)


@settings(max_examples=200, deadline=None)
@given(usage=EVENTS, bills=EVENTS, asked=ASKED)
def test_a_frame_keeps_every_row_in_its_order_and_gains_what_was_known(
    lines: UseCase, usage: list[Event], bills: list[Event], asked: list[tuple[str, datetime]]
) -> None:
    frame = joined(lines, asked, usage, bills)
    assert frame.column_names == ["id", "seen", "age", "left", "calls", "plan", "owed"]
    assert frame["age"].to_pylist() == list(range(len(asked)))
    at_once = [(who, so_at, so_at, value) for who, so_at, _, value in bills]  # nobody said that it came later
    calls = [oracle(entity, at, usage, TTL) for entity, at in asked]
    assert frame["calls"].to_pylist() == calls
    assert frame["plan"].to_pylist() == [None if value is None else f"p{value:g}" for value in calls]
    assert frame["owed"].to_pylist() == [oracle(entity, at, at_once, None) for entity, at in asked]


@settings(max_examples=200, deadline=None)
@given(usage=EVENTS, asked=ASKED, later=st.lists(st.tuples(ENTITIES, MOMENTS, VALUES), min_size=1, max_size=5))
def test_a_future_that_is_planted_changes_no_row_of_the_past(
    lines: UseCase, usage: list[Event], asked: list[tuple[str, datetime]], later: list[tuple[str, datetime, float]]
) -> None:
    """Rows about any time whatever, that came after the last label: one that leaked would show its 99."""
    end = max(at for _, at in asked)
    planted = [(who, so_at, end + timedelta(microseconds=1), 99 + value) for who, so_at, value in later]
    planted += [(who, end + timedelta(microseconds=1), START, 99 + value) for who, _, value in later]
    before = joined(lines, asked, usage, [])
    after = joined(lines, asked, [*planted, *usage], [])
    assert after.equals(before)


def test_rows_that_say_the_same_moment_twice_do_not_depend_on_their_order(lines: UseCase) -> None:
    twice = [("a", START, START, 2.0), ("a", START, START, 1.0)]
    asked = [("a", START)]
    assert joined(lines, asked, twice, []).equals(joined(lines, asked, twice[::-1], []))


def test_a_later_word_about_the_same_moment_corrects_the_earlier_from_when_it_came(lines: UseCase) -> None:
    usage = [("a", START, START, 1.0), ("a", START, START + timedelta(hours=2), 2.0)]
    asked = [("a", START + timedelta(hours=hours)) for hours in (1, 2, 5)]
    assert joined(lines, asked, usage, [])["calls"].to_pylist() == [1.0, 2.0, 2.0]


def test_what_is_missing_in_the_newest_row_is_missing_and_not_filled_from_an_older_one(lines: UseCase) -> None:
    bills = [("a", START, START, 1.0), ("a", START + timedelta(hours=1), START, float("nan"))]
    found = joined(lines, [("a", START + timedelta(hours=2))], [], bills)["owed"].to_pylist()
    assert np.isnan(found[0])


def test_a_snapshot_whose_rows_bear_no_time_is_refused_with_a_word_on_what_to_do(lines: UseCase) -> None:
    dataset = DatasetVersion("ds_1", "lines", 1, (), "", Holdout("lines", 0.2))
    with pytest.raises(Refused, match=r"ds_1: views are looked up as of a row's event time"):
        with_views(rows([("a", START)]).drop_columns(["seen"]), histories([], []), dataset, lines)


def test_hundreds_of_thousands_of_rows_are_joined_in_seconds_not_minutes() -> None:
    """Sorting is all there is: no row of one table meets every row of the other."""
    random = np.random.default_rng(1)
    entities, times = random.integers(0, 20_000, 50_000), random.integers(0, 10**9, 50_000)
    history = History(
        random.integers(0, 20_000, 300_000),
        random.integers(0, 10**9, 300_000).astype("datetime64[us]"),
        random.integers(0, 10**9, 300_000).astype("datetime64[us]"),
        np.zeros(300_000, dtype=np.int64),
    )
    places = as_of(entities, times.astype("datetime64[us]"), history)
    found = places != NEVER
    assert found.mean() > 0.7
    assert (history.entities[places[found]] == entities[found]).all()
    assert (history.known_at[places[found]] <= times[found].astype("datetime64[us]")).all()
