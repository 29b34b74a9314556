"""The join against the same rules written down once more, row by row, without any table."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.ledger.columnar import SCHEMAS
from mainstay.ledger.joined import Rules, joined, proven
from mainstay.nouns import Window

START = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
RULES = Rules("Yes", horizon=10 * DAY, grace=2 * DAY, absent_means="No")
WINDOW = Window(START, START + 5 * DAY)


def day(number: float) -> datetime:
    return START + number * DAY


def asked(name: str, at: float, entity: str | None = "ada", **more: Any) -> dict[str, Any]:
    empty = {field.name: None for field in SCHEMAS["prediction"]}
    kept = {"prediction_id": name, "request_id": name, "asked_at": day(at), "entity": entity, "role": "answered"}
    return empty | kept | {"version": "1.0.0"} | more


def label(value: str, known_at: float, entity: str | None = "ada", **more: Any) -> dict[str, Any]:
    horizon = more.pop("horizon", 10)
    times = {name: day(more.pop(name)) for name in ("true_at", "as_of") if more.get(name) is not None}
    empty = dict.fromkeys(SCHEMAS["label"].names)
    micros = horizon * DAY // timedelta(microseconds=1)
    kept = {"value": value, "known_at": day(known_at), "source": "crm", "horizon": micros, "entity": entity}
    return empty | kept | times | more


def feed(source: str, through: float, known_at: float) -> dict[str, Any]:
    return {"source": source, "complete_through": day(through), "known_at": day(known_at)}


def action(at: float, entity: str | None = "ada", prediction_id: str | None = None, known: float | None = None) -> Any:
    empty = {"kind": "offer", "probability": 0.5, "cost": 20.0, "source": "crm"}
    return empty | {"at": day(at), "known_at": day(known or at), "entity": entity, "prediction_id": prediction_id}


def join(
    predictions: list[Any], labels: Any = (), feeds: Any = (), actions: Any = (), now: float = 40, rules: Rules = RULES
) -> list[dict[str, Any]]:
    def table(kind: str, rows: Any) -> pa.Table:
        return pa.Table.from_pylist(list(rows), SCHEMAS[kind])

    found = joined(
        table("prediction", predictions),
        table("label", labels),
        table("action", actions),
        table("feed", feeds),
        WINDOW,
        rules,
        day(now),
    )
    rows: list[dict[str, Any]] = found.to_pylist()
    return rows


def one(*given: Any, **more: Any) -> dict[str, Any]:
    (row,) = join([asked("p", 0)], *given, **more)
    return row


# One rule at a time


def test_before_horizon_and_grace_have_passed_nothing_is_said() -> None:
    row = one([label("Yes", 1, true_at=1)], [feed("crm", 11.9, 11.9)], now=11.9)
    assert (row["state"], row["value"], row["entered_value"], row["known_at"]) == ("unripe", None, None, None)
    assert row["ripe_at"] == day(12)


def test_an_event_within_the_horizon_is_the_value_once_ripe() -> None:
    row = one([label("Yes", 4, true_at=3)])
    assert (row["state"], row["value"], row["value_from"]) == ("ripe", "Yes", "label")
    assert (row["known_at"], row["entered_at"]) == (day(4), day(12))


@pytest.mark.parametrize(("true_at", "held"), [(-0.1, False), (0, True), (9.99, True), (10, False)])
def test_an_event_holds_from_the_asking_to_before_the_end_of_the_horizon(true_at: float, held: bool) -> None:
    assert (one([label("Yes", 20, true_at=true_at)])["value"] == "Yes") is held


@pytest.mark.parametrize(("true_at", "held"), [(9.99, False), (10, True), (30, True)])
def test_a_state_holds_only_where_the_horizon_had_ended(true_at: float, held: bool) -> None:
    assert (one([label("No", 30, true_at=true_at)])["state"] == "ripe") is held


def test_a_state_in_the_future_is_true_no_later_than_when_it_was_told() -> None:
    assert one([label("No", 5, true_at=30)])["state"] == "censored"


def test_a_label_for_a_prediction_holds_for_that_one_alone() -> None:
    rows = join([asked("p", 0), asked("q", 0)], [label("Yes", 30, entity=None, prediction_id="q")])
    assert [row["value"] for row in rows] == [None, "Yes"]


def test_a_label_without_its_time_counts_from_when_it_came_or_its_horizon_ended() -> None:
    assert one([label("Yes", 30)])["state"] == "censored"
    row = one([label("Yes", 30, as_of=0)])
    assert (row["value"], row["assumed"]) == ("Yes", True)
    assert one([label("No", 30, as_of=0)])["value"] == "No"
    assert one([label("No", 30, as_of=-1)])["state"] == "censored"
    assert not one([label("Yes", 30, true_at=3)])["assumed"]


def test_silence_of_a_dead_feed_proves_nothing() -> None:
    assert one()["state"] == "censored"
    assert one([], [feed("crm", 9.9, 9.9)])["state"] == "censored"


def test_silence_of_a_complete_feed_is_a_class_once_grace_has_passed() -> None:
    row = one([], [feed("crm", 10, 10.5), feed("crm", 30, 30)])
    assert (row["state"], row["value"], row["value_from"]) == ("ripe", "No", "silence")
    assert row["entered_at"] == day(12)
    assert one([], [feed("crm", 10, 20)])["entered_at"] == day(20)


def test_silence_waits_for_every_source_that_declares_itself() -> None:
    feeds = [feed("crm", 30, 30), feed("billing", 5, 5)]
    assert one([], feeds)["state"] == "censored"
    assert one([], [*feeds, feed("billing", 12, 31)])["entered_at"] == day(31)


def test_a_feed_is_not_complete_beyond_the_moment_it_says_so() -> None:
    assert one([], [feed("crm", 100, 1)])["state"] == "censored"


def test_silence_means_nothing_where_the_use_case_says_so() -> None:
    rules = Rules("Yes", 10 * DAY, 2 * DAY, None)
    assert one([], [feed("crm", 30, 30)], rules=rules)["state"] == "censored"
    assert one([label("Yes", 4, true_at=3)], rules=rules)["contradicted"] is False


def test_sent_twice_is_once_and_the_later_of_two_wins() -> None:
    yes, no = label("Yes", 4, true_at=3), label("No", 20, true_at=15)
    assert one([yes, label("Yes", 30, true_at=3)])["known_at"] == day(4)
    row = one([yes, no, label("Yes", 30, true_at=3)])
    assert (row["value"], row["contradicted"], row["entered_value"], row["entered_at"]) == ("No", True, "Yes", day(12))


def test_of_two_that_came_at_once_the_positive_wins() -> None:
    row = one([label("No", 20, true_at=15), label("Yes", 20, true_at=3)])
    assert (row["value"], row["contradicted"]) == ("Yes", True)


def test_an_event_told_late_changes_the_value_and_not_the_test_it_entered() -> None:
    row = one([label("Yes", 25, true_at=3)], [feed("crm", 11, 11)])
    assert (row["value"], row["value_from"], row["contradicted"]) == ("Yes", "label", True)
    assert (row["entered_value"], row["entered_at"]) == ("No", day(12))


def test_a_request_tried_again_counts_once() -> None:
    rows = [asked("p", 0), asked("q", 0.01, request_id="p"), asked("r", 0, version="2.0.0", role="listened")]
    assert [row["prediction_id"] for row in join(rows)] == ["p", "r"]
    before = asked("o", -0.01, request_id="p")
    assert [row["prediction_id"] for row in join([before, *rows])] == ["r"]


def test_a_request_tried_again_counts_once_whichever_version_answers_the_second_time() -> None:
    rows = [asked("p", 0), asked("q", 0.01, request_id="p", version="2.0.0")]
    assert [row["prediction_id"] for row in join(rows)] == ["p"]


def test_an_id_that_comes_again_after_the_hour_is_another_request_in_every_window() -> None:
    rows = [asked("p", 0), asked("q", 0.03, request_id="p"), asked("r", 0.06, request_id="p")]
    assert [row["prediction_id"] for row in join(rows)] == ["p"]
    assert [row["prediction_id"] for row in join([rows[0], rows[2]])] == ["p", "r"]


def test_what_is_told_of_a_retry_is_told_of_the_request() -> None:
    """The client that asked again never saw the first answer, and knows the second's id alone."""
    rows = [asked("p", 0), asked("q", 0.01, request_id="p"), asked("p", 0, version="2.0.0", role="listened")]
    told = label("Yes", 5, entity=None, prediction_id="q")
    done = action(2, entity=None, prediction_id="q")
    found = join([*rows, asked("x", 0, request_id="other")], [told], [feed("crm", 30, 30)], [done])
    assert [(row["role"], row["value"], row["acted_at"]) for row in found if row["prediction_id"] == "p"] == [
        ("answered", "Yes", day(2)),
        ("listened", "Yes", day(2)),
    ]


