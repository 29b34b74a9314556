"""What a card must say against its own version: what was not shown, and what is not known."""

import math

from mainstay.examined import Examination
from mainstay.nouns import DatasetVersion, Run
from mainstay.quality.document import Line, Span, code, words
from mainstay.verdicts import Outcome, Verdict

_SAID = {
    Outcome.FAIL: "failed",
    Outcome.INCONCLUSIVE: "could not be told",
    Outcome.QUIET: "gave no alarm, which is no proof",
}


def limits(
    verdict: Verdict, examined: Examination | None, dataset: DatasetVersion, run: Run, champion: str | None
) -> tuple[Line, ...]:
    """A line for each check that did not pass, in the order of the verdict, and for each thing that is not known."""
    said = [
        words(code(f"{made.name} {made.subject}".strip()), f" {_SAID[made.outcome]}: {made.reason}.")
        for made in verdict.checks
        if made.outcome is not Outcome.PASS
    ]
    return (
        *said,
        *(words(each) if isinstance(each, str) else each for each in _unknown(examined, dataset, run)),
        *([words("It was not compared with another version before it was admitted.")] if champion is None else []),
        *_unmeasured(verdict),
    )


def _unknown(examined: Examination | None, dataset: DatasetVersion, run: Run) -> list[str | Line]:
    told: list[str | Line] = []
    if dataset.watermark is None:
        told.append("Its rows have no times: how long its scores hold is not known.")
    if dataset.quarantined:
        told.append("It says nothing about rows like those that were quarantined: it has learnt from none of them.")
    commit = run.code.get("commit")
    if commit is None:
        told.append("The commit of the code that trained it is not recorded.")
    elif commit.endswith("-dirty"):
        told.append("The code that trained it had changes that no commit holds.")
    if examined is None:
        told.append("Its run kept no examination: slices, calibration, curves and importance are not known.")
        return told
    if examined.label.action_changes_outcome:
        told.append("Acting on its answers changes what happens, so outcomes after release do not compare with these.")
    blind = [each for each in examined.slices if not math.isfinite(each.scores["roc_auc"].value)]
    if blind:
        named: list[Span] = [Span("How well it ranks is not known where only one class was seen: ")]
        for n, each in enumerate(blind):
            named += [Span(", " if n else ""), code(each.column), Span(" "), code(each.value)]
        told.append((*named, Span(".")))
    return told


def _unmeasured(verdict: Verdict) -> list[Line]:
    asked = {made.name for made in verdict.checks}
    told = []
    if not any(name.endswith("_gap") for name in asked):
        told.append(words("No gap between groups was asked about."))
    if not any("latency" in name for name in asked):
        told.append(words("How long an answer takes was not asked about."))
    return told
