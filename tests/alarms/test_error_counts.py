"""A rollout's errors and its sample ratio: how often a healthy challenger is called sick, and how soon a sick one.

A base error rate of 1 %, looks every 200 requests per arm, up to 100 looks, α = .02 for errors. Shares are proven by
their own exact 95 % bounds. For comparison the rules that are common elsewhere judge the same rollouts.
"""

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import ndtr
from scipy.stats import mannwhitneyu
from tests.alarms.bounds import lower, upper

from mainstay.gathered import Epoch
from mainstay.measures.counts import unbalanced, worse

Counts = NDArray[np.int64]

ALPHA = 0.02
BASE = 0.01
PER_LOOK, LOOKS = 200, 100
RUNS = 2000
NEVER = math.inf
EVER = 1e12
"""More requests than any rollout here has."""


@dataclass(frozen=True, slots=True)
class Rollouts:
    """Errors by run and look, of each arm, in `per_look` requests of the challenger and as many as its share leaves."""

    challenger: Counts
    champion: Counts
    requests: Counts
    control: Counts
    shares: NDArray[np.float64]


def rollouts(ratio: float, shares: NDArray[np.float64], base: NDArray[np.float64], seed: int, runs: int) -> Rollouts:
    draw = np.random.default_rng([31, seed])
    requests = np.full(len(shares), PER_LOOK)
    control = np.round(PER_LOOK * (1 - shares) / shares).astype(np.int64)
    size = (runs, len(shares))
    return Rollouts(
        draw.binomial(requests, base * ratio, size), draw.binomial(control, base, size), requests, control, shares
    )


def steady(ratio: float, share: float = 0.5, seed: int = 0, runs: int = RUNS, looks: int = LOOKS) -> Rollouts:
    return rollouts(ratio, np.full(looks, share), np.full(looks, BASE), seed, runs)


def by_evidence(found: Rollouts, alpha: float = ALPHA) -> NDArray[np.float64]:
    """The challenger's requests at which each run crosses, inf where it never does. A new share is a new epoch."""
    begins = np.flatnonzero(np.diff(found.shares, prepend=np.nan) != 0)
    exposed = np.cumsum(found.requests)
    crossed = np.full(len(found.challenger), NEVER)
    for run, (treated, control) in enumerate(zip(found.challenger, found.champion, strict=True)):
        before = 0.0  # ln of the e-values of the epochs that are over
        for start, stop in zip(begins, [*begins[1:], len(found.shares)], strict=True):
            errors = others = 0
            for look in range(start, stop):
                errors, others = errors + int(treated[look]), others + int(control[look])
                standing = before + worse([Epoch(errors, others, float(found.shares[look]))])
                if standing >= math.log(1 / alpha):
                    crossed[run] = exposed[look]
                    break
            if crossed[run] < NEVER:
                break
            before = standing
    return crossed


def by_peeking(found: Rollouts) -> NDArray[np.float64]:
    """A one-sided z-test of two proportions at .05, at every look."""
    treated, control = found.challenger.cumsum(1), found.champion.cumsum(1)
    n, m = found.requests.cumsum(), found.control.cumsum()
    pooled = (treated + control) / (n + m)
    with np.errstate(all="ignore"):
        z = (treated / n - control / m) / np.sqrt(pooled * (1 - pooled) * (1 / n + 1 / m))
    return first(ndtr(-np.nan_to_num(z)) < 0.05, found)


def by_strikes(found: Rollouts) -> NDArray[np.float64]:
    """More than 1.5 times the champion's rate within the look's window, three times in a row."""
    over = found.challenger / found.requests > 1.5 * (found.champion / found.control)
    return first(over & np.roll(over, 1, 1) & np.roll(over, 2, 1) & (np.arange(over.shape[1]) >= 2), found)


