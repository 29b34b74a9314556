"""What a plan would do at today's traffic: its steps, when each ends, and what size of harm it would notice by when.

Power is what the real test of errors (`measures.counts.worse`) does in rollouts simulated with a fixed seed, so the
same plan at the same traffic is told the same. First errors of entities come as a Poisson stream that runs dry as fast
as entities come again, as if none were new.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

import numpy as np

from mainstay.measures.counts import Floats, worse_each
from mainstay.rollout.plans import needs_labels, steps_of
from mainstay.usecase import Label
from mainstay.usecase_plan import Plan, Step

ERRORS_ALPHA = 0.4
"""The share of a plan's alpha that the test of errors is given: .02 of .05."""
BASE_ERRORS = 0.01
"""The error rate of the champion, where no traffic told it."""
POWER = 0.8
"""What is called noticed, where the plan does not say."""
LABELS = 100
"""Fewer ripe labels than this in either arm decide nothing; how many do is for the difference to say."""
RATIOS = (1.5, 2.0, 3.0, 5.0, 10.0)
RUNS, LOOKS = 1000, 32
"""Simulated rollouts, and about how many looks in each: in proportion to its steps, in every step at least 4."""
MOST_ERRORS = 10_000.0
"""Errors between two looks of both arms; more are taken for so many, which are enough to see anything."""
FAR = timedelta(days=36_500)

Found = Literal["observations", "expected_traffic"]
Waits = Literal["hold", "at_least", "labels"]


@dataclass(frozen=True, slots=True)
class Traffic:
    """Requests a day, and where that number is from.

    `each` is how often a day one entity asks again: the more often, the sooner whoever can fail has failed once, and
    only the first error of an entity counts. 0 takes every request for another entity's.
    """

    per_day: float
    found: Found
    each: float = 0.0


@dataclass(frozen=True, slots=True)
class Base:
    """The champion's error rate in [0, 1], and whether traffic told it; else it is a stated guess."""

    errors: float = BASE_ERRORS
    measured: bool = False


@dataclass(frozen=True, slots=True)
class StepAhead:
    """One step to come. What cannot be told without traffic is None; `waits_for` is what ends last.

    `requests` are those that the challenger is given until the end, the ones it only hears among them.
    """

    share: float
    needs: str
    at_least: int
    starts: datetime | None
    ends: datetime | None
    reached: datetime | None
    requests: int | None
    waits_for: Waits


@dataclass(frozen=True, slots=True)
class Harm:
    """A challenger whose errors are `challenger` where the champion's are `champion`, both rates in [0, 1].

    `power` is the probability that the plan notices before it ends; `noticed` when that probability reaches what the
    plan asks for, None where it does not.
    """

    champion: float
    challenger: float
    power: float
    noticed: datetime | None


@dataclass(frozen=True, slots=True)
class Ripening:
    """When the first label can be ripe, and how many can be at the deadline in the smaller arm (None: no traffic)."""

    first: datetime
    takes: timedelta
    by_deadline: int | None


@dataclass(frozen=True, slots=True)
class Preview:
    """A plan ahead. `ends` is None where traffic is not known; `promise` is the harm of `notice`, where it is."""

    plan: Plan
    steps: tuple[StepAhead, ...]
    traffic: Traffic | None
    base: Base
    starts: datetime
    ends: datetime | None
    deadline: datetime
    harms: tuple[Harm, ...]
    promise: Harm | None
    labels: Ripening | None
    why: str


def preview(plan: Plan, traffic: Traffic | None, base: Base, label: Label, now: datetime, why: str = "") -> Preview:
    """The plan, were it started now. `why` is the reason that the start is given, for an immediate plan.

    A step ends when its hold is over, its requests have come and, where it needs labels, the first are ripe: it ends
    later where its evidence takes longer, and never sooner.
    """
    steps = steps_of(plan)
    deadline = now + plan.deadline
    labels = None
    if any(needs_labels(plan, step) for step in steps):
        takes = label.horizon + label.grace
        labels = Ripening(now + takes, takes, _ripe(plan, steps, traffic, takes))
    ahead = tuple(_ahead(plan, steps, traffic, labels, now))
    ends = ahead[-1].ends
    harms: list[Harm] = []
    promise: Harm | None = None
    if traffic is not None and ends is not None and plan.kind != "kill_switch":
        epochs = _epochs(ahead, traffic, min(ends, deadline))
        asked = plan.notice.power if plan.notice else POWER
        alpha = ERRORS_ALPHA * plan.alpha
        told = {
            rate: _noticed(base.errors, rate, epochs, now, alpha, asked, traffic.each)
            for rate in sorted({_harmful(ratio, base, plan) for ratio in (*RATIOS, *_noticing(plan))})
        }
        harms = [harm for harm in told.values() if harm.challenger > base.errors]
        promise = next((told[_harmful(ratio, base, plan)] for ratio in _noticing(plan)), None)
    return Preview(plan, ahead, traffic, base, now, ends, deadline, tuple(harms), promise, labels, why)


