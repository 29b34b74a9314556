"""The way back: one fact restores all that was live with a former champion, and then it proves itself."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from mainstay.decided import Proof
from mainstay.errors import Conflict, NotFound, Refused
from mainstay.journeys.asked import Asked
from mainstay.journeys.replay import observations_of, repeats, watched
from mainstay.ledger.facts import Entry, Fact
from mainstay.ledger.kinds import DECISIONS, PROOFS, ROLLOUTS, SPLITS
from mainstay.ledger.replicas import live, vanished
from mainstay.nouns import Phase, Rollout, Split, Window
from mainstay.observed import Replica
from mainstay.registry.loading import load
from mainstay.rollout.back import ended, former, restored, was_live, with_standby, without
from mainstay.rollout.proof import Reach, Watched, prove
from mainstay.scoring.scorer import Scorer
from mainstay.wiring import Platform

LOOK = 0.1
"""Seconds between two looks at the replicas."""
ATTEMPTS = 5

Tell = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Waits:
    """How many seconds a rollback waits.

    For an older version to be `warm` on every live replica; for these to `reach` the new split; while it is `watched`
    (0: not at all); and for what was answered to be readable in observations (`lag`).
    """

    watch: float = 30.0
    warm: float = 30.0
    reach: float = 5.0
    lag: float = 10.0
    sleep: Callable[[float], None] = time.sleep


WAITS = Waits()


@dataclass(frozen=True, slots=True)
class Rollback:
    """What a rollback did. `before` was champion; `moved` is False where the version was live already as it was.

    `proof` is None where nothing was moved: there is nothing new to prove.
    """

    version: str
    before: str
    split: Split
    moved: bool
    rollout: str | None = None
    proof: Proof | None = None


def roll_back(
    platform: Platform, use_case: str, to: str | None, asked: Asked, tell: Tell, waits: Waits = WAITS
) -> Rollback:
    """Restore a former champion with all that was live with it, and prove that it answers as it did.

    `to` is a version that was champion once; None for the one that `former` means. It is believed and scores its
    golden rows before anything moves; one that does not stand by is made to first, and every live replica must say
    that it is warm. Where no replica is live it moves, and the proof is INCONCLUSIVE. Refused or NotFound where it
    cannot be moved onto: nothing changed then. Conflict where somebody else moved meanwhile.
    """
    history = splits(platform, use_case)
    version = to if to is not None else former([fact.body for fact in history])
    was = was_live([fact.body for fact in history], version)
    standing = history[-1]
    before = standing.body.reigning
    if restored(standing.body, version, was, _challenger(platform, use_case, standing.body)) is standing.body:
        tell(f"{version} is live, with all that was live with it, since {standing.at:%Y-%m-%d %H:%M:%S} UTC")
        return Rollback(version, before, standing.body, moved=False)
    _, bundle = load(use_case, version, platform.blobs, platform.trusted())
    scorer = Scorer(bundle)
    scorer.warm_up()
    standing = _warm(platform, use_case, version, standing, asked, tell, waits)
    made, rollout, moved_at = _move(platform, use_case, version, was, standing, asked)
    tell(f"{version} answers everything in split {made.number}{beside(version, before)}")
    proof = _proved(platform, use_case, made, scorer, moved_at, tell, waits)
    place = str(made.number)
    earlier = platform.ledger.latest(use_case, PROOFS, place)
    entry = Entry(PROOFS, place, proof, after=earlier.number if earlier else 0)
    platform.ledger.write(use_case, entry, at=proof.at, actor=asked.actor, reason=proof.verdict.reason)
    return Rollback(version, before, made, True, rollout, proof)


def beside(version: str, before: str) -> str:
    """What was taken off when a version came back: the champion before it, or, where it was champion, challengers."""
    return f", in place of {before}" if before != version else ", without a challenger"


def splits(platform: Platform, use_case: str) -> list[Fact[Split]]:
    """Every split, the first first. NotFound where nothing is live yet."""
    found = platform.ledger.history(use_case, SPLITS, use_case)
    if not found:
        raise NotFound(f"no version of {use_case} is live yet; `mainstay release` makes one")
    return found


def running(platform: Platform, use_case: str, standing: Split) -> Fact[Rollout] | None:
    """The rollout that runs under a split, if one does."""
    fact = platform.ledger.latest(use_case, ROLLOUTS, standing.rollout) if standing.rollout else None
    return fact if fact is not None and fact.body.phase is Phase.RUNNING else None


def _challenger(platform: Platform, use_case: str, standing: Split) -> str | None:
    fact = running(platform, use_case, standing)
    return None if fact is None else fact.body.challenger


def ending(platform: Platform, use_case: str, standing: Split, asked: Asked) -> list[Entry[Any]]:
    """The entries that end, by hand, the rollout that runs under a split; none where none runs."""
    fact = running(platform, use_case, standing)
    if fact is None:
        return []
    rollout, decision = ended(fact.body, asked.reason, platform.settings.clock())
    decided = platform.ledger.latest(use_case, DECISIONS, rollout.id)
    return [
        Entry(ROLLOUTS, rollout.id, rollout, after=fact.number),
        Entry(DECISIONS, rollout.id, decision, after=decided.number if decided else 0),
    ]


def write_split(platform: Platform, use_case: str, standing: Fact[Split], made: Split, asked: Asked) -> Fact[Split]:
    """Write a split after the standing one, ending the rollout that ran where the new one names none.

    Conflict, by name, where the split was moved meanwhile; a rollout that only took note of something is read again.
    """
    for left in reversed(range(ATTEMPTS)):
        ends = ending(platform, use_case, standing.body, asked) if made.rollout is None else []
        entry = Entry(SPLITS, use_case, made, after=standing.number)
        now = platform.settings.clock()
        try:
            return platform.ledger.write(use_case, entry, *ends, at=now, actor=asked.actor, reason=asked.reason)[0]
        except Conflict:
            last = platform.ledger.latest(use_case, SPLITS, use_case)
            if last is not None and last.number != standing.number:
                raise Conflict(
                    f"{last.actor} wrote split {last.body.number} meanwhile, with {last.body.reigning} as champion "
                    f"({last.reason}): look at it, then ask again",
                    use_case,
                ) from None
            if not left:
                raise
    raise AssertionError("the last attempt returns or raises")


def _warm(
    platform: Platform,
    use_case: str,
    version: str,
    standing: Fact[Split],
    asked: Asked,
    tell: Tell,
    waits: Waits,
) -> Fact[Split]:
    """The standing split once every live replica holds the version warm; it is made to stand by first where it did not.

    Refused where one does not get warm in time, and a version that was made to stand by for this no longer does then:
    a split that cannot be applied would be in the way of the next.
    """
    added = version not in {arm.version for arm in standing.body.arms}
    if added:
        tell(f"{version} does not stand by: it is made to, and every replica waited for")
        standing = write_split(platform, use_case, standing, with_standby(standing.body, version), asked)
    until = time.monotonic() + waits.warm
    while cold := _cold(platform, use_case, version):
        if time.monotonic() >= until:
            if added:
                write_split(platform, use_case, standing, without(standing.body, version), asked)
            names = ", ".join(f"{each.id} on {each.host}" for each in cold[:5])
            raise Refused(
                f"{version} is not warm on {names} after {waits.warm:g} s, so nothing was moved; its log says why; "
                "stop that replica, or go to a version that it holds",
                f"{use_case}@{version}",
            )
        waits.sleep(LOOK)
    return standing


def _cold(platform: Platform, use_case: str, version: str) -> list[Replica]:
    return [each for each in live(platform.ledger, use_case) if version not in each.warm]


def _move(
    platform: Platform, use_case: str, version: str, was: Split, standing: Fact[Split], asked: Asked
) -> tuple[Split, str | None, float]:
    """The one fact: the split, the rollout that it ended if one ran, and when it stood, by the monotonic clock."""
    rollout = running(platform, use_case, standing.body)
    made = restored(standing.body, version, was, None if rollout is None else rollout.body.challenger)
    write_split(platform, use_case, standing, made, asked)
    return made, None if rollout is None else rollout.body.id, time.monotonic()


def reached(
    platform: Platform,
    use_case: str,
    split: int,
    moved_at: float,
    sleep: Callable[[float], None],
    within: float,
) -> Reach:
    """What the replicas say, once all that are live report a split or a later one, or `within` seconds are over."""
    while True:
        seen = live(platform.ledger, use_case)
        seconds = time.monotonic() - moved_at
        if all(each.split >= split for each in seen) or seconds >= within:
            return Reach(split, seen, vanished(platform.ledger, use_case), seconds)
        sleep(LOOK)


def _proved(
    platform: Platform,
    use_case: str,
    made: Split,
    scorer: Scorer,
    moved_at: float,
    tell: Tell,
    waits: Waits,
) -> Proof:
    clock = platform.settings.clock
    version = made.reigning
    began = clock()
    first = reached(platform, use_case, made.number, moved_at, waits.sleep, waits.reach)
    there = sum(each.split >= made.number for each in first.live)
    tell(f"{there} of {len(first.live)} live replicas report split {made.number} after {first.seconds:.1f} s")
    observations = observations_of(platform, use_case)
    again = repeats(scorer, version, splits(platform, use_case), observations, began)
    seen = Watched(0.0)
    if waits.watch > 0 and not first.live:
        seen = Watched(waits.watch)
    elif waits.watch > 0:
        tell(f"watching {version} for {waits.watch:g} s")
        _wait(moved_at + waits.watch + waits.lag, waits.sleep)
        seen = watched(
            observations, version, made.number, Window(began, began + timedelta(seconds=waits.watch)), waits.watch
        )
    last = reached(platform, use_case, made.number, moved_at, waits.sleep, 0.0) if seen.seconds else first
    behind = [each for each in first.live if each.split < made.number]
    history = [fact.body for fact in splits(platform, use_case)]
    later = frozenset(each.number for each in history if each.number > made.number and each.reigning == version)
    reach = first if behind else Reach(made.number, last.live, last.vanished, first.seconds, later)
    verdict, differing = prove(again, reach, seen)
    return Proof(made.number, version, clock(), verdict, len(again.again), differing)


def _wait(until: float, sleep: Callable[[float], None]) -> None:
    while (left := until - time.monotonic()) > 0:
        sleep(min(left, 0.5))
