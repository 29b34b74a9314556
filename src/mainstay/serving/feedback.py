"""`POST /feedback`: what turned out to be true, what was done about it, and how far a source of labels is complete.

All of it is in the log before it is answered. The ledger then only counts what had been told before: where it cannot
be reached, the feedback is taken all the same, and those counts are null.
"""

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from mainstay.digests import sha256
from mainstay.errors import MainstayError, Unavailable
from mainstay.ledger.feedback import Counted, Told
from mainstay.logged import action_row, feed_row, label_row
from mainstay.observed import Action, Feed, Label
from mainstay.scoring.reading import Problem
from mainstay.serving import schemas
from mainstay.serving.arms import Arms, Live
from mainstay.serving.guard import batch_room, parse_json, read_body
from mainstay.serving.log import Log
from mainstay.serving.problems import Rejected, as_json
from mainstay.suggest import did_you_mean

ITEMS = 10_000
"""Labels, and actions, that one request may bring."""
SHOWN = 100
"""Problems that an answer tells of, of however many there are."""
AT_ONCE = 2
"""Requests worked on at a time, each on a thread of its own."""
REST = 5.0
"""Seconds for which a ledger that could not count is not asked again: nobody waits for its time-out in turn."""
SKEW = timedelta(minutes=1)
"""How far ahead of ours another clock may be."""
FIELDS = ("labels", "actions", "complete_through", "source")
LABEL_FIELDS = ("prediction_id", "entity", "as_of", "value", "true_at", "source")
ACTION_FIELDS = ("prediction_id", "entity", "kind", "at", "probability", "cost", "source")

_TEXT = "a text of 1 to 200 characters, none of them a control character"
_TIME = "a time with its zone, as in 2026-01-01T00:00:00Z, that is not in the future"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)

log = logging.getLogger(__name__)