def refusal(found: Preview) -> str | None:
    """Why the plan cannot keep what it says, with the numbers and what would do; None where it may start.

    Without traffic nothing is promised, so that only holds, ripening and a missing reason can be in its way.
    """
    return next(_flaws(found), None)


def promises(found: Preview) -> str:
    """What the plan promises, in a sentence or two."""
    if found.traffic is None:
        return (
            "No traffic is known: the plan promises no power, and goes home to the champion at its deadline "
            f"({_date(found.deadline)}) unless its evidence has come by then. `plan.expected_traffic` says how much "
            "to reckon with."
        )
    if found.plan.kind == "kill_switch":
        return "A kill switch promises that no customer meets a challenger."
    if found.plan.notice is None or found.promise is None:
        return "The plan promises to notice nothing in particular: `plan.notice` would have it checked."
    kept = found.promise
    return (
        f"Errors that rise from {_percent(kept.champion)} to {_percent(kept.challenger)} are noticed with probability "
        f"{kept.power:.2f} before it ends; {found.plan.notice.power:g} is asked for."
    )


def _flaws(found: Preview) -> Iterator[str]:
    plan, deadline = found.plan, found.plan.deadline
    if plan.kind == "kill_switch":
        yield "the plan is a kill switch: the champion answers alone, and no rollout starts while it stands"
    if plan.kind == "immediate" and not (plan.reason or found.why.strip()):
        yield "an immediate plan skips all that protects customers, so it needs a reason: `plan.reason`, or --why"
    labels = found.labels
    if labels is not None and labels.takes >= deadline:
        yield (
            f"labels are ripe after {_span(labels.takes)} (horizon and grace), and the deadline is after "
            f"{_span(deadline)}: no label can judge a step that needs one; give `deadline` more than "
            f"{_span(labels.takes)}, or a kind that needs no labels"
        )
    for number, step in enumerate(found.steps):
        yield from _late(found, number, step)
    holds = sum((step.hold for step in steps_of(plan)), timedelta(0))
    if holds >= deadline:
        yield (
            f"its steps are held for {_span(holds)} in all, and the deadline is after {_span(deadline)}: none of them "
            f"could be the last; give `deadline` more than {_span(holds)}, or `steps` with shorter holds"
        )
    if labels is not None and labels.by_deadline is not None and labels.by_deadline < LABELS:
        yield (
            f"at {_traffic(found)} about {labels.by_deadline:,} labels of the smaller arm are ripe by the deadline, "
            f"and fewer than {LABELS} decide nothing; a later `deadline` gives them time"
        )
    yield from _powerless(found)


def _late(found: Preview, number: int, step: StepAhead) -> Iterator[str]:
    """That a step's evidence or hold ends after the plan's deadline, or its own."""
    if step.ends is None or step.starts is None:
        return
    within = steps_of(found.plan)[number].deadline
    last = found.deadline if within is None else min(found.deadline, step.starts + within)
    if step.ends <= last:
        return
    whose = f"the deadline ({_date(last)})"
    reached = f"step {number + 1} (share {step.share:g})"
    if step.waits_for == "at_least":
        yield (
            f"{reached} needs {step.at_least:,} requests of the challenger, which at {_traffic(found)} it has on "
            f"{_date(step.ends)}, after {whose}; a larger share, a smaller `at_least` or a later `deadline` would do"
        )
    elif step.waits_for == "labels":
        yield f"{reached} waits for ripe labels until {_date(step.ends)}, after {whose}; a later `deadline` would do"
    else:
        yield f"{reached} is held until {_date(step.ends)}, after {whose}; shorter holds or a later `deadline` would do"


def _powerless(found: Preview) -> Iterator[str]:
    notice, promise = found.plan.notice, found.promise
    if notice is None or promise is None or promise.power >= notice.power or found.plan.kind == "immediate":
        return  # who is in a hurry has said why, and is told the power
    yield (
        f"`notice` promises errors {notice.errors} with power {notice.power:g}; at {_traffic(found)} a rise from "
        f"{_percent(promise.champion)} to {_percent(promise.challenger)} is noticed with {promise.power:.2f} before "
        f"the plan ends; longer holds at a share near 0.5, a larger ratio or a smaller power would do"
    )


def _ripe(plan: Plan, steps: Sequence[Step], traffic: Traffic | None, takes: timedelta) -> int | None:
    """The ripe labels at the deadline, in the smaller arm of the steps that need them."""
    if traffic is None:
        return None
    shares = [min(step.share, 1 - step.share) or 1.0 for step in steps if needs_labels(plan, step)]
    return int(traffic.per_day * min(shares) * max(0.0, (plan.deadline - takes) / timedelta(days=1)))


