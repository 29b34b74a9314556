"""Spans and rates as people write them: `30d`, `50ms`, `2000/day`."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field, PlainSerializer

LONGEST = timedelta(days=36_500)
_SPAN = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|w)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*/\s*(second|minute|hour|day|week|year)")
_PER_DAY = {"second": 86400.0, "minute": 1440.0, "hour": 24.0, "day": 1.0, "week": 1 / 7, "year": 1 / 365}


def span(text: object) -> timedelta:
    """A span as people write it: `50ms`, `30d`, `1.5h`. ValueError otherwise."""
    if isinstance(text, timedelta):
        return text
    found = _SPAN.fullmatch(str(text).strip())
    if not found:
        raise ValueError(f"{text!r} is not a span; write a number and a unit, as in 50ms, 30s, 10m, 6h, 30d, 2w")
    seconds = float(found[1]) * _SECONDS[found[2]]
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than {LONGEST.days} days")
    return timedelta(seconds=seconds)


def span_text(value: timedelta) -> str:
    """The shortest way to write a span that reads back as itself: `30d`, `90m`, `50ms`."""
    for unit, seconds in reversed(_SECONDS.items()):
        one = timedelta(seconds=seconds)
        if unit != "w" and value >= one and not value % one:
            return f"{value // one}{unit}"
    return f"{value.total_seconds():.6f}s"


def per_day(text: object) -> float:
    """A rate as people write it, per day: `2000/day`, `5/second`, `1/year`. ValueError otherwise."""
    if isinstance(text, int | float) and not isinstance(text, bool):
        return float(text)
    found = _RATE.fullmatch(str(text).strip())
    if not found:
        raise ValueError(f"{text!r} is not a rate; write it as in 2000/day, 5/second, 1/year")
    return float(found[1]) * _PER_DAY[found[2]]


_SPAN_SCHEMA = {"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d|w)$", "examples": ["30d"]}
Span = Annotated[
    timedelta,
    BeforeValidator(span, json_schema_input_type=Annotated[str, Field(json_schema_extra=_SPAN_SCHEMA)]),
    PlainSerializer(span_text, str),
]
PerDay = Annotated[float, BeforeValidator(per_day, json_schema_input_type=str | float), Field(gt=0)]


def check_time_format(form: str) -> None:
    """ValueError for a format of times (strftime's) that cannot be read back, or does not say which day it was."""
    day = datetime(2026, 12, 31, tzinfo=UTC)
    hint = "write one such as %d.%m.%Y %H:%M"
    try:
        read = datetime.strptime(day.strftime(form), form)  # noqa: DTZ007  (a zone is for the format to say)
    except ValueError as error:
        raise ValueError(f"`{form}` is no format of times; {hint}") from error
    if read.date() != day.date():
        raise ValueError(f"`{form}` does not say the day, the month and the year; {hint}")
