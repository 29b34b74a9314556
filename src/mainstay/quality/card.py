"""The account of a version that people read, rendered from recorded facts and from nothing else.

A pure function: what was never written down is not in the card, and where that is missed the card says so. Each number
is a link to the run that it comes from. Source: Mitchell et al. 2019, "Model Cards for Model Reporting", for the parts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstay.defined import FeatureService
from mainstay.digests import short
from mainstay.examined import Examination
from mainstay.ledger.facts import Fact
from mainstay.nouns import Candidate, DatasetVersion, Estimate, ModelVersion, Run, Split, Value
from mainstay.quality.document import (
    Block,
    Bullets,
    Commands,
    Line,
    Page,
    Paragraph,
    Section,
    Span,
    Table,
    code,
    words,
)
from mainstay.quality.features import feature_blocks
from mainstay.quality.limits import limits
from mainstay.quality.shown import calibration_blocks, decision_blocks, importance_blocks, number, slice_table
from mainstay.scoring.decide import Calibration, Decide
from mainstay.scoring.encode import Input
from mainstay.spans import span_text
from mainstay.verdicts import Check, Verdict

SLICED = ("base_rate", "selected", "recall_at_threshold", "precision_at_threshold", "roc_auc", "log_loss")


@dataclass(frozen=True, slots=True)
class Facts:
    """Everything that is recorded of a version: facts of the ledger, its signed manifest and its bundle.

    `dataset` is held out as its run had it; `verdict` is the one that let the version through; `splits` are those that
    it had a part in, the first first. `champion` is the version that `against` compares it with, None for a first one.
    `examined` is None where its run kept no examination. `tracking` is the address of an MLflow server, without
    credentials; empty where MLflow is embedded in the home. `service` is None where nobody recorded what it means.
    """

    version: Fact[ModelVersion]
    dataset: Fact[DatasetVersion]
    run: Fact[Run]
    candidate: Fact[Candidate]
    verdict: Fact[Verdict]
    splits: tuple[Fact[Split], ...]
    inputs: tuple[Input, ...]
    derived: tuple[tuple[str, str], ...]
    calibration: Calibration
    decide: Decide
    feature_service: str
    champion: str | None
    against: Mapping[str, Estimate]
    examined: Examination | None
    tracking: str = ""
    service: FeatureService | None = None


def card(facts: Facts) -> Page:
    """The card of a version."""
    version, verdict = facts.version, facts.verdict.body
    named = f"{version.body.use_case}@{version.body.version}"
    lead = words(
        f"Admitted {_time(version.at)} by {version.actor}, signed by key ",
        code(version.body.key_id),
        f"; its verdict is {verdict.outcome}. Every number below is recorded, and leads to the run that it comes from.",
    )
    sections = (
        Section("Purpose", _purpose(facts)),
        Section("Data", _data(facts)),
        *([Section("Features", feature_blocks(facts.service))] if facts.service is not None else []),
        Section("Training", _training(facts)),
        Section("Scores", _scores(facts)),
        Section("Decisions and profit", decision_blocks(facts.examined, facts.decide, facts.candidate.body, named)),
        Section("Verdict", _verdict(verdict)),
        Section("Fairness", _fairness(facts)),
        Section("Slices", _slices(facts)),
        Section("Calibration", calibration_blocks(facts.examined, facts.calibration, facts.candidate.body, named)),
        Section("Importance", importance_blocks(facts.examined, named)),
        Section("Beside the champion", _against(facts)),
        Section("Limits", (Bullets(_limits(facts)),)),
        Section("How to reproduce it", _reproduce(facts)),
        Section("The run", _run(facts)),
    )
    return Page(f"Model card: {named}", lead, sections, {"run": _link(facts)})


def _link(facts: Facts) -> str:
    tracked = facts.run.body.tracked
    return f"{facts.tracking}/#/runs/{tracked}" if facts.tracking and tracked else "#the-run"


def _purpose(facts: Facts) -> tuple[Block, ...]:
    examined, positive = facts.examined, facts.decide.positive
    if examined is None:
        told = words("It tells ", code(positive), f" from the other of {_classes(facts)}. Its label is not recorded.")
    else:
        label = examined.label
        told = words(
            "It gives the probability that ",
            code(label.column),
            " will be ",
            code(label.positive),
            f" within {span_text(label.horizon)} of being asked, and decides ",
            code(positive),
            " from ",
            Span(f"{facts.decide.threshold:.4f}", "run"),
            f" on. The classes are {_classes(facts)}.",
        )
    unknown = "For whom it is meant, and what it must not be used for, is not recorded."
    return Paragraph(told), Paragraph(words(unknown))


def _classes(facts: Facts) -> str:
    return " and ".join(facts.decide.classes)


def _data(facts: Facts) -> tuple[Block, ...]:
    dataset, examined = facts.dataset.body, facts.examined
    holdout = dataset.holdout
    which = "by hash of the entity" if holdout.cut is None else f"from {_time(holdout.cut)} on"
    rows: list[tuple[str, Line]] = [
        ("dataset", words(code(dataset.id))),
        ("frozen", words(f"{_time(facts.dataset.at)} by {facts.dataset.actor}: {facts.dataset.reason}")),
        ("rows", words(_count(dataset.rows))),
        ("quarantined", words(_count(dataset.quarantined))),
        ("held out", words(Span(f"{holdout.share:.0%}", "run"), f" {which}, under the salt ", code(holdout.salt))),
    ]
    if examined is not None:
        horizon = f"{span_text(examined.label.horizon)}, and {span_text(examined.label.grace)} of grace"
        for name, part in (("trained on", examined.train), ("judged by", examined.holdout)):
            rows.append((name, words(_count(part.rows), " rows, ", _count(part.positives), " of them positive")))
        rows.append(("horizon", words(horizon)))
        rows.append(("no label means", words(code(examined.label.absent_means))))
    if dataset.watermark is not None:
        rows.append(("known until", words(_time(dataset.watermark))))
    if dataset.parent is not None:
        rows.append(("after", words(code(dataset.parent))))
    if dataset.pseudonym_key is not None:
        rows.append(("pseudonyms by key", words(code(dataset.pseudonym_key))))
    rows += [(f"history of {name}", words(code(digest[:12]))) for name, digest in dataset.views.items()]
    given = tuple(
        (words(code(each.name)), words(each.type), words(_promise(each)), words("yes" if each.nullable else "no"))
        for each in facts.inputs
    )
    asked = Paragraph(words("What a request gives (feature service ", code(facts.feature_service), "):"))
    return _pairs(rows), asked, Table(("input", "type", "promised", "may be missing"), given)


def _promise(given: Input) -> str:
    if given.range is not None:
        return f"{given.range[0]:.15g} to {given.range[1]:.15g}"
    return "any" if given.values is None else ", ".join(given.values)


def _training(facts: Facts) -> tuple[Block, ...]:
    run, examined = facts.run.body, facts.examined
    rows: list[tuple[str, Line]] = [("estimator", words(code(run.estimator)))]
    rows += [(name, words(_value(value))) for name, value in sorted(run.parameters.items())]
    rows += [("seed", words(Span(str(run.seed), "run"))), ("recipe", words(code(run.recipe)))]
    if examined is not None:
        rows += [(f"recipe {name}", words(_setting(value))) for name, value in examined.recipe.items()]
    rows += [(f"code {name}", words(code(value))) for name, value in sorted(run.code.items())]
    blocks: list[Block] = [_pairs(rows)]
    if facts.derived:
        blocks.append(Paragraph(words("Derived from the inputs:")))
        blocks.append(Bullets(tuple(words(code(name), " = ", code(text)) for name, text in facts.derived)))
    return tuple(blocks)


def _scores(facts: Facts) -> tuple[Block, ...]:
    candidate = facts.candidate.body
    names = dict.fromkeys([*candidate.holdout, *candidate.cross_validated])
    parts = (candidate.holdout, candidate.cross_validated)
    rows = tuple(
        (words(code(name)), *(number(part.get(name)) for part in parts), *(_rows(part.get(name)) for part in parts))
        for name in names
    )
    level = sorted({f"{each.level:.0%}" for part in parts for each in part.values()})
    told = words(
        "On the holdout, which it has never seen, and out of fold on its training part",
        f"{', with their ' + ', '.join(level) + ' intervals' if level else ''}. What ends in ",
        code("_at_threshold"),
        ", and profit, is of its own decisions; accuracy, precision, recall and f1 are at a probability of one half.",
    )
    return Paragraph(told), Table(
        ("metric", "holdout", "out of fold", "rows held out", "rows out of fold"), rows, numbers_from=1
    )


def _verdict(verdict: Verdict) -> tuple[Block, ...]:
    gaps, others = _parted(verdict)
    told = (Paragraph(words("The gaps between groups are under Fairness.")),) if gaps else ()
    return (*told, _checks(others))


def _parted(verdict: Verdict) -> tuple[tuple[Check, ...], tuple[Check, ...]]:
    """The checks that compare groups, and all others."""
    gaps = tuple(made for made in verdict.checks if made.name.endswith("_gap"))
    return gaps, tuple(made for made in verdict.checks if made not in gaps)


def _checks(checks: tuple[Check, ...]) -> Table:
    rows = tuple(
        (
            words(code(f"{made.name} {made.subject}".strip())),
            words(f"{made.outcome}{'' if made.blocking else ' (advisory)'}"),
            number(made.estimate),
            words(made.reason),
        )
        for made in checks
    )
    return Table(("check", "outcome", "measured", "reason"), rows)


def _fairness(facts: Facts) -> tuple[Block, ...]:
    gaps, _ = _parted(facts.verdict.body)
    attributes = dict.fromkeys(made.subject for made in gaps)
    if facts.examined is not None:
        attributes |= dict.fromkeys(facts.examined.protected)
    if not attributes:
        return (Paragraph(words("No protected attribute is named, so fairness was not measured.")),)
    blocks: list[Block] = [_checks(gaps)] if gaps else []
    if facts.examined is not None:
        shown = [each for each in facts.examined.slices if each.column in attributes]
        blocks.append(slice_table(shown, SLICED))
    else:
        blocks.append(Paragraph(words("The rates of each group are not recorded.")))
    return tuple(blocks)


def _slices(facts: Facts) -> tuple[Block, ...]:
    if facts.examined is None:
        return (Paragraph(words("Its run kept no scores by slice.")),)
    told = "On the holdout, by the values of each category and the quarters of each number."
    return Paragraph(words(told)), slice_table(facts.examined.slices, SLICED)


def _against(facts: Facts) -> tuple[Block, ...]:
    if facts.champion is None:
        return (Paragraph(words("No version was live when it was admitted, or none that could be compared with.")),)
    rows = tuple((words(code(name)), number(each), _rows(each)) for name, each in facts.against.items())
    told = words("Both asked about the holdout, each by its own threshold: this one and ", code(facts.champion), ".")
    return Paragraph(told), Table(("measure", "value", "rows"), rows, numbers_from=1)


def _limits(facts: Facts) -> tuple[Line, ...]:
    return limits(facts.verdict.body, facts.examined, facts.dataset.body, facts.run.body, facts.champion)


def _reproduce(facts: Facts) -> tuple[Block, ...]:
    run, version = facts.run.body, facts.version.body
    commit = run.code.get("commit", "")
    lines = [f"git checkout {commit.removesuffix('-dirty')}"] if commit else []
    lines += [
        f"mainstay train --dataset {run.dataset} --seed {run.seed}",
        f"mainstay gate {version.candidate}",
        f"mainstay models verify {version.version}",
    ]
    told = words(
        "In the home that keeps the dataset, with a ",
        code("mainstay.yaml"),
        " whose recipe is ",
        code(short(run.recipe)),
        ", the second last step judges the same candidate, byte for byte:",
    )
    return Paragraph(told), Commands(tuple(lines))


def _run(facts: Facts) -> tuple[Block, ...]:
    run = facts.run.body
    rows: list[tuple[str, Line]] = [
        ("run", words(code(run.id))),
        ("candidate", words(code(facts.candidate.body.id))),
        ("signed manifest", words(code(facts.version.body.manifest))),
    ]
    if run.examination is not None:
        rows.append(("examination", words(code(run.examination))))
    if run.tracked is not None:
        rows.append(("in MLflow", words(Span(f"runs:/{run.tracked}", "run", code=True))))
    every: tuple[Fact[Any], ...] = (facts.dataset, facts.run, facts.candidate, facts.verdict, facts.version)
    for fact in (*every, *facts.splits):
        said = f"{_time(fact.at)} by {fact.actor}: {fact.reason}"
        rows.append((f"fact {fact.seq}", words(f"{fact.kind}, {said}")))
    return (_pairs(rows),)


def _rows(found: Estimate | None) -> Line:
    return words("") if found is None else words(_count(found.rows))


def _count(count: int) -> Span:
    return Span(f"{count:,}", "run")


def _value(value: Value) -> Span:
    return Span("none" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value), "run")


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


def _setting(value: Any) -> Span:
    """A value of a recipe, as JSON holds it."""
    if isinstance(value, list):
        return Span(", ".join(_value(each).text for each in value), "run")
    return _value(value)


def _pairs(rows: list[tuple[str, Line]]) -> Table:
    return Table(("what", "as recorded"), tuple((words(name), line) for name, line in rows))
