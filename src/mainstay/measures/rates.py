"""Shares, differences of shares, means, and numbers that are simply known.

An interval here is valid at one look: it may not judge what is looked at again. Sizes that tell nothing give NaN, which
verdicts read as INCONCLUSIVE.
"""

import math

import numpy as np
from numpy.typing import ArrayLike

from mainstay.measures.intervals import countable, normal_quantile, student_quantile, unknown
from mainstay.nouns import Estimate


def rate(hits: int, rows: int, level: float = 0.95) -> Estimate:
    """The share of `rows` that are hits, in [0, 1], with Wilson's score interval (Wilson 1927, JASA 22).

    No rows: all NaN. ValueError unless 0 <= hits <= rows.
    """
    method = "Wilson"
    if not 0 <= hits <= rows:
        raise ValueError(f"{hits} hits among {rows} rows cannot be")
    z = normal_quantile(level)
    if rows == 0:
        return unknown(0, method, level)
    share = hits / rows
    shrink = 1 + z * z / rows
    middle = (share + z * z / (2 * rows)) / shrink
    reach = z * math.sqrt(share * (1 - share) / rows + z * z / (4 * rows * rows)) / shrink
    # At the ends the formula is exact, its rounding is not.
    low = 0.0 if hits == 0 else min(share, middle - reach)
    high = 1.0 if hits == rows else max(share, middle + reach)
    return Estimate(share, low, high, rows, level, method)


def difference(a: Estimate, b: Estimate) -> Estimate:
    """b minus a, of two independent estimates, from their own intervals.

    For rates this is Newcombe's hybrid score interval (Newcombe 1998, Statist. Med. 17, method 10), for any others its
    generalisation, MOVER (Zou & Donner 2008, Statist. Med. 27). `rows` are those of the smaller side. NaN on either
    side makes all NaN. ValueError where the two levels differ and neither number is exact.
    """
    method = "Newcombe"
    if a.level != b.level and "exact" not in (a.method, b.method):
        raise ValueError(f"an interval of level {a.level} and one of {b.level} do not make a third")
    rows, level = min(a.rows, b.rows), min(a.level, b.level)
    value = b.value - a.value
    low = value - math.hypot(b.value - b.low, a.high - a.value)
    high = value + math.hypot(b.high - b.value, a.value - a.low)
    if math.isnan(low + high):
        return unknown(rows, method, level)
    return Estimate(value, low, high, rows, level, method)


def mean(values: ArrayLike, level: float = 0.95) -> Estimate:
    """The mean of numbers of shape (n,), with Student's t interval.

    Empty or not finite: all NaN. One number: itself, without an interval. Identical numbers: an interval of one point.
    Where the numbers lean to one side, as losses do, use `intervals.skewed_mean`.
    """
    method = "Student"
    found = np.asarray(values, dtype=np.float64)
    n = found.size
    if not countable(found):
        return unknown(n, method, level)
    value = float(found.mean())
    if n == 1:
        return unknown(n, method, level, value)
    reach = student_quantile(level, n - 1) * float(found.std(ddof=1)) / math.sqrt(n)
    return Estimate(value, value - reach, value + reach, n, level, method)


def exact(value: float, rows: int) -> Estimate:
    """A number that is known, not estimated (a size in bytes, a count): low = high = value, level 1. NaN stays NaN."""
    return Estimate(value, value, value, rows, 1.0, "exact")