def _ahead(
    plan: Plan, steps: Sequence[Step], traffic: Traffic | None, labels: Ripening | None, now: datetime
) -> Iterator[StepAhead]:
    starts: datetime | None = now
    last = now + 2 * FAR
    for step in steps:
        needs = step.needs or "no_harm"
        rate = None if traffic is None else traffic.per_day * _heard(step.share)
        wait = timedelta(0) if not step.at_least else None if rate is None else _within(step.at_least / rate)
        if starts is None or wait is None:
            yield StepAhead(step.share, needs, step.at_least, starts, None, None, None, "at_least")
            starts = None
            continue
        waits_for: Waits = "at_least" if wait > step.hold else "hold"
        ends = min(last, starts + max(step.hold, wait))
        if labels is not None and needs_labels(plan, step) and labels.first > ends:
            ends, waits_for = labels.first, "labels"
        heard = None if rate is None else round(rate * ((ends - starts) / timedelta(days=1)))
        yield StepAhead(step.share, needs, step.at_least, starts, ends, min(last, starts + wait), heard, waits_for)
        starts = ends


def _heard(share: float) -> float:
    """The part of all requests that the challenger scores: while one arm answers everything, both see them all."""
    return share if 0 < share < 1 else 1.0


def _within(days: float) -> timedelta:
    return min(FAR, timedelta(days=min(days, FAR.days)))


@dataclass(frozen=True, slots=True)
class _Ahead:
    """A stretch of a rollout in which the shares stand: its days, and each arm's requests a day that can err."""

    share: float
    days: float
    challenger: float
    champion: float


def _epochs(ahead: Sequence[StepAhead], traffic: Traffic, until: datetime) -> list[_Ahead]:
    """Where one arm listens every request is scored by both, and an error of one of them is a fair coin's."""
    found = []
    for step in ahead:
        if step.starts is None or step.ends is None or step.starts >= until:
            continue
        days = (min(step.ends, until) - step.starts) / timedelta(days=1)
        if days <= 0:
            continue
        paired = step.share in (0, 1)
        share = 0.5 if paired else step.share
        whole = traffic.per_day * (2 if paired else 1)
        found.append(_Ahead(share, days, whole * share, whole * (1 - share)))
    return found


def _noticing(plan: Plan) -> tuple[float, ...]:
    return () if plan.notice is None else (float(plan.notice.errors.removeprefix("x")),)


def _harmful(ratio: float, base: Base, plan: Plan) -> float:
    """The error rate that is `ratio` times the base and no less than the margin above it: less is not called worse."""
    return min(1.0, max(ratio * base.errors, base.errors + plan.margins.errors))


def _noticed(
    champion: float, challenger: float, epochs: Sequence[_Ahead], now: datetime, alpha: float, power: float, each: float
) -> Harm:
    """How often, and by when, the test of errors crosses in simulated rollouts. The last step's end is its end."""
    draw = np.random.default_rng([7, 31])
    before = np.zeros(RUNS)
    crossed = np.zeros(RUNS, dtype=np.bool_)
    passed, noticed = 0.0, None
    whole = sum(epoch.days for epoch in epochs)
    for epoch in epochs:
        looks = max(4, round(LOOKS * epoch.days / whole))
        at = (
            passed + epoch.days * np.linspace(0, 1, looks + 1) ** 1.5
        )  # large harm is noticed early: looks are dense there
        expected = [
            _first_errors(requests, rate, at, each)
            for requests, rate in ((epoch.challenger, challenger), (epoch.champion, champion))
        ]
        scale = np.minimum(1.0, MOST_ERRORS / np.maximum(1.0, expected[0] + expected[1]))
        treated, control = (draw.poisson(mean * scale, (RUNS, looks)).cumsum(axis=1) for mean in expected)
        standing = before[:, None] + worse_each(treated, control, epoch.share)
        over = np.logical_or.accumulate(standing >= math.log(1 / alpha), axis=1) | crossed[:, None]
        enough = np.flatnonzero(over.mean(axis=0) >= power)
        if noticed is None and enough.size:
            noticed = now + timedelta(days=float(at[enough[0] + 1]))
        crossed, before = over[:, -1], standing[:, -1]
        passed += epoch.days
    return Harm(champion, challenger, float(crossed.mean()), noticed)


def _first_errors(requests: float, rate: float, at: Floats, each: float) -> Floats:
    """The first errors of an arm's entities between times `at` (days, n + 1 of them), expected: shape (n,)."""
    hazard = rate * each
    if hazard == 0:
        return np.asarray(requests * rate * np.diff(at))
    return np.asarray(requests / each * -np.diff(np.exp(-hazard * at)))


def _traffic(found: Preview) -> str:
    traffic = found.traffic
    if traffic is None:
        return "an unknown traffic"
    said = "today's" if traffic.found == "observations" else "an expected"
    return f"{said} {traffic.per_day:,.4g} requests a day"


def _percent(rate: float) -> str:
    return f"{100 * rate:.3g} %"


def _date(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M}"


def _span(value: timedelta) -> str:
    days = value / timedelta(days=1)
    return f"{days:g} days" if days >= 2 else f"{days * 24:g} hours"
