"""How far apart two recorded histograms are: exact for what was recorded, with no claim about rows that were not."""

import math
from collections.abc import Mapping, Sequence

import numpy as np

from mainstay.measures.intervals import Floats


def total_variation(before: Mapping[str, int], after: Mapping[str, int]) -> float:
    """The greatest difference that two distributions over categories give to any set of them, in [0, 1].

    Half the sum of absolute differences of shares. NaN where either counts no rows.
    """
    rows = sum(before.values()), sum(after.values())
    if not all(rows):
        return math.nan
    names = sorted({*before, *after})
    return 0.5 * sum(abs(before.get(name, 0) / rows[0] - after.get(name, 0) / rows[1]) for name in names)


def kolmogorov_distance(
    before_edges: Sequence[float],
    before_counts: Sequence[int],
    after_edges: Sequence[float],
    after_counts: Sequence[int],
) -> float:
    """The greatest difference of two cumulative distributions given as histograms, each with its own bins; in [0, 1].

    Bin i has `counts[i]` rows between edges[i] and edges[i + 1], taken as evenly spread; so the distance is that of
    Kolmogorov and Smirnov to within the share of one bin. NaN where either histogram has no rows.
    """
    if not (sum(before_counts) and sum(after_counts)):
        return math.nan
    places = np.union1d(np.asarray(before_edges, dtype=np.float64), np.asarray(after_edges, dtype=np.float64))
    reached = (
        _cumulative(edges, counts, places)
        for edges, counts in ((before_edges, before_counts), (after_edges, after_counts))
    )
    return float(np.abs(np.subtract(*reached)).max())


def _cumulative(edges: Sequence[float], counts: Sequence[int], places: Floats) -> Floats:
    known = np.asarray(edges, dtype=np.float64)
    if known[0] == known[-1]:  # one value only: a step
        return np.asarray(places >= known[0], dtype=np.float64)
    reached = np.insert(np.cumsum(np.asarray(counts, dtype=np.float64)), 0, 0.0)
    return np.asarray(np.interp(places, known, reached / reached[-1]))
