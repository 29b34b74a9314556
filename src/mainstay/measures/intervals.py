"""How far a number may be off: the constructions that more than one measure uses.

All are two-sided and computed without resampling, so there is no seed, and the order of the rows moves nothing but the
last bit. Their coverage is simulated in `tests/alarms/test_intervals.py`
and tabulated in `docs/alarms.md`.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit, ndtri, stdtrit

from mainstay.nouns import Estimate

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def labelled(labels: ArrayLike, scores: ArrayLike) -> tuple[Bools, Floats]:
    """The labels as booleans and the scores as float64, both of shape (n,).

    ValueError where the shapes differ or are not (n,), or where a label is anything but 0, 1, False or True.
    """
    truth = np.asarray(labels)
    values = np.asarray(scores, dtype=np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ValueError(f"labels of shape {truth.shape} and scores of shape {values.shape} must both be (n,)")
    if truth.dtype != np.bool_ and not np.all((truth == 0) | (truth == 1)):
        raise ValueError("a label is 1 (positive) or 0; some are neither")
    return truth.astype(np.bool_), values


def probable(probabilities: Floats) -> bool:
    """Whether there are rows and each holds a probability. A millionth outside [0, 1] is float32's rounding."""
    return bool(probabilities.size) and bool(np.all((probabilities >= -1e-6) & (probabilities <= 1 + 1e-6)))


def countable(values: Floats) -> bool:
    """Whether there are numbers, all finite; beyond 1e150, where squares overflow, counts as infinite."""
    return bool(values.size) and bool(np.all(np.abs(values) < 1e150))


def unknown(rows: int, method: str, level: float = 0.95, value: float = math.nan) -> Estimate:
    """A number that could not be had, or (with `value`) one whose uncertainty could not: verdicts are INCONCLUSIVE."""
    return Estimate(value, math.nan, math.nan, rows, level, method)


def normal_quantile(level: float) -> float:
    """The z of a two-sided interval. ValueError unless 0 < level < 1."""
    return float(ndtri(_upper(level)))


def student_quantile(level: float, freedom: float) -> float:
    """The t of a two-sided interval with `freedom` > 0 degrees of freedom. ValueError unless 0 < level < 1."""
    return float(stdtrit(freedom, _upper(level)))


def _upper(level: float) -> float:
    if not 0 < level < 1:
        raise ValueError(f"a level lies between 0 and 1, not at {level}")
    return 0.5 + level / 2


def on_logit_scale(value: float, error: float, quantile: float) -> tuple[float, float]:
    """The interval of a number strictly inside (0, 1) with standard error `error`, which cannot leave (0, 1)."""
    middle = math.log(value / (1 - value))
    reach = quantile * error / (value * (1 - value))
    return float(expit(middle - reach)), float(expit(middle + reach))


def never_missed(trials: int, level: float) -> float:
    """Lower bound of a proportion of which `trials` >= 1 independent trials all succeeded (Clopper & Pearson 1934)."""
    return float((1 - _upper(level)) ** (1 / trials))


def skewed_mean(
    values: ArrayLike, level: float = 0.95, lowest: float = -math.inf, highest: float = math.inf
) -> Estimate:
    """The mean of numbers whose distribution leans: losses, most near zero and a few large. Shape (n,).

    Hall's cubic transformation of Student's t (Hall 1992, "On the removal of skewness by transformation", J. R.
    Statist. Soc. B 54, section 2), with Student's quantile for the normal one: with few positives the plain t interval
    ends below the true loss in .08 of samples, this one in .01. It is cut at `lowest` and `highest`, between which
    every value lies. Empty or not finite: all NaN. One row: its value, without an interval. Equal values: one point.
    """
    method = "Hall"
    found = np.asarray(values, dtype=np.float64)
    n = found.size
    if not countable(found):
        return unknown(n, method, level)
    value = float(found.mean())
    if n == 1:
        return unknown(n, method, level, value)
    apart = found - value
    variance = float(np.mean(apart**2))
    if variance <= (1e-15 * value) ** 2:  # nothing but rounding
        return Estimate(value, value, value, n, level, method)
    skew = float(np.mean((apart / math.sqrt(variance)) ** 3))
    quantile = student_quantile(level, n - 1)
    reaches = [math.sqrt(variance / (n - 1)) * _untransformed(t, skew, n) for t in (quantile, -quantile)]
    low, high = value - max(reaches[0], 0.0), value - min(reaches[1], 0.0)
    return Estimate(value, max(low, lowest), min(high, highest), n, level, method)


def _untransformed(t: float, skew: float, n: int) -> float:
    """The inverse of Hall's g, which maps a studentised mean onto a symmetric t."""
    lean = skew / math.sqrt(n)
    if abs(lean) < 1e-6:
        return t
    return 3 / lean * (math.cbrt(1 + lean * (t - lean / 6)) - 1)
