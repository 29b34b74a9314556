"""Classes of unequal size, made to weigh the same in what a fit learns from, and in nothing else.

What is judged keeps the share of positives that it has, so that scores, calibration and threshold are of the world as
it is: the calibration afterwards takes the balance out of the probabilities again.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstay.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Balanced:
    """What a fit is given: rows (m, places), labels (m,), and weights (m,) or None where every row counts once.

    `odds` are those of the positive class before, over those that the fit sees; 1 where nothing was balanced.
    """

    tensor: NDArray[np.float32]
    labels: NDArray[np.bool_]
    weights: NDArray[np.float64] | None = None
    odds: float = 1.0


def balanced(tensor: NDArray[np.float32], labels: NDArray[np.bool_], recipe: Recipe, stream: int) -> Balanced:
    """Rows (n, places) of both classes as the recipe wants them balanced, in their order.

    `class_weight: balanced` gives both classes the same weight in all, n together. `resample: over` repeats rows of the
    rarer class at random until it has as many as the other, `under` leaves as many of the other out. `stream` tells the
    draws of one seed apart.
    """
    positives = int(np.count_nonzero(labels))
    odds = positives / (len(labels) - positives)
    if recipe.class_weight is not None:
        share = np.where(labels, positives, len(labels) - positives)
        return Balanced(tensor, labels, len(labels) / (2.0 * share), odds)
    if recipe.resample is None:
        return Balanced(tensor, labels)
    random = np.random.default_rng([recipe.seed, stream])
    rare, common = sorted((np.flatnonzero(labels), np.flatnonzero(~labels)), key=len)
    if recipe.resample == "over":
        drawn = np.concatenate([rare, common, random.choice(rare, len(common) - len(rare))])
    else:
        drawn = np.concatenate([rare, random.choice(common, len(rare), replace=False)])
    drawn.sort()
    return Balanced(tensor[drawn], labels[drawn], None, odds)


def restored(raw: NDArray[np.float64], odds: float) -> NDArray[np.float64]:
    """Probabilities (n,) of a fit on balanced rows at the odds that the rows had (Elkan 2001, theorem 2)."""
    if odds == 1.0:
        return raw
    return np.asarray(raw * odds / (raw * odds + (1.0 - raw)))
