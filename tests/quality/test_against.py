"""How two versions differ on the same rows."""

import math

import numpy as np
import pytest

from mainstay.quality.against import against
from mainstay.registry.manifest import Against


def test_the_same_answers_do_not_differ() -> None:
    probability = np.linspace(0, 1, 50)
    found = against(probability, probability, 0.5, 0.5)
    assert (found["flipped_share"].value, found["score_shift"].value, found["disagreement"].value) == (0.0, 0.0, 0.0)
    assert found["flipped_share"].high > 0  # fifty rows prove no more than that


def test_each_version_decides_by_its_own_threshold() -> None:
    before = np.array([0.1, 0.4, 0.6, 0.9])
    found = against(before, before, 0.5, 0.3)
    assert (found["flipped_share"].value, found["flipped_share"].rows) == (0.25, 4)
    assert found["disagreement"].value == 0.0


def test_shift_has_a_sign_and_disagreement_none() -> None:
    before, after = np.array([0.2, 0.4, 0.6, 0.8]), np.array([0.3, 0.3, 0.7, 0.7])
    found = against(before, after, 0.5, 0.5)
    assert found["score_shift"].value == pytest.approx(0.0)
    assert found["disagreement"].value == pytest.approx(0.1)
    assert against(before, before + 0.1, 0.5, 0.5)["score_shift"].value == pytest.approx(0.1)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_probability_that_is_not_finite_makes_all_unknown(bad: float) -> None:
    found = against(np.array([0.2, 0.4]), np.array([bad, 0.3]), 0.5, 0.5)
    assert all(math.isnan(each.value) for each in found.values())


def test_no_rows_make_all_unknown() -> None:
    found = against(np.array([]), np.array([]), 0.5, 0.5)
    assert math.isnan(found["flipped_share"].value)


def test_other_rows_are_an_error() -> None:
    with pytest.raises(ValueError, match="must both be"):
        against(np.array([0.5]), np.array([0.5, 0.5]), 0.5, 0.5)


def test_a_manifest_takes_the_comparison_as_it_is() -> None:
    probability = np.linspace(0, 1, 50)
    found = against(probability, probability / 2, 0.5, 0.5)
    assert Against("1.0.0", **found).flipped_share == found["flipped_share"]
