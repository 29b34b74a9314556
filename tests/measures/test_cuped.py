import math

import numpy as np
import pytest

from mainstay.measures.cuped import adjusted


def test_what_was_foretold_is_taken_away_and_the_mean_stays() -> None:
    rng = np.random.default_rng(7)
    before = rng.normal(size=5000)
    outcomes = 2 * before + rng.normal(scale=0.5, size=5000)
    found = adjusted(outcomes, before)
    assert found.mean() == pytest.approx(outcomes.mean())
    assert found.std() == pytest.approx(0.5, rel=0.05)


@pytest.mark.parametrize("before", [[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
def test_a_covariate_that_foretells_nothing_changes_nothing(before: list[float]) -> None:
    assert adjusted([1.0, 2.0, 3.0], before).tolist() == [1.0, 2.0, 3.0]


def test_nothing_and_one_row_stay_as_they_are() -> None:
    assert adjusted([], []).size == 0
    assert adjusted([1.0], [5.0]).tolist() == [1.0]


def test_what_cannot_be_paired_is_refused() -> None:
    with pytest.raises(ValueError, match="shape"):
        adjusted([1.0, 2.0], [1.0])
    with pytest.raises(ValueError, match="finite"):
        adjusted([1.0, math.nan], [1.0, 2.0])