def by_ranks(found: Rollouts) -> NDArray[np.float64]:
    """Kayenta's: Mann-Whitney at 98 % over the windows so far, at every look from the tenth on."""
    crossed = np.zeros(found.challenger.shape, dtype=np.bool_)
    rates, against = found.challenger / found.requests, found.champion / found.control
    for look in range(10, rates.shape[1], 5):
        tested = mannwhitneyu(rates[:, :look], against[:, :look], axis=1, alternative="two-sided")
        worse_now = rates[:, :look].mean(1) > against[:, :look].mean(1)
        crossed[:, look] = (tested.pvalue < 0.02) & worse_now
    return first(crossed, found)


def first(crossed: NDArray[np.bool_], found: Rollouts) -> NDArray[np.float64]:
    exposed = np.cumsum(found.requests).astype(np.float64)
    return np.where(crossed.any(1), exposed[crossed.argmax(1)], NEVER)


def caught(crossed: NDArray[np.float64], by: float) -> int:
    return int((crossed <= by).sum())


@functools.cache
def crossings(ratio: float) -> NDArray[np.float64]:
    return by_evidence(steady(ratio, seed=round(10 * ratio)))


@pytest.mark.parametrize(
    ("ratio", "requests", "at_least"), [(2, 5_000, 0.85), (2, 8_000, 0.98), (2, 20_000, 0.998), (1.5, 20_000, 0.92)]
)
def test_more_errors_are_caught_as_soon_as_promised(ratio: float, requests: int, at_least: float) -> None:
    assert lower(caught(crossings(ratio), requests), RUNS) >= at_least


def test_twice_the_errors_are_missed_in_less_than_a_run_in_a_thousand() -> None:
    found = by_evidence(steady(2, seed=99, runs=4000))
    assert caught(found, 20_000) / 4000 >= 0.999


def test_twice_the_errors_are_caught_at_a_small_share_too() -> None:
    found = by_evidence(steady(2, share=0.05, seed=5, looks=25))
    assert lower(caught(found, 5_000), RUNS) >= 0.95


def wave(looks: int) -> NDArray[np.float64]:
    return BASE * (1 + 0.8 * np.sin(np.arange(looks) / 4))


def staircase(steps: int) -> NDArray[np.float64]:
    return np.repeat(np.linspace(0.05, 0.5, steps), math.ceil(LOOKS / steps))[:LOOKS]


HEALTHY: Mapping[str, Callable[[], Rollouts]] = {
    "equal shares": lambda: steady(1, seed=10),
    "a share of 25 %": lambda: steady(1, share=0.25, seed=11),
    "a share of 5 %": lambda: steady(1, share=0.05, seed=12),
    "a share of 95 %": lambda: steady(1, share=0.95, seed=13),
    "time of day": lambda: rollouts(1, np.full(LOOKS, 0.5), wave(LOOKS), 14, RUNS),
    "shares and base rate move together": lambda: rollouts(
        1, np.where(np.arange(LOOKS) < 50, 0.05, 0.5), np.where(np.arange(LOOKS) < 50, 0.002, 0.03), 15, RUNS
    ),
    "a staircase of nine steps": lambda: rollouts(1, staircase(9), wave(LOOKS), 16, RUNS),
}


@pytest.mark.parametrize("world", HEALTHY)
def test_a_healthy_challenger_is_left_alone(world: str) -> None:
    assert upper(caught(by_evidence(HEALTHY[world]()), EVER), RUNS) <= ALPHA


def first_failures(epochs: int, draw: np.random.Generator, once: bool) -> list[Epoch]:
    """Customers of whom 1 % fail wherever they go, through a staircase: the first error of each, once per rollout.

    `once` False counts it once per epoch instead, which is the mistake: the same unlucky customers, again and again.
    """
    entities = 20_000
    place = draw.random(entities)  # the hash: sticky, and monotone as the share grows
    fails = draw.random(entities) < BASE
    counted = np.zeros(entities, dtype=np.bool_)
    found = []
    for share in np.linspace(0.1, 0.5, epochs):
        seen = fails & (draw.random(entities) < 0.5) & ~counted
        challenged = place < share
        found.append(Epoch(int((seen & challenged).sum()), int((seen & ~challenged).sum()), float(share)))
        if once:
            counted |= seen
    return found


