"""The feedback in a request's JSON, read item by item: a bad one is told with its place, and spoils no other. Pure."""

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from mainstay.digests import sha256
from mainstay.logged import action_row, feed_row, label_row
from mainstay.observed import HELD_BACK, Action, Feed, Label, Told
from mainstay.scoring.reading import Problem
from mainstay.serving.arms import Live
from mainstay.serving.problems import Rejected
from mainstay.suggest import did_you_mean

ITEMS = 10_000
"""Labels, and actions, that one request may bring."""
SHOWN = 100
"""Problems that an answer tells of, of however many there are."""
SKEW = timedelta(minutes=1)
"""How far ahead of ours another clock may be."""
FIELDS = ("labels", "actions", "complete_through", "source")
LABEL_FIELDS = ("prediction_id", "entity", "as_of", "value", "true_at", "source")
ACTION_FIELDS = ("prediction_id", "entity", "kind", "at", "probability", "cost", "source")

_TEXT = "a text of 1 to 200 characters, none of them a control character"
_TIME = "a time with its zone, as in 2026-01-01T00:00:00Z, that is not in the future"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


@dataclass(slots=True)
class Read:
    """The feedback of one request: what can be taken of it, and what is wrong with the rest."""

    rows: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list)
    told: list[Told] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    rejected: int = 0


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
            wrong = Problem(name, "is too long", f"at most {ITEMS:,} items")
            detail = f"there are {len(given[name]):,} {name}; at most {ITEMS:,} are taken: send several"
            raise Rejected(413, detail, [wrong])
    reader = _Reader(live, horizon, now, source or "feedback")
    for place, each in enumerate(given.get("labels", [])):
        reader.item(f"labels.{place}", each, LABEL_FIELDS, reader.label)
    turned_away = reader.made.rejected
    for place, each in enumerate(given.get("actions", [])):
        reader.item(f"actions.{place}", each, ACTION_FIELDS, reader.action)
    if given.get("complete_through") is not None:
        reader.item("", given, FIELDS, lambda told: reader.feed(told, turned_away))
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
        if kind == HELD_BACK and probability == 1:
            self._wrong("probability", "is 1, and yet nothing was done", "below 1 where the kind is none")
        source = self._text(given, "source") or self.source
        if self._found or at is None or kind is None:
            return None
        made = Action(kind, at, self.now, probability, cost, source, entity, prediction)
        about = ("action", prediction or "", entity or "", kind, str(at))
        return "action", action_row(made), [_told(about, (repr(probability), repr(cost)))]

    def feed(self, given: dict[str, Any], turned_away: int) -> Any:
        """How far the source is complete: nowhere, where labels of the same request were turned away.

        Silence about those would be read as their opposite.
        """
        through = self._time(given, "complete_through", needed=True)
        if turned_away:
            self._wrong("complete_through", "comes with labels that were rejected", "all of the labels, and then this")
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
