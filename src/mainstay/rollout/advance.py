"""Where a rollout goes next, and what is live then. Pure: the same evidence at the same time gives the same answer.

Bad news acts at once: harm rolls back, and a sample ratio that cannot be by chance freezes. Good news waits for the
step's hold. Doubt runs out at the deadline, and goes home. Nothing moves onto a version that some replica does not hold
warm, so a challenger first stands by: until every replica has it, its rollout is *before* its first step.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from mainstay.decided import Decision, Move
from mainstay.gathered import Gathered
from mainstay.nouns import Allocation, Arm, Phase, Rollout, Split
from mainstay.rollout.bandit import next_share, step_of
from mainstay.rollout.judge import broken, harms, tests_of
from mainstay.rollout.plans import arms_of, steps_of
from mainstay.usecase import Plan, Step
from mainstay.verdicts import Outcome, Verdict

BEFORE = -1
"""The step of a decision that is made before the first: the challenger stands by."""
PHASES = {
    Move.PROMOTE: Phase.PROMOTED,
    Move.ROLL_BACK: Phase.ROLLED_BACK,
    Move.GO_HOME: Phase.WENT_HOME,
    Move.FREEZE: Phase.FROZEN,
}
"""How the moves that end a rollout leave it."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What a version is bound to, and a split with it: its feature service, and the dataset it was made from."""

    feature_service: str
    dataset: str


def begin(rollout: Rollout, plan: Plan, gathered: Gathered, now: datetime) -> Decision:
    """What a rollout does whose challenger stands by: its first step begins once every replica holds it warm.

    Of `gathered` it reads the replicas alone. It advances, holds, or goes home at the plan's deadline.
    """

    def decision(move: Move, reason: str) -> Decision:
        return Decision(rollout.id, now, BEFORE, move, reason, rollout.configuration, gathered=gathered)

    trouble = _cold(rollout, gathered)
    if now >= rollout.deadline:
        return decision(Move.GO_HOME, f"the deadline came before the first step could begin: {trouble or 'too late'}")
    if trouble is not None:
        return decision(Move.HOLD, trouble)
    return decision(Move.ADVANCE, f"every replica holds {rollout.challenger} warm: step 1 begins")


def advance(rollout: Rollout, plan: Plan, verdict: Verdict, gathered: Gathered, now: datetime) -> Decision:
    """What a running rollout does next, by the verdict on the step it is in.

    The words of a hold have no running numbers in them: they change when what it waits for changes. An immediate plan
    needs no evidence to stay, only the absence of harm. A bandit that would hold moves its shares instead, where it is
    time to. ValueError for a rollout that has ended.
    """
    if rollout.phase is not Phase.RUNNING:
        raise ValueError(f"rollout {rollout.id} has ended: it is {rollout.phase}")
    steps = steps_of(plan)
    move, reason = _move(rollout, steps, plan, verdict, gathered, now)
    share = None
    if move is Move.HOLD and _cold(rollout, gathered) is None:
        share = next_share(rollout, plan, gathered, now)
    if share is not None:
        before = step_of(rollout, plan).share
        move, reason = Move.REALLOCATE, f"the bandit gives the challenger {share:g} of the traffic, after {before:g}"
    return Decision(rollout.id, now, rollout.step, move, reason, rollout.configuration, verdict, gathered, share)


def _move(
    rollout: Rollout, steps: tuple[Step, ...], plan: Plan, verdict: Verdict, gathered: Gathered, now: datetime
) -> tuple[Move, str]:
    step, number, last = steps[rollout.step], rollout.step + 1, rollout.step + 1 == len(steps)
    crossed, harmed = broken(verdict), harms(verdict)
    if crossed is not None:
        return Move.FREEZE, crossed.reason
    if harmed:
        return Move.ROLL_BACK, "; ".join(made.reason for made in harmed)
    stood = now - rollout.entered_at
    good = verdict.outcome is Outcome.PASS or plan.kind == "immediate"
    cold = _cold(rollout, gathered)
    if good and stood >= step.hold and cold is None:
        if last:
            return Move.PROMOTE, f"all {len(steps)} steps reached what they need"
        if now < rollout.deadline:
            return Move.ADVANCE, f"step {number} reached what it needs: step {number + 1} begins"
    late = _late(rollout, step, now)
    if late is not None:
        return Move.GO_HOME, f"{late}: {cold or (verdict.reason if not good else 'there were steps to go')}"
    return Move.HOLD, f"step {number} {_waits(verdict, good, stood >= step.hold, cold)}"


