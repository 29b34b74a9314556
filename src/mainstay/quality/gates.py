"""May this candidate be released? Every question asked of it, on the untouched rows, as one verdict.

Skill, floors, parity and size must be proven. The leakage checks are alarms, and need to be quiet: what straddles its
limit is no alarm. Evidence that is missing or not a number is not quiet.

What the candidate says of its own holdout is never a gate: scores are measured again here, from the probabilities that
the one scorer gives. Its claims must agree with them, because the manifest and the card will repeat them.

A holdout that is looked at often lets a lucky candidate through. So the k-th distinct candidate on the same rows is
judged with alpha * 6 / (pi^2 k^2), which adds up to alpha over all k (alpha spending, as in Foster & Stine 2008, J. R.
Statist. Soc. B 70): its intervals have level 1 - that, and its checks say which look it was.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.money import Offer
from mainstay.measures.rates import exact
from mainstay.measures.scores import scorecard
from mainstay.nouns import Candidate, Estimate, Holdout, Look, rfc3339
from mainstay.quality.champion import Contest, Unasked, champion_check, champion_profit
from mainstay.quality.fairness import fairness_checks
from mainstay.quality.remedy import told_in_all, told_remedy
from mainstay.quality.slices import slice_checks
from mainstay.quality.worth import profit_checks
from mainstay.scoring.frame import Frame
from mainstay.usecase import UseCase
from mainstay.usecase_gates import Gate
from mainstay.verdicts import Check, Limit, Need, Outcome, Verdict, check

CLAIM_TOLERANCE = 1e-5
"""How far a claimed score may be from the measured one, relative to sizes above 1: what parity allows."""
PERFECT_FROM = 0.6
"""A value of 1 is an alarm where its interval starts above this: at an AUC of 1, with 8 rows of each class or more."""


def looked_at(holdout: Holdout) -> str:
    """The rows that a look spends, as the subject of its fact: the same salt and cut are the same rows."""
    return f"{holdout.salt} {'by hash' if holdout.cut is None else 'from ' + rfc3339(holdout.cut)}"


def look(history: Iterable[Look], candidate: str, holdout: Holdout, alpha: float = 0.05) -> Look:
    """The look that this candidate (by id) takes: its former one, if it has looked at these rows before, else the next.

    `history` may hold looks at other rows, which spend nothing here: a moved cut or a new salt starts again.
    """
    before = [past for past in history if (past.salt, past.cut) == (holdout.salt, holdout.cut)]
    for past in before:
        if past.candidate == candidate:
            return past
    k = len({past.candidate for past in before}) + 1
    return Look(candidate, holdout.salt, holdout.cut, k, alpha * 6 / (math.pi * k) ** 2)


def judge(
    candidate: Candidate,
    holdout: Frame,
    probability: NDArray[np.float64],
    threshold: float,
    use_case: UseCase,
    taken: Look | None = None,
    contest: Contest | Unasked | None = None,
    latency: Estimate | None = None,
) -> Verdict:
    """The release verdict on a candidate: its subject is the candidate's id.

    `probability` (n,) are the one scorer's on the n rows of the holdout; `taken` is the look it takes, None for rows
    that no other candidate is ever judged by (level .95); `contest` is that with the champion, None where there is no
    other; `latency` was measured outside, and is no check where nobody did. What is missing, NaN or on too few rows is
    INCONCLUSIVE, and blocks unless its gate is advisory. ValueError where probabilities and rows differ in number.
    """
    profit = use_case.profit
    offer = None if profit is None else Offer(profit.offer_cost, profit.value_saved, profit.save_rate)
    plain = scorecard(holdout.labels, probability, threshold, offer)
    spent = plain
    if taken is not None:
        spent = scorecard(holdout.labels, probability, threshold, offer, 1 - taken.alpha)
    gates = use_case.gates
    scored: list[tuple[str, Gate]] = [("skill", gates.skill), *gates.floors.items()]
    checks = [_scored(name, gate, spent.get(name), plain.get(name), taken) for name, gate in scored]
    if contest is not None:
        checks.append(champion_check(contest, gates.champion.log_loss, taken))
    if isinstance(contest, Contest) and offer is not None and gates.champion.profit is not None:
        checks.append(champion_profit(contest, offer, gates.champion.profit, taken))
    if offer is not None:
        level = 0.95 if taken is None else 1 - taken.alpha
        checks += profit_checks(holdout.labels, probability, threshold, offer, gates.profit, level)
    checks += _leakage(candidate.evidence, plain["roc_auc"], [*holdout.columns, *use_case.derived], use_case)
    checks.append(_gated("parity", candidate.evidence.get("parity"), gates.parity))
    checks.append(_gated("size", _size(candidate), gates.size))
    checks.append(
        _scored(
            "calibration_error", gates.calibration_error, spent["calibration_error"], plain["calibration_error"], taken
        )
    )
    if latency is not None:
        timed = _gated("latency", latency, gates.latency)
        # What it rests on are calls, and no row that anybody brings makes one surer.
        checks.append(replace(timed, reason=timed.reason.replace(" rows", " calls"), rows_needed=None))
    checks += slice_checks(holdout, probability, threshold, gates.slices)
    checks += fairness_checks(holdout, probability, threshold, gates.fairness)
    # An honest claim is no merit: where a team lets nothing block, it must not be what lets a candidate through.
    agreement = Gate(at_most=CLAIM_TOLERANCE, blocking=any(made.blocking for made in checks))
    checks.append(_gated("claims", _claims(candidate.holdout, plain), agreement))
    rows = len(holdout) / use_case.recipe.holdout
    return Verdict(candidate.id, tuple(told_in_all(told_remedy(made), rows) for made in checks))


def _gated(name: str, found: Estimate | None, gate: Gate, subject: str = "") -> Check:
    limit = Limit(gate.at_least, gate.at_most, gate.rows)
    return check(name, found, limit, subject=subject, blocking=gate.blocking)


def _scored(name: str, gate: Gate, found: Estimate | None, plain: Estimate | None, taken: Look | None) -> Check:
    made = _gated(name, found, gate)
    if taken is None:
        return made
    said = f"{made.reason} (look {taken.number})"
    if taken.number > 1 and made.outcome is Outcome.INCONCLUSIVE and _gated(name, plain, gate).met:
        renewing = "a new salt" if taken.cut is None else "a later cut"
        said += f"; it would pass at a first look: {renewing} renews the holdout"
    return replace(made, reason=said)


def _leakage(evidence: Mapping[str, Estimate], auc: Estimate, features: list[str], use_case: UseCase) -> list[Check]:
    """Labels that predict when permuted, copied rows, features and a model that know too much. `auc` is the model's."""
    gates = use_case.gates.leakage
    too_good = _alarmed("model_auc", auc, gates.model_auc)
    if too_good.outcome is Outcome.FAIL:
        why = "better than honest models of what people do get; look for a feature that knows the outcome"
        too_good = replace(too_good, reason=f"{too_good.reason}: {why}, or raise the limit if you know why")
    return [
        _alarmed("permuted_auc", evidence.get("permuted_auc"), gates.permuted_auc),
        _alarmed("copied_rows", evidence.get("copied_rows"), gates.copied_rows),
        *_by_feature("single_feature_auc", evidence, gates.single_feature_auc, features),
        *_by_feature("pure_bins", evidence, gates.pure_bins, features),
        too_good,
    ]


