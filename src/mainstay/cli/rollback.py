"""`mainstay rollback`: the way back, and its proof."""

from datetime import timedelta
from typing import Annotated

import typer

from mainstay.cli import show
from mainstay.cli.door import (
    AsJson,
    UseCaseFile,
    Why,
    open_platform,
    open_use_case,
    say,
    show_json,
    verdict_code,
)
from mainstay.cli.given import span_of, stated
from mainstay.cli.named import named_version
from mainstay.journeys.mirrored import mirror_or_tell
from mainstay.journeys.rollback import Rollback, Waits, beside, roll_back
from mainstay.records import encode


def rollback(
    to: Annotated[
        str, typer.Option("--to", metavar="VERSION", help="A former champion; the one that stands by if left out.")
    ] = "",
    watch: Annotated[
        str, typer.Option("--watch", metavar="SPAN", help="How long its errors are watched; 0 for not at all.")
    ] = "30s",
    patience: Annotated[
        str, typer.Option("--patience", metavar="SPAN", help="How long replicas may take to load an older version.")
    ] = "30s",
    use_case_file: UseCaseFile = None,
    why: Why = "",
    as_json: AsJson = False,
) -> int:
    """Go back to a former champion and all that was live with it, and prove that it answers as it did."""
    use_case, asked = open_use_case(use_case_file)
    asked = stated(asked, why)
    watched = timedelta(0) if watch.strip() == "0" else span_of(watch, "--watch")
    platform = open_platform()
    with platform.ledger:
        version = named_version(platform, use_case.name, to) if to else None
        done = roll_back(
            platform,
            use_case.name,
            version,
            asked,
            say,
            Waits(watched.total_seconds(), span_of(patience, "--patience").total_seconds()),
        )
        if as_json:
            show_json(_told(done))
        else:
            _show(done)
        if done.moved:
            mirror_or_tell(platform, use_case.name, say)
    return 0 if done.proof is None else verdict_code(done.proof.verdict.outcome)


def _told(done: Rollback) -> dict[str, object]:
    return {
        "version": done.version,
        "before": done.before,
        "moved": done.moved,
        "split": encode(done.split),
        "rollout": done.rollout,
        "outcome": None if done.proof is None else done.proof.verdict.outcome,
        "proof": None if done.proof is None else encode(done.proof),
    }


def _show(done: Rollback) -> None:
    if done.proof is None:
        show.line(f"{done.version} is live already: nothing was moved")
        return
    ended = f"; rollout {done.rollout} was ended by hand" if done.rollout else ""
    words = f"{done.version} answers everything in split {done.split.number}"
    show.line(f"{words}{beside(done.version, done.before)}{ended}")
    for each in done.proof.verdict.checks:
        show.line(f"  {each.outcome:<13} {each.name}: {each.reason}")
    for row in done.proof.differing:
        show.line(f"    {row.prediction_id}: was {row.recorded!r}, is {row.replayed!r}")
    show.line(f"the proof is {done.proof.verdict.outcome}")
