"""What commands that move traffic share: reasons that must be given, spans and times as people write them."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta

from mainstay.errors import Refused
from mainstay.journeys.asked import Asked
from mainstay.spans import span


def stated(asked: Asked, why: str) -> Asked:
    """The same asker with the reason given. Refused without one: whoever moves traffic says why."""
    if not why.strip():
        raise Refused(
            'say why, as in --why "scores jumped after the release": it is kept with what is changed', "--why"
        )
    return replace(asked, reason=why.strip())


def span_of(text: str, place: str) -> timedelta:
    """A span as people write it. Refused, with the option's name, where it is none."""
    try:
        return span(text)
    except ValueError as error:
        raise Refused(str(error), place) from error


def moment(text: str, place: str, now: datetime, *, ahead: bool = True) -> datetime:
    """A time with its zone, a day (its first moment, UTC), or a span from `now` on (back from it where not `ahead`).

    Refused for anything else.
    """
    try:
        return now + span(text) if ahead else now - span(text)
    except (ValueError, OverflowError):
        pass
    try:
        found = datetime.fromisoformat(text)
        if found.tzinfo is None and found.time() == time(0) and len(text.strip()) <= len("2026-01-01"):
            found = found.replace(tzinfo=UTC)
        if found.tzinfo is None:
            raise ValueError("no zone")
    except ValueError as error:
        raise Refused(
            f"{text!r} is no time; give a day as 2026-01-31, a time with its zone as 2026-01-31T12:00:00Z, or a span "
            "as 7d",
            place,
        ) from error
    return found.astimezone(UTC)
