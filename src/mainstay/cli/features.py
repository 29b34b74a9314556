"""`mainstay features`: apply, list, show, docs, diff, import; materialize, status, push, follow."""

import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.table import Column, Table

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, Why, because, open_platform, open_use_case, say, show_json
from mainstay.defined import FeatureService
from mainstay.errors import NotFound, Refused, Unavailable
from mainstay.features.docs import document
from mainstay.features.handwritten import read_definitions
from mainstay.features.views import differences
from mainstay.journeys import features as journey
from mainstay.journeys import materialize as materializing
from mainstay.journeys import push as pushing
from mainstay.ledger.kinds import FEATURE_SERVICES
from mainstay.nouns import rfc3339
from mainstay.records import encode
from mainstay.usecase import UseCase

app = typer.Typer(no_args_is_help=True, help="Features: what they mean, under versioned names, in Feast.")
Name = Annotated[
    str | None, typer.Argument(metavar="SERVICE", help="A feature service, as in churn_v1; else the use case's.")
]


@app.command()
def apply(use_case_file: UseCaseFile = None, why: Why = "", as_json: AsJson = False) -> int:
    """Record the use case's feature service, and write it into Feast's registry and offline store."""
    use_case, asked = open_use_case(use_case_file)
    asked = because(asked, why, f"features applied from the use case {use_case.name}")
    service = journey.apply(open_platform(), use_case, asked, lambda noun: say(str(noun)))
    if as_json:
        show_json(encode(service))
    else:
        count = sum(len(view.features) for view in service.views)
        show.line(
            f"{service.name}: {_plural(count, 'feature')} in {_plural(len(service.views), 'view')}, "
            f"{len(service.derived)} derived"
        )
    return 0


