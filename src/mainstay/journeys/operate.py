"""One tick of the operator: gather, judge, advance, write it down in one go, then make it so.

A crash between writing and doing is repaired by the next tick: what is done follows what is written, and may be done
again. Two operators share the work by a lease, and by the numbers of the facts: of two that decide, one writes.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from mainstay.decided import Decision, Move
from mainstay.digests import short
from mainstay.errors import Conflict, MainstayError, NotFound, Refused
from mainstay.journeys.asked import Asked
from mainstay.journeys.evidence import evidence_of, replicas_of, verdict_of
from mainstay.journeys.mirrored import mirror
from mainstay.journeys.rollout import Stage, live_configuration, running, stage, start, waiting, write
from mainstay.ledger.kinds import DECISIONS, SPLITS
from mainstay.ledger.leases import give_back, take
from mainstay.rollout.advance import BEFORE, advance, begin, taken_away
from mainstay.rollout.gather import LEFT_OUT
from mainstay.wiring import Platform

OPERATOR = "operator"

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a tick did. `acts` is False where another operator holds the lease; `said` is None where nothing changed."""

    acts: bool
    said: str | None = None
    decision: Decision | None = None


def tick(
    platform: Platform,
    use_case: str,
    now: datetime,
    holder: str = OPERATOR,
    lease: float = 30.0,
    lag: timedelta = LEFT_OUT,
) -> Ticked:
    """One look at a use case, by the operator that calls itself `holder`, who keeps it for `lease` seconds.

    It judges by what was asked until `lag` before now.

    It moves the rollout that runs, or starts that of the version whose turn it is. What somebody else wrote meanwhile
    is left for the next tick. Unavailable while the world is down; then nothing was half-written.
    """
    if not take(platform.ledger, use_case, OPERATOR, holder, lease):
        return Ticked(acts=False)
    try:
        rollout = running(platform.ledger, use_case)
        if rollout is None:
            return Ticked(True, _next_in_turn(platform, use_case, now))
        here = stage(platform, use_case, rollout)
        decision = decided(platform, use_case, here, now, lag)
        if not _is_news(platform, use_case, decision):
            return Ticked(True, None, decision)
        write(platform, use_case, here, decision, OPERATOR)
    except Conflict:
        return Ticked(True, "somebody else moved first; the next tick looks again")
    return Ticked(True, _told(here, decision), decision)


def decided(platform: Platform, use_case: str, here: Stage, now: datetime, lag: timedelta = LEFT_OUT) -> Decision:
    """What becomes of a rollout at a time. Nothing is written."""
    rollout = here.rollout.body
    step = rollout.step if here.begun else BEFORE
    ended = taken_away(rollout, here.split.body) or _killed(platform, use_case)
    if ended is not None:
        return Decision(rollout.id, now, step, Move.GO_HOME, ended, rollout.configuration)
    if not here.begun:
        return begin(rollout, here.plan, replicas_of(platform, use_case, rollout, now), now)
    gathered = evidence_of(platform, use_case, rollout, here.configuration, now, lag)
    verdict = verdict_of(platform, use_case, rollout, here.configuration, gathered)
    return advance(rollout, here.plan, verdict, gathered, now)


def _killed(platform: Platform, use_case: str) -> str | None:
    live = live_configuration(platform, use_case)
    killed = live is not None and live.plan is not None and live.plan.kind == "kill_switch"
    return "the plan that is live is a kill switch" if killed else None


def _is_news(platform: Platform, use_case: str, decision: Decision) -> bool:
    """Whether a decision is written down: where it acts, and where a hold is for another reason than the last."""
    if decision.move is not Move.HOLD:
        return True
    last = platform.ledger.latest(use_case, DECISIONS, decision.rollout)
    return last is None or _words(last.body) != _words(decision)


def _words(decision: Decision) -> tuple[object, ...]:
    """What was decided and why, without the numbers that run."""
    checks = decision.verdict.checks if decision.verdict else ()
    said = tuple((made.name, made.subject, made.outcome) for made in checks)
    return decision.step, decision.move, decision.reason, said


