"""`mainstay runs`: what was trained, from the ledger's facts; MLflow, which has every trial, may be down."""

from typing import Annotated, Any

import typer

from mainstay.cli import show
from mainstay.cli.door import AsJson, UseCaseFile, open_platform, open_use_case, show_json
from mainstay.digests import short
from mainstay.errors import Refused
from mainstay.journeys.recorded import recorded
from mainstay.ledger.facts import Fact, Ledger
from mainstay.ledger.kinds import CANDIDATES, RUNS, VERSIONS
from mainstay.nouns import Candidate, Run, Value, rfc3339
from mainstay.records import encode

app = typer.Typer(no_args_is_help=True, help="Runs: what was trained on what, with which parameters and scores.")
Runs = Annotated[list[str], typer.Argument(metavar="RUN...", help="Two or more ids of runs, or their starts.")]


@app.command("list")
def list_(use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Every run that made a candidate, the first first; one that failed half-way is in MLflow alone."""
    use_case, _ = open_use_case(use_case_file)
    ledger = open_platform().ledger
    made = _candidates(ledger, use_case.name)
    facts = ledger.latest_of_each(use_case.name, RUNS)
    versions = {fact.body.run: fact.subject for fact in ledger.latest_of_each(use_case.name, VERSIONS)}
    if as_json:
        show_json({"runs": [_body(fact, made.get(fact.subject), versions) for fact in facts]})
    elif not facts:
        show.line(f"no run of {use_case.name} yet; `mainstay train` makes one")
    else:
        show.runs_table(
            (f"{fact.at:%Y-%m-%d %H:%M:%S}", fact.body, made.get(fact.subject), versions.get(fact.subject, ""))
            for fact in facts
        )
    return 0


@app.command()
def compare(runs: Runs, use_case_file: UseCaseFile = None, as_json: AsJson = False) -> int:
    """Set runs side by side: what was not the same, and the scores with their intervals."""
    use_case, _ = open_use_case(use_case_file)
    ledger = open_platform().ledger
    facts = [recorded(ledger, use_case.name, RUNS, named) for named in runs]
    if len({fact.subject for fact in facts}) < 2:
        raise Refused("one run alone is not compared; name two or more, as `mainstay runs list` shows them")
    made = _candidates(ledger, use_case.name)
    versions = {fact.body.run: fact.subject for fact in ledger.latest_of_each(use_case.name, VERSIONS)}
    told = [_told(fact.body, made.get(fact.subject)) for fact in facts]
    names = dict.fromkeys(name for each in told for name in each)
    differing = {name: values for name in names if len(set(values := tuple(each.get(name) for each in told))) > 1}
    if as_json:
        bodies = [_body(fact, made.get(fact.subject), versions) for fact in facts]
        show_json({"runs": bodies, "differing": {name: list(values) for name, values in differing.items()}})
        return 0
    heads = [short(fact.subject) for fact in facts]
    if differing:
        show.side_by_side("What was not the same", heads, differing)
    else:
        show.line("the same data, parameters, seed and code")
    for part in ("holdout", "cross_validated"):
        scores = {head: getattr(made[fact.subject], part) for head, fact in zip(heads, facts, strict=True)}
        show.scores_table("On the holdout" if part == "holdout" else "Out of fold", scores)
    return 0


def _candidates(ledger: Ledger, use_case: str) -> dict[str, Candidate]:
    """What each run made, by its id: two runs may have made the same candidate."""
    return {fact.body.run: fact.body for fact in ledger.all_of(use_case, CANDIDATES)}


def _told(run: Run, made: Candidate | None) -> dict[str, Value]:
    """What a run was, by name; parameters after the rest, so that none of them hides it."""
    return {
        "dataset": run.dataset,
        "recipe": run.recipe,
        "seed": run.seed,
        "estimator": run.estimator,
        **{f"code {name}": value for name, value in run.code.items()},
        "candidate": made.id if made else None,
        **{f"parameter {name}": value for name, value in run.parameters.items()},
    }


def _body(fact: Fact[Run], made: Candidate | None, versions: dict[str, str]) -> dict[str, Any]:
    scores = encode(made) if made else {}
    return {
        **encode(fact.body),
        "at": rfc3339(fact.at),
        "actor": fact.actor,
        "reason": fact.reason,
        "candidate": scores.get("id"),
        "version": versions.get(fact.subject),
        "cross_validated": scores.get("cross_validated"),
        "holdout_scores": scores.get("holdout"),
    }
