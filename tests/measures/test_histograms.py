import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.measures.histograms import kolmogorov_distance, total_variation

COUNTS = st.dictionaries(st.sampled_from("abcde"), st.integers(0, 50), min_size=1)


def test_total_variation_is_what_has_to_move() -> None:
    assert total_variation({"a": 50, "b": 50}, {"a": 75, "b": 25}) == pytest.approx(0.25)
    assert total_variation({"a": 10}, {"b": 3}) == 1
    assert total_variation({"a": 10, "b": 20}, {"b": 2, "a": 1}) == pytest.approx(0)


@given(COUNTS, COUNTS)
def test_total_variation_is_a_distance(one: dict[str, int], other: dict[str, int]) -> None:
    there = total_variation(one, other)
    if sum(one.values()) and sum(other.values()):
        assert 0 <= there <= 1 + 1e-12
        assert there == pytest.approx(total_variation(other, one))
    else:
        assert math.isnan(there)


def test_the_kolmogorov_distance_needs_no_common_bins() -> None:
    halves, tenths = [0.0, 0.5, 1.0], np.linspace(0, 1, 11).tolist()
    assert kolmogorov_distance(halves, [50, 50], tenths, [10] * 10) == pytest.approx(0)
    assert kolmogorov_distance(halves, [100, 0], halves, [50, 50]) == pytest.approx(0.5)


def test_the_kolmogorov_distance_is_that_of_the_samples() -> None:
    from scipy.stats import ks_2samp

    random = np.random.default_rng(4)
    one, other = random.normal(0, 1, 4000), random.normal(0.5, 1, 4000)
    binned = []
    for values in (one, other):
        edges = np.quantile(values, np.linspace(0, 1, 21))
        binned += [edges.tolist(), np.histogram(values, edges)[0].tolist()]
    assert kolmogorov_distance(*binned) == pytest.approx(ks_2samp(one, other).statistic, abs=0.05)


def test_one_value_is_a_step() -> None:
    assert kolmogorov_distance([3.0, 3.0], [10], [3.0, 3.0], [99]) == 0
    assert kolmogorov_distance([3.0, 3.0], [10], [4.0, 4.0], [10]) == 1


def test_no_rows_have_no_distance() -> None:
    assert math.isnan(kolmogorov_distance([], [], [0.0, 1.0], [5]))
    assert math.isnan(total_variation({}, {"a": 1}))
