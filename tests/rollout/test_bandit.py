"""The bandit: it gives more to the better arm, never everything, and leaves the estimate without bias."""

import math

import numpy as np
import pytest

from mainstay.gathered import Compared, Moments
from mainstay.measures.sequential import moments, weighted_difference
from mainstay.rollout.bandit import share_of_challenger, shares_may_fall


def harm(mean: float, rows: int = 1000, events: int = 100) -> Compared:
    """Of numbers with this mean and a deviation of 1."""
    return Compared(Moments(rows, mean * rows, rows - 1 + rows * mean**2), events, events)


def test_the_better_arm_is_given_more_and_the_worse_keeps_its_floor() -> None:
    assert share_of_challenger(harm(-1), "r", 0, best=1.0) == 0.9
    assert share_of_challenger(harm(1), "r", 0, best=1.0) == 0.1
    assert share_of_challenger(harm(1), "r", 0) == pytest.approx(0.2)
    assert share_of_challenger(harm(1), "r", 0, floor=0.3) == 0.3


def test_two_equal_arms_share_about_evenly() -> None:
    shares = [share_of_challenger(harm(0), "r", tick, best=1.0) for tick in range(50)]
    assert np.mean(shares) == pytest.approx(0.5, abs=0.01)
    assert max(abs(share - 0.5) for share in shares) < 0.04


def test_half_the_probability_for_the_best_is_an_ab_test() -> None:
    assert share_of_challenger(harm(-3), "r", 0, best=0.5) == 0.5


@pytest.mark.parametrize("few", [harm(-5, events=9), Compared(), Compared(Moments(50, 0.0, 0.0), 50, 50)])
def test_before_there_is_evidence_the_shares_are_even(few: Compared) -> None:
    assert share_of_challenger(few, "r", 0) == 0.5


def test_a_look_again_at_the_same_tick_of_the_same_rollout_gives_the_same_share() -> None:
    found = [share_of_challenger(harm(0.01), "r", 3, best=1.0) for _ in range(5)]
    assert len(set(found)) == 1
    assert len({share_of_challenger(harm(0.01), "r", tick, best=1.0) for tick in range(30)}) > 1
    assert len({share_of_challenger(harm(0.01), f"r{n}", 3, best=1.0) for n in range(30)}) > 1


@pytest.mark.parametrize(("floor", "best"), [(0.0, 0.8), (0.6, 0.8), (0.1, 0.4), (0.1, 1.1), (math.nan, 0.8)])
def test_a_floor_and_a_probability_that_mean_nothing_are_refused(floor: float, best: float) -> None:
    with pytest.raises(ValueError, match=r"at most 1/2|at least 1/2"):
        share_of_challenger(harm(0), "r", 0, floor=floor, best=best)


def test_only_the_bandit_may_take_traffic_back() -> None:
    kinds = ["rolling", "blue_green", "canary", "shadow", "paired_shadow", "ab", "immediate", "kill_switch", "bandit"]
    assert [kind for kind in kinds if shares_may_fall(kind)] == ["bandit"]


def run(seed: int, ticks: int = 15, units: int = 150) -> tuple[float, float, list[float]]:
    """The weighted and the naive estimate of a difference of .03 while base rates triple and the bandit moves."""
    rng = np.random.default_rng([11, seed])
    seen, shares = Compared(), [0.5]
    outcomes, arms = [], []
    for tick in range(ticks):
        share = shares[-1]
        challenged = rng.random(units) < share
        base = 0.1 + 0.2 * tick / ticks
        failed = rng.random(units) < base + 0.03 * challenged
        psi = moments(weighted_difference(failed, challenged, share))
        counted = int((failed & challenged).sum()), int((failed & ~challenged).sum())
        seen = Compared(seen.difference + psi, seen.challenger + counted[0], seen.champion + counted[1])
        outcomes.append(failed)
        arms.append(challenged)
        shares.append(share_of_challenger(seen, f"r{seed}", tick, best=1.0))
    failed, challenged = np.concatenate(outcomes), np.concatenate(arms)
    return seen.difference.mean, float(failed[challenged].mean() - failed[~challenged].mean()), shares


def test_the_estimate_under_the_bandit_is_unbiased_and_that_of_the_arms_means_is_not() -> None:
    made = [run(seed) for seed in range(600)]
    weighted, naive = (np.array([each[n] for each in made]) for n in (0, 1))
    assert abs(weighted.mean() - 0.03) < 3 * weighted.std() / math.sqrt(len(made))
    assert abs(naive.mean() - 0.03) > 3 * naive.std() / math.sqrt(len(made))
    # Worse, the challenger ends with less than it began with: shares fall.
    assert np.mean([each[2][-1] for each in made]) < 0.35
    assert min(share for each in made for share in each[2]) == 0.1