@app.command("list")
def list_(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Every feature service that was recorded, and what it holds."""
    use_case, _ = open_use_case(use_case_file)
    facts = open_platform().ledger.latest_of_each(use_case.name, FEATURE_SERVICES)
    if as_json:
        show_json({"services": [{**encode(fact.body), "at": rfc3339(fact.at)} for fact in facts]})
    elif not facts:
        show.line(f"no feature service of {use_case.name} yet; `mainstay features apply` records one")
    else:
        table = Table("service", "since", "views", "features", "derived", "owner")
        for fact in facts:
            body = fact.body
            count = sum(len(view.features) for view in body.views)
            views = ", ".join(view.name for view in body.views)
            since = f"{fact.at:%Y-%m-%d %H:%M:%S}"
            table.add_row(body.name, since, views, str(count), str(len(body.derived)), body.owner or "")
        show.console().print(table)
    return 0


@app.command("show")
def show_(name: Name = None, use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """One feature service: every feature with its type, unit and view; who recorded it when and why."""
    use_case, _ = open_use_case(use_case_file)
    fact = journey.standing(open_platform(), use_case.name, name or use_case.feature_service)
    if as_json:
        about = {"at": rfc3339(fact.at), "actor": fact.actor, "reason": fact.reason}
        show_json({**encode(fact.body), **about})
        return 0
    body = fact.body
    show.line(f"{body.name}, recorded {rfc3339(fact.at)} by {fact.actor}: {fact.reason}")
    table = Table(Column("feature", overflow="fold"), "view", "type", "unit", "age at most", "what it is")
    for view in body.views:
        for each in view.features:
            table.add_row(each.name, view.name, each.type, each.unit or "", view.ttl or "any", each.description or "")
    for derived, expression in body.derived:
        table.add_row(derived, "derived", "number", "", "", expression)
    show.console().print(table)
    return 0


@app.command()
def docs(
    name: Name = None,
    use_case_file: UseCaseFile = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write it; else stdout.")] = None,
    as_json: AsJson = False,
) -> int:
    """A feature service as Markdown, for people: the one recorded, else what the use case describes."""
    use_case, _ = open_use_case(use_case_file)
    text = document(_recorded_or_described(name, use_case))
    if out is not None:
        out.write_text(text, encoding="utf-8")
    if as_json:
        show_json({"service": name or use_case.feature_service, "markdown": text, "written": str(out) if out else None})
    elif out is not None:
        show.line(f"wrote {out}")
    else:
        typer.echo(text, nl=False)
    return 0


@app.command()
def diff(name: Name = None, use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """What the use case's features would change in a recorded service: 1 where that changes what it means."""
    use_case, _ = open_use_case(use_case_file)
    before = journey.standing(open_platform(), use_case.name, name or use_case.feature_service).body
    meant, said = differences(before, journey.described(use_case))
    if as_json:
        show_json({"service": before.name, "meaning": meant, "about": said})
    elif not meant and not said:
        show.line(f"nothing: {before.name} is as the use case describes it")
    else:
        for change in meant:
            show.line(f"means something else: {change}")
        for change in said:
            show.line(f"said otherwise: {change}")
    return 1 if meant else 0


@app.command()
def materialize(
    use_case_file: UseCaseFile = None,
    why: Why = "",
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", help="As of when, as in 2026-01-01T00:00:00Z; else now.")
    ] = "",
    as_json: AsJson = False,
) -> int:
    """Bring online what the offline store has learnt since the last time, for the dataset version that is live."""
    use_case, asked = open_use_case(use_case_file)
    platform = open_platform()
    at = _instant(until, platform.settings.clock())
    fact = materializing.head(platform, use_case)
    asked = because(asked, why, f"features of {use_case.name} brought online")
    journey.record(platform, use_case, journey.described(use_case), asked)
    made = materializing.materialize(platform, use_case, fact, at, lambda noun: None if as_json else say(str(noun)))
    others = materializing.materialize_beside(platform, use_case, at, lambda noun: say(str(noun)))
    for project in dict.fromkeys(each.project for each in (*made, *others)):
        materializing.register(platform, use_case, project)
    if as_json:
        show_json({"dataset": fact.body.id, "views": [_filled(each) for each in made]})
    else:
        show.line(
            f"{fact.body.id[:15]} is online: {_plural(len(made), 'view')}, {sum(e.written for e in made):,} written"
        )
    return 0


