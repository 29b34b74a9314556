"""The mean of numbers in [0, 1], bounded at every look without any approximation: empirical-Bernstein sequences.

Waudby-Smith & Ramdas, "Estimating means of bounded random variables by betting" (arXiv 2010.09686), Theorem 2 with the
predictable plug-in of its equation (14), one-sided and truncated at 1/2. For clipped log losses, Brier scores and
profits scaled to [0, 1], in the order in which they ripened.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.nouns import Estimate, Valid

Floats = NDArray[np.float64]
METHOD = "empirical-Bernstein confidence sequence"
LARGEST_BET = 0.5


@dataclass(frozen=True, slots=True)
class BoundedMean:
    """The state of one side's bound after `rows` numbers: enough to go on from, and to judge again from.

    `total` is Σx, `spread` Σ(x - mean)² with the mean as it stood at each x; `bet`, `won` and `paid` are Σλ, Σλx and
    Σvψ(λ). Fixed at the start: `alpha`, of this one side.
    """

    alpha: float
    rows: int = 0
    total: float = 0.0
    spread: float = 0.0
    bet: float = 0.0
    won: float = 0.0
    paid: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"alpha lies between 0 and 1, not at {self.alpha:g}")

    @property
    def lower(self) -> float:
        """The lower bound of the mean, in [0, 1]; 0 before there are numbers."""
        return max(0.0, (self.won - math.log(1 / self.alpha) - self.paid) / self.bet) if self.bet else 0.0


def seen(state: BoundedMean, values: ArrayLike) -> BoundedMean:
    """The state after these numbers too, shape (n,), in this order. ValueError for one outside [0, 1] or NaN."""
    numbers = np.asarray(values, dtype=np.float64)
    if not ((numbers >= 0) & (numbers <= 1)).all():
        raise ValueError("a bounded mean is of numbers from 0 to 1")
    if not numbers.size:
        return state
    count = state.rows + np.arange(numbers.size + 1)
    means = (0.5 + state.total + np.concatenate([[0.0], np.cumsum(numbers)])) / (count + 1)
    spreads = state.spread + np.concatenate([[0.0], np.cumsum(np.square(numbers - means[1:]))])
    variances = (0.25 + spreads) / (count + 1)
    turn = count[1:]
    # Nothing here knows the number that the bet is on: mean and variance are those before it.
    bets = np.sqrt(2 * math.log(1 / state.alpha) / (turn * np.log1p(turn) * variances[:-1]))
    bets = np.minimum(bets, LARGEST_BET)
    costs = np.square(numbers - means[:-1]) * (-np.log1p(-bets) - bets)
    return BoundedMean(
        state.alpha,
        int(count[-1]),
        state.total + float(numbers.sum()),
        float(spreads[-1]),
        state.bet + float(bets.sum()),
        state.won + float(bets @ numbers),
        state.paid + float(costs.sum()),
    )


def bounded_mean(below: BoundedMean, above: BoundedMean) -> Estimate:
    """The mean with its interval: `below` has seen the numbers, `above` one minus each. NaN of no numbers.

    The interval misses with at most the two alphas together. ValueError where the two have not seen as many.
    """
    if below.rows != above.rows:
        raise ValueError(f"the two sides have seen {below.rows} and {above.rows} numbers")
    level = 1 - below.alpha - above.alpha
    if not below.rows:
        return Estimate(math.nan, math.nan, math.nan, 0, level, METHOD, Valid.ANY_TIME)
    low, high = below.lower, 1 - above.lower
    return Estimate(below.total / below.rows, low, high, below.rows, level, METHOD, Valid.ANY_TIME)
