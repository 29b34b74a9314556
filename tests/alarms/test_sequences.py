"""Bounds that are looked at again and again cover the truth at all looks together.

Those that assume nothing keep their α from the first number on. The asymptotic ones miss at most 1.2 α past a stated
minimum of 10 events in each arm. Spending bounds hold at the looks they were planned for.
"""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.alarms.bounds import upper

from mainstay.measures.bands import half_width
from mainstay.measures.bounded import BoundedMean, seen
from mainstay.measures.planned import boundaries
from mainstay.measures.sequential import radius

Floats = NDArray[np.float64]

ALPHA = 0.05
EVENTS = 10
"""Events in each arm before an asymptotic bound may act."""


def looks(rows: int, start: int) -> NDArray[np.int64]:
    """Forty looks a decade from `start` rows on: between two of them hardly anything can happen."""
    return np.unique(np.geomspace(start, rows, max(2, round(40 * math.log10(rows / start)))).astype(np.int64))


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (1, 99), (9, 1), (2, 5)])
def test_an_empirical_bernstein_sequence_covers_from_the_first_number_on(a: float, b: float) -> None:
    draw = np.random.default_rng([41, round(10 * a)])
    runs, misses = 600, 0
    steps = looks(3000, 1)
    for _ in range(runs):
        numbers = draw.beta(a, b, 3000)
        below, above, missed, before = BoundedMean(ALPHA / 2), BoundedMean(ALPHA / 2), False, 0
        for step in steps:
            below, above = seen(below, numbers[before:step]), seen(above, 1 - numbers[before:step])
            before = int(step)
            missed |= not below.lower <= a / (a + b) <= 1 - above.lower
        misses += missed
    assert upper(misses, runs) <= ALPHA


def test_a_band_holds_every_quantile_at_once_from_the_first_request_on() -> None:
    draw = np.random.default_rng(42)
    runs, misses = 400, 0
    steps = looks(20_000, 1)
    for _ in range(runs):
        numbers = draw.random(20_000)
        for step in steps:
            ordered = np.sort(numbers[:step])
            place = np.arange(1, step + 1) / step
            if max(np.max(place - ordered), np.max(ordered - place + 1 / step)) > half_width(int(step), ALPHA):
                misses += 1
                break
    assert upper(misses, runs) <= ALPHA


def crossings(share: float, base: float, planned: int, runs: int, seed: int) -> tuple[int, int, int]:
    """Runs in which a one-sided bound of no difference at all excludes it, upwards and downwards, and a two-sided one.

    Two equal arms, a binary outcome, ψ weighted by the share; judged past 10 events in each arm only.
    """
    draw = np.random.default_rng([43, seed])
    rows = 4 * planned
    steps = looks(rows, 100)
    one = np.array([radius(int(step), planned, ALPHA, 1) for step in steps])
    two = np.array([radius(int(step), planned, ALPHA, 2) for step in steps])
    harm = benefit = either = 0
    for _ in range(runs):
        outcome = draw.random(rows) < base
        treated = draw.random(rows) < share
        psi = outcome * np.where(treated, 1 / share, -1 / (1 - share))
        total, squares = psi.cumsum()[steps - 1], np.square(psi).cumsum()[steps - 1]
        events = (outcome & treated).cumsum()[steps - 1], (outcome & ~treated).cumsum()[steps - 1]
        ready = np.minimum(*events) >= EVENTS
        mean = total / steps
        deviation = np.sqrt((squares - total**2 / steps) / (steps - 1))
        harm += bool(np.any(ready & (mean > one * deviation)))
        benefit += bool(np.any(ready & (-mean > one * deviation)))
        either += bool(np.any(ready & (np.abs(mean) > two * deviation)))
    return harm, benefit, either


@pytest.mark.parametrize("base", [0.01, 0.2])
@pytest.mark.parametrize("share", [0.5, 0.25, 0.05])
def test_an_asymptotic_sequence_hardly_ever_misses_past_its_minimum(share: float, base: float) -> None:
    runs = 4000
    missed = crossings(share, base, 5000, runs, round(1000 * share + 100 * base))
    assert max(upper(each, runs) for each in missed) <= 1.2 * ALPHA


def test_losses_of_a_paired_shadow_are_covered_in_both_directions() -> None:
    draw = np.random.default_rng(44)
    runs, planned, rows = 1500, 1000, 4000
    steps = looks(rows, 50)
    bound = np.array([radius(int(step), planned, ALPHA, 1) for step in steps])
    worse = better = 0
    for _ in range(runs):
        truth = draw.beta(1, 3, rows)
        label = draw.random(rows) < truth
        one, other = (np.clip(truth + draw.normal(0, 0.1, rows), 0.01, 0.99) for _ in range(2))
        difference = np.where(label, np.log(other / one), np.log((1 - other) / (1 - one)))
        mean = difference.cumsum()[steps - 1] / steps
        deviation = np.sqrt((np.square(difference).cumsum()[steps - 1] - steps * mean**2) / (steps - 1))
        worse += bool(np.any(mean > bound * deviation))
        better += bool(np.any(-mean > bound * deviation))
    assert upper(worse, runs) <= 1.2 * ALPHA
    assert upper(better, runs) <= 1.2 * ALPHA


@pytest.mark.parametrize("fractions", [(0.25, 0.5, 0.75, 1.0), (1 / 6, 0.4, 1.0)])
def test_spending_bounds_hold_at_the_looks_they_were_planned_for(fractions: tuple[float, ...]) -> None:
    draw = np.random.default_rng([45, len(fractions)])
    runs = 40_000
    steps = np.sqrt(np.diff((0.0, *fractions)))
    z = (draw.standard_normal((runs, len(fractions))) * steps).cumsum(1) / np.sqrt(fractions)
    crossed = (np.abs(z) >= np.array(boundaries(fractions, ALPHA))).any(1).sum()
    assert upper(int(crossed), runs) <= 1.06 * ALPHA
    assert int(crossed) / runs >= 0.9 * ALPHA
