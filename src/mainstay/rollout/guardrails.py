"""Is the challenger doing harm? One check each for errors, slowness, missing features, scores and decisions.

One alpha, the plan's, is shared over all that can roll a challenger back; the shares are fixed before the first look:

| check             | share | of .05 | null                                               | method                |
|-------------------|-------|--------|----------------------------------------------------|-----------------------|
| errors            | .40   | .02    | an error is no likelier than in the champion       | error-count e-process |
| slow              | .15   | .0075  | slow requests are at most the margin more          | confidence sequence   |
| missing           | .10   | .005   | a feature is no likelier to be missing             | error-count e-process |
| shift             | .10   | .005   | the mean score moved as on the holdout +- margin   | the same, two sides   |
| disagreement      | .025  | .00125 | scores differ as on the holdout + margin; paired   | confidence sequence   |
| flipped           | .025  | .00125 | so do decisions: a wrong threshold moves no score  | confidence sequence   |
| objective, split  | .10   | .005   | log loss or profit is at most the margin worse     | confidence sequence   |
| objective, paired | .10   | .005   | the same, on entities that both arms scored        | confidence sequence   |

The sample ratio spends nothing of it: it freezes (at 1/1000) and is no harm. What *lets a step go on* is proven at the
whole alpha each (the objective, which is proven in either of two ways, at half): all of it has to be proven, so that a
challenger that is too bad in one respect gets by with at most that. Asymptotic bounds act past `EVENTS` events in each
arm and `ROWS` units only (`tests/alarms/test_judge.py`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Protocol

from mainstay.gathered import Compared, Epoch, Gathered
from mainstay.measures.counts import rate_at_most, worse
from mainstay.measures.sequential import radius
from mainstay.nouns import Estimate, Evidence, Valid
from mainstay.usecase import Plan, Step
from mainstay.verdicts import Check, Limit, Need, Outcome, alarm, check

BUDGET: Mapping[str, float] = MappingProxyType(
    {
        "errors": 0.40,
        "slow": 0.15,
        "missing": 0.10,
        "shift": 0.10,
        "disagreement": 0.025,
        "flipped": 0.025,
        "objective": 0.10,
        "objective_paired": 0.10,
    }
)
"""The share of a plan's alpha that each check of harm may spend."""
EVENTS = 10
"""Events in each arm before an asymptotic bound may act."""
ROWS = 100
"""Units before an asymptotic bound may act."""
PLANNED = 10_000
"""Units at which the bounds on traffic are tightest."""
METHOD = "asymptotic confidence sequence"


class Measured(Protocol):
    """What the gate measured of a version against its champion on the holdout (the manifest's `against`)."""

    @property
    def champion(self) -> str: ...
    @property
    def score_shift(self) -> Estimate: ...
    @property
    def disagreement(self) -> Estimate: ...
    @property
    def flipped_share(self) -> Estimate: ...


@dataclass(frozen=True, slots=True)
class Level:
    """How sure a bound must be: `harm` is the alpha of its lower end, `proof` of its upper one.

    `span` is how far two numbers can be apart, where that is known: it bounds what has shown no spread at all. `rate`
    says that the numbers are differences of rates, so that the challenger's own bounds them.
    """

    harm: float
    proof: float
    planned: int = PLANNED
    span: float | None = None
    rate: bool = False


def guardrails(champion: str, plan: Plan, step: Step, measured: Measured | None, found: Gathered) -> list[Check]:
    """Every guardrail, in the order of the budget. Under `non_inferior` each bound must pass, else be quiet.

    What does not apply (disagreement where nobody listens, scores where the gate compared with another champion) is
    there too, advisory, and says so.
    """
    proving = step.needs not in ("no_harm", "better")
    margins, alpha = plan.margins, plan.alpha
    return [
        *_events("errors", found.errors, margins.errors, alpha, proving, found),
        _slow(margins.slow, alpha, proving, found),
        *_events("missing", found.missing, margins.missing, alpha, proving, found),
        _shift(champion, margins.shift, alpha, proving, measured, found),
        _paired("disagreement", champion, margins.disagreement, alpha, proving, measured, found),
        _paired("flipped", champion, margins.flipped, alpha, proving, measured, found),
    ]


def _events(
    name: str, epochs: Sequence[Epoch], margin: float, alpha: float, proving: bool, found: Gathered
) -> list[Check]:
    """The alarm, which alone tells of harm; and, where the step must prove it, that the rates differ by no more."""
    made = [counted(name, epochs, found.requests, BUDGET[name] * alpha)]
    if proving:
        level = Level(BUDGET[name] * alpha, alpha, rate=True)
        apart = bounded(f"{name}_difference", found.by_mean.get(name), Limit(at_most=margin), level, proving=True)
        if apart.outcome is Outcome.FAIL:  # its alpha is the alarm's, and is not spent twice
            apart = replace(apart, outcome=Outcome.INCONCLUSIVE, reason=f"{apart.reason}: not proven")
        made.append(apart)
    return made


def _slow(margin: float, alpha: float, proving: bool, found: Gathered) -> Check:
    level = Level(BUDGET["slow"] * alpha, alpha, rate=True)
    made = bounded("slow", found.by_mean.get("slow"), Limit(at_most=margin), level, proving=proving)
    if found.slow_over_us is None:
        return replace(made, reason=f"{made.reason}: the champion was too seldom timed to say what is slow")
    return replace(made, reason=f"{made.reason} (above {found.slow_over_us:,.0f} us)")


def _shift(
    champion: str, margin: float, alpha: float, proving: bool, measured: Measured | None, found: Gathered
) -> Check:
    shift = _held_to("shift", champion, measured)
    if isinstance(shift, Check):
        return shift
    side = BUDGET["shift"] * alpha / 2
    limit = Limit(at_least=shift.low - margin, at_most=shift.high + margin)
    level = Level(side, side, span=2.0)
    made = bounded("shift", found.by_mean.get("shift"), limit, level, proving=proving)
    return replace(made, reason=f"{made.reason} (on the holdout {shift.value:.4g})")