class Taken(schemas.Shape):
    """What became of the feedback; `accepted` is in the log, and will be found in the observations."""

    accepted: int = Field(description="written down; the repeated and contradicted ones are among them")
    repeated: int | None = Field(description="told just so before; null where the ledger could not be asked")
    contradicted: int | None = Field(description="told otherwise before, both are kept; null as above")
    rejected: int = Field(description="not written down: send them again, corrected")
    errors: list[schemas.Wrong] = Field(description=f"why, with the place in the request; at most {SHOWN}")


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the route works with.

    `horizon` gives the label's horizon under a configuration's digest, and `note` counts what was told before; both
    may raise MainstayError, and nothing else.
    """

    log: Log
    horizon: Callable[[str], timedelta]
    note: Callable[[Sequence[Told], datetime], Counted]
    clock: Callable[[], datetime]


@dataclass(slots=True)
class Read:
    """The feedback of one request: what can be taken of it, and what is wrong with the rest."""

    rows: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    rejected: int = 0


def add_feedback(app: FastAPI, arms: Arms, feedback: Feedback) -> None:
    """Add the route to an application."""
    bodies, at_once = batch_room(), asyncio.Semaphore(AT_ONCE)
    ask_again = 0.0
    horizon = lru_cache(maxsize=8)(feedback.horizon)

    @app.post(
        "/feedback",
        status_code=202,
        summary="Labels of earlier predictions, actions taken, and how far a source of labels is complete",
        response_model=Taken,
        responses=schemas.problems(400, 408, 413, 415, 422, 500, 503),
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": SCHEMA}}}},
    )
    async def take_feedback(request: Request) -> Response:
        if arms.live is None:
            detail = "no version is live, so no class is known: send it again later"
            raise Rejected(503, detail, headers={"retry-after": "1"})
        nonlocal ask_again
        async with read_body(request, bodies) as body, at_once:
            live = arms.live
            made = await asyncio.to_thread(lambda: _write(live, parse_json(body), feedback, horizon))
        try:
            await feedback.log.committed()
        except Unavailable as error:
            raise _unwritten(error) from error
        counted = None
        async with at_once:
            if time.monotonic() >= ask_again:
                counted = await asyncio.to_thread(_count, made, feedback)
                ask_again = time.monotonic() + REST if counted is None else 0.0
        return Response(as_json(_answer(made, counted)), 202, media_type="application/json")


def _write(live: Live, given: Any, feedback: Feedback, horizon: Callable[[str], timedelta]) -> Read:
    now = feedback.clock()
    try:
        made = read_feedback(given, live, horizon(live.split.configuration), now)
    except MainstayError as error:
        log.warning("feedback was turned away: %s", error)
        detail = "the configuration that says how far labels look ahead cannot be read: send it again later"
        raise Rejected(503, detail, headers={"retry-after": "5"}) from error
    for kind, row in made.rows:
        try:
            feedback.log.append(kind, None, "", row)
        except Unavailable as error:
            raise _unwritten(error) from error
    return made


def _unwritten(error: Unavailable) -> Rejected:
    log.error("feedback could not be written down: %s", error)
    detail = "the log cannot be written: send all of it again later, what was told twice is the same as once"
    return Rejected(503, detail, headers={"retry-after": "5"})


def _count(made: Read, feedback: Feedback) -> Counted | None:
    try:
        return feedback.note(made.told, feedback.clock()) if made.told else Counted(0, 0)
    except MainstayError as error:
        log.warning("feedback was taken, and not counted: %s", error)
        return None


def _answer(made: Read, counted: Counted | None) -> dict[str, Any]:
    return {
        "accepted": len(made.rows),
        "repeated": None if counted is None else counted.repeated,
        "contradicted": None if counted is None else counted.contradicted,
        "rejected": made.rejected,
        "errors": [
            {"field": each.field, "reason": each.reason, "expected": each.expected} for each in made.problems[:SHOWN]
        ],
    }


def read_feedback(given: Any, live: Live, horizon: timedelta, now: datetime) -> Read:
    """The feedback in a JSON value. Rejected with 422 or 413 where it is none at all; a bad item spoils no other."""
    if not isinstance(given, dict):
        raise Rejected(422, "feedback is a JSON object", [Problem("", "is not an object", "an object")])
    unknown = [name for name in given if name not in FIELDS][:SHOWN]
    problems = [
        Problem(name[:64], f"unknown field{did_you_mean(name[:64], FIELDS)}", "one of " + ", ".join(FIELDS))
        for name in unknown
    ]
    problems += [
        Problem(name, "is not an array", "an array of objects")
        for name in ("labels", "actions")
        if not isinstance(given.get(name, []), list)
    ]
    if not any(given.get(name) is not None for name in FIELDS[:3]):
        problems.append(Problem("labels", "is missing", "labels, actions or complete_through: at least one of them"))
    source = given.get("source")
    if source is not None and not _is_text(source):
        problems.append(Problem("source", "is not a text", _TEXT))
    if problems:
        raise Rejected(422, f"{problems[0].field}: {problems[0].reason}", problems[:SHOWN])
    for name in ("labels", "actions"):
        if len(given.get(name, [])) > ITEMS:
            raise Rejected(413, f"there are {len(given[name]):,} {name}; at most {ITEMS:,} are taken: send several")
    reader = _Reader(live, horizon, now, source or "feedback")
    for place, each in enumerate(given.get("labels", [])):
        reader.item(f"labels.{place}", each, LABEL_FIELDS, reader.label)
    for place, each in enumerate(given.get("actions", [])):
        reader.item(f"actions.{place}", each, ACTION_FIELDS, reader.action)
    if given.get("complete_through") is not None:
        reader.item("", given, FIELDS, reader.feed)
    return reader.made


@dataclass(slots=True)
class _Reader:
    live: Live
    horizon: timedelta
    now: datetime
    source: str
    made: Read = field(default_factory=Read)
    _found: list[Problem] = field(default_factory=list)

    def item(self, place: str, given: Any, fields: tuple[str, ...], read: Callable[[dict[str, Any]], Any]) -> None:
        """Take one item, or remember what is wrong with it."""
        self._found = []
        if not isinstance(given, dict):
            self._found.append(Problem("", "is not an object", "an object"))
        else:
            for name in given:
                if name not in fields:
                    self._wrong(name[:64], "unknown field", "one of " + ", ".join(fields))
            taken = read(given)
            if not self._found:
                kind, row, told = taken
                self.made.rows.append((kind, row))
                self.made.told += told
                return
        self.made.rejected += 1
        if len(self.made.problems) < SHOWN:
            self.made.problems += [
                Problem(".".join(part for part in (place, each.field) if part), each.reason, each.expected)
                for each in self._found
            ]

    def label(self, given: dict[str, Any]) -> Any:
        entity, prediction = self._about(given)
        as_of = self._time(given, "as_of", needed=entity is not None)
        true_at = self._time(given, "true_at")
        value = self._value(given.get("value"))
        source = self._text(given, "source") or self.source
        if as_of is not None and prediction is not None:
            self._wrong("as_of", "is given beside a prediction_id", "only one of the two: the prediction has its time")
        if self._found:
            return None
        made = Label(value, self.now, source, self.horizon, entity, prediction, as_of, true_at)
        about = ("label", prediction or "", entity or "", str(as_of), str(self.horizon))
        return "label", label_row(made), [_told(about, (value, str(true_at)))]

    def action(self, given: dict[str, Any]) -> Any:
        entity, prediction = self._about(given)
        at = self._time(given, "at", needed=True)
        kind = self._text(given, "kind", needed=True)
        probability = self._number(given, "probability", 0, 1)
        cost = self._number(given, "cost", 0, math.inf, 0.0)
        source = self._text(given, "source") or self.source
        if self._found or at is None or kind is None:
            return None
        made = Action(kind, at, self.now, probability, cost, source, entity, prediction)
        about = ("action", prediction or "", entity or "", kind, str(at))
        return "action", action_row(made), [_told(about, (repr(probability), repr(cost)))]

    def feed(self, given: dict[str, Any]) -> Any:
        through = self._time(given, "complete_through", needed=True)
        if through is None:
            return None
        return "feed", feed_row(Feed(self.source, through, self.now)), []

    def _about(self, given: dict[str, Any]) -> tuple[str | None, str | None]:
        """The entity as it is stored, or the prediction's id."""
        entity, prediction = given.get("entity"), given.get("prediction_id")
        if (entity is None) == (prediction is None):
            self._wrong(
                "entity", "is given beside prediction_id" if entity is not None else "is missing", "one of the two"
            )
            return None, None
        if prediction is not None:
            return None, self._text(given, "prediction_id")
        if not (_is_text(entity) or _is_whole(entity)):
            self._wrong("entity", "is not a text", f"{_TEXT}, or an integer")
            return None, None
        stored = self.live.stored(entity)
        if stored is None:
            self._wrong("entity", "is not kept by this use case", "a prediction_id in its place")
        return stored, None

    def _value(self, given: Any) -> str:
        classes = next(iter(self.live.arms.values())).bundle.decide.classes
        text = str(given) if _is_whole(given) else given
        if text in classes:
            return str(text)
        self._wrong("value", "is missing" if given is None else "is no class", "one of " + ", ".join(classes))
        return ""

    def _time(self, given: dict[str, Any], name: str, needed: bool = False) -> datetime | None:
        text = given.get(name)
        if text is None:
            if needed:
                self._wrong(name, "is missing", _TIME)
            return None
        try:
            if not isinstance(text, str) or len(text) > 40 or not _RFC3339.fullmatch(text):
                raise ValueError
            at = datetime.fromisoformat(text.upper()).astimezone(UTC)
        except (ValueError, OverflowError):
            self._wrong(name, "is no time", _TIME)
            return None
        if at > self.now + SKEW:
            self._wrong(name, "is in the future", _TIME)
        return at

    def _text(self, given: dict[str, Any], name: str, needed: bool = False) -> str | None:
        text = given.get(name)
        if text is None and not needed:
            return None
        if not _is_text(text):
            self._wrong(name, "is missing" if text is None else "is not a text", _TEXT)
            return None
        return str(text)

    def _number(self, given: dict[str, Any], name: str, least: float, most: float, default: float = math.nan) -> float:
        number = given.get(name)
        if number is None and not math.isnan(default):
            return default
        sound = isinstance(number, (int, float)) and not isinstance(number, bool)
        # Compared before it is made a float: an integer of JSON may be larger than any.
        if not sound or number is None or not least <= number <= min(most, 1e300):
            expected = f"a number from {least:g} to {most:g}" if most < math.inf else f"a number of at least {least:g}"
            self._wrong(name, "is missing" if number is None else "is no such number", expected)
            return 0.0
        return float(number)

    def _wrong(self, name: str, reason: str, expected: str) -> None:
        self._found.append(Problem(name, reason, expected))