def _next_in_turn(platform: Platform, use_case: str, now: datetime) -> str | None:
    """Start the rollout of the first version that waits, by the plan that is live; what was done, in words."""
    turn = next((each.version for each in waiting(platform.ledger, use_case) if each.superseded is None), None)
    split = platform.ledger.latest(use_case, SPLITS, use_case)
    plan = getattr(live_configuration(platform, use_case), "plan", None)
    if turn is None or split is None or plan is None or plan.kind == "kill_switch":
        return None
    asked = Asked(OPERATOR, f"It is the turn of {turn}.", platform.settings.home)
    try:
        made = start(platform, use_case, turn, split.body.configuration, asked, now=now)
    except (Refused, NotFound) as error:
        return f"{turn} cannot take its turn: {error}"
    return f"rollout {short(made.id)} of {turn} starts against {made.champion}: it is its turn"


def _told(here: Stage, decision: Decision) -> str:
    rollout = here.rollout.body
    return f"rollout {short(rollout.id)} of {rollout.challenger}: {decision.move} ({decision.reason})"


def operate(
    platform: Platform,
    use_cases: Callable[[], Sequence[str]],
    every: float,
    holder: str,
    wait: Callable[[float], bool],
    tell: Tell,
    lag: timedelta = LEFT_OUT,
) -> None:
    """Tick every so many seconds, until `wait` (given seconds) returns True; then give the leases back.

    What changed is told in a line, trouble once for as long as it stays the same.
    """
    lease = max(3 * every, 1.0)
    said: dict[str, str] = {}
    mirrored: dict[str, int] = {}
    while True:
        began = time.monotonic()
        names = _named(use_cases, tell, said)
        for name in names:
            _one(platform, name, holder, lease, tell, said, mirrored, lag)
        if wait(max(0.0, every - (time.monotonic() - began))):
            break
    for name in names:
        try:
            give_back(platform.ledger, name, OPERATOR, holder)
        except MainstayError as error:
            tell(f"{name}: the lease could not be given back, and runs out by itself: {error}")


def _named(use_cases: Callable[[], Sequence[str]], tell: Tell, said: dict[str, str]) -> Sequence[str]:
    try:
        return use_cases()
    except MainstayError as error:
        _once(f"nothing can be operated: {error}", "", tell, said)
        return ()


def _one(
    platform: Platform,
    use_case: str,
    holder: str,
    lease: float,
    tell: Tell,
    said: dict[str, str],
    mirrored: dict[str, int],
    lag: timedelta,
) -> None:
    """Tick one use case and bring the world in line with it. Its trouble is not that of the others."""
    try:
        done = tick(platform, use_case, platform.settings.clock(), holder, lease, lag)
    except MainstayError as error:
        _once(f"{use_case}: {error}", use_case, tell, said)
        return
    if not done.acts:
        _once(f"{use_case}: another operator is at work; this one stands by", use_case, tell, said)
        return
    if done.said is None:
        said.pop(use_case, None)
    else:
        _once(f"{use_case}: {done.said}", use_case, tell, said)
    make_it_so(platform, use_case, tell, said, mirrored)


def make_it_so(platform: Platform, use_case: str, tell: Tell, said: dict[str, str], mirrored: dict[str, int]) -> None:
    """Bring MLflow's aliases in line with the split. Serving follows the ledger by itself, and needs no word.

    `mirrored` remembers which split was shown last, so that nothing is asked of MLflow while nothing changed; a
    process that was started anew shows it again.
    """
    try:
        split = platform.ledger.latest(use_case, SPLITS, use_case)
        if split is None or mirrored.get(use_case) == split.number:
            return
        mirror(platform, use_case)
        mirrored[use_case] = split.number
        said.pop(f"{use_case} mirror", None)
    except MainstayError as error:
        _once(f"{use_case}: MLflow's registry waits: {error}", f"{use_case} mirror", tell, said)


def _once(words: str, about: str, tell: Tell, said: dict[str, str]) -> None:
    if said.get(about) != words:
        tell(words)
    said[about] = words
