"""The whole judge of rollouts: every guardrail and the objective together, at every look, under one alpha of .05.

What its tests do alone (how soon errors are caught, the sample ratio, the coverage of bounds) is in
test_error_counts.py and test_sequences.py; here is what a rollout of them all together ends as.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from tests.alarms.bounds import lower, upper
from tests.alarms.traffic import (
    BASE,
    CHALLENGER,
    CHAMPION,
    LABEL,
    LOOKS,
    LOSS,
    NO_HARM,
    PER_LOOK,
    PLAN,
    ROLLOUT,
    SCORE,
    START,
    Floats,
    World,
    against,
    around,
    failed,
    staircase,
    steady,
    traffic,
    wave,
)
from tests.alarms.units import Sofar

from mainstay.gathered import Epoch, Gathered
from mainstay.nouns import Arm, Split
from mainstay.registry.manifest import Against
from mainstay.rollout.assign import Assigner
from mainstay.rollout.judge import broken, harms, judge
from mainstay.usecase import Step
from mainstay.verdicts import Outcome, Verdict

RUNS = 250
ALPHA = PLAN.alpha


def judged(found: Gathered, step: Step = NO_HARM, measured: Against | None = None) -> Verdict:
    return judge(ROLLOUT, PLAN, step, measured or against(), found, label=LABEL)


def ends(world: World, seed: int, runs: int = RUNS, measured: Against | None = None) -> list[tuple[str, int]]:
    """What each run is rolled back for (nothing where it is not), and at how many of the challenger's requests."""
    found = []
    for gathered in traffic(world, seed, runs):
        for look in range(len(world.shares)):
            if crossed := failed(judged(gathered(look), measured=measured)):
                found.append(("+".join(sorted(crossed)), (look + 1) * PER_LOOK))
                break
        else:
            found.append(("", 0))
    return found


def at_every_margin(share: float) -> World:
    """No worse than what every margin allows, and no better: slow requests, scores and log loss."""
    slow = 1 + PLAN.margins.slow / BASE["slow"]
    moved = SCORE + against().score_shift.high + PLAN.margins.shift
    return replace(steady(share, slow=slow), score=moved, loss=LOSS + PLAN.margins.log_loss)


MOVED = np.where(np.arange(LOOKS) < 50, 0.05, 0.5)
HEALTHY: Mapping[str, Callable[[], World]] = {
    "equal shares": steady,
    "a share of 25 %": lambda: steady(0.25),
    "a share of 5 %": lambda: steady(0.05),
    "time of day": lambda: World(np.full(LOOKS, 0.5), wave(LOOKS)),
    "shares and base rates move together": lambda: World(MOVED, np.where(MOVED < 0.1, 0.2, 3.0)),
    "a staircase of nine steps": lambda: World(staircase(9), wave(LOOKS)),
    "as bad as the margins allow": lambda: at_every_margin(0.5),
    "the same, at a share of 5 %": lambda: at_every_margin(0.05),
    "thirty splits, each of another share": lambda: World(np.linspace(0.05, 0.5, 30).repeat(4)[:LOOKS], wave(LOOKS)),
}


def test_an_identical_challenger_is_left_alone(documented: dict[str, str]) -> None:
    lines = ["| world | rolled back | its upper 95 % bound | by |", "|---|---|---|---|"]
    worst = 0.0
    for place, (name, world) in enumerate(HEALTHY.items()):
        runs = 3 * RUNS if place == 0 else RUNS
        why = Counter(reason for reason, _ in ends(world(), place, runs) if reason)
        alarms = sum(why.values())
        told = ", ".join(f"{reason} {count}" for reason, count in why.most_common()) or "-"
        lines.append(f"| {name} | {alarms / runs:.3f} | {upper(alarms, runs):.3f} | {told} |")
        worst = max(worst, upper(alarms, runs))
    documented["Rollouts of an identical challenger"] = (
        "Share of rollouts that harm is found in though there is none, by all checks together (errors, slow\n"
        "requests, missing features, scores, ripe labels), looked at "
        f"{LOOKS} times, every {PER_LOOK} requests of the challenger:\n"
        f"{3 * RUNS} rollouts in the first world, {RUNS} in each other. The plan's alpha is {ALPHA:g}.\n\n"
        + "\n".join(lines)
    )
    assert worst <= ALPHA


def who_fails_wherever(draw: np.random.Generator, shares: Floats) -> list[Gathered]:
    """Customers of whom some fail, are slow and lack a feature wherever they go, up a staircase: each counted once."""
    entities = 20_000
    place = draw.random(entities)  # the hash: sticky, and monotone as the share grows
    is_so = {name: draw.random(entities) < base for name, base in BASE.items()}
    unseen = np.ones(entities, dtype=np.bool_)
    sofar, found = Sofar(), []
    for hour, share in enumerate(shares):
        now = unseen & (draw.random(entities) < 0.5)
        values = {name: trait[now].astype(np.float64) for name, trait in is_so.items()}
        sofar.split(float(share), place[now] < share, values | {"shift": SCORE[:entities][now]})
        sofar.hours = hour
        unseen &= ~now
        found.append(sofar.gathered())
    return found


