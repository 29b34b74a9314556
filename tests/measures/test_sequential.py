import math

import numpy as np
import pytest

from mainstay.gathered import Moments
from mainstay.measures.sequential import (
    confidence_sequence,
    lower_bound,
    moments,
    radius,
    upper_bound,
    weighted_difference,
)
from mainstay.nouns import Valid
from mainstay.verdicts import Limit, Outcome, check


def test_moments_are_merged_as_if_the_numbers_had_come_together() -> None:
    numbers = np.random.default_rng(1).normal(3, 2, 101)
    merged = moments(numbers[:40]) + moments(numbers[40:])
    assert merged.rows == 101
    assert merged.mean == pytest.approx(numbers.mean())
    assert merged.deviation == pytest.approx(numbers.std(ddof=1))


def test_a_number_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        moments([1.0, math.nan])


def test_the_radius_is_the_one_of_the_paper() -> None:
    # arXiv 2103.06476, equation (5), by hand at t = 100, planned = 100, alpha = .05.
    rho2 = (-2 * math.log(0.05) + math.log(-2 * math.log(0.05) + 1)) / 100
    by_hand = math.sqrt(2 * (100 * rho2 + 1) / (100**2 * rho2) * math.log(math.sqrt(100 * rho2 + 1) / 0.05))
    assert radius(100, 100, 0.05, sides=2) == pytest.approx(by_hand)
    assert radius(100, 100, 0.05, sides=1) < by_hand


@pytest.mark.parametrize("sides", [1, 2])
def test_no_other_plan_is_tighter_at_the_planned_rows(sides: int) -> None:
    best = radius(1000, 1000, 0.05, sides)
    others = [radius(1000, planned, 0.05, sides) for planned in (100, 300, 3000, 10000)]
    assert best < min(others)
    # The one-sided plan is an approximation: it may be beaten next door, by less than a percent.
    assert best <= 1.01 * min(radius(1000, planned, 0.05, sides) for planned in range(500, 2000, 50))


def test_a_bound_shrinks_as_rows_come() -> None:
    radii = [radius(rows, 1000, 0.05, 2) for rows in (10, 100, 1000, 10_000, 100_000)]
    assert radii == sorted(radii, reverse=True)
    assert radii[-1] < 0.02


def test_the_two_bounds_face_each_other() -> None:
    found = moments([0.1, 0.4, 0.2, 0.3])
    low, high = lower_bound(found, 10, 0.05), upper_bound(found, 10, 0.05)
    assert low.high == math.inf
    assert high.low == -math.inf
    assert low.value - low.low == pytest.approx(high.high - high.value)
    assert low.valid is Valid.ANY_TIME


@pytest.mark.parametrize("found", [Moments(), moments([2.0]), moments([1.0, 1.0, 1.0])])
def test_without_spread_nothing_is_known_and_silence_does_not_pass(found: Moments) -> None:
    estimate = confidence_sequence(found, 100, 0.05)
    assert math.isnan(estimate.low)
    assert check("harm", estimate, Limit(at_most=5), looked_at_again=True).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(("rows", "alpha"), [(0, 0.05), (10, 0.0), (10, 1.0)])
def test_a_bound_of_nothing_or_at_no_level_is_refused(rows: int, alpha: float) -> None:
    with pytest.raises(ValueError, match=r"rows|alpha"):
        radius(rows, 100, alpha, 2)


def test_weighting_undoes_shares_that_moved_with_the_base_rate() -> None:
    rng = np.random.default_rng(2)
    rows = 200_000
    late = np.arange(rows) >= rows // 2
    share = np.where(late, 0.5, 0.05)
    challenged = rng.random(rows) < share
    outcomes = rng.random(rows) < np.where(late, 0.10, 0.01)  # the arms are equal, the times are not
    pooled = outcomes[challenged].mean() - outcomes[~challenged].mean()
    weighted = confidence_sequence(moments(weighted_difference(outcomes, challenged, share)), rows, 0.05)
    assert pooled > 0.02  # what pooling takes for harm
    assert weighted.low < 0 < weighted.high


def test_a_prediction_of_the_outcome_narrows_and_never_biases() -> None:
    rng = np.random.default_rng(3)
    known = rng.normal(size=20_000)
    challenged = rng.random(20_000) < 0.5
    outcomes = known + 0.1 * challenged + rng.normal(scale=0.2, size=20_000)
    plain = moments(weighted_difference(outcomes, challenged, 0.5))
    augmented = moments(weighted_difference(outcomes, challenged, 0.5, known))
    assert augmented.deviation < 0.3 * plain.deviation
    assert augmented.mean == pytest.approx(0.1, abs=0.02)


def test_one_arm_alone_has_nothing_to_be_compared_with() -> None:
    with pytest.raises(ValueError, match="share"):
        weighted_difference([1.0], [True], 1.0)