def _paired(
    name: str, champion: str, margin: float, alpha: float, proving: bool, measured: Measured | None, found: Gathered
) -> Check:
    """Do scores, or decisions, differ by more than the gate measured? Asked where both arms scored the same."""
    if name not in found.by_mean:
        return absent(name, f"{name} does not apply: no request was scored by both arms")
    apart = _held_to(name, champion, measured)
    if isinstance(apart, Check):
        return apart
    level = Level(BUDGET[name] * alpha, alpha, span=1.0, rate=name == "flipped")
    made = bounded(name, found.by_mean[name], Limit(at_most=apart.high + margin), level, proving=proving)
    return replace(made, reason=f"{made.reason} (on the holdout {apart.value:.4g})")


def _held_to(name: str, champion: str, measured: Measured | None) -> Estimate | Check:
    """What the gate measured; or a check that says why there is nothing to hold scores to.

    A better challenger must differ: without a word of the gate nobody knows by how much.
    """
    if measured is None:
        return absent(name, f"{name} does not apply: the gate compared this version with none")
    if measured.champion != champion:
        return absent(name, f"{name} does not apply: the gate compared with {measured.champion}, not with {champion}")
    found = {
        "shift": measured.score_shift,
        "disagreement": measured.disagreement,
        "flipped": measured.flipped_share,
    }[name]
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return absent(name, f"{name} does not apply: what the gate measured is not a number")
    return found


def absent(name: str, reason: str) -> Check:
    """A check that does not apply: advisory, and it says why."""
    return Check(name, Outcome.INCONCLUSIVE, reason, needs=Need.QUIET, blocking=False)


def counted(name: str, epochs: Sequence[Epoch], requests: int, alpha: float) -> Check:
    """The alarm of events by their counts. It needs requests, and no events: none at all are good news."""
    treated, control = sum(each.challenger for each in epochs), sum(each.champion for each in epochs)
    state = {"challenger": float(treated), "champion": float(control), "epochs": float(len(epochs))}
    evidence = Evidence(worse(epochs), requests, 1, "error-count e-process", state) if requests else None
    made = alarm(name, evidence, 1 / alpha)
    return replace(made, reason=f"{made.reason}: {treated:,} of the challenger's, {control:,} of the champion's")


def bounded(name: str, found: Compared | None, limit: Limit, level: Level, *, proving: bool) -> Check:
    """Is a difference within its limit? Wholly outside is harm; else it is quiet, or proven where `proving`.

    Without a unit it is INCONCLUSIVE either way.
    """
    if found is None or not found.difference.rows:
        said = f"{name} has no evidence yet"
        return Check(name, Outcome.INCONCLUSIVE, said, needs=Need.PASS if proving else Need.QUIET, limit=limit)
    made = check(name, interval(found, level), limit, looked_at_again=True)
    made = replace(made, reason=made.reason.replace(f"{name} is", f"{name}, challenger minus champion, is", 1))
    if made.estimate is None:
        few = min(found.challenger, found.champion)
        said = (
            f"{name} has {few} events in one arm of the {EVENTS} needed, on {found.difference.rows:,} of {ROWS} units"
        )
        made = replace(made, reason=said)
    if proving or made.outcome is not Outcome.INCONCLUSIVE:
        return made if proving else replace(made, needs=Need.QUIET)
    return replace(made, outcome=Outcome.QUIET, needs=Need.QUIET, reason=f"no alarm: {made.reason}", rows_needed=None)


def _each_alone(found: Compared, alpha: float) -> float:
    """What the difference of two rates is at least, by a bound on each: it needs no events in the champion at all."""
    rows, theirs = found.difference.rows, found.units
    ours = rows - theirs if rows > theirs else rows  # paired units count in both
    if rows < ROWS or found.challenger < EVENTS or not 0 <= found.champion <= ours:
        return -1.0
    at_least = 1 - rate_at_most(theirs - found.challenger, theirs, alpha / 2)
    return max(-1.0, at_least - rate_at_most(found.champion, ours, alpha / 2))


def interval(found: Compared, level: Level) -> Estimate | None:
    """The difference with what bounds it at any time; None where nothing does yet.

    Past `EVENTS` in each arm it is asymptotic. Before, and where nothing was seen to vary, it is what holds for any
    law: the challenger's own rate, and the span of what was never seen. Bounds are finite.
    """
    moments, spread = found.difference, found.difference.deviation
    if not moments.rows or not math.isfinite(moments.mean):
        return None
    if moments.rows >= ROWS and min(found.challenger, found.champion) >= EVENTS and spread > 0:
        down, up = (spread * radius(moments.rows, level.planned, alpha, 1) for alpha in (level.harm, level.proof))
        low, high, method = moments.mean - down, moments.mean + up, METHOD
    elif level.rate and 0 <= found.challenger <= found.units and found.units:
        low, high = _each_alone(found, level.harm), rate_at_most(found.challenger, found.units, level.proof)
        method = "beta-binomial mixture, of the challenger alone"
    elif level.span is not None and moments.rows >= ROWS and not spread > 0 and found.units:
        weight = max(1.0, moments.rows / found.units)
        unseen = weight * level.span * rate_at_most(0, moments.rows - 1, min(level.harm, level.proof))
        low, high, method = moments.mean - unseen, moments.mean + unseen, "beta-binomial mixture, of what was not seen"
    else:
        return None
    return Estimate(moments.mean, low, high, moments.rows, 1 - level.harm - level.proof, method, Valid.ANY_TIME)
