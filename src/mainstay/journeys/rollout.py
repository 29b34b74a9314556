"""Rollouts as people move them: started, promoted and aborted; and whose turn it is. The operator does the rest.

A rollout, its decision and the split that it asks for are written in one go, so whoever dies leaves all or none of
them. Who else moved first makes it a Conflict, and nothing is written.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from mainstay.decided import Decision, Move
from mainstay.digests import new_id, short
from mainstay.errors import Conflict, NotFound, Refused
from mainstay.journeys.ahead import look_ahead
from mainstay.journeys.apart import measured_anew
from mainstay.journeys.asked import Asked
from mainstay.journeys.progress import Tell
from mainstay.journeys.recorded import ATTEMPTS, recorded
from mainstay.ledger.facts import Entry, Fact, Ledger
from mainstay.ledger.kinds import DECISIONS, ROLLOUTS, SPLITS, VERSIONS
from mainstay.ledger.replicas import live
from mainstay.nouns import Phase, Rollout, Split
from mainstay.registry.configured import Configuration, configuration
from mainstay.registry.loading import load
from mainstay.registry.shelf import signed
from mainstay.registry.versioning import number
from mainstay.rollout.advance import BEFORE, Bound, begun, moved, split_after, split_before
from mainstay.rollout.preview import promises, refusal
from mainstay.usecase import Plan, UseCase
from mainstay.wiring import Platform


@dataclass(frozen=True, slots=True)
class Stage:
    """A rollout as it stands, with the split beside it and what it goes by."""

    rollout: Fact[Rollout]
    split: Fact[Split]
    configuration: Configuration

    @property
    def plan(self) -> Plan:
        if self.configuration.plan is None:
            raise Refused("its configuration holds no plan", self.rollout.subject)
        return self.configuration.plan

    @property
    def begun(self) -> bool:
        return begun(self.rollout.body, self.split.body)


def running(ledger: Ledger, use_case: str) -> Fact[Rollout] | None:
    """The rollout that runs; None where none does."""
    facts = [fact for fact in ledger.latest_of_each(use_case, ROLLOUTS) if fact.body.phase is Phase.RUNNING]
    return facts[-1] if facts else None


def stage(platform: Platform, use_case: str, rollout: Fact[Rollout]) -> Stage:
    """Everything that a rollout goes by. NotFound where nothing is live, or its configuration is lost."""
    return Stage(rollout, _split(platform, use_case), configuration(rollout.body.configuration, platform.blobs))


def live_configuration(platform: Platform, use_case: str) -> Configuration | None:
    """The configuration that the standing split names; None where nothing is live."""
    split = platform.ledger.latest(use_case, SPLITS, use_case)
    return None if split is None else configuration(split.body.configuration, platform.blobs)


def start(
    platform: Platform,
    use_case: str,
    version: str,
    policy: str,
    asked: Asked,
    tell: Tell = lambda words: None,
    now: datetime | None = None,
    definition: UseCase | None = None,
) -> Rollout:
    """Start the plan of a stored configuration (`policy`, its digest) for a version. Traffic moves with the operator.

    The challenger stands by, and its first step begins once every server holds it warm; an immediate plan begins at
    once where no server runs, for then there is nobody to wait for. Where the version's gate compared it with another
    champion than the one that stands, they are compared now, by the use case's `definition`. Refused where a rollout
    runs already, the version is live already or cannot be believed, or there is no plan to start or none that can keep
    its promise; NotFound for an unknown version; Conflict where others were faster five times in a row.
    """
    found = configuration(policy, platform.blobs)
    plan = found.plan
    if plan is None:
        raise Refused("there is no plan: write `plan: {kind: canary}` into the use case", use_case)
    if plan.kind == "kill_switch":
        raise Refused("its plan is a kill switch: no rollout starts while that stands", use_case)
    recorded(platform.ledger, use_case, VERSIONS, version)
    load(use_case, version, platform.blobs, platform.trusted())
    _check_free(platform, use_case, version, _split(platform, use_case).body)
    tell(check_ahead(platform, use_case, found, asked.reason))
    champion, measured = None, None
    for left in reversed(range(ATTEMPTS)):
        at = now or platform.settings.clock()
        split = _split(platform, use_case)
        _check_free(platform, use_case, version, split.body)
        if split.body.reigning != champion:
            champion = split.body.reigning
            measured = measured_anew(platform, definition, use_case, version, champion, tell)
        made = Rollout(new_id(at), champion, version, policy, 0, at, at, at + plan.deadline, measured=measured)
        bound = bound_of(platform, use_case, made)
        wanted = split_before(split.body, made, bound)
        if plan.kind == "immediate" and not live(platform.ledger, use_case):
            wanted = replace(split_after(wanted, made, plan, bound), number=wanted.number)
        entries = (Entry(ROLLOUTS, made.id, made), Entry(SPLITS, use_case, wanted, split.number))
        try:
            platform.ledger.write(use_case, *entries, at=at, actor=asked.actor, reason=asked.reason)
        except Conflict:
            if not left:
                raise
        else:
            return made
    raise Conflict("others moved each time that it was tried; try again", use_case)


def check_ahead(platform: Platform, use_case: str, found: Configuration, why: str) -> str:
    """What the plan of a configuration promises at today's traffic. Refused, with the numbers, where it cannot be kept.

    `why` is the reason that its start is given.
    """
    if found.plan is None:
        raise Refused("there is no plan to look ahead on", use_case)
    ahead = look_ahead(platform, use_case, found.plan, found.label, why)
    refused = refusal(ahead)
    if refused is not None:
        raise Refused(refused, f"the plan of {use_case}")
    return promises(ahead)


def _check_free(platform: Platform, use_case: str, version: str, split: Split) -> None:
    other = running(platform.ledger, use_case)
    if other is not None:
        words = f"{other.body.challenger} is being rolled out ({short(other.subject)}): wait for its end, or abort it"
        raise Refused(words, f"{use_case}@{version}")
    if version == split.reigning:
        raise Refused("it answers already", f"{use_case}@{version}")


def decide(platform: Platform, use_case: str, move: Move, asked: Asked) -> Decision:
    """A person's decision on the rollout that runs: PROMOTE it or let it GO_HOME, whatever the evidence says.

    NotFound where none runs; Refused where it would be promoted while a server does not hold it warm, or it cannot be
    believed; Conflict where somebody else moved it first.
    """
    found = running(platform.ledger, use_case)
    if found is None:
        raise NotFound("no rollout is running", use_case)
    here, rollout = stage(platform, use_case, found), found.body
    if move is Move.PROMOTE:
        load(use_case, rollout.challenger, platform.blobs, platform.trusted())
        cold = [each.id for each in live(platform.ledger, use_case) if rollout.challenger not in each.warm]
        if cold:
            words = f"{len(cold)} of the servers do not hold it warm, {cold[0]} for one: try again once they do"
            raise Refused(words, f"{use_case}@{rollout.challenger}")
    at = platform.settings.clock()
    step = rollout.step if here.begun else BEFORE
    decision = Decision(rollout.id, at, step, move, asked.reason, rollout.configuration)
    write(platform, use_case, here, decision, asked.actor)
    return decision


def write(platform: Platform, use_case: str, here: Stage, decision: Decision, actor: str) -> None:
    """Write a decision, the rollout after it and the split that it asks for: all of them, or none with a Conflict."""
    rollout = moved(here.rollout.body, decision)
    known = platform.ledger.latest(use_case, DECISIONS, rollout.id)
    entries: list[Entry[Any]] = [Entry(DECISIONS, rollout.id, decision, known.number if known else 0)]
    if decision.move is not Move.HOLD:
        entries.append(Entry(ROLLOUTS, rollout.id, rollout, here.rollout.number))
        split = split_after(here.split.body, rollout, here.plan, bound_of(platform, use_case, rollout))
        if split != here.split.body:
            entries.append(Entry(SPLITS, use_case, split, here.split.number))
    platform.ledger.write(use_case, *entries, at=decision.at, actor=actor, reason=decision.reason)


def bound_of(platform: Platform, use_case: str, rollout: Rollout) -> dict[str, Bound]:
    """What each version of a rollout is bound to, by its signed manifest; of a rollout that went back, its champion's.

    So that it goes back from a challenger whose manifest is lost, or was changed.
    """
    found = {}
    stays = rollout.phase in (Phase.RUNNING, Phase.PROMOTED)
    for version in (rollout.champion, *((rollout.challenger,) if stays else ())):
        fact = recorded(platform.ledger, use_case, VERSIONS, version)
        found[version] = Bound(signed(fact.body, platform.blobs).feature_service, fact.body.dataset)
    return found


@dataclass(frozen=True, slots=True)
class Waiting:
    """A version that was registered and was never live. `superseded` is the later one that answers, if one does."""

    version: str
    superseded: str | None


def waiting(ledger: Ledger, use_case: str) -> list[Waiting]:
    """The versions that wait for their turn, in the order in which they were registered.

    Whoever was live in any split, or had a rollout, waits no more. One that was registered before the champion
    is superseded, and has no turn: `rollout start` can still start it.
    """
    splits = ledger.history(use_case, SPLITS, use_case)
    if not splits:
        return []
    had = {arm.version for fact in splits for arm in fact.body.arms}
    had |= {fact.body.challenger for fact in ledger.latest_of_each(use_case, ROLLOUTS)}
    champion = splits[-1].body.reigning
    facts = [fact.body.version for fact in ledger.all_of(use_case, VERSIONS) if fact.body.version not in had]
    return [Waiting(each, champion if number(each) < number(champion) else None) for each in facts]


def needed_since(ledger: Ledger, use_case: str, before: datetime) -> datetime:
    """The time before which observations may be dropped: `before`, or the start of the rollout that runs if earlier.

    Its judge counts everything since then at every look: what was dropped meanwhile would come back as another answer.
    """
    rollout = running(ledger, use_case)
    return before if rollout is None else min(before, rollout.body.started_at)


def _split(platform: Platform, use_case: str) -> Fact[Split]:
    found = platform.ledger.latest(use_case, SPLITS, use_case)
    if found is None:
        raise NotFound("no version is live yet: release one first", use_case)
    return found
