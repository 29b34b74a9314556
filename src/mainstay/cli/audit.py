"""`mainstay audit`: what served whom and why, and who was champion when."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, open_platform, open_use_case, show_json
from mainstay.cli.given import moment
from mainstay.errors import Refused
from mainstay.journeys import audit as journey
from mainstay.nouns import Window, rfc3339
from mainstay.records import encode
from mainstay.wiring import Platform

_SPAN = "A day, a time with its zone, or a span back from now as 30d."


def audit(
    entity: Annotated[str, typer.Option("--entity", metavar="NAME", help="As requests name it.")] = "",
    at: Annotated[str, typer.Option("--at", metavar="DAY", help="The day (UTC) on which it was served.")] = "",
    champion: Annotated[bool, typer.Option("--champion", help="Who was champion when, by whom and why.")] = False,
    since: Annotated[str, typer.Option("--since", metavar="TIME", help=_SPAN)] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help=_SPAN)] = "",
    use_case_file: UseCaseFile = None,
    as_json: AsJson = False,
) -> int:
    """What served an entity on a day, and why; or who was champion when, promoted by whom and why."""
    use_case, _ = open_use_case(use_case_file)
    if bool(entity) == champion:
        raise Refused("give --entity NAME --at DAY, or --champion", "audit")
    platform = open_platform()
    now = platform.settings.clock()
    start = moment(since, "--since", now, ahead=False) if since else None
    end = moment(until, "--until", now, ahead=False) if until else None
    if start is not None and end is not None and not start < end:
        raise Refused("--until must be after --since", "audit")
    with platform.ledger:
        if champion:
            return _champions(platform, use_case.name, start, end, as_json)
        if not at and start is None:
            raise Refused("say when: --at DAY, or --since TIME", "audit")
        window = _day(at, now) if at else Window(start or now, end or now)
        found = journey.served(platform, use_case, entity, window)
    if as_json:
        show_json(
            {"start": rfc3339(window.start), "end": rfc3339(window.end), "served": [encode(each) for each in found]}
        )
        return 0
    for each in found:
        _show(each)
    if not found:
        show.line(
            f"nothing of {entity} was served between {window.start:%Y-%m-%d %H:%M} and {window.end:%Y-%m-%d %H:%M} UTC,"
        )
        show.line("as far as observations are kept (those of the last ten seconds may still be on their way)")
    return 0


def _champions(platform: Platform, use_case: str, start: datetime | None, end: datetime | None, as_json: bool) -> int:
    found = journey.reigns(platform, use_case, start, end)
    if as_json:
        show_json({"champions": [encode(each) for each in found]})
        return 0
    for each in found:
        until = "now" if each.until is None else f"{each.until:%Y-%m-%d %H:%M:%S}"
        show.line(
            f"{each.version}  {each.since:%Y-%m-%d %H:%M:%S} to {until}  split {each.split}, by {each.promoted_by}"
        )
        show.line(f"    {each.reason}")
        if each.decision is not None:
            show.line(f"    rollout {each.rollout}: {each.decision}")
    if not found:
        show.line("nothing was live in that span")
    return 0


def _show(each: journey.Served) -> None:
    answer = "" if each.decision is None else f", {each.decision} ({each.probability:.4f})"
    show.line(f"{each.asked_at:%Y-%m-%d %H:%M:%S} {each.prediction_id}: {each.version} {each.role}{answer}")
    show.line(f"    {each.why}")
    if each.moved_by is not None:
        show.line(f"    split {each.split}, since {each.moved_at:%Y-%m-%d %H:%M:%S} by {each.moved_by}: {each.reason}")
    else:
        show.line(f"    split {each.split}, which the ledger does not hold")


def _day(text: str, now: datetime) -> Window:
    """The day of UTC that a text names, or that a time falls on."""
    found = moment(text, "--at", now, ahead=False).astimezone(UTC)
    start = found.replace(hour=0, minute=0, second=0, microsecond=0)
    return Window(start, start + timedelta(days=1))
