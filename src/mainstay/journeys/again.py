"""Decisions, made again: as they were, from what the ledger kept; and as another policy would have made them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from mainstay.decided import Decision, Move
from mainstay.errors import Refused
from mainstay.gathered import Gathered
from mainstay.journeys.evidence import evidence_of, verdict_of
from mainstay.journeys.recorded import recorded
from mainstay.ledger.facts import Fact
from mainstay.ledger.kinds import DECISIONS, ROLLOUTS
from mainstay.nouns import Phase, Rollout
from mainstay.records import encode
from mainstay.registry.configured import Configuration, configuration
from mainstay.rollout.advance import BEFORE, advance, begin, moved
from mainstay.rollout.gather import LEFT_OUT
from mainstay.usecase import Plan
from mainstay.wiring import Platform

LOOKS = 200
"""How often another policy looks at the evidence of a rollout, beside the looks that were recorded."""


@dataclass(frozen=True, slots=True)
class Again:
    """One recorded decision, made again. `differs` is None where it came out the same, else says where it did not.

    `again` is None for a decision that no evidence made: a person's, or one that followed the split.
    """

    number: int
    recorded: Decision
    again: Decision | None
    differs: str | None


def replay(platform: Platform, use_case: str, named: str) -> list[Again]:
    """Every decision on a rollout (its id, or the start of it) made again from what was written down with it.

    NotFound for an unknown one; NotFound or Refused where a configuration or a manifest that it went by is lost.
    """
    rollout = recorded(platform.ledger, use_case, ROLLOUTS, named)
    history = platform.ledger.history(use_case, ROLLOUTS, rollout.subject)
    found = []
    for fact in platform.ledger.history(use_case, DECISIONS, rollout.subject):
        again = _again(platform, use_case, _before(history, fact.seq), fact.body)
        found.append(Again(fact.number, fact.body, again, None if again is None else _differs(fact.body, again)))
    return found


def _before(history: list[Fact[Rollout]], seq: int) -> Rollout:
    """The rollout as it stood when a decision was made: a decision is written before what it does to the rollout."""
    return [fact.body for fact in history if fact.seq < seq][-1]


def _again(platform: Platform, use_case: str, rollout: Rollout, told: Decision) -> Decision | None:
    if told.gathered is None:
        return None
    policy = configuration(told.policy, platform.blobs)
    if told.step == BEFORE:
        return begin(rollout, _plan(policy), told.gathered, told.at)
    verdict = verdict_of(platform, use_case, rollout, policy, told.gathered)
    return advance(rollout, _plan(policy), verdict, told.gathered, told.at)


def _plan(policy: Configuration) -> Plan:
    if policy.plan is None:
        raise Refused("the configuration that it went by holds no plan")
    return policy.plan


def _differs(told: Decision, again: Decision) -> str | None:
    """The first place at which two decisions differ, in words; None where they are the same.

    Their reasons may be worded otherwise, by a later release: all that a reason tells of stands beside it.
    """
    for path, before, after in _apart(encode(told), encode(again), ""):
        if path == "reason" or path.endswith(".reason"):
            continue
        return f"{path} was {before!r} and is {after!r}"
    return None


def _apart(before: Any, after: Any, path: str) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            yield from _apart(before.get(name), after.get(name), f"{path}.{name}".strip("."))
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        for number, (one, other) in enumerate(zip(before, after, strict=True)):
            yield from _apart(one, other, f"{path}.{number}")
    elif not _same(before, after):
        yield path, before, after


def _same(before: Any, after: Any) -> bool:
    both = isinstance(before, float) and isinstance(after, float)
    return before == after or (both and math.isclose(before, after, rel_tol=1e-9))


@dataclass(frozen=True, slots=True)
class WhatIf:
    """What another plan would have decided: every decision that changed something or its reason, and how it ended.

    `actual` is how the rollout itself stands or ended, `looks` how often the other plan looked.
    """

    rollout: Rollout
    decisions: tuple[Decision, ...]
    phase: Phase
    ended_at: datetime | None
    actual: Phase
    actual_at: datetime | None
    looks: int


def what_if(platform: Platform, use_case: str, named: str, plan: Plan, now: datetime) -> WhatIf:
    """What another plan would have made of a rollout, look by look, on the traffic as it was.

    The evidence is gathered again from the observations, as it stood at each look: those that were recorded, and some
    200 in between. Traffic had the shares of the plan that ran, whatever the other one asks for. Refused where the
    rollout's first step never began: there is nothing to judge.
    """
    fact = recorded(platform.ledger, use_case, ROLLOUTS, named)
    told = [each.body for each in platform.ledger.history(use_case, DECISIONS, fact.subject)]
    began = next((each.at for each in told if each.step == BEFORE and each.move is Move.ADVANCE), None)
    history = platform.ledger.history(use_case, ROLLOUTS, fact.subject)
    if began is None:
        raise Refused("its first step never began, so there is nothing to judge", fact.subject)
    ended = history[-1].at if fact.body.phase is not Phase.RUNNING else None
    other = configuration(fact.body.configuration, platform.blobs).model_copy(update={"plan": plan})
    first = history[0].body
    rollout = replace(first, phase=Phase.RUNNING, entered_at=began, deadline=first.started_at + plan.deadline, step=0)
    made: list[Decision] = []
    looks = 0
    for at in _times(began, ended or now, told):
        looks += 1
        decision = _look(platform, use_case, rollout, other, told, at)
        if not made or decision.move is not Move.HOLD or decision.reason != made[-1].reason:
            made.append(decision)
        rollout = moved(rollout, decision)
        if rollout.phase is not Phase.RUNNING:
            break
    end = None if rollout.phase is Phase.RUNNING else made[-1].at
    return WhatIf(rollout, tuple(made), rollout.phase, end, fact.body.phase, ended, looks)


def _times(began: datetime, ended: datetime, told: list[Decision]) -> list[datetime]:
    """When to look: at every recorded decision since the first step began, and evenly in between."""
    every = max((ended - began) / LOOKS, timedelta(seconds=1))
    even = [began + every * n for n in range(1, int((ended - began) / every) + 1)]
    return sorted({*even, *(each.at for each in told if began < each.at <= ended), ended})


def _look(
    platform: Platform, use_case: str, rollout: Rollout, policy: Configuration, told: list[Decision], at: datetime
) -> Decision:
    evidence = evidence_of(platform, use_case, rollout, policy, at, lag_of(told))
    # Which servers there were is not in the observations: it was written down with the decisions.
    last: Gathered | None = next((each.gathered for each in reversed(told) if each.at <= at and each.gathered), None)
    replicas, warm = (last.replicas, last.warm) if last else (1, 1)
    evidence = replace(evidence, replicas=replicas, warm=warm)
    verdict = verdict_of(platform, use_case, rollout, policy, evidence)
    return advance(rollout, _plan(policy), verdict, evidence, at)


def lag_of(told: list[Decision]) -> timedelta:
    """How far behind its looks the operator that made these decisions had its evidence end."""
    ends = (each.at - each.gathered.until for each in told if each.gathered is not None and each.step != BEFORE)
    return max(next(ends, LEFT_OUT), timedelta(0))
