"""Looking back: what served an entity on a day and why, and who was champion when, moved by whom."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mainstay.decided import Decision
from mainstay.journeys.observations import stored_name
from mainstay.journeys.replay import observations_of
from mainstay.journeys.rollback import splits
from mainstay.ledger.facts import Fact
from mainstay.ledger.kinds import DECISIONS, ROLLOUTS
from mainstay.nouns import Instant, Real, Rollout, Split, Window
from mainstay.observed import Role
from mainstay.usecase import UseCase
from mainstay.wiring import Platform

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Served:
    """One arm's part in one request of an entity, and why it had it.

    `share` is the probability with which the entity was given the arm. `moved_by`, `moved_at` and `reason` are of the
    fact of the split it was served under; None where the ledger does not hold that split.
    """

    asked_at: Instant
    prediction_id: str
    role: str
    version: str
    assigned: str
    split: int
    share: float
    pinned: bool
    outcome: str
    probability: Real
    decision: str | None
    why: str
    rollout: str | None
    moved_by: str | None
    moved_at: Instant | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Reign:
    """A span in which a version was champion; `until` is None while it goes on. `decision` is that of a rollout."""

    version: str
    since: Instant
    until: Instant | None
    split: int
    promoted_by: str
    reason: str
    rollout: str | None = None
    decision: str | None = None


def served(platform: Platform, use_case: UseCase, entity: str, window: Window) -> list[Served]:
    """What served an entity, given by the name that requests give it, within a window; in the order of asking.

    Raises as `stored_name` where names are pseudonyms and the key is not here, and as `Observations` reads.
    """
    name = stored_name(platform, use_case, entity)
    history = {fact.body.number: fact for fact in splits(platform, use_case.name)}
    rollouts = {fact.subject: fact.body for fact in platform.ledger.latest_of_each(use_case.name, ROLLOUTS)}
    observations = observations_of(platform, use_case.name)
    seq = observations.head()
    found: list[Served] = []
    for hour in _hours(window):
        table = observations.predictions(hour, seq, ())
        rows = table.filter(pc.fill_null(pc.equal(table["entity"], pa.scalar(name, pa.string())), False))
        found += [_served(row, history.get(row["split"]), rollouts) for row in rows.to_pylist()]
    return found


def reigns(platform: Platform, use_case: str, start: datetime | None, end: datetime | None) -> list[Reign]:
    """Who was champion when, promoted by whom and why, the first first; of a span those that reach into it.

    NotFound where nothing was ever live.
    """
    history = splits(platform, use_case)
    firsts = [
        fact
        for before, fact in zip([None, *history], history, strict=False)
        if before is None or before.body.reigning != fact.body.reigning
    ]
    decisions = {fact.at: fact.body for fact in platform.ledger.all_of(use_case, DECISIONS)}
    ends: list[datetime | None] = [*(fact.at for fact in firsts[1:]), None]
    made = [_reign(fact, until, decisions) for fact, until in zip(firsts, ends, strict=True)]
    return [
        each
        for each in made
        if (end is None or each.since < end) and (start is None or each.until is None or each.until > start)
    ]


def _reign(fact: Fact[Split], until: datetime | None, decisions: dict[datetime, Decision]) -> Reign:
    # What was decided stands in the same write as the split that it led to, so at the same time.
    decided = decisions.get(fact.at)
    return Reign(
        fact.body.reigning,
        fact.at,
        until,
        fact.body.number,
        fact.actor,
        fact.reason,
        None if decided is None else decided.rollout,
        None if decided is None else f"{decided.move}: {decided.reason}",
    )


def _hours(window: Window) -> Iterator[Window]:
    """A window by the hour: a whole day of a large use case is more than should be in memory at once."""
    start = window.start
    while start < window.end:
        end = min(start + _HOUR, window.end)
        yield Window(start, end)
        start = end


def _served(row: dict[str, Any], fact: Fact[Split] | None, rollouts: dict[str, Rollout]) -> Served:
    rollout = None if fact is None else fact.body.rollout
    return Served(
        row["asked_at"],
        row["prediction_id"],
        row["role"],
        row["version"],
        row["assigned"],
        row["split"],
        row["share"],
        row["pinned"],
        row["outcome"],
        float("nan") if row["probability"] is None else row["probability"],
        row["decision"],
        _why(row, fact, rollouts.get(rollout or "")),
        rollout,
        None if fact is None else fact.actor,
        None if fact is None else fact.at,
        None if fact is None else fact.reason,
    )


def _why(row: dict[str, Any], fact: Fact[Split] | None, rollout: Rollout | None) -> str:
    """Why this arm had this part, in words."""
    version, assigned = row["version"], row["assigned"]
    if row["role"] == Role.LISTENED:
        return f"{version} listened; its answer reached nobody"
    drawn = _drawn(row, () if fact is None else fact.body.pins)
    if rollout is not None:
        drawn += f" (rollout of {rollout.challenger} against {rollout.champion})"
    if row["role"] == Role.ATTEMPTED:
        return f"{drawn}; {version} {row['outcome'].replace('_', ' ')}, and another answered in its place"
    return drawn if version == assigned else f"{drawn}; {version} answered in place of {assigned}"


def _drawn(row: dict[str, Any], pins: Sequence[Any]) -> str:
    assigned = row["assigned"]
    if row["pinned"]:
        reasons = [pin.reason for pin in pins if pin.arm == assigned and pin.entity == row["entity"]]
        reasons = reasons or [pin.reason for pin in pins if pin.arm == assigned and pin.where is not None]
        return f"pinned to {assigned}" + (f": {' or: '.join(dict.fromkeys(reasons))}" if reasons else "")
    if row["share"] < 1:
        return f"drawn for {assigned} by its hash, with probability {row['share']:g}"
    return f"{assigned} answered everybody"