@pytest.mark.parametrize("epochs", [9, 30])
def test_customers_who_fail_wherever_they_go_roll_nothing_back(epochs: int) -> None:
    draw = np.random.default_rng([62, epochs])
    shares = np.linspace(0.1, 0.5, epochs)
    runs = 200
    alarms = sum(any(failed(judged(found)) for found in who_fails_wherever(draw, shares)) for _ in range(runs))
    assert upper(alarms, runs) <= ALPHA


def shadowed(draw: np.random.Generator, looks: int) -> list[Gathered]:
    """An equal challenger that listens: it fails, is slow and scores on its own account, of the same requests."""
    sofar, found = Sofar(), []
    for look in range(looks):
        who = draw.integers(len(SCORE), size=PER_LOOK)
        arms = [
            {name: (draw.random(PER_LOOK) < base).astype(np.float64) for name, base in BASE.items()}
            | {"shift": np.clip(SCORE[who] + draw.normal(0, 0.05, PER_LOOK), 0.01, 0.99)}
            for _ in range(2)
        ]
        sofar.paired(*arms)
        one, two = (arm["shift"] for arm in arms)
        left = draw.random(PER_LOOK) < SCORE[who]
        sofar.labelled(np.where(left, np.log(two / one), np.log((1 - two) / (1 - one))), left)
        sofar.hours = look
        found.append(sofar.gathered())
    return found


def test_an_equal_challenger_that_listens_is_left_alone() -> None:
    draw = np.random.default_rng(66)
    runs, looks = 200, 60
    alarms = sum(
        any(
            failed(judged(found, measured=against(disagreement=0.055, flipped=0.094)))
            for found in shadowed(draw, looks)
        )
        for _ in range(runs)
    )
    assert upper(alarms, runs) <= ALPHA


WORSE: Mapping[str, Callable[[], World]] = {
    "errors ×2 at a share of 5 %": lambda: steady(0.05, 50, errors=2.0),
    "errors ×2": lambda: steady(errors=2.0),
    "errors +50 %": lambda: steady(errors=1.5),
    "slow requests 5 % to 10 %": lambda: steady(slow=2.0),
    "slow requests 5 % to 20 %": lambda: steady(slow=4.0),
    "missing features .5 % to 1.5 %": lambda: steady(missing=3.0),
    "mean score + .05": lambda: replace(steady(), score=np.clip(SCORE + 0.055, 0, 1)),
    "mean score - .05": lambda: replace(steady(), score=SCORE - 0.05),
    "log loss + .05 on ripe labels": lambda: replace(steady(), loss=LOSS + 0.05),
    "log loss + .2 on ripe labels": lambda: replace(steady(), loss=LOSS + 0.2),
}


