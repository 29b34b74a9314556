"""`data log`, `diff`, `tag`, `checkout` and `quarantine`: versions of data, as Git has them of files."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, Why, because, open_platform, open_use_case, say, show_json
from mainstay.data.compare import Difference, Shift
from mainstay.digests import short
from mainstay.journeys import versions as journey
from mainstay.nouns import rfc3339
from mainstay.records import encode

_ID = "A dataset's id, the start of one, or a tag"
Named = Annotated[str, typer.Argument(metavar="ID", help=f"{_ID}.")]
Perhaps = Annotated[str | None, typer.Argument(metavar="ID", help=f"{_ID}; the last frozen if left out.")]


def log(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Every dataset version, the newest first: parent, when, by whom and why, rows, tags."""
    use_case, _ = open_use_case(use_case_file)
    entries = journey.log(open_platform(), use_case)
    if as_json:
        show_json({"log": [_logged(each) for each in entries]})
    elif not entries:
        show.line(f"no dataset of {use_case.name} yet; `mainstay data freeze` makes one")
    for each in entries if not as_json else ():
        made, fact = each.fact.body, each.fact
        tags = f" ({', '.join(each.tags)})" if each.tags else ""
        parent = f", after {short(made.parent)}" if made.parent else ""
        cut = f", held out from {made.holdout.cut:%Y-%m-%d}" if made.holdout.cut else ""
        gone = ", withdrawn" if each.withdrawn else ""
        show.line(f"{short(made.id)}{tags}: {made.rows:,} rows, {made.quarantined:,} quarantined{cut}{parent}{gone}")
        show.line(f"    {fact.at:%Y-%m-%d %H:%M:%S} by {fact.actor}: {fact.reason}")
    return 0


def _logged(entry: journey.Logged) -> dict[str, Any]:
    fact = entry.fact
    about = {"tags": list(entry.tags), "at": rfc3339(fact.at), "actor": fact.actor, "reason": fact.reason}
    return {**encode(fact.body), **about, "withdrawn": entry.withdrawn}


def diff(before: Named, after: Perhaps = None, use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """What differs between two dataset versions: columns, rows, distributions. No personal value is shown."""
    use_case, _ = open_use_case(use_case_file)
    found = journey.diff(open_platform(), use_case, before, after)
    if as_json:
        show_json(encode(found))
    else:
        _show(found)
    return 0


def _show(found: Difference) -> None:
    show.line(f"{short(found.before)} -> {short(found.after)}")
    for words, names in (("added", found.added), ("removed", found.removed)):
        if names:
            show.line(f"columns {words}: {', '.join(names)}")
    for each in found.retyped:
        show.line(f"column {each.column} was {each.before} and is {each.after}")
    rows = found.rows
    by = f"by {', '.join(rows.by)}" if rows.by else "by whole rows, so that a changed one is one removed and one added"
    show.line(
        f"rows {rows.before:,} -> {rows.after:,}: {rows.added:,} added, {rows.removed:,} removed, "
        f"{rows.changed:,} changed ({by})"
    )
    if rows.columns:
        show.line("    changed in " + ", ".join(f"{name} ({count:,})" for name, count in rows.columns.items()))
    for example in rows.examples:
        changes = "; ".join(f"{name} {example.before[name]} -> {example.after[name]}" for name in example.after)
        show.line(f"    for example {example.row or 'one'}: {changes}")
    if found.shifts:
        _show_shifts(found.shifts)


def _show_shifts(shifts: tuple[Shift, ...]) -> None:
    table = Table(title="Distributions (0: the same, 1: nothing in common)", title_justify="left")
    for column in ("column", "distance", "missing", "10 %, 50 %, 90 % moved by"):
        table.add_column(column, overflow="fold")
    for each in sorted(shifts, key=lambda shift: -shift.distance.value):
        missing = f"{each.missing[0]:,} -> {each.missing[1]:,}" if any(each.missing) else ""
        moved = ", ".join(f"{made.value:+.4g} ({made.low:.4g} to {made.high:.4g})" for made in each.quantiles.values())
        table.add_row(Text(each.column), show.interval(each.distance), missing, moved)
    show.print_table(table)


def tag(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Letters, digits, `.`, `_`, `-`, as in q1-2026.")],
    dataset: Perhaps = None,
    use_case_file: UseCaseFile = None,
    as_json: AsJson = False,
    why: Why = "",
) -> int:
    """Give a dataset version a name that commands take wherever they take its id; a name may move."""
    use_case, asked = open_use_case(use_case_file)
    asked = because(asked, why, f"tagged {name}")
    made = journey.tag(open_platform(), use_case, name, dataset, asked)
    if as_json:
        show_json(encode(made))
    else:
        show.line(f"{made.name} is {made.dataset}")
    return 0


def checkout(
    dataset: Named,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Ends in .parquet or .csv; else ID.parquet.")
    ] = None,
    use_case_file: UseCaseFile = None,
    as_json: AsJson = False,
) -> int:
    """Write the rows of a dataset version to a file. `release --dataset` releases one without a file."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    written = out or Path(f"{short(journey.chosen(platform, use_case, dataset).id)}.parquet")
    made = journey.checkout(platform, use_case, dataset, written)
    if hidden := journey.pseudonyms(made, use_case):
        say(
            f"{', '.join(hidden)}: pseudonyms. As a source they would be made pseudonyms again, and other rows held "
            f"out; to release this version: mainstay release --dataset {dataset}"
        )
    if as_json:
        show_json({"dataset": made.id, "rows": made.rows, "written": str(written)})
    else:
        show.line(f"wrote {made.rows:,} rows of {short(made.id)} to {written}")
    return 0


def quarantine(dataset: Perhaps = None, use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """The rows set aside when a dataset version was frozen: how many, why, and where they are."""
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    found = journey.quarantined(platform, use_case, dataset)
    place = f"{platform.settings.blobs_url}/{found.place}" if found.place else None
    if as_json:
        show_json({**encode(found), "place": place})
    else:
        show.line(f"{short(found.dataset)}: {found.rows:,} rows quarantined{f', in {place}' if place else ''}")
        for reason, count in found.reasons.items():
            show.line(f"{count:>8,}  {reason}")
    return 0
