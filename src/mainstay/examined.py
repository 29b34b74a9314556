"""What a run keeps of its candidate beyond scores: how it does on the holdout by slice, by threshold and by input.

Written by training as one document beside the bundle and outside its digest; the fact of the run names it by its
SHA-256. Cards, comparisons and the console read it, so that nothing has to be measured again to be shown.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mainstay.nouns import Estimate, Real
from mainstay.usecase import Label, Profit

Curve = tuple[tuple[Real, Real], ...]
"""Points from left to right, at most 101 of them."""


@dataclass(frozen=True, slots=True)
class Part:
    """How many rows there are, and how many of them are positive."""

    rows: int
    positives: int


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows by what was so and what was decided: `missed` were positive, and decided to be negative."""

    hits: int
    missed: int
    false_alarms: int
    rejections: int


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A group of rows with about the same probability: its mean, and the rate that was observed."""

    predicted: Real
    observed: Estimate


@dataclass(frozen=True, slots=True)
class Slice:
    """The rows of one value of a category, or of one quarter of a number's range, and their scores by metric."""

    column: str
    value: str
    rows: int
    scores: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Examination:
    """One candidate, examined on the holdout of its run; and what its use case asked for when it was trained.

    `threshold` is what decides, in [0, 1]. `roc` is (false, true positive rate), `precision_recall` is (recall,
    precision), `by_threshold` is (threshold, profit per customer), or F1 where there is no profit. `importance` maps
    an input to the log loss (nats) that the model gains when it is shuffled. `recipe` is the use case's, as JSON: one
    of a later release says things that this one does not know.
    """

    run: str
    use_case: str
    candidate: str
    dataset: str
    label: Label
    recipe: Mapping[str, Any]
    profit: Profit | None
    protected: tuple[str, ...]
    train: Part
    holdout: Part
    threshold: float
    confusion: Confusion
    calibration: tuple[Calibrated, ...]
    roc: Curve
    precision_recall: Curve
    by_threshold: Curve
    importance: Mapping[str, Real]
    slices: tuple[Slice, ...]
