"""What acting on a score earns, and from which score on it is worth acting.

Acting on somebody means an offer. It costs `cost`, and when it reaches a positive (a customer about to leave) it keeps
`value_saved` with probability `save_rate`. Everything is in the currency of the offer. Positive is decided by
probability >= threshold.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from mainstay.measures.intervals import Bools, Floats, labelled, unknown
from mainstay.measures.rates import rate
from mainstay.nouns import Estimate

# One-sided 95 %: how sure a threshold found on the rows must be of beating the break-even.
_NOISE = 1.645


@dataclass(frozen=True, slots=True)
class Offer:
    """What an offer costs, what a customer who stays is worth, and the share of leavers whom an offer keeps."""

    cost: float
    value_saved: float
    save_rate: float

    def __post_init__(self) -> None:
        if not (math.isfinite(self.cost) and self.cost >= 0):
            raise ValueError(f"an offer costs nothing or more, not {self.cost}")
        if not (math.isfinite(self.value_saved) and self.value_saved >= 0):
            raise ValueError(f"a customer who stays is worth nothing or more, not {self.value_saved}")
        if not 0 <= self.save_rate <= 1:
            raise ValueError(f"a save rate is a share in [0, 1], not {self.save_rate}")

    @property
    def worth(self) -> float:
        """What an offer to a positive brings on average, its cost not yet taken off."""
        return self.value_saved * self.save_rate

    @property
    def break_even(self) -> float:
        """The probability in [0, 1] from which on an offer pays, if probabilities are true.

        1 where an offer can never pay, 0 where it costs nothing and brings something.
        """
        return 1.0 if self.worth <= self.cost else self.cost / self.worth


def expected_profit(
    labels: ArrayLike, probabilities: ArrayLike, threshold: float, offer: Offer, level: float = 0.95
) -> Estimate:
    """Average profit per customer of an offer to everyone with probability >= threshold, against offering nothing.

    The labels must be what happens without an offer. `save_rate` is taken as known: the interval covers which customers
    were seen. It combines the Wilson intervals of the shares of true and of false positives, which are multinomially
    correlated, by MOVER (Zou & Donner 2008, Statist. Med. 27), so it has a width even where nobody was reached.
    `threshold` must not have been chosen on the same rows. Empty, a score that is not finite or a NaN threshold: NaN.
    """
    method = "MOVER of Wilson"
    truth, scores = labelled(labels, probabilities)
    n = scores.size
    if n == 0 or math.isnan(threshold) or not np.all(np.isfinite(scores)):
        return unknown(n, method, level)
    reached = scores >= threshold
    kept = rate(int(np.count_nonzero(reached & truth)), n, level)
    wasted = rate(int(np.count_nonzero(reached & ~truth)), n, level)
    gain = offer.worth - offer.cost
    value = gain * kept.value - offer.cost * wasted.value
    product = kept.value * wasted.value
    correlation = -math.sqrt(product / ((1 - kept.value) * (1 - wasted.value))) if product else 0.0
    if gain >= 0:
        correlation = -correlation  # of the two terms as they are added up, the second being negative
    down, up = kept.value - kept.low, kept.high - kept.value
    if gain < 0:
        down, up = up, down
    down, up = abs(gain) * down, abs(gain) * up
    cost_up, cost_down = offer.cost * (wasted.high - wasted.value), offer.cost * (wasted.value - wasted.low)
    return Estimate(
        value,
        value - math.sqrt(max(0.0, down**2 + cost_up**2 + 2 * correlation * down * cost_up)),
        value + math.sqrt(max(0.0, up**2 + cost_down**2 + 2 * correlation * up * cost_down)),
        n,
        level,
        method,
    )


def profit_threshold(labels: ArrayLike, probabilities: ArrayLike, offer: Offer) -> float:
    """The threshold in [0, 1] to make offers from, chosen on these rows.

    A model whose probabilities are true earns most at `offer.break_even`. The threshold that earns most on finitely
    many rows scatters around it, because profit is flat there and a maximum follows the noise. So the break-even is the
    answer unless the best threshold on the rows earns more by over 1.645 standard errors of the paired difference. Of
    17.20 a customer, learnt on 5,600 rows (AUC .85), this leaves .01 on the table where probabilities are true and the
    maximum .04; where they are off both leave .04, and the break-even alone .7 to 1.3 (docs/alarms.md).

    Candidates are the midpoints between adjacent distinct probabilities, 0 (an offer to everyone) and 1 (to nobody
    below 1); of equals the highest, so the fewest offers. Empty, or a probability that is not finite: NaN.
    """
    truth, scores = labelled(labels, probabilities)
    if scores.size == 0 or not np.all(np.isfinite(scores)):
        return math.nan
    thresholds, reached, hits = _candidates(truth, scores)
    best = float(thresholds[np.argmax(offer.worth * hits - offer.cost * reached)])
    between = (scores >= min(best, offer.break_even)) & (scores < max(best, offer.break_even))
    # From counts, not row by row, so that the order of the rows cannot move even the last bit.
    positives, others = int(np.count_nonzero(truth[between])), int(np.count_nonzero(~truth[between]))
    earned = offer.worth * positives - offer.cost * (positives + others)
    gained = earned if best < offer.break_even else -earned
    squares = positives * (offer.worth - offer.cost) ** 2 + others * offer.cost**2
    noise = math.sqrt(max(0.0, squares - gained**2 / scores.size))
    return best if gained > _NOISE * noise else offer.break_even


def f1_threshold(labels: ArrayLike, probabilities: ArrayLike) -> float:
    """The threshold in [0, 1] with the largest F1 on these rows, for where no profit is given.

    Candidates and ties are as in `profit_threshold`. No positives, empty, or a score that is not finite: NaN.
    """
    truth, scores = labelled(labels, probabilities)
    if not truth.any() or not np.all(np.isfinite(scores)):
        return math.nan
    thresholds, reached, hits = _candidates(truth, scores)
    return float(thresholds[np.argmax(2 * hits / (reached + np.count_nonzero(truth)))])


def _candidates(truth: Bools, scores: Floats) -> tuple[Floats, Floats, Floats]:
    """Thresholds from the highest down, and how many rows and how many positives each reaches."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    last = np.flatnonzero(np.append(ranked[1:] != ranked[:-1], True))  # the last row of each distinct score
    distinct = ranked[last]
    upper, lower = distinct[:-1], distinct[1:]
    middles = lower + (upper - lower) / 2
    middles = np.where(middles > lower, middles, upper)  # neighbouring floats have nothing between them
    thresholds = np.append(middles, 0.0)
    reached = (last + 1).astype(np.float64)
    hits = np.cumsum(truth[order])[last].astype(np.float64)
    if distinct[0] < 1:
        thresholds, reached, hits = (
            np.insert(part, 0, end) for part, end in ((thresholds, 1.0), (reached, 0), (hits, 0))
        )
    return thresholds, reached, hits
