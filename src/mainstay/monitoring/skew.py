"""Skew: whether serving used the values that the offline store says had arrived. Exactly, feature by feature."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.rates import rate
from mainstay.nouns import Estimate, Value, Window
from mainstay.verdicts import Check, Limit, Verdict, check

EXAMPLES: Final = 5
LIMIT: Final = 0.01
"""The share of look-ups that may be off: of a feature that is computed otherwise, nearly all are."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """n look-ups of one feature: what was served, and what the offline store says; whose, and when asked."""

    served: Sequence[Value]
    offline: Sequence[Value]
    predictions: Sequence[str]
    asked_at: Sequence[datetime]


@dataclass(frozen=True, slots=True)
class Example:
    """One look-up that was off. The prediction names its entity to whoever may read the log; this does not."""

    prediction_id: str
    asked_at: datetime
    served: Value
    offline: Value


@dataclass(frozen=True, slots=True)
class Skew:
    """How often a feature was served otherwise than it was stored. `times`: served over stored, where that is constant.

    An exact count of mismatches with Wilson's interval, valid at one look: each window is looked at once.
    """

    feature: str
    estimate: Estimate
    times: float | None
    examples: tuple[Example, ...]


def compare(features: Mapping[str, Pairs]) -> list[Skew]:
    """The mismatch rate of each feature, the worst first. A number is the same only to the last bit; null is null."""
    found = [_skew(name, pairs) for name, pairs in features.items()]
    return sorted(found, key=lambda each: (-each.estimate.value if each.estimate.rows else 1.0, each.feature))


def _skew(name: str, pairs: Pairs) -> Skew:
    off = np.array([a != b for a, b in zip(pairs.served, pairs.offline, strict=True)], dtype=np.bool_)
    places = np.flatnonzero(off)
    # From all over the window: a bug may have come in its middle.
    shown = places[np.linspace(0, len(places) - 1, min(EXAMPLES, len(places))).astype(int)] if len(places) else places
    examples = tuple(
        Example(pairs.predictions[n], pairs.asked_at[n], pairs.served[n], pairs.offline[n]) for n in shown.tolist()
    )
    return Skew(name, rate(len(places), len(off)), _factor(pairs, places), examples)


def _factor(pairs: Pairs, places: NDArray[np.int64]) -> float | None:
    """What served values are of stored ones, where that is the same everywhere: a unit, for one. None otherwise."""
    both = [(pairs.served[n], pairs.offline[n]) for n in places.tolist()]
    ratios = [a / b for a, b in both if isinstance(a, float) and isinstance(b, float) and b]
    if len(ratios) < max(2, len(both) // 2):
        return None
    middle = float(np.median(ratios))
    return middle if np.allclose(ratios, middle, rtol=1e-9) and middle != 1 else None


def judge(found: Sequence[Skew], subject: str, window: Window, limit: float = LIMIT) -> Verdict:
    """The verdict on a window: each feature's rate against the limit. INCONCLUSIVE where too little was looked up."""
    checks: tuple[Check, ...] = tuple(
        check("skew", each.estimate, Limit(at_most=limit), subject=each.feature) for each in found
    )
    return Verdict(subject, checks, window)
