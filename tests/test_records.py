import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mainstay.alerts import Moment
from mainstay.errors import Refused
from mainstay.nouns import Estimate, Instant, Valid, Value, Window
from mainstay.records import SCHEMAS, UPGRADES, Body, decode, encode, schema_of


@dataclass(frozen=True)
class Recalled:
    """A record that was renamed twice: schema 1 said `name`, schema 2 `title`, schema 3 has `words` beside it."""

    title: str
    words: int


@pytest.fixture
def third_schema() -> Iterator[None]:
    def to_two(body: Body) -> Body:
        return {"title": body["name"]}

    def to_three(body: Body) -> Body:
        return {**body, "words": len(body["title"].split())}

    SCHEMAS["Recalled"] = 3
    UPGRADES["Recalled", 1] = to_two
    UPGRADES["Recalled", 2] = to_three
    yield
    del SCHEMAS["Recalled"], UPGRADES["Recalled", 1], UPGRADES["Recalled", 2]


@pytest.mark.usefixtures("third_schema")
def test_an_older_schema_is_upgraded_step_by_step() -> None:
    now = Recalled("the old man", 3)
    assert schema_of(Recalled) == 3
    assert decode(Recalled, {"name": "the old man"}, 1) == now
    assert decode(Recalled, {"title": "the old man"}, 2) == now
    assert decode(Recalled, encode(now), 3) == now


@pytest.mark.usefixtures("third_schema")
def test_a_later_schema_is_refused_and_never_guessed_at() -> None:
    with pytest.raises(Refused, match="schema 4; this release reads up to 3: upgrade Mainstay"):
        decode(Recalled, {"title": "a", "words": 1}, 4)


def test_a_record_starts_at_schema_one() -> None:
    assert schema_of(Recalled) == 1


def test_nan_is_null_and_comes_back_as_nan() -> None:
    body = encode(Estimate(math.nan, -math.inf, math.inf, 0))
    assert (body["value"], body["low"], body["high"]) == (None, None, None)
    json.dumps(body, allow_nan=False)
    found = decode(Estimate, body)
    assert all(math.isnan(number) for number in (found.value, found.low, found.high))


def test_a_time_is_written_in_utc_with_microseconds() -> None:
    east = datetime(2026, 3, 1, 2, tzinfo=timezone(timedelta(hours=2)))
    body = encode(Moment(east, "ada", "Looked."))
    assert body["at"] == "2026-03-01T00:00:00.000000Z"
    assert decode(Moment, body).at == east
    assert decode(Moment, {**body, "at": "2026-03-01T02:00:00+02:00"}).at.utcoffset() == timedelta(0)


def test_a_time_without_a_zone_is_neither_read_nor_written() -> None:
    with pytest.raises(Refused, match=r"Moment\.at: .*needs its zone"):
        decode(Moment, {"at": "2026-03-01T00:00:00", "actor": "ada", "what": "Looked."})
    with pytest.raises(ValueError, match="needs its zone"):
        encode(Moment(datetime(2026, 3, 1), "ada", "Looked."))  # noqa: DTZ001


def test_a_malformed_record_is_refused_with_its_place() -> None:
    body = encode(Estimate(0.5, 0.4, 0.6, 10, valid=Valid.ANY_TIME))
    with pytest.raises(Refused, match=r"^Estimate\.rows: .*valid integer"):
        decode(Estimate, {**body, "rows": "ten"})
    with pytest.raises(Refused, match=r"^Estimate\.valid: "):
        decode(Estimate, {**body, "valid": "whenever"})


def test_a_record_that_breaks_its_own_rule_is_refused() -> None:
    start = datetime(2026, 3, 1, tzinfo=UTC)
    body = encode(Window(start, start + timedelta(days=1)))
    with pytest.raises(Refused, match="a window must end after it starts"):
        decode(Window, {**body, "end": body["start"]})


@dataclass(frozen=True)
class Chosen:
    at: Instant
    values: tuple[Value, ...]


def test_values_keep_their_types() -> None:
    made = Chosen(datetime(2026, 3, 1, tzinfo=UTC), (1, 1.5, True, "1", None))
    found = decode(Chosen, json.loads(json.dumps(encode(made))))
    assert found == made
    assert [type(value) for value in found.values] == [int, float, bool, str, type(None)]