def test_harm_of_every_kind_is_found_for_what_it_is(documented: dict[str, str]) -> None:
    lines = ["| harm | rolled back | median requests of the challenger | said to be |", "|---|---|---|---|"]
    runs = 100
    for place, (name, world) in enumerate(WORSE.items()):
        found = ends(world(), 20 + place, runs)
        caught = sorted(requests if why else np.inf for why, requests in found)
        why = Counter(reason for reason, _ in found if reason).most_common(1)
        middle = caught[runs // 2]
        told = f"{middle:,.0f}" if middle < np.inf else "-"
        said, times = why[0] if why else ("-", 0)
        lines.append(f"| {name} | {sum(each < np.inf for each in caught) / runs:.2f} | {told} | {said} |")
        if "+50 %" not in name and "+ .05 on" not in name and "to 10 %" not in name:
            assert lower(sum(each < np.inf for each in caught), runs) >= 0.9, name
            assert times >= 0.8 * runs, (name, why)
    documented["Harm that the judge of rollouts finds"] = (
        f"Share of {runs} rollouts that are rolled back within {LOOKS} looks, one every {PER_LOOK} requests of the\n"
        "challenger's, "
        "and the check that most of them were rolled back for. Shares are equal but where it says so; slow requests\n"
        f"may be {PLAN.margins.slow:g} more, mean scores {PLAN.margins.shift:g} beyond the holdout's, log loss "
        f"{PLAN.margins.log_loss:g} more.\n\n" + "\n".join(lines)
    )


def one_by_one(draw: np.random.Generator, ratio: float, share: float, looks: int) -> list[Gathered]:
    """A rollout whose every request is assigned by the hash and weighed by its logged share."""
    split = Split(1, str(draw.integers(10**9)), (Arm(CHAMPION, 1 - share), Arm(CHALLENGER, share)), "0" * 64)
    assigner = Assigner(split)
    sofar, found = Sofar(), []
    for look in range(looks):
        units = [f"{look}.{n}" for n in range(round(PER_LOOK / share))]
        challenged = np.array([assigner.of(unit, now=START).version == CHALLENGER for unit in units])
        values = {name: (draw.random(len(units)) < base).astype(np.float64) for name, base in BASE.items()}
        risk = BASE["errors"] * np.where(challenged, ratio, 1.0)
        values["errors"] = (draw.random(len(units)) < risk).astype(np.float64)
        sofar.split(share, challenged, values | {"shift": draw.choice(SCORE, len(units))})
        sofar.hours = look
        found.append(sofar.gathered())
    return found


def test_requests_one_by_one_end_as_those_that_were_drawn_as_sums() -> None:
    draw = np.random.default_rng(63)
    runs, looks = 40, 30
    for ratio in (1.0, 2.0):
        ended = [any(harms(judged(found)) for found in one_by_one(draw, ratio, 0.5, looks)) for _ in range(runs)]
        drawn = sum(why != "" for why, _ in ends(steady(0.5, looks, errors=ratio), 40, 200)) / 200
        assert lower(sum(ended), runs) <= drawn <= upper(sum(ended), runs)


def test_a_broken_assignment_freezes_and_is_no_harm() -> None:
    draw = np.random.default_rng(64)
    runs, frozen = 60, 0
    for _ in range(runs):
        of = draw.binomial(2000, 0.51, 60).cumsum()
        for look, treated in enumerate(of):
            epoch = Epoch(int(treated), 2000 * (look + 1) - int(treated), 0.5)
            verdict = judged(Gathered(START, look, 2, 2, int(treated), int(treated), (epoch,), (Epoch(900, 0, 0.5),)))
            if broken(verdict) is not None:
                frozen += 1
                assert not harms(verdict)
                break
            assert harms(verdict)
    assert lower(frozen, runs) >= 0.9


def test_a_better_challenger_is_not_rolled_back_for_scoring_differently() -> None:
    world = replace(steady(), score=np.clip(SCORE + 0.06, 0, 1), loss=LOSS - 0.02)
    moved = float(world.score.mean() - SCORE.mean())
    told = Against(CHAMPION, around(0.1, 0.015), around(moved, 0.004), around(0.07, 0.004))
    runs = 150
    alarms = sum(why != "" for why, _ in ends(world, 50, runs, told))
    assert upper(alarms, runs) <= ALPHA
    unannounced = sum("shift" in why for why, _ in ends(world, 50, 40))
    assert lower(unannounced, 40) >= 0.9


STEPS = (
    Step(share=0.05, hold=timedelta(days=1), at_least=100, needs="no_harm"),
    Step(share=0.5, hold=timedelta(days=5), at_least=5000, needs="no_harm"),
    Step(share=1, hold=timedelta(days=1), needs="no_harm"),
)


def canary(draw: np.random.Generator, looks_a_day: int = 12) -> str:
    """How a canary of an equal model ends, at 2,000 requests a day: its scores and failures are its own."""
    sofar, entered, step = Sofar(), 0.0, 0
    while sofar.hours < 14 * 24:
        sofar.hours += 24 / looks_a_day
        size = int(draw.poisson(2000 / looks_a_day))
        share = STEPS[step].share
        scores = draw.choice(SCORE, size)
        arms = [
            {name: (draw.random(size) < base).astype(np.float64) for name, base in BASE.items()}
            | {"shift": np.clip(scores + draw.normal(0, 0.02, size), 0, 1)}
            for _ in range(2)
        ]
        if share == 1:
            sofar.paired(*arms)
        else:
            challenged = draw.random(size) < share
            sofar.split(
                share, challenged, {name: np.where(challenged, arms[0][name], arms[1][name]) for name in arms[0]}
            )
        verdict = judged(sofar.gathered(), STEPS[step], against(disagreement=0.022, flipped=0.036))
        if verdict.outcome is Outcome.FAIL:
            return "rolled back"
        if verdict.outcome is Outcome.PASS and sofar.hours - entered >= STEPS[step].hold / timedelta(hours=1):
            if step + 1 == len(STEPS):
                return "promoted"
            step, entered, sofar.step = step + 1, sofar.hours, 0
    return "went home"


def test_a_canary_of_an_equal_model_is_promoted() -> None:
    draw = np.random.default_rng(65)
    runs = 120
    ended = Counter(canary(draw) for _ in range(runs))
    assert lower(ended["promoted"], runs) >= 0.9