@pytest.mark.parametrize("epochs", [4, 9, 30])
def test_customers_who_fail_wherever_they_go_are_no_harm(epochs: int) -> None:
    draw = np.random.default_rng([32, epochs])
    runs = 1000
    alarms = sum(
        any(worse(found[: place + 1]) >= math.log(1 / ALPHA) for place in range(epochs))
        for found in (first_failures(epochs, draw, once=True) for _ in range(runs))
    )
    assert upper(alarms, runs) <= ALPHA


def test_the_same_customers_counted_once_per_epoch_would_be_harm() -> None:
    draw = np.random.default_rng(33)
    alarms = sum(
        any(worse(found[:place]) >= math.log(1 / ALPHA) for place in range(1, 31))
        for found in (first_failures(30, draw, once=False) for _ in range(300))
    )
    assert lower(alarms, 300) > ALPHA


def frozen(share: float, entities: int, runs: int, seed: int) -> int:
    """How many runs of a 50/50 experiment freeze by so many entities, looked at every 2,000 of them."""
    draw = np.random.default_rng([34, seed])
    looks = entities // 2000
    treated = draw.binomial(2000, share, (runs, looks)).cumsum(1)
    total = 2000 * np.arange(1, looks + 1)
    return sum(
        any(unbalanced([Epoch(int(t), int(n - t), 0.5)]) >= math.log(1000) for t, n in zip(row, total, strict=True))
        for row in treated
    )


def test_a_sample_ratio_of_51_to_49_freezes_the_rollout() -> None:
    assert lower(frozen(0.51, 120_000, 1000, 1), 1000) >= 0.95


def test_a_true_sample_ratio_hardly_ever_does() -> None:
    assert upper(frozen(0.5, 120_000, 4000, 2), 4000) <= 0.001


JUDGES: Mapping[str, Callable[[Rollouts], NDArray[np.float64]]] = {
    "error-count e-process (ours, α = .02)": by_evidence,
    "z-test at every look, .05": by_peeking,
    "over 1.5 times the champion's rate, three strikes": by_strikes,
    "Kayenta's Mann-Whitney, 98 %": by_ranks,
}
RATIOS = (1.0, 1.2, 1.5, 2.0, 5.0)


def cell(crossed: NDArray[np.float64]) -> str:
    share = (crossed < NEVER).mean()
    middle = np.median(crossed)
    return f"{share:.3f}" + (f" ({middle:,.0f})" if middle < NEVER else "")


def test_the_usual_judges_are_worse_and_the_table_says_so(documented: dict[str, str]) -> None:
    runs = 600
    worlds = {ratio: steady(ratio, seed=50 + round(10 * ratio), runs=runs) for ratio in RATIOS}
    lines = ["| judge | " + " | ".join("identical" if r == 1 else f"×{r:g}" for r in RATIOS) + " |", "|---" * 6 + "|"]
    for name, judge in JUDGES.items():
        lines.append(f"| {name} | " + " | ".join(cell(judge(found)) for found in worlds.values()) + " |")
    documented["Errors of a challenger"] = (
        "Share of rollouts in which the challenger is called worse (median requests per arm until then): base error\n"
        f"rate 1 %, equal shares, {PER_LOOK} requests per arm and look, {LOOKS} looks, {runs} rollouts each. The\n"
        "first column is the false alarm. The promises about our own judge are tested on more rollouts, at shares\n"
        "from 5 to 95 %, under share changes, staircases, time of day and customers who fail wherever they go.\n\n"
        + "\n".join(lines)
    )
    healthy = worlds[1.0]
    assert lower(caught(by_peeking(healthy), EVER), runs) > 0.2
    assert lower(caught(by_strikes(healthy), EVER), runs) > 0.8
    assert caught(by_evidence(healthy), EVER) / runs <= ALPHA
