import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mainstay.measures.bounded import BoundedMean, bounded_mean, seen


def one_by_one(numbers: NDArray[np.float64], alpha: float) -> float:
    """The lower bound of arXiv 2010.09686, Theorem 2, as one writes it down for the first time."""
    total, spread, bet, won, paid = 0.0, 0.0, 0.0, 0.0, 0.0
    mean, variance = 0.5, 0.25
    for turn, number in enumerate(numbers.tolist(), start=1):
        stake = min(0.5, math.sqrt(2 * math.log(1 / alpha) / (turn * math.log(1 + turn) * variance)))
        won += stake * number
        bet += stake
        paid += (number - mean) ** 2 * (-math.log(1 - stake) - stake)
        total += number
        mean = (0.5 + total) / (turn + 1)
        spread += (number - mean) ** 2
        variance = (0.25 + spread) / (turn + 1)
    return max(0.0, (won - math.log(1 / alpha) - paid) / bet)


@pytest.mark.parametrize("rows", [1, 2, 10, 500])
def test_many_at_once_are_as_one_by_one(rows: int) -> None:
    numbers = np.random.default_rng(rows).beta(2, 5, rows)
    assert seen(BoundedMean(0.025), numbers).lower == pytest.approx(one_by_one(numbers, 0.025), abs=1e-12)


def test_it_goes_on_from_where_it_stood() -> None:
    numbers = np.random.default_rng(4).random(1000)
    whole = seen(BoundedMean(0.05), numbers)
    parts = BoundedMean(0.05)
    for part in np.array_split(numbers, 7):
        parts = seen(parts, part)
    assert parts.rows == whole.rows
    assert parts.lower == pytest.approx(whole.lower, abs=1e-12)
    assert seen(whole, []) == whole


def test_the_interval_holds_the_mean_and_narrows() -> None:
    numbers = np.random.default_rng(5).beta(1, 9, 20_000)
    widths = []
    for rows in (100, 2_000, 20_000):
        below, above = (seen(BoundedMean(0.025), side) for side in (numbers[:rows], 1 - numbers[:rows]))
        found = bounded_mean(below, above)
        assert found.low < 0.1 < found.high
        widths.append(found.high - found.low)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < 0.01


def test_nothing_seen_is_nothing_known() -> None:
    found = bounded_mean(BoundedMean(0.025), BoundedMean(0.025))
    assert math.isnan(found.value)
    assert math.isnan(found.low)
    assert BoundedMean(0.05).lower == 0


@pytest.mark.parametrize("numbers", [[1.1], [-0.1], [0.5, math.nan]])
def test_a_number_outside_its_bounds_is_refused(numbers: list[float]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        seen(BoundedMean(0.05), numbers)


def test_two_sides_that_saw_different_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="1 and 0"):
        bounded_mean(seen(BoundedMean(0.05), [0.5]), BoundedMean(0.05))
    with pytest.raises(ValueError, match="alpha"):
        BoundedMean(0.0)
