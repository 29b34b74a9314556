"""The whole judge of rollouts: every guardrail and the objective together, at every look, under one alpha of .05.

What its tests do alone (how soon errors are caught, the sample ratio, the coverage of bounds) is in
test_error_counts.py and test_sequences.py; here is what a rollout of them all together ends as.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np
import pytest
from tests.alarms.bounds import lower, upper
from tests.alarms.traffic import (
    LABEL,
    LOOKS,
    LOSS,
    NO_HARM,
    PER_LOOK,
    PLAN,
    PROVEN,
    ROLLOUT,
    SCORE,
    START,
    World,
    against,
    around,
    failed,
    staircase,
    steady,
    traffic,
    wave,
)

from mainstay.gathered import Compared, Epoch, Gathered
from mainstay.measures.sequential import moments, weighted_difference
from mainstay.registry.manifest import Against
from mainstay.rollout.judge import broken, harms, judge
from mainstay.usecase import Step
from mainstay.verdicts import Outcome, Verdict

RUNS = 300
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


def rolled_back(world: World, seed: int, runs: int = RUNS) -> int:
    return sum(why != "" for why, _ in ends(world, seed, runs))


MOVED = np.where(np.arange(LOOKS) < 50, 0.05, 0.5)
HEALTHY: Mapping[str, Callable[[], World]] = {
    "equal shares": steady,
    "a share of 25 %": lambda: steady(0.25),
    "a share of 5 %": lambda: steady(0.05),
    "time of day": lambda: World(np.full(LOOKS, 0.5), wave(LOOKS)),
    "shares and base rates move together": lambda: World(MOVED, np.where(MOVED < 0.1, 0.2, 3.0)),
    "a staircase of nine steps": lambda: World(staircase(9), wave(LOOKS)),
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
        f"Share of rollouts that harm is found in though there is none, by all checks together (errors, slow requests,\n"
        f"missing features, scores, ripe labels), looked at {LOOKS} times every {PER_LOOK} requests of the challenger:\n"
        f"{3 * RUNS} rollouts in the first world, {RUNS} in each other. The plan's alpha is {ALPHA:g}.\n\n" + "\n".join(lines)
    )
    print("\n".join(lines))
    assert worst <= ALPHA
