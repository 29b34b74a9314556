"""Tests of counts that may be looked at as often as one likes: errors of two arms, and who was assigned to which.

Lindon & Malek, "Anytime-valid inference for multinomial count data" (arXiv 2011.03567). Given that an error happened,
which arm it happened in is a coin of the traffic's share: no base rate is needed, three errors are enough to begin
with, and the time of day moves nothing. Each is the log of an e-value: under the null its expectation is at most 1 at
every look, so that it ever reaches 1/α has probability at most α (Ville).
"""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.special import betaincc, betaln, gammaln

from mainstay.gathered import Epoch

Floats = NDArray[np.float64]

STRENGTH = 20.0
"""The errors that the prior of `worse` is worth, split as the traffic: Beta(10, 10) at equal shares."""
FLOOR = -700.0
"""As little evidence as there is: an e-value of 1e-304. Below, numbers end, and a log of none could not be kept."""


def worse(epochs: Sequence[Epoch], ratio: float = 1.0) -> float:
    """ln of the e-value against "an error is at most `ratio` times as likely in the challenger". 0 without errors.

    Each epoch's e-value is a fair bet of its own, whatever came before, so they are multiplied. An entity's first
    error alone counts, once per rollout. ValueError unless ratio >= 1.
    """
    if not ratio >= 1:
        raise ValueError(f"harm is a ratio of at least 1, not {ratio:g}")
    return max(FLOOR, sum(_worse(each, ratio) for each in epochs))


def _worse(epoch: Epoch, ratio: float) -> float:
    return float(worse_each(epoch.challenger, epoch.champion, epoch.share, ratio))


def worse_each(challenger: ArrayLike, champion: ArrayLike, share: float, ratio: float = 1.0) -> Floats:
    """`worse` of one epoch, for many pairs of counts at once: their shape. Epochs add up; -700 is the least of each."""
    treated, control = np.asarray(challenger, dtype=np.float64), np.asarray(champion, dtype=np.float64)
    null = ratio * share / (ratio * share + 1 - share)
    # The prior is split as the null's coin: at a 5 % share, Beta(10, 10) would look for harm that is not plausible.
    a, b = STRENGTH * null, STRENGTH * (1 - null)
    above = betaincc(a + treated, b + control, null)
    prior = float(betaln(a, b)) + math.log(float(betaincc(a, b, null)))
    found = betaln(a + treated, b + control) + np.log(np.where(above > 0, above, 1.0)) - prior
    found = found - treated * math.log(null) - control * math.log1p(-null)
    return np.asarray(np.where(above > 0, found, FLOOR))


def unbalanced(epochs: Sequence[Epoch]) -> float:
    """ln of the e-value against "entities were assigned as the shares say"; the counts are of entities, once each.

    Two-sided, with one prior entity in each arm. 0 without entities. A rollout freezes at 1000: its assignment is
    broken, and nothing that was measured by it can be believed.
    """
    return max(FLOOR, sum(_unbalanced(each) for each in epochs))


def _unbalanced(epoch: Epoch) -> float:
    treated, control = epoch.challenger, epoch.champion
    mixture = gammaln(2) - gammaln(2 + treated + control) + gammaln(1 + treated) + gammaln(1 + control)
    return float(mixture - treated * math.log(epoch.share) - control * math.log1p(-epoch.share))


def rate_at_most(total: float, rows: int, alpha: float) -> float:
    """An upper bound of the mean of numbers in [0, 1] that sum to `total`: holds at every look, whatever the law.

    The beta-binomial mixture of Robbins, with Jeffreys' prior (Howard, Ramdas, McAuliffe & Sekhon, arXiv 1810.08240,
    section 4.1; a number between 0 and 1 is no worse than the coin of its mean). It needs no events: 0 of 5,000 is at
    most .0016 at alpha .05. 1 of nothing. ValueError unless 0 <= total <= rows and 0 < alpha < 1.
    """
    if not 0 <= total <= rows or not 0 < alpha < 1:
        raise ValueError(f"{total:g} of {rows} at alpha {alpha:g} bounds nothing")
    evidence = float(betaln(0.5 + total, 0.5 + rows - total) - betaln(0.5, 0.5)) + math.log(alpha)

    def beyond(mean: float) -> float:
        return evidence - total * math.log(mean) - (rows - total) * math.log1p(-mean)

    low, high = max(total / max(rows, 1), 1e-12), 1 - 1e-12
    if total == rows or beyond(high) <= 0:
        return 1.0
    return float(brentq(beyond, low, high, xtol=1e-12))
