"""Latency at any time: a band around the distribution of each arm. A display, too wide to judge a p99 by.

Howard & Ramdas, "Sequential estimation of quantiles with applications to A/B testing and best-arm identification"
(arXiv 1906.09712), Corollary 2. What judges latency is the slow rate: the share of requests over the champion's frozen
95th percentile, by the tests of `counts` and `sequential`.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from mainstay.nouns import Estimate, Valid

METHOD = "sequential Kolmogorov-Smirnov band"


def half_width(rows: int, alpha: float, first: int = 1) -> float:
    """How far the true distribution function lies at most from the empirical one at every look from `first` on.

    ValueError where there are fewer rows than `first`, or alpha is not in (0, 1).
    """
    if not 0 < alpha < 1:
        raise ValueError(f"alpha lies between 0 and 1, not at {alpha:g}")
    if not 1 <= first <= rows:
        raise ValueError(f"the band holds from {first} rows on, and there are {rows}")
    constant = 0.8 * math.log(1612 / alpha)
    return 0.85 * math.sqrt((math.log1p(math.log(rows / first)) + constant) / rows)


def quantile(values: ArrayLike, share: float, alpha: float) -> Estimate:
    """The quantile at `share` in (0, 1) of numbers (n,), with an interval that holds at every look.

    An end that the band does not reach is infinite. NaN of no numbers, or where one is NaN.
    """
    if not 0 < share < 1:
        raise ValueError(f"a quantile lies at a share between 0 and 1, not at {share:g}")
    numbers = np.sort(np.asarray(values, dtype=np.float64))
    rows = int(numbers.size)
    if not rows or np.isnan(numbers).any():
        return Estimate(math.nan, math.nan, math.nan, rows, 1 - alpha, METHOD, Valid.ANY_TIME)
    half = half_width(rows, alpha)
    below, above = math.ceil((share - half) * rows), math.floor((share + half) * rows) + 1
    low = float(numbers[below - 1]) if below >= 1 else -math.inf
    high = float(numbers[above - 1]) if above <= rows else math.inf
    value = float(numbers[max(0, math.ceil(share * rows) - 1)])
    return Estimate(value, low, high, rows, 1 - alpha, METHOD, Valid.ANY_TIME)
