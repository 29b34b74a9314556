import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.integrate import quad
from scipy.stats import beta, betabinom

from mainstay.gathered import Epoch
from mainstay.measures.counts import FLOOR, rate_at_most, unbalanced, worse, worse_each


def by_integration(challenger: int, champion: int, share: float, ratio: float = 1.0) -> float:
    """The e-value as its definition says: the likelihood ratio, averaged over the prior cut off at the null."""
    null = ratio * share / (ratio * share + 1 - share)
    prior = beta(20 * null, 20 * (1 - null))

    def weighed(theta: float) -> float:
        ratio_of = (theta / null) ** challenger * ((1 - theta) / (1 - null)) ** champion
        return float(prior.pdf(theta)) * ratio_of

    found, _ = quad(weighed, null, 1, limit=200)
    return math.log(found / float(prior.sf(null)))


@pytest.mark.parametrize("share", [0.5, 0.25, 0.05])
@pytest.mark.parametrize(("challenger", "champion"), [(0, 0), (3, 0), (0, 3), (12, 9), (30, 61)])
def test_the_closed_form_is_the_integral_it_stands_for(challenger: int, champion: int, share: float) -> None:
    found = worse([Epoch(challenger, champion, share)])
    assert found == pytest.approx(by_integration(challenger, champion, share), abs=1e-6)


def test_a_margin_moves_the_null() -> None:
    counts = Epoch(40, 25, 0.5)
    assert worse([counts], ratio=1.5) == pytest.approx(by_integration(40, 25, 0.5, 1.5), abs=1e-6)
    assert worse([counts], ratio=1.5) < worse([counts])


@pytest.mark.parametrize("share", [0.5, 0.25, 0.05])
def test_the_bet_is_fair_under_the_null(share: float) -> None:
    # E of the e-value over Binomial(n, share) is 1: so it is a martingale, whatever n is.
    for errors in (1, 5, 20):
        chances = betabinom(errors, 1e9 * share, 1e9 * (1 - share))  # as good as binomial
        expected = sum(
            chances.pmf(count) * math.exp(worse([Epoch(count, errors - count, share)])) for count in range(errors + 1)
        )
        assert expected == pytest.approx(1, abs=1e-3)


def test_three_errors_are_enough_to_begin_with() -> None:
    assert worse([]) == 0
    assert worse([Epoch(0, 0, 0.5)]) == pytest.approx(0)
    assert worse([Epoch(3, 0, 0.5)]) > 0 > worse([Epoch(0, 3, 0.5)])


def test_epochs_are_multiplied_and_never_pooled() -> None:
    first, second = Epoch(10, 2, 0.5), Epoch(1, 12, 0.05)
    assert worse([first, second]) == pytest.approx(worse([first]) + worse([second]))


def test_a_flawless_challenger_leaves_a_number_that_can_be_kept() -> None:
    assert worse([Epoch(0, 100_000, 0.5)]) == FLOOR
    assert unbalanced([Epoch(50_000, 50_000, 0.5)]) < 0


@pytest.mark.parametrize("share", [0.0, 1.0, math.nan])
def test_one_arm_alone_is_refused(share: float) -> None:
    with pytest.raises(ValueError, match="share"):
        Epoch(1, 1, share)


def test_what_cannot_be_meant_is_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        Epoch(-1, 0, 0.5)
    with pytest.raises(ValueError, match="ratio"):
        worse([Epoch(1, 1, 0.5)], ratio=0.9)


def test_a_broken_assignment_is_seen_from_either_side() -> None:
    bar = math.log(1000)
    assert unbalanced([Epoch(5_300, 4_700, 0.5)]) > bar
    assert unbalanced([Epoch(4_700, 5_300, 0.5)]) > bar
    assert unbalanced([Epoch(5_020, 4_980, 0.5)]) < 0
    assert unbalanced([Epoch(520, 9_480, 0.05), Epoch(5_000, 5_000, 0.5)]) < 0


def test_an_upper_bound_of_a_rate_needs_no_events_and_holds_at_every_look() -> None:
    assert rate_at_most(0, 5000, 0.05) == pytest.approx(0.00157, abs=1e-5)
    assert rate_at_most(0, 0, 0.05) == 1.0
    assert rate_at_most(7, 7, 0.05) == 1.0
    assert rate_at_most(30, 100, 0.05) > rate_at_most(30, 100, 0.2) > 0.3
    draw = np.random.default_rng(9)
    runs, rate = 1000, 0.01
    events = (draw.random((runs, 2000)) < rate).cumsum(1)
    least = np.array([next((n for n in range(30) if rate_at_most(n, rows, 0.05) >= rate), 30) for rows in looks(2000)])
    missed = (events[:, looks(2000) - 1] < least).any(1).sum()
    assert beta.ppf(0.95, missed + 1, runs - missed) <= 0.05


def looks(rows: int) -> NDArray[np.int64]:
    return np.unique(np.geomspace(10, rows, 60).astype(np.int64))


@pytest.mark.parametrize(("total", "rows", "alpha"), [(-1, 10, 0.05), (11, 10, 0.05), (1, 10, 0), (1, 10, 1)])
def test_a_bound_of_no_rate_is_refused(total: float, rows: int, alpha: float) -> None:
    with pytest.raises(ValueError, match="bounds nothing"):
        rate_at_most(total, rows, alpha)


def test_many_counts_at_once_are_as_one_after_the_other() -> None:
    challenger, champion = np.array([[0, 3], [40, 2000]]), np.array([[0, 9], [12, 5]])
    for share, ratio in ((0.5, 1.0), (0.05, 1.0), (0.5, 1.5)):
        one_by_one = [
            [worse([Epoch(int(t), int(c), share)], ratio) for t, c in zip(*rows, strict=True)]
            for rows in zip(challenger, champion, strict=True)
        ]
        assert worse_each(challenger, champion, share, ratio).tolist() == one_by_one
