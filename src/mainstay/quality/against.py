"""How a candidate's answers differ from its champion's on the same rows, before it answers anybody."""

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.rates import mean, rate
from mainstay.nouns import Estimate


def against(
    champion: NDArray[np.float64],
    candidate: NDArray[np.float64],
    champion_threshold: float,
    candidate_threshold: float,
    level: float = 0.95,
) -> dict[str, Estimate]:
    """Compare the probabilities of two models on the same n rows, each of shape (n,), each by its own threshold.

    `flipped_share` is the share of rows decided otherwise (Wilson); `score_shift` the mean of candidate - champion, in
    [-1, 1]; `disagreement` the mean of its absolute value, in [0, 1]. No rows, or a probability that is not finite:
    all NaN. ValueError where the shapes differ.
    """
    if champion.shape != candidate.shape or champion.ndim != 1:
        raise ValueError(f"probabilities of shape {champion.shape} and {candidate.shape} must both be (n,)")
    shift = candidate - champion
    flipped = mean(shift, level)  # all NaN where the probabilities are not finite
    if np.isfinite(shift).all():
        otherwise = (champion >= champion_threshold) != (candidate >= candidate_threshold)
        flipped = rate(int(np.count_nonzero(otherwise)), len(shift), level)
    return {"flipped_share": flipped, "score_shift": mean(shift, level), "disagreement": mean(np.abs(shift), level)}
