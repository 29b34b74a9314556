"""How far two samples lie apart, with intervals that hold whether or not the two share rows.

Two versions of a dataset have most of their rows in common, so an interval may not count on independence between
them. Each side's own deviation from its population is bounded, and the bounds add up: wider than a test between
independent samples would be, and never too narrow for sharing. Valid at one look.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import binom

from mainstay.measures.intervals import Floats, countable, unknown
from mainstay.nouns import Estimate


def total_variation(before: ArrayLike, after: ArrayLike, level: float = 0.95) -> Estimate:
    """Half the summed difference between two distributions over the same k categories, in [0, 1].

    Takes counts of shape (k,). The interval adds for each side the bound on its mean deviation, sqrt((k - 1) / n) / 2
    (Cauchy-Schwarz), and McDiarmid's on what may come on top (1989). k are the categories that either side has. `rows`
    are those of the smaller side; an empty side: all NaN. ValueError where the shapes differ.
    """
    a, b = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    if a.shape != b.shape or a.ndim != 1:
        raise ValueError(f"counts of shape {a.shape} and {b.shape} must both be (k,)")
    sizes, method = (float(a.sum()), float(b.sum())), "McDiarmid"
    if not min(sizes):
        return unknown(0, method, level)
    value = 0.5 * float(np.abs(a / sizes[0] - b / sizes[1]).sum())
    k = int(((a + b) > 0).sum())
    tail = math.log(2 / (1 - level)) / 2
    reach = 0.0 if k == 1 else sum(0.5 * math.sqrt((k - 1) / n) + math.sqrt(tail / n) for n in sizes)
    return Estimate(value, max(0.0, value - reach), min(1.0, value + reach), int(min(sizes)), level, method)


def kolmogorov(before: ArrayLike, after: ArrayLike, level: float = 0.95) -> Estimate:
    """The largest difference between the distribution functions of two samples of numbers, in [0, 1].

    The interval adds the Dvoretzky-Kiefer-Wolfowitz bound of each side (Massart 1990, Ann. Probab. 18). An empty side,
    or a number that is not finite: all NaN.
    """
    a, b = (np.sort(np.asarray(each, dtype=np.float64)) for each in (before, after))
    rows, method = min(a.size, b.size), "DKW"
    if not (countable(a) and countable(b)):
        return unknown(rows, method, level)
    at = np.concatenate([a, b])
    below = [np.searchsorted(each, at, side="right") / each.size for each in (a, b)]
    value = float(np.abs(below[0] - below[1]).max())
    reach = sum(math.sqrt(math.log(4 / (1 - level)) / (2 * each.size)) for each in (a, b))
    return Estimate(value, max(0.0, value - reach), min(1.0, value + reach), rows, level, method)


def quantile_shift(before: ArrayLike, after: ArrayLike, q: float, level: float = 0.95) -> Estimate:
    """How far the q-quantile moved from one sample of numbers to another, in their unit.

    The interval spans the ends of each side's order-statistic interval (David & Nagaraja 2003, §7.1), each at
    level 1 - (1 - level) / 2. Without an interval where a side is too small to have one; an empty side, or a number
    that is not finite: all NaN.
    """
    a, b = (np.sort(np.asarray(each, dtype=np.float64)) for each in (before, after))
    rows, method = min(a.size, b.size), "order statistics"
    if not (countable(a) and countable(b)):
        return unknown(rows, method, level)
    value = float(np.quantile(b, q) - np.quantile(a, q))
    ends = [_ends(each, q, (1 - level) / 2) for each in (a, b)]
    low, high = ends[1][0] - ends[0][1], ends[1][1] - ends[0][0]
    if math.isnan(low + high):
        return unknown(rows, method, level, value)
    return Estimate(value, min(low, value), max(high, value), rows, level, method)


def _ends(ordered: Floats, q: float, missed: float) -> tuple[float, float]:
    """The order statistics that hold the q-quantile between them but for a chance of `missed`; NaN for none."""
    low = int(binom.ppf(missed / 2, ordered.size, q)) - 1
    high = int(binom.isf(missed / 2, ordered.size, q)) + 1
    if low < 0 or high > ordered.size - 1:
        return math.nan, math.nan
    return float(ordered[low]), float(ordered[high])
