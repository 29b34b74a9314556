"""How a candidate's answers differ from its champion's on the same rows, before it answers anybody."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.rates import mean, rate
from mainstay.nouns import Estimate


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two versions on the same rows.

    `flipped_share` is the share of rows decided otherwise; `score_shift` the mean of after - before, in [-1, 1];
    `disagreement` the mean of |after - before|, in [0, 1].
    """

    flipped_share: Estimate
    score_shift: Estimate
    disagreement: Estimate


def compare(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    threshold_before: float,
    threshold_after: float,
    level: float = 0.95,
) -> Comparison:
    """Compare the probabilities of two versions on the same n rows, each of shape (n,), each by its own threshold.

    No rows, or a probability that is not finite: all NaN. ValueError where the shapes differ.
    """
    if before.shape != after.shape or before.ndim != 1:
        raise ValueError(f"probabilities of shape {before.shape} and {after.shape} must both be (n,)")
    shift = after - before
    if np.isfinite(shift).all():
        flipped = rate(
            int(np.count_nonzero((before >= threshold_before) != (after >= threshold_after))), len(shift), level
        )
    else:
        flipped = mean(shift, level)
    return Comparison(flipped, mean(shift, level), mean(np.abs(shift), level))
