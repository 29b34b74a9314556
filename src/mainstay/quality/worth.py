"""Does acting on the model earn more than acting without one? Per customer, paired by row."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.intervals import skewed_mean, unknown
from mainstay.measures.money import Offer
from mainstay.nouns import Estimate
from mainstay.usecase_gates import Gate
from mainstay.verdicts import Check, Limit, check


def profit_checks(
    labels: NDArray[np.bool_],
    probability: NDArray[np.float64],
    threshold: float,
    offer: Offer,
    gate: Gate,
    level: float = 0.95,
) -> list[Check]:
    """The profit of an offer to those with probability >= threshold, above that of an offer to nobody, to everybody.

    One check for each, its subject saying which. No rows, a probability that is not finite or a NaN threshold: NaN.
    """
    each = np.where(labels, offer.worth, 0.0) - offer.cost
    called = called_by(probability, threshold)
    limit = Limit(gate.at_least, gate.at_most, gate.rows)
    others = (("nobody", np.zeros(len(labels), dtype=np.bool_)), ("everybody", np.ones(len(labels), dtype=np.bool_)))
    made = []
    for subject, base in others:
        found = gain(each, called, base, level)
        one = check("profit_above", found, limit, subject=subject, blocking=gate.blocking)
        made.append(replace(one, reason=one.reason.replace("profit_above of", "profit above that of an offer to", 1)))
    return made


def called_by(probability: NDArray[np.float64], threshold: float) -> NDArray[np.bool_] | None:
    """Who of n is made an offer; None where that cannot be said."""
    if np.isnan(threshold) or not np.isfinite(probability).all():
        return None
    return np.asarray(probability >= threshold)


def gain(
    worth: NDArray[np.float64], called: NDArray[np.bool_] | None, base: NDArray[np.bool_] | None, level: float
) -> Estimate:
    """The mean of what `called` earns above `base` where an offer to each row earns `worth` (n,)."""
    if called is None or base is None:
        return unknown(len(worth), "Hall, paired", level)
    found = skewed_mean(worth * (called.astype(np.float64) - base.astype(np.float64)), level)
    return replace(found, method="Hall, paired")
