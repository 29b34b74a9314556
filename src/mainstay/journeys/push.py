"""Events of customers pushed into feature views: on disk before they are acknowledged, then offline and online."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

import pyarrow as pa

from mainstay.data.freeze import parquet_bytes
from mainstay.data.typed import text_of
from mainstay.defined import FeatureView, project_of
from mainstay.digests import canonical_json, pseudonym
from mainstay.errors import Refused
from mainstay.features.feast import EVENT_TIME, KNOWN_AT
from mainstay.journeys.features import described
from mainstay.journeys.materialize import (
    beside_the_head,
    head,
    materialize_beside_now,
    materialize_now,
    one_at_a_time,
    pushed,
    pushed_name,
    writer_of,
)
from mainstay.journeys.observations import spelt_entity
from mainstay.journeys.progress import Tell
from mainstay.nouns import rfc3339
from mainstay.suggest import did_you_mean
from mainstay.usecase import UseCase
from mainstay.wiring import Platform

_KEYS: Final = ("view", "entity", "event_time", "values")


@dataclass(frozen=True, slots=True)
class Event:
    """What a view says of an entity since `event_time`: every feature of it, null where there is none."""

    view: str
    entity: str
    event_time: str
    values: Mapping[str, float | str | None]


def topic(use_case: str) -> str:
    """The stream's topic of a use case's events; no use case has a name with a dot."""
    return f"{use_case}.events"


def push(platform: Platform, use_case: UseCase, lines: Iterable[str], place: str, now: datetime) -> int:
    """Put events (JSON, one a line) on disk, all of them or none; how many. What returns is acknowledged.

    Entities are made pseudonyms here where the contract asks for it. Refused, naming the line, for what is no event
    of these views: another view or column, one left out, another type, NaN, a category or number that its column does
    not have, a time to come or before 1970. NotFound without the key that pseudonyms need.
    """
    if use_case.entity is None:
        raise Refused("features are looked up by entity, and the use case names none", use_case.name)
    views = {view.name: view for view in described(use_case).views}
    events = [
        _event(line, views, use_case, f"{place}:{number}", now)
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not events:
        return 0
    hashed = use_case.contract.columns[use_case.entity].personal == "hash"
    key = platform.pseudonym_key()[1] if hashed else None
    payloads = []
    for each in events:
        entity = each.entity if key is None else pseudonym(each.entity, key)
        said = {"view": each.view, "entity": entity, "event_time": each.event_time, "values": dict(each.values)}
        payloads.append(canonical_json(said))
    # How many they are stands before them: of a process that is killed in between, none is taken up.
    header = canonical_json({"use_case": use_case.name, "events": len(payloads)})
    writer = platform.stream().write(topic(use_case.name), header, now)
    writer.append(*payloads)
    writer.seal()
    return len(events)


def _event(line: str, views: Mapping[str, FeatureView], use_case: UseCase, place: str, now: datetime) -> Event:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise Refused(f"this is no JSON ({error})", place) from error
    if not isinstance(told, dict):
        raise Refused("an event is an object, with view, entity, event_time and values", place)
    for name in _KEYS:
        if name not in told:
            raise Refused(f"`{name}` is missing: an event has view, entity, event_time and values", place)
    odd = sorted(set(told) - set(_KEYS))
    if odd:
        raise Refused(f"`{odd[0]}` means nothing here{did_you_mean(odd[0], _KEYS)}", place)
    view = views.get(told["view"]) if isinstance(told["view"], str) else None
    if view is None:
        raise Refused(f"there is no view {told['view']!r}{did_you_mean(str(told['view']), views)}", f"{place}: view")
    if view.known_at is None and view.name != use_case.name:
        said = f"{view.name} has no `known_at`: training could not tell when an event arrived; give the view one"
        raise Refused(said, f"{place}: view")
    return Event(
        view.name,
        _entity(told["entity"], use_case, place),
        _time(told["event_time"], place, now),
        _values(told["values"], view, place),
    )


def _entity(given: Any, use_case: UseCase, place: str) -> str:
    if isinstance(given, bool) or not isinstance(given, str | int | float):
        raise Refused("an entity is a text or a number", f"{place}: entity")
    try:
        found: str | None = text_of(pa.chunked_array([[given]]))[0].as_py()
    except (pa.ArrowException, UnicodeEncodeError, OverflowError) as error:
        raise Refused("this is no name of an entity", f"{place}: entity") from error
    if found is None:
        raise Refused("a blank is no entity", f"{place}: entity")
    return spelt_entity(use_case, found)


def _time(given: Any, place: str, now: datetime) -> str:
    try:
        at = datetime.fromisoformat(given)
        text = rfc3339(at)
    except (TypeError, ValueError, OverflowError) as error:
        said = f"{given!r} is no time with its zone; write it as in 2026-01-01T00:00:00Z"
        raise Refused(said, f"{place}: event_time") from error
    if at > now:
        raise Refused(f"{given} is to come: an event has happened (it is {rfc3339(now)})", f"{place}: event_time")
    if at.timestamp() < 0:
        raise Refused(f"{given} is before 1970", f"{place}: event_time")
    return text


def _values(given: Any, view: FeatureView, place: str) -> dict[str, float | str | None]:
    if not isinstance(given, dict):
        raise Refused("the values are an object: feature and value", f"{place}: values")
    columns = {each.name: each for each in view.features}
    for name in given:
        if name not in columns:
            said = f"`{name}` is no feature of the view {view.name}{did_you_mean(name, columns)}"
            raise Refused(said, f"{place}: values")
    made: dict[str, float | str | None] = {}
    for name, column in columns.items():
        if name not in given:
            said = f"`{name}` is missing: an event has every feature of {view.name}, null where there is none"
            raise Refused(said, f"{place}: values")
        where = f"{place}: values.{name}"
        value = given[name]
        if value is None:
            made[name] = None
        elif column.type == "category":
            made[name] = _category(value, column.values, where)
        else:
            made[name] = _number(value, column.type == "integer", column.range, where)
    return made


def _category(value: Any, values: tuple[str, ...] | None, place: str) -> str:
    text = None
    with suppress(pa.ArrowException, UnicodeEncodeError, OverflowError):
        text = text_of(pa.chunked_array([[value]]))[0].as_py() if isinstance(value, str | int | float) else None
    if text is None:
        raise Refused(f"{value!r} is no category", place)
    if values is not None and text not in values:
        raise Refused(f"{text!r} is no category of it{did_you_mean(text, values)}", place)
    return str(text)


def _number(value: Any, whole: bool, limits: tuple[float, float] | None, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > 1e300 or not math.isfinite(value):
        raise Refused(f"{value!r} is no number", place)
    if whole and value != int(value):
        raise Refused(f"{value} is no whole number", place)
    if limits is not None and not limits[0] <= value <= limits[1]:
        raise Refused(f"{value} is not between {limits[0]:g} and {limits[1]:g}", place)
    return float(value)


def take_up(platform: Platform, use_case: UseCase, tell: Tell) -> int:
    """Bring what was pushed into the offline store, then online; how many events. Twice is the same as once.

    They count from when this has its turn: by when they could first be looked up, which is what training and the
    monitor of skew go by. A segment is done once its events are in both stores. Damaged events are told, and kept for
    people to look at; those of a push that was killed before it had written all of its events are not taken up.
    """
    with one_at_a_time(platform.settings, use_case.name):  # two would keep an event twice
        return _take_up(platform, use_case, tell)


def _take_up(platform: Platform, use_case: UseCase, tell: Tell) -> int:
    stream, about = platform.stream(), topic(use_case.name)
    names = stream.sealed(about)
    if not names:
        return 0
    service, fact = described(use_case), head(platform, use_case)
    heads = [fact, *beside_the_head(platform, use_case)]
    now = _after_all_watermarks(platform, [project_of(use_case.name, each.body.id) for each in heads])
    count = 0
    damaged: dict[str, bool] = {}
    for name in names:
        run = stream.read(about, name)
        damaged[name] = bool(run.damaged) or run.header is None
        if damaged[name]:
            tell(f"a segment of pushed events is damaged, {run.size:,} bytes: {name} is kept beside the others")
        elif len(run.payloads) < json.loads(bytes(run.header or b"{}")).get("events", 0):
            tell(f"{len(run.payloads):,} events of a push that ended before it was done are left out: push them again")
            continue
        events = [json.loads(bytes(payload)) for payload in run.payloads]
        for view in service.views:
            ours = [each for each in events if each["view"] == view.name]
            if ours:
                _keep(platform, use_case.name, view, ours, run.digest, now)
        count += len(events)
    until = max(now, platform.settings.clock())
    materialize_now(platform, use_case, fact, until, lambda noun: None)
    materialize_beside_now(platform, use_case, until, tell)
    for name in names:
        stream.done(about, name, keep=damaged[name])
    return count


def _after_all_watermarks(platform: Platform, projects: Sequence[str]) -> datetime:
    """Now, or just after what is online already where a clock lags: nothing before a watermark is written any more."""
    online = writer_of(platform.settings)
    marks = [each for project in projects for each in online.watermarks(project).values()]
    return max([platform.settings.clock(), *(each + timedelta(microseconds=1) for each in marks)])


def _keep(
    platform: Platform, use_case: str, view: FeatureView, events: list[dict[str, Any]], segment: str, now: datetime
) -> None:
    """Events of a segment as offline rows, in a blob of their own. What was kept before keeps its time.

    Unless it was withdrawn: pushed again, it counts from now.
    """
    if any(segment in name for name in pushed(platform, use_case, view.name)):
        return
    times = [datetime.fromisoformat(each["event_time"]) for each in events]
    instant = pa.timestamp("us", "UTC")
    made = {
        view.entity: pa.array([each["entity"] for each in events], pa.string()),
        EVENT_TIME: pa.array(times, instant),
        KNOWN_AT: pa.array([now] * len(events), instant),
    }
    for each in view.features:
        values = [event["values"].get(each.name) for event in events]
        made[each.name] = pa.array(values, pa.string() if each.type == "category" else pa.float64())
    platform.blobs.put(pushed_name(use_case, view.name, now, segment), parquet_bytes(pa.table(made)))