def test_what_was_done_is_the_first_action_on_it() -> None:
    actions = [action(3), action(2), action(-1), action(11), action(4, entity="bob")]
    assert one(actions=actions)["acted_at"] == day(2)
    row = one(actions=[action(30, entity=None, prediction_id="p")])
    assert (row["action"], row["action_probability"], row["action_cost"]) == ("offer", 0.5, 20.0)
    assert one(actions=[action(2, known=50)])["action"] is None


def test_without_anything_there_is_an_empty_table_of_the_same_columns() -> None:
    assert join([]) == []
    assert proven(SCHEMAS["feed"].empty_table(), START) == []


# All of them at once


@dataclass
class Truth:
    state: str
    value: str | None = None
    entered_value: str | None = None
    entered_at: datetime | None = None
    contradicted: bool = False


def held_at(told: dict[str, Any]) -> datetime:
    end = told["as_of"] + timedelta(microseconds=told["horizon"]) if told["as_of"] else None
    if told["value"] == "Yes":
        last = [told["known_at"], *([end - timedelta(microseconds=1)] if end else [])]
        found: datetime = told["true_at"] or min(last)
        return found
    state_at: datetime = min(told["known_at"], told["true_at"] or end or told["known_at"])
    return state_at


def holds(told: dict[str, Any], row: dict[str, Any]) -> bool:
    if told["prediction_id"] is not None:
        return bool(told["prediction_id"] == row["prediction_id"])
    if told["entity"] != row["entity"]:
        return False
    ends = row["asked_at"] + RULES.horizon
    at = held_at(told)
    return bool(row["asked_at"] <= at < ends if told["value"] == "Yes" else at >= ends)


