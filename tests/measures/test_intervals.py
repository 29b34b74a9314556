import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.optimize import brentq

from mainstay.measures.intervals import labelled, never_missed, skewed_mean


def test_a_leaning_mean_solves_halls_equation() -> None:
    """Its ends are the means at which Hall's transformed statistic reaches Student's quantiles."""
    values = np.random.default_rng(4).exponential(1, 60)
    n, spread = 60, values.std(ddof=1)
    skew = float(stats.skew(values))

    def transformed(at: float) -> float:
        t = (values.mean() - at) / spread  # Hall 1992, equation 2.3, in W = t / sqrt(n)
        return float(math.sqrt(n) * (t + skew * t**2 / 3 + skew**2 * t**3 / 27 + skew / (6 * n)))

    found, quantile = skewed_mean(values), float(stats.t.ppf(0.975, n - 1))
    assert found.low == pytest.approx(brentq(lambda at: transformed(at) - quantile, 0, 5), abs=1e-9)
    assert found.high == pytest.approx(brentq(lambda at: transformed(at) + quantile, 0, 5), abs=1e-9)


def test_without_a_lean_it_is_students_interval() -> None:
    values = np.concatenate([np.arange(10.0), -np.arange(10.0)])
    found = skewed_mean(values)
    assert (found.low, found.high) == pytest.approx(stats.t.interval(0.95, 19, 0, stats.sem(values)))


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=30), st.sampled_from([0.5, 0.95, 0.999]))
def test_a_leaning_mean_lies_in_its_interval(values: list[float], level: float) -> None:
    found = skewed_mean(values, level)
    assert found.low <= found.value <= found.high


def test_an_interval_ends_where_values_end() -> None:
    found = skewed_mean([0.0, 0.0, 1.0], lowest=0.0, highest=1.0)
    assert (found.low, found.high) == (0.0, 1.0)


def test_no_values_or_one_leave_no_interval_and_equal_ones_leave_a_point() -> None:
    assert math.isnan(skewed_mean([]).value)
    assert math.isnan(skewed_mean([1.0, math.nan]).value)
    assert skewed_mean([2.0]).value == 2
    assert math.isnan(skewed_mean([2.0]).low)
    assert skewed_mean([0.1] * 7).low == skewed_mean([0.1] * 7).high == pytest.approx(0.1)


def test_never_having_missed_has_clopper_and_pearsons_bound() -> None:
    assert never_missed(12, 0.95) == pytest.approx(stats.binomtest(12, 12).proportion_ci(0.95, "exact").low)


@pytest.mark.parametrize("labels", [[0, 2], [0, math.nan], [0, 1, 1], [-1, 1], []])
def test_labels_that_are_not_labels_are_refused(labels: list[float]) -> None:
    with pytest.raises(ValueError, match=r"label|shape"):
        labelled(labels, [0.1, 0.2])


def test_labels_may_be_booleans_integers_or_floats() -> None:
    for labels in ([True, False], [1, 0], [1.0, 0.0]):
        truth, _ = labelled(labels, [0.1, 0.2])
        assert truth.tolist() == [True, False]
