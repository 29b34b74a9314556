"""`mainstay observations`: ship, show, compact, retain, erase."""

import os
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated

import typer

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, Why, because, open_platform, open_use_case, say, show_json
from mainstay.errors import Refused
from mainstay.journeys.observations import erased, follow, ship_now
from mainstay.journeys.rollout import needed_since
from mainstay.ledger.columnar import SCHEMAS
from mainstay.ledger.files import DAMAGED, head, live_files
from mainstay.ledger.upkeep import compact as compact_hours
from mainstay.ledger.upkeep import retain as drop
from mainstay.nouns import rfc3339
from mainstay.serving.logs import saying
from mainstay.spans import span

app = typer.Typer(
    no_args_is_help=True, help="What was observed: shipped from this host's segments, counted, kept and erased."
)


@app.command()
def ship(
    use_case_file: UseCaseFile = None,
    following: Annotated[bool, typer.Option("--follow", help="Go on until SIGTERM or SIGINT.")] = False,
    name: Annotated[str, typer.Option("--name", help="The use case by its name alone; no file is read.")] = "",
    held: Annotated[
        bool, typer.Option("--held", help="End when stdin closes too: with the process that has it.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Make sealed segments of this home into files of observations, each record once."""
    if not name:
        name = open_use_case(use_case_file)[0].name
    platform = open_platform()
    if following:
        stop = threading.Event()
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, lambda *_: stop.set())
        os.nice(10)  # whoever answers requests on this host goes first
        if held:
            threading.Thread(target=_until_closed, args=(stop,), daemon=True).start()
        follow(platform, name, stop.wait, saying(platform.settings.logs, say))
        return 0
    done = ship_now(platform, name)
    if as_json:
        show_json(asdict(done))
    else:
        rows = ", ".join(f"{count:,} of {kind}" for kind, count in sorted(done.rows.items())) or "no rows"
        show.line(f"{done.runs} segments: {rows}")
        if done.damaged:
            show.line(
                f"{done.damaged:,} records cannot be read ({done.damaged_bytes:,} bytes); their segments are kept"
            )
    return 0


@app.command("show")
def show_(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """What there is of each kind, what waits on this host, and what could not be read."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    kinds = {}
    for kind in (*SCHEMAS, DAMAGED):
        files = live_files(platform.ledger, use_case.name, kind)
        kinds[kind] = {
            "files": len(files),
            "rows": sum(file.rows for file in files),
            "bytes": sum(file.bytes for file in files),
            "first_at": rfc3339(min(file.first_at for file in files)) if files else None,
            "last_at": rfc3339(max(file.last_at for file in files)) if files else None,
        }
    waiting = platform.stream().waiting(use_case.name)
    seq = head(platform.ledger, use_case.name)
    if as_json:
        oldest = rfc3339(waiting.since) if waiting.since else None
        show_json({"seq": seq, "kinds": kinds, "waiting": {"bytes": waiting.bytes, "since": oldest}})
        return 0
    rows = [(kind, _told(kind, found)) for kind, found in kinds.items()]
    waits = f"{waiting.bytes:,} bytes" + (f" since {waiting.since:%Y-%m-%d %H:%M:%S}" if waiting.since else "")
    show.pairs_table(f"observations of {use_case.name}, snapshot {seq}", [*rows, ("waiting on this host", waits)])
    return 0


@app.command()
def compact(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Make one file of each hour that is over; remove what was replaced a day ago."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    done = compact_hours(platform.ledger, platform.blobs, use_case.name, platform.settings.clock())
    if as_json:
        show_json(asdict(done))
    else:
        show.line(f"{done.hours} hours, {done.files} files made one each; {done.blobs} replaced files removed")
    return 0


@app.command()
def retain(
    keep: Annotated[str, typer.Option("--keep", metavar="SPAN", help="As in 90d: what is older goes.")],
    use_case_file: UseCaseFile = None,
    as_json: AsJson = False,
) -> int:
    """Drop observations that are older than they may be kept, by files: all rows of a file have to be.

    Those of a rollout that runs stay until it ends.
    """
    use_case, _ = open_use_case(use_case_file)
    try:
        kept = span(keep)
    except ValueError as error:
        raise Refused(str(error), "--keep") from error
    platform = open_platform()
    asked = platform.settings.clock() - kept
    before = needed_since(platform.ledger, use_case.name, asked)
    if before < asked:
        say(f"what came since {rfc3339(before)} stays: a rollout that runs is judged by it")
    done = drop(platform.ledger, platform.blobs, use_case.name, before)
    if as_json:
        show_json(asdict(done))
    else:
        show.line(f"{done.files} files with {done.rows:,} rows dropped; their blobs go after a day")
    return 0


@app.command()
def erase(
    entity: Annotated[str, typer.Argument(metavar="ENTITY", help="As requests name it.")],
    use_case_file: UseCaseFile = None,
    why: Why = "",
    as_json: AsJson = False,
) -> int:
    """Remove every observation of an entity, and say which datasets hold it and cannot be rebuilt without it."""
    use_case, asked = open_use_case(use_case_file)
    done = erased(
        open_platform(), use_case, entity, because(asked, why, "An erasure was asked for."), threading.Event().wait
    )
    if as_json:
        show_json({"id": done.id, "rows": done.rows, "files": done.files, "datasets": list(done.datasets)})
        return 0
    show.line(f"{done.rows:,} rows erased from {done.files} files")
    for dataset in done.datasets:
        show.line(f"{dataset} was frozen with rows of it: without them it cannot be rebuilt")
    return 0


def _told(kind: str, found: Mapping[str, object]) -> str:
    if not found["files"]:
        return "none"
    what = "records lost" if kind == DAMAGED else f"rows in {found['files']} files"
    return f"{found['rows']:,} {what}, {found['bytes']:,} bytes, {found['first_at']} to {found['last_at']}"


def _until_closed(stop: threading.Event) -> None:
    sys.stdin.buffer.read()
    stop.set()
