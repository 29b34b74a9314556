"""`mainstay rollout plan`: what the use case's plan would do."""

from datetime import datetime
from typing import Any

from rich.table import Table

from mainstay.cli import show
from mainstay.cli.door import (
    NOT_PASSED,
    PASSED,
    AsJson,
    UseCaseFile,
    Why,
    open_platform,
    open_use_case,
    show_json,
)
from mainstay.errors import Refused
from mainstay.journeys.ahead import look_ahead
from mainstay.nouns import rfc3339
from mainstay.records import encode
from mainstay.rollout.preview import POWER, Harm, Preview, StepAhead, promises, refusal
from mainstay.spans import span_text

_WAITS = {"hold": "its hold", "at_least": "its requests", "labels": "ripe labels"}


def plan(use_case_file: UseCaseFile = None, why: Why = "", as_json: AsJson = False) -> int:
    """The steps of the plan, their durations at today's traffic, and what size of harm it would notice, by when.

    Exit code 1 where the plan would be refused.
    """
    use_case, _ = open_use_case(use_case_file)
    if use_case.plan is None:
        raise Refused("there is no plan: write `plan: {kind: canary}` into the use case", use_case.name)
    found = look_ahead(open_platform(), use_case.name, use_case.plan, use_case.label, why)
    refused = refusal(found)
    if as_json:
        show_json({"use_case": use_case.name, **_as_json(found), "refused": refused})
    else:
        _show(found, refused)
    return PASSED if refused is None else NOT_PASSED


def _as_json(found: Preview) -> dict[str, Any]:
    told = encode(found)
    del told["plan"], told["why"]
    return {"kind": found.plan.kind, **told, "promises": promises(found)}


def _show(found: Preview, refused: str | None) -> None:
    if found.plan.kind == "kill_switch":
        show.line(f"refused: {refused}")
        return
    traffic = found.traffic
    if traffic is None:
        show.line("traffic: not known")
    else:
        source = "observed" if traffic.found == "observations" else "expected, by `plan.expected_traffic`"
        again = f"; one entity asks again {traffic.each:.3g} times a day" if traffic.each else ""
        show.line(f"traffic: {traffic.per_day:,.4g} requests a day ({source}){again}")
    guessed = "of the champion, observed" if found.base.measured else "assumed: too little was observed to tell"
    show.line(f"errors: {100 * found.base.errors:.3g} % ({guessed})")
    _steps_table(found)
    if found.labels is not None:
        by = found.labels.by_deadline
        count = "" if by is None else f"; about {by:,} of the smaller arm by the deadline"
        takes = span_text(found.labels.takes)
        show.line(f"labels are ripe {takes} after the request, the first {_at(found.labels.first)}{count}")
    if found.harms:
        _harms_table(found)
    show.line(promises(found))
    kept = "the plan can keep what it says" if found.traffic else "the plan may start"
    show.line(f"refused: {refused}" if refused else kept)


def _steps_table(found: Preview) -> None:
    table = Table(title=f"{found.plan.kind}, were it started now; deadline {_at(found.deadline)}", title_justify="left")
    for column in ("step", "share", "ends, at the earliest", "waits for", "challenger's requests", "needs"):
        table.add_column(column, overflow="fold")
    for number, step in enumerate(found.steps, start=1):
        requests = "not known" if step.requests is None else f"{step.requests:,}"
        asked = f"{requests} (at least {step.at_least:,})" if step.at_least else requests
        ends = "not known" if step.ends is None else _at(step.ends)
        table.add_row(str(number), _share(step), ends, _WAITS[step.waits_for], asked, step.needs)
    show.print_table(table)


def _share(step: StepAhead) -> str:
    if step.share in (0, 1):
        return f"{step.share:g}, the {'challenger' if step.share == 0 else 'champion'} listens"
    return f"{step.share:g}"


def _harms_table(found: Preview) -> None:
    power = found.plan.notice.power if found.plan.notice else POWER
    table = Table(title="Errors that would be noticed", title_justify="left")
    for column in ("champion", "challenger", f"with probability {power:g} by", "before it ends"):
        table.add_column(column)
    for harm in found.harms:
        table.add_row(*_harm(harm))
    show.print_table(table)


def _harm(harm: Harm) -> tuple[str, str, str, str]:
    noticed = "never" if harm.noticed is None else _at(harm.noticed)
    return f"{100 * harm.champion:.3g} %", f"{100 * harm.challenger:.3g} %", noticed, f"{harm.power:.2f}"


def _at(at: datetime) -> str:
    return rfc3339(at)[:16].replace("T", " ")
