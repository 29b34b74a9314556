"""`mainstay config`: diff, apply, history."""

import json
from collections.abc import Sequence
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, Why, because, open_platform, open_use_case, say, show_json
from mainstay.digests import short
from mainstay.journeys import configure as journey
from mainstay.journeys.ahead import look_ahead
from mainstay.nouns import rfc3339
from mainstay.records import encode
from mainstay.registry.configured import Change
from mainstay.rollout.preview import refusal

app = typer.Typer(
    no_args_is_help=True, help="What is live apart from the model: serving, monitors, plan, label and profit."
)
To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="DIGEST", help="An earlier configuration, by the start of its digest; else the file's."
    ),
]


@app.command()
def diff(to: To = None, use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """What `config apply` would change: key by key, what is live and what would be."""
    use_case, _ = open_use_case(use_case_file)
    found = journey.difference(open_platform(), use_case, to)
    if as_json:
        show_json({"use_case": use_case.name, "live": found.live, "changes": _encoded(found.changes)})
    elif not found.changes:
        show.line(f"nothing differs from what is live ({short(found.live)})")
    else:
        show.line(f"{short(found.live)} is live; `mainstay config apply` would change {_keys(found.changes)}")
        _table("live", "would be", found.changes)
    return 0


@app.command()
def apply(to: To = None, use_case_file: UseCaseFile = None, why: Why = "", as_json: AsJson = False) -> int:
    """Make the file's configuration live, or an earlier one; the model stays. Servers follow within three seconds."""
    use_case, asked = open_use_case(use_case_file)
    asked = because(asked, why, f"the configuration {to}, again" if to else "applied from the use case")
    platform = open_platform()
    made = journey.apply(platform, use_case, asked, to)
    if as_json:
        told = {"split": made.split, "changes": _encoded(made.changes), "running": made.running}
        show_json({"use_case": use_case.name, "configuration": made.digest, **told})
    elif made.split is None:
        show.line(f"nothing to do: that is live already ({short(made.digest)})")
    else:
        show.line(f"{short(made.digest)} is live, by split {made.split}: {_keys(made.changes)} changed")
        _table("was", "is", made.changes)
    if made.running is not None:
        bound = "goes on under the configuration it was started with; the next takes this one"
        say(f"rollout {short(made.running)} {bound}")
    if made.split is not None and any(each.path.startswith(("plan", "label")) for each in made.changes):
        wanted = journey.difference(platform, use_case, made.digest).wanted
        flaw = wanted.plan and refusal(look_ahead(platform, use_case.name, wanted.plan, wanted.label, asked.reason))
        if flaw:
            say(f"a rollout by this plan would be refused: {flaw}")
    return 0


@app.command()
def history(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Every configuration that was live: since when, by whom, why, and what it changed."""
    use_case, _ = open_use_case(use_case_file)
    found = journey.history(open_platform(), use_case.name)
    if as_json:
        show_json({"use_case": use_case.name, "configurations": [_past(each) for each in found]})
        return 0
    if not found:
        show.line(f"nothing of {use_case.name} was ever live; the first release makes its configuration live")
    for each in found:
        show.line(
            f"{short(each.digest)}: split {each.fact.body.number}, {rfc3339(each.fact.at)[:19]}Z by {each.fact.actor}"
        )
        show.line(f"    {each.fact.reason}")
        if each.changes is None:
            show.line("    what it changed cannot be read any more")
        for change in each.changes or ():
            show.line(f"    {change.path}: {_said(change.before)} -> {_said(change.after)}")
    return 0


def _past(each: journey.Past) -> dict[str, Any]:
    fact = each.fact
    told = None if each.changes is None else _encoded(each.changes)
    about = {"split": fact.body.number, "at": rfc3339(fact.at), "actor": fact.actor, "reason": fact.reason}
    return {"configuration": each.digest, **about, "changes": told}


def _encoded(changes: Sequence[Change]) -> list[dict[str, Any]]:
    return [encode(each) for each in changes]


def _keys(changes: Sequence[Change]) -> str:
    return f"{len(changes)} {'key' if len(changes) == 1 else 'keys'}"


def _table(before: str, after: str, changes: Sequence[Change]) -> None:
    table = Table()
    for column in ("key", before, after):
        table.add_column(column, overflow="fold")
    for each in changes:
        table.add_row(Text(each.path), Text(_said(each.before)), Text(_said(each.after)))
    show.print_table(table)


def _said(value: Any) -> str:
    return "not set" if value is None else value if isinstance(value, str) else json.dumps(value)
