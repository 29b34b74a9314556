"""From raw probabilities to believed ones, and from which of them on to act: learnt on out-of-fold rows only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.money import Offer, f1_threshold, profit_threshold
from mainstay.measures.scores import scorecard
from mainstay.nouns import Estimate
from mainstay.scoring.decide import Calibration, calibrated
from mainstay.training.folds import Fold
from mainstay.usecase import UseCase

Floats = NDArray[np.float64]
_EDGE = 1e-7  # where scoring.decide clips


def platt(labels: NDArray[np.bool_], raw: Floats) -> Calibration:
    """The slope and offset on the logit that make raw probabilities, shape (n,), most likely given the labels.

    Platt's smoothed targets (1999, section 2.2) keep both finite where the rows separate perfectly, and a standard
    normal prior on slope - 1 where they say nothing of the slope, as one constant probability does. Raw probabilities
    that rank backwards get slope 0: everybody the base rate. No rows: nothing is changed.
    """
    if labels.size == 0:
        return Calibration(1.0, 0.0)
    clipped = np.clip(raw, _EDGE, 1 - _EDGE)
    logit = np.log(clipped) - np.log1p(-clipped)
    positives = int(np.count_nonzero(labels))
    negatives = labels.size - positives
    target = np.where(labels, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    slope, offset = _most_likely(logit, target)
    if slope < 0:
        base = float(target.mean())
        return Calibration(0.0, float(np.log(base / (1 - base))))
    return Calibration(slope, offset)


def _most_likely(logit: Floats, target: Floats) -> tuple[float, float]:
    """Newton's method, halving any step that does not descend, on a convex function of two numbers."""
    found = np.array([1.0, 0.0])
    design = np.column_stack([logit, np.ones_like(logit)])

    def penalised(at: Floats) -> float:
        z = design @ at
        return float(np.sum(np.logaddexp(0.0, z) - target * z) + (at[0] - 1) ** 2 / 2)

    loss = penalised(found)
    for _ in range(100):
        said = 1.0 / (1.0 + np.exp(-np.clip(design @ found, -700, 700)))
        gradient = design.T @ (said - target) + np.array([found[0] - 1, 0.0])
        curvature = (design.T * np.maximum(said * (1 - said), 1e-12)) @ design + np.diag([1.0, 0.0])
        step = np.linalg.solve(curvature, gradient)
        while (tried := penalised(found - step)) > loss and np.abs(step).max() > 1e-12:
            step = step / 2
        if tried >= loss:
            break
        found, loss = found - step, tried
    return float(found[0]), float(found[1])


def offer_of(use_case: UseCase) -> Offer | None:
    """The offer that the use case's profit describes; None where it gives none."""
    profit = use_case.profit
    return None if profit is None else Offer(profit.offer_cost, profit.value_saved, profit.save_rate)


def threshold_of(labels: NDArray[np.bool_], probability: Floats, offer: Offer | None) -> float:
    """The threshold that earns most on these rows, or has the largest F1 where there is no offer."""
    if offer is None:
        return f1_threshold(labels, probability)
    return profit_threshold(labels, probability, offer)


@dataclass(frozen=True, slots=True)
class CrossFitted:
    """n rows judged by what was learnt without them: calibrated probabilities and decisions, both of shape (n,)."""

    probability: Floats
    decided: NDArray[np.bool_]


def cross_fit(labels: NDArray[np.bool_], raw: Floats, folds: Sequence[Fold], offer: Offer | None) -> CrossFitted:
    """Calibrate and decide each fold by a calibration and a threshold learnt on the other folds' raw probabilities."""
    probability = np.full(labels.size, np.nan)
    decided = np.zeros(labels.size, dtype=np.bool_)
    for others, judged in folds:
        calibration = platt(labels[others], raw[others])
        threshold = threshold_of(labels[others], calibrated(calibration, raw[others]), offer)
        probability[judged] = calibrated(calibration, raw[judged])
        decided[judged] = probability[judged] >= threshold
    return CrossFitted(probability, decided)


def cross_validated(labels: NDArray[np.bool_], judged: CrossFitted, offer: Offer | None) -> dict[str, Estimate]:
    """The scorecard of pooled out-of-fold rows. What depends on the threshold is of decisions made without the row."""
    scores = scorecard(labels, judged.probability, 0.5, offer)
    decisions = scorecard(labels, judged.decided.astype(np.float64), 0.5, offer)
    thresholded = {name for name in scores if name.endswith("_at_threshold") or name == "profit"}
    return {name: decisions[name] if name in thresholded else score for name, score in scores.items()}