@app.command()
def status(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """How far each view is online, how old that is, and what was pushed and waits to be taken up."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    views = materializing.status(platform, use_case)
    now = platform.settings.clock()
    waits = platform.stream().waiting(pushing.topic(use_case.name))
    if as_json:
        told = [{
            "view": each.view, "project": each.project, "written": each.written,
            "watermark": rfc3339(each.watermark) if each.watermark else None,
            "age_seconds": (now - each.watermark).total_seconds() if each.watermark else None,
        } for each in views]  # fmt: skip
        since = rfc3339(waits.since) if waits.since else None
        show_json({"views": told, "waiting": {"bytes": waits.bytes, "since": since}})
        return 0
    table = Table("view", "namespace", "online as of", "age", "written last")
    for each in views:
        age = str(now - each.watermark).split(".")[0] if each.watermark else ""
        as_of = rfc3339(each.watermark) if each.watermark else "never"
        table.add_row(each.view, each.project, as_of, age, "" if each.written is None else f"{each.written:,}")
    show.console().print(table)
    if waits.bytes:
        show.line(f"{waits.bytes:,} bytes of pushed events wait, since {waits.since:%Y-%m-%d %H:%M:%S}")
    return 0


@app.command()
def push(
    events: Annotated[str, typer.Argument(metavar="FILE|-", help="Events, one JSON object a line; - is stdin.")],
    use_case_file: UseCaseFile = None,
    now: Annotated[bool, typer.Option("--now", help="Bring them online at once, not by `features follow`.")] = False,
    as_json: AsJson = False,
) -> int:
    """Put events of customers on disk, all of them or none: {"view", "entity", "event_time", "values"}."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    count = pushing.push(platform, use_case, _lines(events), events, platform.settings.clock())
    applied = pushing.take_up(platform, use_case, lambda noun: say(str(noun))) if now else 0
    if as_json:
        show_json({"pushed": count, "applied": applied})
    else:
        show.line(f"{_plural(count, 'event')} on disk" + (f", {applied:,} brought online" if now else ""))
    return 0


@app.command()
def follow(
    use_case_file: UseCaseFile = None,
    every: Annotated[float, typer.Option("--every", metavar="SECONDS", min=0.05, max=3600, help="How often.")] = 1.0,
    once: Annotated[bool, typer.Option("--once", help="Take up what waits, and end.")] = False,
    as_json: AsJson = False,
) -> int:
    """Bring pushed events into the offline and online stores as they come, until it is stopped."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    while True:
        try:
            applied = pushing.take_up(platform, use_case, lambda noun: say(str(noun)))
        except Unavailable as error:  # the world may come back: what waits is on disk
            if once:
                raise
            say(f"{error}; what was pushed waits on disk")
            applied = 0
        if once and as_json:
            show_json({"applied": applied})
        elif applied:
            show.line(f"{_plural(applied, 'event')} brought online")
        if once:
            return 0
        time.sleep(every)


@app.command("import")
def import_(
    definitions: Annotated[Path, typer.Argument(metavar="FILE", help="Feast definitions, in Python; they are run.")],
    use_case_file: UseCaseFile = None,
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write it; else stdout.")] = None,
    as_json: AsJson = False,
) -> int:
    """Hand-written Feast definitions as the `features` section of a use case."""
    use_case, asked = open_use_case(use_case_file)
    if use_case.entity is None:
        raise Refused("features are looked up by entity, and the use case names none", use_case.name)
    section = read_definitions(definitions, use_case.entity, asked.folder)
    text = yaml.safe_dump({"features": section}, sort_keys=False, allow_unicode=True)
    if out is not None:
        out.write_text(text, encoding="utf-8")
    if as_json:
        show_json({"features": section, "written": str(out) if out else None})
    elif out is not None:
        show.line(f"wrote {out}: put it into the use case")
    else:
        typer.echo(text, nl=False)
    return 0


def _recorded_or_described(name: str | None, use_case: UseCase) -> FeatureService:
    try:
        return journey.standing(open_platform(), use_case.name, name or use_case.feature_service).body
    except NotFound:
        if name is not None and name != use_case.feature_service:
            raise
        return journey.described(use_case)


def _lines(place: str) -> list[str]:
    """The lines of a file, or of stdin. NotFound and Refused, by name, where they cannot be had."""
    try:
        data = sys.stdin.buffer.read() if place == "-" else Path(place).read_bytes()
        return data.decode().split("\n")  # and nowhere else: a text may hold other ends of lines
    except FileNotFoundError as error:
        raise NotFound("no such file; give one of events, or - for stdin", place) from error
    except UnicodeDecodeError as error:
        raise Refused("it is no text in UTF-8", place) from error
    except OSError as error:
        raise Refused(f"it cannot be read ({(error.strerror or str(error)).lower()})", place) from error


def _filled(made: materializing.Filled) -> dict[str, object]:
    return {
        "view": made.view, "project": made.project, "written": made.written, "rows": made.rows,
        "watermark": rfc3339(made.watermark),
    }  # fmt: skip


def _instant(text: str, now: datetime) -> datetime:
    """A time that was given, not to come. Refused otherwise."""
    if not text:
        return now
    try:
        at = datetime.fromisoformat(text)
        rfc3339(at)
    except ValueError as error:
        raise Refused(f"{text!r} is no time with its zone; write it as in 2026-01-01T00:00:00Z", "--until") from error
    if at > now:
        raise Refused(f"{text} is to come: nobody knows yet what will have arrived", "--until")
    return at


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