def _is_text(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 200 and not _CONTROL.search(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**200


def _told(about: tuple[str, ...], said: tuple[str, ...]) -> Told:
    return Told(sha256("\0".join(about).encode()), sha256("\0".join(said).encode()))


_TEXT_OR_NULL = {"type": ["string", "null"], "minLength": 1, "maxLength": 200}
_TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}
_ABOUT = {"prediction_id": _TEXT_OR_NULL, "entity": {**_TEXT_OR_NULL, "type": ["string", "integer", "null"]}}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "At least one of labels, actions and complete_through. Doing it twice is the same as once.",
    "properties": {
        "labels": {
            "type": "array",
            "maxItems": ITEMS,
            "items": {
                "type": "object",
                "description": "About a prediction_id, or about an entity as_of a time",
                "additionalProperties": False,
                "required": ["value"],
                "properties": {
                    **_ABOUT,
                    "as_of": {**_TIME_OR_NULL, "description": "with an entity: from when on the horizon counts"},
                    "value": {"type": ["string", "integer"], "description": "one of the classes"},
                    "true_at": {
                        **_TIME_OR_NULL,
                        "description": "when it was so; when it is told, where it is not given",
                    },
                    "source": _TEXT_OR_NULL,
                },
            },
        },
        "actions": {
            "type": "array",
            "maxItems": ITEMS,
            "items": {
                "type": "object",
                "description": "What was done about a prediction_id or an entity",
                "additionalProperties": False,
                "required": ["kind", "at", "probability"],
                "properties": {
                    **_ABOUT,
                    "kind": {**_TEXT_OR_NULL, "type": "string", "examples": ["offer"]},
                    "at": {**_TIME_OR_NULL, "type": "string"},
                    "probability": {"type": "number", "minimum": 0, "maximum": 1, "description": "of acting"},
                    "cost": {"type": ["number", "null"], "minimum": 0, "default": 0},
                    "source": _TEXT_OR_NULL,
                },
            },
        },
        "complete_through": {**_TIME_OR_NULL, "description": "every label that was true before it has been told"},
        "source": {**_TEXT_OR_NULL, "default": "feedback", "description": "who tells, where an item does not say"},
    },
}
