"""Bounds that may be looked at as often as one likes: asymptotic confidence sequences, and what they run on.

Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas, "Time-uniform central limit theory and asymptotic confidence sequences"
(arXiv 2103.06476), Theorem 2.2 for two sides and Proposition B.1 for one. They hold at every look from a minimum of
rows on; how soon is simulated in `tests/alarms/test_sequences.py`. α, the planned rows (where the bound is tightest),
the direction and the margin are fixed before the first look.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.gathered import Moments
from mainstay.nouns import Estimate, Valid

Floats = NDArray[np.float64]


def moments(values: ArrayLike) -> Moments:
    """The moments of numbers of shape (n,). ValueError where one is not finite: it would poison all that come."""
    numbers = np.asarray(values, dtype=np.float64)
    if not np.isfinite(numbers).all():
        raise ValueError("moments are of finite numbers only")
    return Moments(numbers.size, float(numbers.sum()), float(np.square(numbers).sum()))


def weighted_difference(
    outcomes: ArrayLike, challenged: ArrayLike, shares: ArrayLike, predicted: ArrayLike = 0.0
) -> Floats:
    """ψ of shape (n,), whose mean estimates the challenger's mean outcome minus the champion's: ATE by weighting.

    `outcomes` (n,) are one number a unit at its first exposure, `challenged` (n,) whether it was assigned to the
    challenger, `shares` (n,) or one the *logged* probability of that, in (0, 1). `predicted` (n,) is any guess of the
    outcome that was fixed before the assignment (the champion's score gives CUPED's gain): it cannot bias, only narrow.
    Weighting by the logged share is what keeps the difference honest while shares and base rates move together.
    ValueError for a share of 0 or 1: where one arm answers everything there is nothing to compare.
    """
    share = np.asarray(shares, dtype=np.float64)
    if not ((share > 0) & (share < 1)).all():
        raise ValueError("a share is a probability strictly between 0 and 1")
    treated = np.asarray(challenged, dtype=np.bool_)
    residual = np.asarray(outcomes, dtype=np.float64) - np.asarray(predicted, dtype=np.float64)
    return np.asarray(residual * np.where(treated, 1 / share, -1 / (1 - share)))


def confidence_sequence(found: Moments, planned: int, alpha: float) -> Estimate:
    """The mean with a two-sided interval that covers at every look, with probability about 1 - alpha.

    `planned` is the number of rows at which it is tightest. NaN bounds for fewer than two rows, or no spread at all
    (nothing that was seen says how far a next number may lie).
    """
    half = found.deviation * radius(found.rows, planned, alpha, sides=2) if found.rows > 1 else math.nan
    return _estimate(found, half, half, 1 - alpha, "asymptotic confidence sequence")


def lower_bound(found: Moments, planned: int, alpha: float) -> Estimate:
    """The mean with a lower bound that holds at every look with probability about 1 - alpha; no upper bound (inf).

    Edges as in `confidence_sequence`. Harm is shown where the bound on the harm lies above the margin.
    """
    half = found.deviation * radius(found.rows, planned, alpha, sides=1) if found.rows > 1 else math.nan
    # Its other end is open: as a two-sided interval it misses with alpha in all.
    return _estimate(found, half, math.inf, 1 - alpha, "asymptotic confidence sequence, one-sided")


def upper_bound(found: Moments, planned: int, alpha: float) -> Estimate:
    """As `lower_bound`, from above."""
    half = found.deviation * radius(found.rows, planned, alpha, sides=1) if found.rows > 1 else math.nan
    return _estimate(found, math.inf, half, 1 - alpha, "asymptotic confidence sequence, one-sided")


def _estimate(found: Moments, below: float, above: float, level: float, method: str) -> Estimate:
    if not found.rows or not found.deviation > 0:
        return Estimate(found.mean, math.nan, math.nan, found.rows, level, method, Valid.ANY_TIME)
    low, high = found.mean - below, found.mean + above
    return Estimate(found.mean, low, high, found.rows, level, method, Valid.ANY_TIME)


def radius(rows: int, planned: int, alpha: float, sides: int) -> float:
    """Half the width in standard deviations of one number, at `rows` >= 1. ValueError unless 0 < alpha < 1.

    `sides` is 1 or 2. ρ is the paper's, tightest at `planned` (its Appendix B.2), with 2α in the place of α for one.
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies between 0 and 1, not at {alpha:g}")
    if rows < 1 or planned < 1:
        raise ValueError("a bound needs rows, and a planned number of them")
    spent = alpha if sides == 2 else min(2 * alpha, 1 - 1e-9)
    rho2 = (-2 * math.log(spent) + math.log(-2 * math.log(spent) + 1)) / planned
    grown = rows * rho2 + 1
    tail = math.log(math.sqrt(grown) / alpha) if sides == 2 else math.log1p(math.sqrt(grown) / (2 * alpha))
    return math.sqrt(2 * grown / (rows**2 * rho2) * tail)
