"""From a graph's scores to an answer: calibrated probability, decision and risk."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_LARGE = 709.0  # up to here exp is finite
_EDGE = 1e-7  # a probability of exactly 0 or 1 has no logit


@dataclass(frozen=True, slots=True)
class Calibration:
    """Platt's two numbers (`calibration.json`): p becomes 1 / (1 + exp(-(slope * logit(p) + offset))).

    Outside the graph, because converters get calibration wrong without a word. Slope 1 and offset 0 change nothing.
    Source: Platt, Probabilistic Outputs for Support Vector Machines (1999), on the logit as in Kull et al. (2017).
    """

    slope: float
    offset: float


IDENTITY = Calibration(1.0, 0.0)


@dataclass(frozen=True, slots=True)
class Decide:
    """What an answer says (`decide.json`): the positive class at or above the threshold.

    `classes` is in the order of the scores, `risk` the names of the bands with the probability each starts at.
    """

    classes: tuple[str, ...]
    positive: str
    threshold: float
    risk: tuple[tuple[str, float], ...]

    def __post_init__(self) -> None:
        if self.positive not in self.classes or len(set(self.classes)) != len(self.classes):
            raise ValueError(f"`{self.positive}` is not one of the distinct classes {self.classes}")
        if not 0.0 <= self.threshold <= 1.0:
            raise ValueError(f"a threshold is a probability, not {self.threshold}")

    @property
    def place(self) -> int:
        """Where the positive class stands in a score vector."""
        return self.classes.index(self.positive)


def decision_at(classes: tuple[str, ...], positive: str, threshold: float) -> Decide:
    """Decide by a threshold, with the two bands of risk that it separates."""
    return Decide(classes, positive, threshold, (("Low", 0.0), ("High", threshold)))


def calibrated(calibration: Calibration, probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Calibrated probabilities, shape as given; monotone where the slope is positive. NaN stays NaN."""
    clipped = np.clip(probability, _EDGE, 1 - _EDGE)
    logit = np.log(clipped) - np.log1p(-clipped)
    with np.errstate(over="ignore"):
        return np.asarray(1.0 / (1.0 + np.exp(-(calibration.slope * logit + calibration.offset))))


def calibrated_one(calibration: Calibration, probability: float) -> float:
    """As `calibrated`, to the bit, for one probability: numpy's own functions, whose last digits may be another's."""
    if not math.isfinite(probability):
        return float(calibrated(calibration, np.array([probability]))[0])
    clipped = min(max(probability, _EDGE), 1 - _EDGE)
    logit = float(np.log(clipped)) - float(np.log1p(-clipped))
    exponent = -(calibration.slope * logit + calibration.offset)
    if exponent > _LARGE:
        return float(calibrated(calibration, np.array([probability]))[0])
    return 1.0 / (1.0 + float(np.exp(exponent)))


def decision(decide: Decide, probability: float) -> str | None:
    """The class decided on; None where the probability is not finite. With two classes the other one below."""
    if not math.isfinite(probability):
        return None
    if probability >= decide.threshold:
        return decide.positive
    return next(name for name in decide.classes if name != decide.positive)


def risk(decide: Decide, probability: float) -> str | None:
    """The name of the highest band that the probability reaches; None where it is not finite."""
    if not math.isfinite(probability):
        return None
    return max((band for band in decide.risk if probability >= band[1]), key=lambda band: band[1])[0]
