"""`mainstay data`: validate, freeze, list, show, rollback, fetch."""

from pathlib import Path
from typing import Annotated

import typer

from mainstay.cli import show, suites, versions
from mainstay.cli.door import (
    AsJson,
    Source,
    UseCaseFile,
    Why,
    because,
    open_platform,
    open_use_case,
    say,
    show_json,
    verdict_code,
)
from mainstay.data.fetch import fetch, named
from mainstay.data.shown import shown
from mainstay.errors import Refused
from mainstay.journeys import progress, withdraw
from mainstay.journeys import release as journey
from mainstay.journeys.checked import check_rows, last_rows
from mainstay.journeys.recorded import dataset_named
from mainstay.ledger.kinds import DATASETS
from mainstay.nouns import rfc3339
from mainstay.records import encode
from mainstay.settings import read_settings

app = typer.Typer(no_args_is_help=True, help="Datasets: validate rows, freeze them, look at what was frozen.")
for command in (versions.log, versions.diff, versions.tag, versions.checkout, versions.quarantine):
    app.command()(command)
app.command("export-gx")(suites.export_gx)
app.command("import-gx")(suites.import_gx)


@app.command()
def validate(use_case_file: UseCaseFile = None, source: Source = None, as_json: AsJson = False) -> int:
    """Hold the source to its contract, check by check. Nothing is kept."""
    use_case, asked = open_use_case(use_case_file, source)
    settings = read_settings()
    parent = last_rows(open_platform(), use_case, say) if settings.home.is_dir() else None  # nor is a home made
    checked = check_rows(use_case, asked, settings.clock(), parent)
    if as_json:
        show_json({**encode(checked.verdict), "quarantined": checked.quarantine.num_rows})
    else:
        show.verdict_table(checked.verdict)
        show.line(f"{checked.table.num_rows:,} rows kept, {checked.quarantine.num_rows:,} quarantined")
    return verdict_code(checked.verdict.outcome)


@app.command()
def freeze(use_case_file: UseCaseFile = None, source: Source = None, as_json: AsJson = False, why: Why = "") -> int:
    """Validate the source and keep its good rows as a dataset version; prints its id."""
    use_case, asked = open_use_case(use_case_file, source)
    asked = because(asked, why, f"frozen from {shown(use_case.source)}")
    far = progress.Release(use_case.name)
    platform = open_platform()
    dataset = journey.ingest(platform, use_case, asked, far, lambda noun: say(noun) if isinstance(noun, str) else None)
    outcome = far.verdict.outcome if far.verdict else far.outcome
    if as_json:
        show_json({"dataset": encode(dataset) if dataset else None, "verdict": encode(far.verdict)})
    elif dataset is None and far.verdict is not None:
        show.verdict_table(far.verdict)
    elif dataset is not None:
        show.line(f"{dataset.rows:,} rows, {dataset.quarantined:,} quarantined")
        show.line(dataset.id)
    return verdict_code(outcome)


@app.command("list")
def list_(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Every dataset version, in the order in which they were frozen."""
    use_case, _ = open_use_case(use_case_file)
    facts = open_platform().ledger.latest_of_each(use_case.name, DATASETS)
    if as_json:
        show_json({"datasets": [{**encode(fact.body), "at": rfc3339(fact.at)} for fact in facts]})
    elif not facts:
        show.line(f"no dataset of {use_case.name} yet; `mainstay data freeze` makes one")
    else:
        show.datasets_table((f"{fact.at:%Y-%m-%d %H:%M:%S}", fact.body) for fact in facts)
    return 0


@app.command("show")
def show_(
    dataset: Annotated[str, typer.Argument(metavar="ID", help="A dataset's id, the start of one, or a tag.")],
    use_case_file: UseCaseFile = None,
    as_json: AsJson = False,
) -> int:
    """One dataset version: what it is, and who froze it when and why."""
    use_case, _ = open_use_case(use_case_file)
    fact = dataset_named(open_platform().ledger, use_case.name, dataset)
    if as_json:
        show_json({**encode(fact.body), "at": rfc3339(fact.at), "actor": fact.actor, "reason": fact.reason})
    else:
        about = [("frozen", f"{rfc3339(fact.at)} by {fact.actor}: {fact.reason}")]
        show.pairs_table(fact.body.id, [*about, *encode(fact.body).items()])
    return 0


@app.command()
def rollback(
    dataset: Annotated[str, typer.Argument(metavar="VERSION", help="A dataset's id, the start of one, or a tag.")],
    use_case_file: UseCaseFile = None,
    why: Why = "",
    as_json: AsJson = False,
) -> int:
    """Look up the values of an earlier dataset version again, and withdraw what was ingested after it."""
    use_case, asked = open_use_case(use_case_file)
    if not why.strip():
        raise Refused("say why: it is kept with what is changed", "--why")
    asked = because(asked, why, "")
    made = withdraw.rollback(
        open_platform(), use_case, dataset, asked, lambda noun: None if as_json else say(str(noun))
    )
    if as_json:
        show_json(encode(made))
    elif not made.changed:
        show.line(f"{made.dataset[:15]} is looked up already: nothing changes")
    else:
        kept = ", its namespace was still there" if made.at_once else ""
        show.line(
            f"{made.dataset[:15]} is looked up from split {made.split} on; {made.verified:,} entities read back{kept}"
        )
        for each in made.withdrawn:
            show.line(f"    withdrawn: {each[:15]}")
    return 0


@app.command("fetch")
def fetch_(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A public data set: telco.")],
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Where to write it.")] = None,
    as_json: AsJson = False,
) -> int:
    """Download a public data set; nothing but the bytes that were published is accepted."""
    public = named(name)
    target = out if out is not None else Path(public.file)
    fetched = fetch(public, target)
    if as_json:
        show_json({"written": str(target), "bytes": public.size, "sha256": public.sha256, "fetched": fetched})
    else:
        state = "written" if fetched else "is there already"
        show.line(f"{target} {state}: {public.size:,} bytes, SHA-256 {public.sha256}")
    return 0
