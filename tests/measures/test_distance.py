"""Distances between two samples."""

import math

import numpy as np
import pytest

from mainstay.measures.distance import kolmogorov, quantile_shift, total_variation


def test_total_variation_is_half_the_summed_difference() -> None:
    assert total_variation([500, 500], [800, 200]).value == pytest.approx(0.3)
    assert total_variation([10, 0], [0, 10]).value == 1.0


def test_one_category_on_both_sides_is_known_to_be_the_same() -> None:
    found = total_variation([7], [9])
    assert (found.value, found.low, found.high, found.rows) == (0.0, 0.0, 0.0, 7)


def test_nothing_on_a_side_is_no_distance() -> None:
    for found in (total_variation([0], [3]), kolmogorov([], [1.0]), quantile_shift([1.0], [], 0.5)):
        assert math.isnan(found.value)
    with pytest.raises(ValueError, match=r"must both be \(k,\)"):
        total_variation([1, 2], [1, 2, 3])


def test_a_number_that_is_not_finite_is_no_distance() -> None:
    assert math.isnan(kolmogorov([1.0, math.inf], [1.0]).value)


def test_the_distance_of_apart_samples_is_one_and_a_shift_is_in_their_unit() -> None:
    below, above = np.arange(500.0), np.arange(500.0) + 1000
    assert kolmogorov(below, above).value == 1.0
    found = quantile_shift(below, above, 0.5)
    assert (found.value, found.low < 1000 < found.high) == (1000.0, True)


def test_a_sample_too_small_for_its_quantile_has_no_interval() -> None:
    found = quantile_shift([1.0, 2.0], [2.0, 3.0], 0.1)
    assert (found.value, math.isnan(found.low)) == (1.0, True)


@pytest.mark.parametrize("shared", [0, 250])
def test_the_intervals_hold_the_truth_whether_or_not_rows_are_shared(shared: int) -> None:
    random, tries = np.random.default_rng(3), 200
    missed = np.zeros(3)
    for _ in range(tries):
        a = random.normal(size=300)
        b = np.concatenate([a[:shared], random.normal(size=300 - shared)])
        counts = [np.bincount(np.digitize(each, [-1, 0, 1]), minlength=4) for each in (a, b)]
        found = total_variation(*counts), kolmogorov(a, b), quantile_shift(a, b, 0.5)  # type: ignore[arg-type]
        missed += [not each.low <= 0 <= each.high for each in found]
    assert (missed / tries <= 0.05).all()
