"""Rows by what they have in common: the values of a category, the quarters of a number; and each segment's scores."""

import itertools
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.examined import Slice
from mainstay.measures.intervals import Bools, Floats, labelled
from mainstay.measures.rates import rate
from mainstay.measures.scores import log_loss, precision, recall, roc_auc

MISSING: Final = "(missing)"
OTHERS: Final = "(others)"
LEAST: Final = 5
"""A segment of fewer rows is not shown: what is said of it would be said of somebody."""
NAMED: Final = 20
"""Categories of a column that are told apart at most, the most frequent ones."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Some of n rows: those that `mask` (n,) marks, which have `value` in `column`."""

    column: str
    value: str
    mask: Bools


def segments(columns: Mapping[str, NDArray[Any]]) -> tuple[Segment, ...]:
    """The segments of n rows given as columns (n,), column by column; those of one column never overlap.

    An object array holds categories: one segment for each of the 20 most frequent values that 5 rows or more have, and
    one for all others. Any other array holds numbers, NaN for missing: a segment for each value where there are at
    most four, else for the quarters between the quartiles (inverted empirical distribution; equal quartiles are one).
    Rows without a value are a segment of their own. Segments of fewer than 5 rows are left out.
    """
    made = [
        Segment(name, value, mask)
        for name, values in columns.items()
        for value, mask in (_categories(values) if values.dtype == object else _numbers(values))
    ]
    return tuple(each for each in made if np.count_nonzero(each.mask) >= LEAST)


def slices(
    columns: Mapping[str, NDArray[Any]], labels: ArrayLike, probabilities: ArrayLike, threshold: float
) -> tuple[Slice, ...]:
    """Every segment with its scores: labels (n,) are True for the positive class, probabilities (n,) in [0, 1].

    `base_rate` is the observed share of positives, `selected` the share at or above the threshold (both Wilson);
    `recall_at_threshold`, `precision_at_threshold`, `roc_auc` and `log_loss` are those of `scores.scorecard`, NaN where
    the segment lacks what they need, as one with a single class lacks an AUC.
    """
    truth, values = labelled(labels, probabilities)
    return tuple(
        Slice(each.column, each.value, int(np.count_nonzero(each.mask)), _scores(truth, values, each.mask, threshold))
        for each in segments(columns)
    )


def _scores(truth: Bools, values: Floats, mask: Bools, threshold: float) -> dict[str, Any]:
    so, said = truth[mask], values[mask]
    reached = int(np.count_nonzero(said >= threshold))
    return {
        "base_rate": rate(int(np.count_nonzero(so)), so.size),
        "selected": rate(reached, so.size),
        "recall_at_threshold": recall(so, said, threshold),
        "precision_at_threshold": precision(so, said, threshold),
        "roc_auc": roc_auc(so, said),
        "log_loss": log_loss(so, said),
    }


def _categories(values: NDArray[np.object_]) -> list[tuple[str, Bools]]:
    counts = Counter(values.tolist())
    none = counts.pop(None, 0)
    frequent = sorted(counts, key=lambda value: (-counts[value], str(value)))
    named = sorted(value for value in frequent[:NAMED] if counts[value] >= LEAST)
    places = {value: n for n, value in enumerate(named)}
    others, missing = len(named), len(named) + 1
    codes = np.fromiter(
        (missing if value is None else places.get(value, others) for value in values.tolist()), np.int64, len(values)
    )
    made = [(str(value), codes == n) for n, value in enumerate(named)]
    if len(named) < len(counts):
        made.append((OTHERS, codes == others))
    return [*made, (MISSING, codes == missing)] if none else made


def _numbers(values: NDArray[Any]) -> list[tuple[str, Bools]]:
    numbers = values.astype(np.float64)
    present = np.isfinite(numbers)
    made: list[tuple[str, Bools]] = []
    if present.any():
        distinct = np.unique(numbers[present])
        if len(distinct) <= 4:
            made = [(_written(value), numbers == value) for value in distinct.tolist()]
        else:
            cuts = np.unique(np.quantile(numbers[present], (0.25, 0.5, 0.75), method="inverted_cdf"))
            edges = [-math.inf, *cuts.tolist(), math.inf]
            made = [
                (_between(low, high), present & (numbers > low) & (numbers <= high))
                for low, high in itertools.pairwise(edges)
            ]
    return made if present.all() else [*made, (MISSING, ~present)]


def _between(low: float, high: float) -> str:
    if low == -math.inf:
        return f"at most {_written(high)}"
    if high == math.inf:
        return f"above {_written(low)}"
    return f"above {_written(low)}, at most {_written(high)}"


def _written(value: float) -> str:
    return f"{value:.6g}"