def _alarmed(name: str, found: Estimate | None, gate: Gate, subject: str = "") -> Check:
    """A check that needs no proof, only no alarm: an estimate on enough rows that straddles its limit is QUIET."""
    made = replace(_gated(name, found, gate, subject), needs=Need.QUIET)
    if made.outcome is not Outcome.INCONCLUSIVE or found is None or found.rows < gate.rows:
        return made
    if not -math.inf < found.low <= found.value <= found.high < math.inf:
        return made
    named = f"{name} of {subject}" if subject else name
    said = f"{named} is {found.value:.4g} ({found.low:.4g} to {found.high:.4g}), and must be {made.limit}"
    if found.value >= 1 and found.low > PERFECT_FROM:
        return replace(made, outcome=Outcome.FAIL, reason=f"{said}: perfect on {found.rows:,} rows", rows_needed=None)
    reason = f"{said}: no alarm, though {found.rows:,} rows cannot rule it out"
    return replace(made, outcome=Outcome.QUIET, reason=reason)


def _by_feature(name: str, evidence: Mapping[str, Estimate], gate: Gate, features: list[str]) -> list[Check]:
    """A check for each feature that is not as it should be; those that pass, or are quiet, are told by their highest.

    A feature is the holdout's, or one that there is evidence of. None at all is a check that is missing.
    """
    prefix = f"{name}:"
    subjects = dict.fromkeys([*features, *(key.removeprefix(prefix) for key in evidence if key.startswith(prefix))])
    made = [_alarmed(name, evidence.get(prefix + subject), gate, subject) for subject in subjects]
    checks = [
        replace(each, reason=f"{each.reason}: this share of a class is told by its `{each.subject}` alone")
        if name == "pure_bins" and each.outcome is Outcome.FAIL
        else each
        for each in made
        if not each.met
    ]
    for outcome, said in ((Outcome.QUIET, "are quiet"), (Outcome.PASS, "pass")):
        alike = [each for each in made if each.outcome is outcome]
        if alike:
            worst = max(alike, key=_high)
            checks.append(
                replace(worst, reason=f"{worst.reason}; it is the highest of {len(alike)} features that {said}")
            )
    return checks or [_alarmed(name, None, gate)]


def _high(made: Check) -> float:
    return -math.inf if made.estimate is None else made.estimate.high


def _size(candidate: Candidate) -> Estimate | None:
    if not candidate.files:
        return None
    return exact(float(sum(file.bytes for file in candidate.files.values())), len(candidate.files))


def _claims(claimed: Mapping[str, Estimate], measured: Mapping[str, Estimate]) -> Estimate | None:
    """The greatest distance of a claimed score from the measured one; None where nothing is claimed.

    A claim that nobody measures here, or of a number where there is none, is NaN: it must not reach a manifest.
    """
    if not claimed:
        return None
    apart = [
        _apart(claim.value, measured[name].value) if name in measured else math.nan for name, claim in claimed.items()
    ]
    return exact(math.nan if any(math.isnan(each) for each in apart) else max(apart), len(apart))


def _apart(claimed: float, measured: float) -> float:
    if math.isnan(claimed) and math.isnan(measured):
        return 0.0
    return abs(claimed - measured) / max(1.0, abs(measured))
