import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm

from mainstay.measures.planned import FARTHEST, boundaries, planned_estimate, spent
from mainstay.nouns import Valid


@pytest.mark.parametrize("fractions", [(0.3, 0.7, 1.0), (0.5, 1.0), (0.2, 0.25, 0.9)])
def test_the_looks_together_spend_what_is_allowed(fractions: tuple[float, ...]) -> None:
    # Another way to the same number: the looks are jointly normal, with covariances sqrt(t / u).
    bounds = np.array(boundaries(fractions, 0.05))
    t = np.array(fractions)
    covariance = np.sqrt(np.minimum.outer(t, t) / np.maximum.outer(t, t))
    inside = multivariate_normal(cov=covariance, seed=1, abseps=1e-7, releps=1e-7, maxpts=2_000_000)
    stays = float(inside.cdf(bounds, lower_limit=-bounds))
    assert 1 - stays == pytest.approx(spent(fractions[-1], 0.05), abs=2e-5)


def test_one_look_is_the_plain_test() -> None:
    assert boundaries([1.0], 0.05)[0] == pytest.approx(norm.ppf(0.975), abs=1e-6)


def test_the_published_boundaries_come_out() -> None:
    # Two one-sided tests of .025 each, five equal looks: Jennison & Turnbull (2000), and every package since.
    published = (4.877, 3.357, 2.680, 2.290, 2.031)
    upper = boundaries([0.2, 0.4, 0.6, 0.8, 1.0], 0.05)
    spread = [spent(t, 0.05) for t in (0.2, 0.4, 0.6, 0.8, 1.0)]
    # Ours spends 2 - 2Φ(z(α/2)/√t) over both sides at once: sooner, so lower at first and higher at last.
    assert upper[0] < published[0]
    assert upper[-1] > published[-1]
    assert upper[0] == pytest.approx(norm.isf(spread[0] / 2), abs=1e-6)
    assert spread[-1] == pytest.approx(0.05)


def test_early_looks_cost_next_to_nothing() -> None:
    bounds = boundaries([0.01, 0.5, 1.0], 0.05)
    assert bounds[0] == FARTHEST
    assert bounds[-1] < 2.1


def test_the_interval_leaves_zero_where_the_test_crosses() -> None:
    bounds = boundaries([0.5, 1.0], 0.05)
    just_over = planned_estimate(bounds[0] * 0.1 + 1e-6, 0.1, 500, 1, [0.5, 1.0], 0.05)
    just_under = planned_estimate(bounds[0] * 0.1 - 1e-6, 0.1, 500, 1, [0.5, 1.0], 0.05)
    assert just_under.low < 0 < just_over.low
    assert just_over.valid is Valid.PLANNED_LOOKS


def test_a_look_that_was_not_planned_is_refused() -> None:
    with pytest.raises(ValueError, match="not planned"):
        planned_estimate(0.1, 0.1, 500, 3, [0.5, 1.0], 0.05)
    with pytest.raises(ValueError, match="rise"):
        boundaries([0.5, 0.5], 0.05)
    with pytest.raises(ValueError, match="rise"):
        boundaries([], 0.05)
    with pytest.raises(ValueError, match="fraction"):
        boundaries([0.5, 1.5], 0.05)
