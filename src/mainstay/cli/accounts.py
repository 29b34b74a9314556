"""`mainstay models card`, `lineage` and `diff`: what is recorded of versions, told to people.

What they need beyond the ledger is imported when they are called: models are listed and shown where nothing but serving
is installed.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, open_platform, open_use_case, show_json
from mainstay.cli.named import Version, named_version
from mainstay.digests import short
from mainstay.errors import Refused, Unavailable
from mainstay.nouns import Estimate, Value
from mainstay.records import encode

if TYPE_CHECKING:
    from mainstay.quality.difference import Difference, Flips

Out = Annotated[Path, typer.Option("--out", metavar="DIR", help="Where to write the files.")]
Drawn = Annotated[Path | None, typer.Option("--out", metavar="FILE", help="A picture or page: .svg, .html or .md.")]


def card(version: Version = "", out: Out = Path(), use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Write a version's model card: Markdown with its plots, and one HTML page."""
    from mainstay.journeys.account import facts_of
    from mainstay.quality.card import card as rendered
    from mainstay.quality.document import to_html, to_markdown

    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    named = named_version(platform, use_case.name, version)
    page = rendered(facts_of(platform, use_case.name, named))
    start = f"{use_case.name}-{named}-card"
    files = {f"{start}.md": to_markdown(page), f"{start}.html": to_html(page)}
    written = _write(out, files | {f"{picture.name}.svg": picture.svg for picture in page.pictures})
    if as_json:
        show_json({"version": named, "written": [str(path) for path in written]})
    else:
        for path in written:
            show.line(str(path))
    return 0


def lineage(
    version: Version = "", out: Drawn = None, use_case_file: UseCaseFile = None, as_json: AsJson = False
) -> int:
    """Where a version comes from and where it went: rows, dataset, run, version, what was live; as a picture, too."""
    from mainstay.journeys.account import ancestors, facts_of, rollouts_with
    from mainstay.quality import lineage as way
    from mainstay.quality.document import to_html

    if out is not None and out.suffix not in (".svg", ".html", ".md"):
        raise Refused(f"a lineage is written as .svg, .html or .md, not as `{out.suffix or out.name}`", str(out))
    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    named = named_version(platform, use_case.name, version)
    facts = facts_of(platform, use_case.name, named)
    steps = way.lineage(facts, ancestors(platform, facts.dataset.body), rollouts_with(platform, use_case.name, named))
    whole = f"{use_case.name}@{named}"
    if out is not None:
        match out.suffix:
            case ".svg":
                text = way.svg(steps, whole)
            case ".html":
                text = to_html(way.page(steps, whole))
            case _:
                text = way.markdown(steps, whole)
        _write(out.parent, {out.name: text})
    if as_json:
        show_json({"version": named, "steps": [encode(step) for step in steps], "written": str(out) if out else None})
        return 0
    rows = [
        (each.kind, short(each.name), "; ".join(each.said), each.at, each.actor, each.reason)
        for each in way.flat(steps)
    ]
    _print_table(f"Lineage of {whole}", ("step", "name", "what", "at", "by", "why"), rows)
    if out is not None:
        show.line(str(out))
    return 0


def diff(
    before: Annotated[str, typer.Argument(metavar="A", help="A version, as in 1.4.0.")],
    after: Annotated[str, typer.Argument(metavar="B", help="Another.")],
    use_case_file: UseCaseFile = None,
    as_json: AsJson = False,
) -> int:
    """Set two versions side by side: data, features, parameters, scores, and whose decisions flip."""
    from mainstay.journeys.difference import compare

    use_case, _ = open_use_case(use_case_file)
    platform = open_platform()
    names = [_named(each) for each in (before, after)]
    found = compare(platform, use_case, *(named_version(platform, use_case.name, each) for each in names))
    if as_json:
        show_json(encode(found))
    else:
        _show_difference(found, use_case.name)
    return 0


def _named(version: str) -> str:
    if not version.strip():
        raise Refused("an empty version: write it as in 1.4.0")
    return version


def _show_difference(found: "Difference", use_case: str) -> None:
    both = (found.before, found.after)
    title = f"{use_case}@{found.before} and {use_case}@{found.after}"
    changed = [*found.data, *found.features, *found.training]
    if changed:
        told = [(each.name, _value(each.before), _value(each.after)) for each in changed]
        _print_table(f"{title}: what is not the same", ("what", *both), told)
    else:
        show.line(f"{title}: the same data, features and parameters")
    for places, said in ((found.places_gone, "no longer in"), (found.places_new, "new in")):
        if places:
            show.line(f"{said} the tensor: {', '.join(places)}")
    moved = [each for each in found.moved if each.distance == each.distance][:10]
    rows = [
        (each.input, f"{each.distance:.4f}", f"{each.missing_before:.2%}", f"{each.missing_after:.2%}")
        for each in moved
    ]
    _print_table(
        "How far the training rows moved, the furthest first (0: not at all, 1: nothing in common)",
        ("input", "distance", f"missing in {both[0]}", f"missing in {both[1]}"),
        rows,
    )
    show.scores_table("Each on its own holdout", {name: _side(found.scores, n) for n, name in enumerate(both)})
    if found.flips is not None:
        asked = zip(both, (found.flips.before, found.flips.after), strict=True)
        show.scores_table(f"Both on the holdout of {found.flips.holdout_of}", dict(asked))
    if found.flips is None:
        show.line(f"whose decisions flip is not known: {found.not_scored}")
    else:
        _show_flips(found.flips, both)


def _side(scores: Mapping[str, tuple[Estimate | None, Estimate | None]], n: int) -> dict[str, Estimate]:
    return {name: each for name, pair in scores.items() if (each := pair[n]) is not None}


def _show_flips(flips: "Flips", both: tuple[str, str]) -> None:
    show.line(
        f"decided otherwise on the holdout of {flips.holdout_of}: {show.interval(flips.share)} of {flips.share.rows:,} "
        f"rows; {both[1]} says positive to {flips.to_positive:,} of them, negative to {flips.to_negative:,}"
    )
    if flips.caution:
        show.line(f"with caution: {flips.caution}")
    rows = [(each.column, each.value, show.interval(each.flipped), f"{each.flipped.rows:,}") for each in flips.segments]
    if rows:
        _print_table("Whose decisions flip most", ("column", "value", "share that flips", "rows"), rows)


def _value(value: Value) -> str:
    return "none" if value is None else f"{value:.6g}" if isinstance(value, float) else short(str(value))


def _print_table(title: str, columns: Iterable[str], rows: Iterable[tuple[str, ...]]) -> None:
    table = Table(title=title, title_justify="left")
    for name in columns:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    show.print_table(table)


def _write(folder: Path, files: Mapping[str, str]) -> list[Path]:
    """Write texts under their names into a folder, which is made. Unavailable where the disk will not have them."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise Unavailable(f"cannot be written ({(error.strerror or str(error)).lower()})", str(folder)) from error
    return [folder / name for name in files]
