"""`mainstay monitor`: skew."""

from datetime import timedelta
from typing import Annotated

import typer
from rich.table import Column, Table

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, open_platform, open_use_case, say, show_json, verdict_code
from mainstay.errors import Refused
from mainstay.journeys import skew as journey
from mainstay.monitoring.skew import LIMIT
from mainstay.nouns import Window, rfc3339
from mainstay.records import encode
from mainstay.spans import span

app = typer.Typer(no_args_is_help=True, help="What is live, held to what it should be.")


@app.callback()
def monitor() -> None:
    """What is live, held to what it should be."""


@app.command()
def skew(
    use_case_file: UseCaseFile = None,
    window: Annotated[
        str, typer.Option("--window", metavar="SPAN", help="How far back, as in 1d; else the monitors'.")
    ] = "",
    limit: Annotated[float, typer.Option("--limit", min=0.0, max=1.0, help="The share that may be off.")] = LIMIT,
    as_json: AsJson = False,
) -> int:
    """Compare every value that was looked up with what the offline store says had arrived: exactly, per feature."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    now = platform.settings.clock()
    try:
        far = span(window) if window else use_case.monitors.window
    except ValueError as error:
        raise Refused(str(error), "--window") from error
    if far <= timedelta(0):
        raise Refused("a window is longer than nothing", "--window")
    verdict, found = journey.skew(platform, use_case, Window(now - far, now), lambda noun: say(str(noun)), limit)
    if as_json:
        show_json({**encode(verdict), "features": encode(found)})
        return verdict_code(verdict.outcome)
    table = Table(Column("feature", overflow="fold"), "look-ups", "off", "interval", "hint", "for example")
    for each in found:
        about = each.estimate
        times = "" if each.times is None else f"served is {each.times:g} times what is stored"
        example = each.examples[0] if each.examples else None
        shown = (
            f"{example.served} for {example.offline} in {example.prediction_id} ({rfc3339(example.asked_at)})"
            if example
            else ""
        )
        table.add_row(
            each.feature, f"{about.rows:,}", f"{about.value:.2%}", f"{about.low:.2%} to {about.high:.2%}", times, shown
        )
    show.console().print(table)
    show.line(f"{verdict.outcome}: {verdict.reason}")
    return verdict_code(verdict.outcome)
