"""One tick of the operator: gather, judge, advance, write it down in one go, then make it so.

A crash between writing and doing is repaired by the next tick: what is done follows what is written, and may be done
again. Two operators share the work by a lease, and by the numbers of the facts: of two that decide, one writes.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from mainstay.decided import Decision, Move
from mainstay.digests import short
from mainstay.errors import Conflict, MainstayError, NotFound, Refused
from mainstay.journeys.apart import UNJUDGED
from mainstay.journeys.asked import Asked
from mainstay.journeys.evidence import evidence_of, replicas_of, verdict_of
from mainstay.journeys.materialize import before_it_is_live
from mainstay.journeys.mirrored import PATIENCE, Mirroring
from mainstay.journeys.recorded import recorded
from mainstay.journeys.rollout import Stage, live_configuration, running, stage, start, waiting, write
from mainstay.ledger.kinds import DECISIONS, SPLITS, VERSIONS
from mainstay.ledger.leases import give_back, take
from mainstay.nouns import Rollout
from mainstay.registry.loading import load
from mainstay.registry.shelf import signed
from mainstay.rollout.advance import BEFORE, advance, begin, taken_away
from mainstay.rollout.gather import LEFT_OUT
from mainstay.usecase import UseCase
from mainstay.wiring import Platform

OPERATOR = "operator"
LOOK = 0.2
"""Seconds between two looks at whether every server is warm."""
AGAIN = timedelta(hours=1)
"""How long a version whose turn was refused is not looked at again, unless what is live or registered changes."""

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Ticked:
    """What a tick did. `acts` is False where another operator holds the lease; `said` is None where nothing changed."""

    acts: bool
    said: str | None = None
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class RefusedTurn:
    """A version that could not take its turn under the split that stood then; it is not asked again before `until`."""

    version: str
    split: int
    until: datetime
    words: str


@dataclass(frozen=True, slots=True)
class Memory:
    """What an operator remembers between ticks, all of which it could find out again.

    `said` are the last words about each subject; by use case, `refused` are the turns that were refused and `filled`
    the heads whose features were brought online. `definitions` are the use cases whose files are at hand.
    """

    definitions: Mapping[str, UseCase] = field(default_factory=dict)
    said: dict[str, str] = field(default_factory=dict)
    refused: dict[str, RefusedTurn] = field(default_factory=dict)
    filled: dict[str, str] = field(default_factory=dict)
    mirroring: Mirroring = field(default_factory=lambda: Mirroring(PATIENCE))


def tick(
    platform: Platform,
    use_case: str,
    now: datetime,
    holder: str = OPERATOR,
    lease: float = 30.0,
    memory: Memory | None = None,
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
            return Ticked(True, _next_in_turn(platform, use_case, now, memory or Memory()))
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
    ended = ended or _unbelieved(platform, use_case, rollout)
    if ended is not None:
        return Decision(rollout.id, now, step, Move.GO_HOME, ended, rollout.configuration)
    if not here.begun:
        return begin(rollout, here.plan, replicas_of(platform, use_case, rollout, now), now)
    gathered = evidence_of(platform, use_case, rollout, here.configuration, now, lag)
    verdict = verdict_of(platform, use_case, rollout, here.configuration, gathered)
    return advance(rollout, here.plan, verdict, gathered, now)


def begin_soon(
    platform: Platform, use_case: str, within: float, actor: str, sleep: Callable[[float], None] = time.sleep
) -> bool:
    """Begin the first step of the rollout that runs as soon as every server holds its challenger warm.

    For who cannot wait for an operator; False after so many seconds without, or where another saw to it that nothing
    runs any more. The operator goes on from there.
    """
    until = time.monotonic() + within
    while (found := running(platform.ledger, use_case)) is not None:
        here = stage(platform, use_case, found)
        if here.begun:
            return True
        decision = decided(platform, use_case, here, platform.settings.clock())
        if decision.move is Move.ADVANCE:
            with suppress(Conflict):  # an operator was faster
                write(platform, use_case, here, decision, actor)
        elif time.monotonic() >= until:
            return False
        else:
            sleep(LOOK)
    return False


def _unbelieved(platform: Platform, use_case: str, rollout: Rollout) -> str | None:
    """Why the challenger must be given nothing: what is stored of it now is not what was signed. None where it is.

    Servers that run keep what they believed; those that start would not, and an approved share is theirs too. Refused
    where no key is trusted here, which says nothing about the challenger.
    """
    keys = platform.trusted()
    if not keys:
        raise Refused("no key is trusted here, so no version can be believed: give the operator `keys/`", use_case)
    try:
        load(use_case, rollout.challenger, platform.blobs, keys)
        signed(recorded(platform.ledger, use_case, VERSIONS, rollout.challenger).body, platform.blobs)
    except (Refused, NotFound) as error:
        return f"{rollout.challenger} can no longer be believed: {error}"
    return None


def _killed(platform: Platform, use_case: str) -> str | None:
    live = live_configuration(platform, use_case)
    killed = live is not None and live.plan is not None and live.plan.kind == "kill_switch"
    return "the plan that is live is a kill switch" if killed else None


def _is_news(platform: Platform, use_case: str, decision: Decision) -> bool:
    """Whether a decision is written down: where it acts, and where a hold is for another reason than the last."""
    if decision.move is not Move.HOLD:
        return True
    last = platform.ledger.latest(use_case, DECISIONS, decision.rollout)
    if last is not None and last.body.move is Move.REALLOCATE:  # what it waits for is what it waited for before
        told = platform.ledger.history(use_case, DECISIONS, decision.rollout)
        last = next((each for each in reversed(told) if each.body.move is not Move.REALLOCATE), None)
    return last is None or _words(last.body) != _words(decision)


def _words(decision: Decision) -> tuple[object, ...]:
    """What was decided and why, without the numbers that run."""
    checks = decision.verdict.checks if decision.verdict else ()
    said = tuple((made.name, made.subject, made.outcome) for made in checks)
    return decision.step, decision.move, decision.reason, said


def _next_in_turn(platform: Platform, use_case: str, now: datetime, memory: Memory) -> str | None:
    """Start the rollout of the first version that waits, by the plan that is live; what was done, in words.

    A plan that was refused is not looked ahead on again at every tick, but once what is live changed, or traffic may
    have: the same words are said meanwhile.
    """
    turn = next((each.version for each in waiting(platform.ledger, use_case) if each.superseded is None), None)
    split = platform.ledger.latest(use_case, SPLITS, use_case)
    plan = getattr(live_configuration(platform, use_case), "plan", None)
    if turn is None or split is None or plan is None or plan.kind == "kill_switch":
        return None
    before = memory.refused.get(use_case)
    if before is not None and (before.version, before.split) == (turn, split.number) and now < before.until:
        return before.words
    asked = Asked(OPERATOR, f"It is the turn of {turn}.", platform.settings.home)
    told: list[str] = []
    definition = memory.definitions.get(use_case)
    try:
        policy = split.body.configuration
        made = start(platform, use_case, turn, policy, asked, told.append, now=now, definition=definition)
    except (Refused, NotFound) as error:
        words = f"{turn} cannot take its turn: {error}"
        memory.refused[use_case] = RefusedTurn(turn, split.number, now + AGAIN, words)
        return words
    unlike = "".join(f"; {each}" for each in told if each.endswith(UNJUDGED))
    return f"rollout {short(made.id)} of {turn} starts against {made.champion}: it is its turn{unlike}"


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
    memory: Memory | None = None,
    lag: timedelta = LEFT_OUT,
) -> None:
    """Tick every so many seconds, until `wait` (given seconds) returns True; then give the leases back.

    What changed is told in a line, trouble once for as long as it stays the same.
    """
    lease = max(3 * every, 1.0)
    memory = memory or Memory()
    while True:
        began = time.monotonic()
        names = _named(use_cases, tell, memory)
        for name in names:
            _one(platform, name, holder, lease, tell, memory, lag)
        if wait(max(0.0, every - (time.monotonic() - began))):
            break
    for name in names:
        try:
            give_back(platform.ledger, name, OPERATOR, holder)
        except MainstayError as error:
            tell(f"{name}: the lease could not be given back, and runs out by itself: {error}")


def _named(use_cases: Callable[[], Sequence[str]], tell: Tell, memory: Memory) -> Sequence[str]:
    try:
        return use_cases()
    except MainstayError as error:
        _once(f"nothing can be operated: {error}", "", tell, memory)
        return ()


def _one(
    platform: Platform, use_case: str, holder: str, lease: float, tell: Tell, memory: Memory, lag: timedelta
) -> None:
    """Tick one use case and bring the world in line with it. Its trouble is not that of the others."""
    try:
        done = tick(platform, use_case, platform.settings.clock(), holder, lease, memory, lag)
    except MainstayError as error:
        _once(f"{use_case}: {error}", use_case, tell, memory)
        return
    if not done.acts:
        _once(f"{use_case}: another operator is at work; this one stands by", use_case, tell, memory)
        return
    if done.said is None:
        memory.said.pop(use_case, None)
    else:
        _once(f"{use_case}: {done.said}", use_case, tell, memory)
    make_it_so(platform, use_case, tell, memory)


def make_it_so(platform: Platform, use_case: str, tell: Tell, memory: Memory) -> None:
    """Bring MLflow's aliases and the features of a new head in line with the split; both may be done again.

    Serving follows the ledger by itself, and needs no word. MLflow that hangs holds up a tick, and the end of the
    operator, for some seconds once, and no longer.
    """
    _fill(platform, use_case, tell, memory)
    try:
        memory.mirroring.bring(platform, use_case)
        memory.said.pop(f"{use_case} mirror", None)
    except MainstayError as error:
        _once(f"{use_case}: MLflow's registry waits: {error}", f"{use_case} mirror", tell, memory)


def _fill(platform: Platform, use_case: str, tell: Tell, memory: Memory) -> None:
    """Bring the namespace of the head up to date once it is the head: it was filled when its rollout began."""
    definition = memory.definitions.get(use_case)
    try:
        split = platform.ledger.latest(use_case, SPLITS, use_case)
        head = split.body.dataset_head if split else None
        if definition is None or head is None or memory.filled.get(use_case) == head:
            return
        said: list[str] = []
        asked = Asked(OPERATOR, "It is the head now.", platform.settings.home)
        before_it_is_live(platform, definition, head, asked, said.append)
        for words in said:
            _once(f"{use_case}: {words}", f"{use_case} features", tell, memory)
        if not said:
            memory.filled[use_case] = head
            memory.said.pop(f"{use_case} features", None)
    except MainstayError as error:
        _once(f"{use_case}: its features wait: {error}", f"{use_case} features", tell, memory)


def _once(words: str, about: str, tell: Tell, memory: Memory) -> None:
    if memory.said.get(about) != words:
        tell(words)
    memory.said[about] = words
