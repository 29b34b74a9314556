"""What traffic says of a challenger, as one verdict: health, sample ratio, exposure, guardrails, objective.

Pure: the same rollout, configuration, measurements and evidence give the same verdict, whoever asks and whenever, so
that a decision is replayed by calling it again. What is gathered is cumulative, so nothing else is carried from look
to look; every test in it may be looked at as often as one likes. The budget of alpha is in `rollout/guardrails.py`.

FAIL is harm, proven: a test of it crossed (`harms`). A crossed sample ratio is no harm: the assignment is broken, and
nothing that was measured by it is judged (`broken`). INCONCLUSIVE is to wait; `no_data` is waiting for any at all.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

from mainstay.gathered import Gathered
from mainstay.measures.counts import unbalanced
from mainstay.nouns import Evidence, Rollout, Window, rfc3339
from mainstay.rollout.guardrails import Measured, absent, guardrails
from mainstay.rollout.objective import objective
from mainstay.usecase import Label, Plan, Profit, Step
from mainstay.verdicts import Check, Outcome, Verdict, alarm

SAMPLE_RATIO = "sample_ratio"
EXPOSURE = "exposure"
FREEZE = 1000.0
"""The e-value of a sample ratio at which nothing that was assigned by it is believed any more."""
STALE = timedelta(hours=6)
"""How old the newest prediction may be before the evidence is not fresh."""


def judge(
    rollout: Rollout,
    plan: Plan,
    step: Step,
    measured: Measured | None,
    gathered: Gathered,
    *,
    label: Label,
    profit: Profit | None = None,
) -> Verdict:
    """The verdict on a rollout at its present step: PASS where the step may be left, FAIL where harm is shown.

    `plan`, `label` and `profit` are of the configuration that the rollout is bound to; `step` has its needs resolved
    (None is judged as `non_inferior`); `measured` is the challenger manifest's `against`. The verdict's subject is the
    rollout's id, its window what was gathered, its policy the configuration's digest.
    """
    checks = [health(gathered), sample_ratio(step, gathered)]
    if checks[-1].outcome is not Outcome.FAIL:
        checks.append(exposure(step, gathered))
        checks += guardrails(rollout.champion, plan, step, measured, gathered)
        checks.append(objective(plan, step, label, profit, gathered))
    seen = rollout.started_at < gathered.until
    window = Window(rollout.started_at, gathered.until) if seen else None
    return Verdict(rollout.id, tuple(checks), window, rollout.configuration)


def health(gathered: Gathered) -> Check:
    """Do all replicas that are live hold both arms warm, and is there evidence of late?"""
    cold = gathered.replicas - gathered.warm
    if gathered.replicas < 1:
        return Check("health", Outcome.INCONCLUSIVE, "no serving process is live")
    if cold > 0:
        return Check(
            "health", Outcome.INCONCLUSIVE, f"{cold} of {gathered.replicas} replicas do not hold both arms warm"
        )
    if gathered.newest is not None and gathered.until - gathered.newest > STALE:
        said = f"the newest prediction is of {rfc3339(gathered.newest)}, {gathered.until - gathered.newest} old"
        return Check("health", Outcome.INCONCLUSIVE, said)
    return Check("health", Outcome.PASS, f"{gathered.replicas} replicas hold both arms warm")


def sample_ratio(step: Step, gathered: Gathered) -> Check:
    """Were entities assigned as the shares say? Where one arm alone answered there is nothing to count."""
    if not gathered.exposed and 0 < step.share < 1:
        return absent(SAMPLE_RATIO, "sample ratio has no evidence yet: no entity was given either arm")
    if not gathered.exposed:
        return absent(SAMPLE_RATIO, "sample ratio does not apply: one arm answers everything and the other listens")
    treated, control = (
        sum(counts) for counts in zip(*((e.challenger, e.champion) for e in gathered.exposed), strict=True)
    )
    state = {"challenger": float(treated), "champion": float(control), "epochs": float(len(gathered.exposed))}
    evidence = Evidence(unbalanced(gathered.exposed), treated + control, 1, "multinomial sample ratio test", state)
    made = alarm(SAMPLE_RATIO, evidence, FREEZE)
    return replace(made, reason=f"{made.reason}: {treated:,} were given the challenger, {control:,} the champion")


def exposure(step: Step, gathered: Gathered) -> Check:
    """Was the challenger given any requests at all since the step began, and as many as the step says?"""
    needed = max(step.at_least, 1)
    given = gathered.step_requests
    shed = f", and {gathered.shed:,} were let go unheard" if gathered.shed else ""
    if given <= 0:
        said = f"no data: the challenger was given no request in this step{shed}"
        return Check(EXPOSURE, Outcome.INCONCLUSIVE, said, rows_needed=needed)
    said = f"the challenger was given {given:,} requests of the {needed:,} that the step needs{shed}"
    if given < needed:
        return Check(EXPOSURE, Outcome.INCONCLUSIVE, said, rows_needed=needed)
    return Check(EXPOSURE, Outcome.PASS, said)


def harms(verdict: Verdict) -> tuple[Check, ...]:
    """The checks that show harm; none where the assignment is broken."""
    return tuple(made for made in verdict.checks if _crossed(made) and made.name != SAMPLE_RATIO)


def broken(verdict: Verdict) -> Check | None:
    """The sample ratio where it has crossed: the rollout freezes."""
    return next((made for made in verdict.checks if _crossed(made) and made.name == SAMPLE_RATIO), None)


def no_data(verdict: Verdict) -> bool:
    """Whether the challenger was given nothing at all in this step, which is not the same as quiet."""
    return any(made.name == EXPOSURE and made.reason.startswith("no data") for made in verdict.checks)


def tests_of(verdict: Verdict) -> Mapping[str, Evidence]:
    """The sequential tests as they stand, by the name of their check: what a rollout keeps of its verdict."""
    return {made.name: made.evidence for made in verdict.checks if made.evidence is not None}


def _crossed(made: Check) -> bool:
    return made.blocking and made.outcome is Outcome.FAIL
