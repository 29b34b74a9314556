import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from mainstay.measures.rates import difference, exact, mean, rate
from mainstay.nouns import Estimate, Valid
from mainstay.verdicts import Limit, Outcome, check


@given(st.integers(0, 500), st.integers(1, 500), st.sampled_from([0.8, 0.95, 0.999]))
def test_a_rate_has_the_wilson_interval_of_scipy(hits: int, misses: int, level: float) -> None:
    found = rate(hits, hits + misses, level)
    oracle = stats.binomtest(hits, hits + misses).proportion_ci(level, method="wilson")
    assert (found.low, found.high) == pytest.approx((oracle.low, oracle.high), abs=1e-12)
    assert 0 <= found.low <= found.value <= found.high <= 1
    assert (found.rows, found.level, found.valid) == (hits + misses, level, Valid.ONE_LOOK)


def test_nothing_seen_is_not_a_rate_of_zero() -> None:
    found = rate(0, 0)
    assert math.isnan(found.value)
    assert found.rows == 0
    assert check("errors", found, Limit(at_most=0.01)).outcome is Outcome.INCONCLUSIVE


def test_no_hits_and_nothing_but_hits_still_leave_room_for_doubt() -> None:
    none, every = rate(0, 30), rate(30, 30)
    assert none.low == 0
    assert 0.1 < none.high < 0.13
    assert every.high == 1
    assert 0.87 < every.low < 0.9


@pytest.mark.parametrize(("hits", "rows"), [(-1, 5), (6, 5), (0, -1)])
def test_more_hits_than_rows_are_refused(hits: int, rows: int) -> None:
    with pytest.raises(ValueError, match="cannot be"):
        rate(hits, rows)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0])
def test_a_level_in_percent_is_refused(level: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        rate(1, 2, level)


def test_a_difference_is_newcombes_published_example() -> None:
    """56/70 against 48/80: Newcombe 1998, table II, method 10."""
    found = difference(rate(48, 80), rate(56, 70))
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert found.rows == 70


@given(st.integers(0, 60), st.integers(0, 60))
def test_a_difference_changes_sign_with_its_sides(a: int, b: int) -> None:
    one, other = difference(rate(a, 60), rate(b, 60)), difference(rate(b, 60), rate(a, 60))
    assert (one.value, one.low, one.high) == pytest.approx((-other.value, -other.high, -other.low))
    assert -1 <= one.low <= one.value <= one.high <= 1


def test_a_difference_to_nothing_is_unknown() -> None:
    found = difference(rate(3, 10), rate(0, 0))
    assert math.isnan(found.value)
    assert found.rows == 0


def test_intervals_of_two_levels_make_no_third_save_with_a_known_number() -> None:
    with pytest.raises(ValueError, match="do not make a third"):
        difference(rate(1, 10, 0.9), rate(1, 10))
    against = difference(exact(0.05, 10), rate(1, 10))
    assert against.level == 0.95
    assert against.low == pytest.approx(rate(1, 10).low - 0.05)


def test_a_mean_has_the_t_interval_of_scipy() -> None:
    values = np.random.default_rng(1).normal(3, 2, 40)
    found = mean(values, 0.9)
    oracle = stats.t.interval(0.9, 39, values.mean(), stats.sem(values))
    assert (found.low, found.high) == pytest.approx(oracle)
    assert found.value == pytest.approx(values.mean())


def test_a_mean_of_too_little_has_no_interval() -> None:
    for values in ([], [1.0, math.nan], [1.0, math.inf], [1e308, 1e308, -1e308], [1e200, -1e200]):
        assert math.isnan(mean(values).value), values
    one = mean([4.0])
    assert one.value == 4
    assert math.isnan(one.low)
    assert mean([4.0, 4.0]) == Estimate(4, 4, 4, 2, 0.95, "Student")


def test_what_is_known_has_no_width() -> None:
    assert exact(12.0, 3) == Estimate(12.0, 12.0, 12.0, 3, 1.0, "exact")
    assert check("size", exact(math.nan, 3), Limit(at_most=5)).outcome is Outcome.INCONCLUSIVE