def quiet_since(feeds: list[Any], ends: datetime, now: datetime) -> datetime | None:
    for moment in sorted({each["known_at"] for each in feeds if each["known_at"] <= now}):
        told: dict[str, list[datetime]] = {}
        for each in feeds:
            if each["known_at"] <= moment:
                told.setdefault(each["source"], []).append(min(each["complete_through"], each["known_at"]))
        if all(max(every) >= ends for every in told.values()):
            found: datetime = moment
            return found
    return None


def truth(row: dict[str, Any], labels: list[Any], feeds: list[Any], now: datetime) -> Truth:
    ripe_at = row["asked_at"] + RULES.horizon + RULES.grace
    if ripe_at > now:
        return Truth("unripe")
    ours = sorted(
        (each for each in labels if each["known_at"] <= now and holds(each, row)), key=lambda each: each["known_at"]
    )
    first: dict[Any, Any] = {}
    for each in ours:
        first.setdefault(tuple(each[key] for key in each if key not in ("known_at", "source")), each)
    order = sorted(first.values(), key=lambda each: (each["known_at"], each["value"] == "Yes"))
    since = quiet_since(feeds, row["asked_at"] + RULES.horizon, now)
    moments = [max(ripe_at, each["known_at"]) for each in order] + ([max(ripe_at, since)] if since else [])
    if not moments:
        return Truth("censored")
    entered_at = min(moments)
    then = [each["value"] for each in order if each["known_at"] <= entered_at]
    values = [each["value"] for each in order]
    entered = then[-1] if then else "No"
    value = values[-1] if values else "No"
    return Truth("ripe", value, entered, entered_at, len(set(values)) > 1 or entered != value)


days = st.integers(-4, 80).map(lambda quarter: quarter / 2)
entities = st.sampled_from(["ada", "bob"])
predictions_ = st.lists(
    st.tuples(st.integers(0, 9).map(lambda half: half / 2), st.one_of(st.none(), entities)), max_size=8
).map(lambda rows: [asked(f"p{n}", at, entity) for n, (at, entity) in enumerate(rows)])


def about(name: str) -> dict[str, Any]:
    return {"entity": name} if name in ("ada", "bob") else {"entity": None, "prediction_id": name}


labels_ = st.lists(
    st.builds(
        lambda value, known, name, true_at, as_of: label(value, known, **about(name), true_at=true_at, as_of=as_of),
        st.sampled_from(["Yes", "No"]),
        days,
        st.sampled_from(["ada", "bob", "p0", "p1"]),
        st.one_of(st.none(), days),
        st.one_of(st.none(), days),
    ),
    max_size=8,
)
feeds_ = st.lists(st.builds(feed, st.sampled_from(["crm", "billing"]), days, days), max_size=5)


@given(predictions_, labels_, feeds_, days)
@settings(max_examples=40, deadline=None)
def test_the_join_is_what_the_rules_say_row_by_row(rows: Any, labels: Any, feeds: Any, now: float) -> None:
    found = join(rows, labels, feeds, now=now)
    assert len(found) == len(rows)
    for row in found:
        made = Truth(*(row[name] for name in ("state", "value", "entered_value", "entered_at", "contradicted")))
        assert made == truth(row, labels, feeds, day(now))


@given(predictions_, labels_, feeds_, days, days)
@settings(max_examples=20, deadline=None)
def test_what_entered_a_test_once_is_how_it_begins_for_ever(
    rows: Any, labels: Any, feeds: Any, now: float, later: float
) -> None:
    def entered(at: float) -> list[Any]:
        ripe = [row for row in join(rows, labels, feeds, now=at) if row["state"] == "ripe"]
        return sorted((row["entered_at"], row["prediction_id"], row["entered_value"]) for row in ripe)

    first, last = sorted((now, later))
    before, after = entered(first), entered(last)
    assert after[: len(before)] == before
