"""Overrides of the split by hand: who is pinned to which arm, and the kill switch."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

from mainstay.errors import NotFound, Refused
from mainstay.journeys.asked import Asked
from mainstay.journeys.recorded import settle
from mainstay.journeys.rollback import reached, running, splits, write_split
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import SPLITS
from mainstay.nouns import Pin, Split
from mainstay.registry.loading import load
from mainstay.rollout.back import restored, was_live
from mainstay.rollout.condition import condition
from mainstay.rollout.proof import Reach
from mainstay.suggest import did_you_mean
from mainstay.wiring import Platform

MOST = 1000
WITHIN = 3.0
"""Seconds in which a kill switch acts on every replica, while the ledger can be reached."""


def pins(platform: Platform, use_case: str) -> tuple[Pin, ...]:
    """The pins as they stand, in the order in which they hold. NotFound where nothing is live."""
    return splits(platform, use_case)[-1].body.pins


def pin(platform: Platform, use_case: str, made: Pin, asked: Asked) -> Split:
    """Pin an entity (as it is stored) or those for whom a condition holds; another pin of the same goes.

    Refused where the arm is not live, the condition means nothing over the champion's features, the time is past, or
    there are 1,000 pins already. NotFound where nothing is live.
    """
    if made.until is not None and made.until <= platform.settings.clock():
        raise Refused("it is past already", "--until")
    if made.where is not None:
        champion = splits(platform, use_case)[-1].body.reigning
        _, bundle = load(use_case, champion, platform.blobs, platform.trusted())
        condition(made.where, {each.name: each.kind for each in bundle.encoder.inputs})

    def changed(standing: Split) -> tuple[Pin, ...]:
        live = [arm.version for arm in standing.arms]
        if made.arm not in live:
            raise Refused(f"{made.arm} is not live{did_you_mean(made.arm, live)}; live are {', '.join(live)}", "--arm")
        others = tuple(each for each in standing.pins if not _same(each, made))
        if len(others) >= MOST:
            raise Refused(f"there are {MOST:,} pins already; remove some, or pin a group by --where")
        return (*others, made)

    return _repin(platform, use_case, changed, asked)


def unpin(platform: Platform, use_case: str, entity: str | None, where: str | None, asked: Asked) -> Split:
    """Remove the pin of an entity (as it is stored) or of a condition. NotFound where there is none."""

    def changed(standing: Split) -> tuple[Pin, ...]:
        left = tuple(each for each in standing.pins if (each.entity, each.where) != (entity, where))
        if len(left) == len(standing.pins):
            hint = did_you_mean(where, [each.where for each in standing.pins if each.where]) if where else ""
            raise NotFound(f"there is no such pin{hint}; `mainstay pins list` shows them")
        return left

    return _repin(platform, use_case, changed, asked)


def follow_flag(
    platform: Platform,
    use_case: str,
    flag: str,
    answers: Mapping[str, str | None],
    asked: Asked,
    names: Callable[[str], str],
) -> Split:
    """Have the pins of a flag be what a flag system answered; one fact, or none where they are that already.

    `answers` give each entity, by its true name, the version it is to get; an empty one pins it to nothing, and None is
    no answer: its pin stays as it is. `names` gives the name under which an entity is stored. Pins that the flag did
    not make stay. Refused as `pin`.
    """
    reason = f"flag {flag}"
    stored = {names(entity): version for entity, version in answers.items()}

    def changed(standing: Split) -> tuple[Pin, ...]:
        live = [arm.version for arm in standing.arms]
        unknown = sorted({each for each in stored.values() if each} - set(live))
        if unknown:
            raise Refused(
                f"it answers {unknown[0]!r}, which is not live{did_you_mean(unknown[0], live)}; live are "
                f"{', '.join(live)}",
                reason,
            )
        before = {each.entity: each for each in standing.pins if each.reason == reason}
        by_hand = [each for each in standing.pins if each.reason != reason]
        taken = {each.entity for each in by_hand}
        made = []
        for entity, version in stored.items():
            wanted = before.get(entity) if version is None else Pin(version, reason, entity) if version else None
            if wanted is not None and entity not in taken:
                made.append(wanted)
        if len(by_hand) + len(made) > MOST:
            raise Refused(
                f"a split holds at most {MOST:,} pins, and these would be {len(by_hand) + len(made):,}", reason
            )
        kept = tuple(by_hand) + tuple(made)
        return standing.pins if set(kept) == set(standing.pins) else kept

    return _repin(platform, use_case, changed, asked)


def kill(
    platform: Platform, use_case: str, asked: Asked, *, sleep: Callable[[float], None] = time.sleep
) -> tuple[Split, str | None, Reach | None]:
    """Take every challenger off at once: the champion answers everything, and the rollout that runs goes home.

    The split that stands then, the rollout that ended, and what the replicas said within 3 seconds: None where nobody
    was challenging, and nothing was written. Nothing is loaded or waited for: the champion is live.
    """
    history = splits(platform, use_case)
    standing = history[-1]
    champion = standing.body.reigning
    challengers = [arm for arm in standing.body.arms if arm.version != champion and not arm.standby]
    rollout = running(platform, use_case, standing.body)
    if not challengers and rollout is None:
        return standing.body, None, None
    was = was_live([fact.body for fact in history], champion)
    made = restored(standing.body, champion, was, None if rollout is None else rollout.body.challenger)
    written = write_split(platform, use_case, standing, made, asked)
    reach = reached(platform, use_case, written.body.number, time.monotonic(), sleep, WITHIN)
    return written.body, None if rollout is None else rollout.body.id, reach


def pinned(entity: str | None, where: str | None, arm: str, until: datetime | None, reason: str) -> Pin:
    """A pin. Refused unless it names an entity or a condition, and not both."""
    try:
        return Pin(arm, reason, entity, where, until)
    except ValueError as error:
        raise Refused("give either --entity or --where", "pin") from error


def _repin(platform: Platform, use_case: str, changed: Callable[[Split], tuple[Pin, ...]], asked: Asked) -> Split:
    made: list[Split] = []

    def decide() -> Iterable[Entry[Split]]:
        standing = splits(platform, use_case)[-1]
        after = changed(standing.body)
        if after == standing.body.pins:
            made[:] = [standing.body]
            return []
        made[:] = [dataclasses.replace(standing.body, number=standing.body.number + 1, pins=after)]
        return [Entry(SPLITS, use_case, made[0], after=standing.number)]

    settle(platform, use_case, lambda: list(decide()), asked)
    return made[0]


def _same(one: Pin, other: Pin) -> bool:
    return (one.entity, one.where) == (other.entity, other.where)