def _late(rollout: Rollout, step: Step, now: datetime) -> str | None:
    """Which deadline has come, if one has."""
    if now >= rollout.deadline:
        return "the plan's deadline came without a clear verdict"
    if step.deadline is not None and now - rollout.entered_at >= step.deadline:
        return f"the deadline of step {rollout.step + 1} came without a clear verdict"
    return None


def _cold(rollout: Rollout, gathered: Gathered) -> str | None:
    """Why no more traffic can be given to the challenger now; None where it can."""
    if gathered.replicas == 0:
        return "no server of this use case is running"
    if gathered.warm < gathered.replicas:
        return f"not every replica holds {rollout.challenger} warm yet"
    return None


def _waits(verdict: Verdict, good: bool, held: bool, cold: str | None) -> str:
    """What a step waits for, in words that stay the same while it waits for the same."""
    waits = [] if held else ["its hold"]
    waits += [f"{made.name} {made.subject}".strip() for made in verdict.checks if made.blocking and not made.met]
    if good:
        waits = waits[:1] if not held else []
    if not verdict.checks and not good:
        waits.append("anything to judge by")
    return "; ".join(part for part in (f"waits for {', '.join(waits)}" if waits else "", cold) if part)


def moved(rollout: Rollout, decision: Decision) -> Rollout:
    """The rollout after a decision, with the tests of its verdict as they stood; the same one after a hold."""
    if decision.move is Move.HOLD:
        return rollout
    if decision.verdict is not None:
        rollout = dataclasses.replace(rollout, tests=tests_of(decision.verdict))
    if decision.move is Move.REALLOCATE and decision.share is not None:
        number = rollout.allocation.number + 1 if rollout.allocation else 1
        return dataclasses.replace(rollout, allocation=Allocation(decision.share, number, decision.at))
    if decision.move is Move.ADVANCE:
        return dataclasses.replace(rollout, step=decision.step + 1, entered_at=decision.at, allocation=None)
    return dataclasses.replace(rollout, phase=PHASES[decision.move])


def begun(rollout: Rollout, standing: Split) -> bool:
    """Whether the rollout's first step has begun: its challenger does more than stand by."""
    return any(arm.version == rollout.challenger and not arm.standby for arm in standing.arms)


def taken_away(rollout: Rollout, standing: Split) -> str | None:
    """Why a running rollout cannot go on: somebody wrote a split that leaves it out. None while it can."""
    if standing.rollout != rollout.id or rollout.challenger not in {arm.version for arm in standing.arms}:
        return f"split {standing.number} took its traffic away"
    return None


def split_before(standing: Split, rollout: Rollout, bound: Mapping[str, Bound]) -> Split:
    """The split in which a rollout starts: its champion answers everything, its challenger stands by.

    The salt is the rollout's own, so that who is in which arm has nothing to do with who was in the last experiment.
    """
    arms = (Arm(rollout.champion, 1.0), Arm(rollout.challenger, standby=True))
    return _next(dataclasses.replace(standing, salt=rollout.id), arms, rollout, rollout.id, bound)


def split_after(standing: Split, rollout: Rollout, plan: Plan, bound: Mapping[str, Bound]) -> Split:
    """The split that a rollout asks for as it is now, after `moved`; `standing` itself if that changes nothing.

    While it runs: the arms of its step. Promoted: the challenger answers everything, and the champion before it stands
    by. Ended otherwise: the champion answers everything, and the challenger leaves. Who stood by before the rollout
    does so until something is promoted. Pins to what is no longer live go. `bound` holds both versions.
    """
    champion, challenger = rollout.champion, rollout.challenger
    if rollout.phase is Phase.RUNNING:
        arms = arms_of(champion, challenger, step_of(rollout, plan), plan)
        return _next(standing, arms, rollout, rollout.id, bound)
    if rollout.phase is Phase.PROMOTED:
        return _next(standing, (Arm(challenger, 1.0), Arm(champion, standby=True)), rollout, None, bound)
    return _next(standing, (Arm(champion, 1.0),), rollout, None, bound)


def _next(
    standing: Split, arms: tuple[Arm, ...], rollout: Rollout, named: str | None, bound: Mapping[str, Bound]
) -> Split:
    ours = {rollout.champion, rollout.challenger}
    if rollout.phase is not Phase.PROMOTED:
        arms += tuple(arm for arm in standing.arms if arm.standby and arm.version not in ours)
    live = {arm.version for arm in arms}
    answering = dataclasses.replace(standing, arms=arms, pins=()).champion
    made = dataclasses.replace(
        standing,
        arms=arms,
        pins=tuple(pin for pin in standing.pins if pin.arm in live),
        feature_service=bound[answering].feature_service,
        dataset_head=bound[answering].dataset,
        rollout=named,
    )
    return standing if made == standing else dataclasses.replace(made, number=standing.number + 1)
