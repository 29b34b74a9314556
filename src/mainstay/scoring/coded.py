"""The one scorer, for many rows at once: categories come as codes, and trees are asked by the column.

Nothing here decides anything anew. The tensor is, bit for bit, the one that `encode` makes; a graph of shallow trees is
summed as ONNX Runtime sums it (`trees.py`), and checked against ONNX Runtime before it is used; any other graph runs in
ONNX Runtime, in chunks of 32 rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from mainstay.expressions import Expression
from mainstay.scoring.decide import calibrated
from mainstay.scoring.derive import evaluate
from mainstay.scoring.encode import Encoder, Feature, rounded
from mainstay.scoring.scorer import TOLERANCE, Scorer
from mainstay.scoring.trees import Trees, trees_of

_STRESSED: Final = 512  # rows at the trees' own thresholds that both ways of scoring must agree on
_SEED: Final = 0


@dataclass(frozen=True, slots=True)
class Codes:
    """A category column of n rows: `codes` (n,) are places in `values`, -1 where it is missing."""

    codes: NDArray[np.int32]
    values: tuple[str, ...]

    @property
    def texts(self) -> NDArray[np.object_]:
        """The column as an array of str | None, shape (n,)."""
        return np.array([*self.values, None], dtype=object)[self.codes]


Coded = NDArray[np.float64] | Codes
CodedColumns = Mapping[str, Coded]
"""Rows by column: numbers float64 (n,) with NaN for missing, categories as codes."""


def encode_coded(encoder: Encoder, columns: CodedColumns) -> NDArray[np.float32]:
    """The tensor (n, places) that `encode` makes of the same rows (of one column at least), its columns contiguous."""
    derived = {name: _derived(expression, columns) for name, expression in encoder.expressions.items()}
    first = next(iter(columns.values()))
    rows = len(first.codes if isinstance(first, Codes) else first)
    tensor = np.zeros((rows, len(encoder.places)), dtype=np.float32, order="F")
    at = 0
    for feature in encoder.features:
        width = len(feature.places)
        values = derived[feature.name] if feature.name in derived else columns[feature.name]
        _fill(tensor[:, at : at + width], feature, values)
        at += width
    return tensor


def _fill(block: NDArray[np.float32], feature: Feature, values: Coded) -> None:
    if isinstance(values, Codes):
        place = {value: n for n, value in enumerate(feature.categories)}
        table = np.array([*(place.get(value, -1) for value in values.values), -2], dtype=np.int16)
        local = table[values.codes]
        for n in range(len(feature.categories)):
            block[:, n] = local == n
        missing = local == -2
    else:
        block[:, 0] = rounded(values)
        missing = np.isnan(block[:, 0])
    if feature.missing:
        block[:, -1] = missing


def _derived(expression: Expression, columns: CodedColumns) -> NDArray[np.float64]:
    named = {name: columns[name] for name in expression.columns} or dict([next(iter(columns.items()))])
    plain: dict[str, NDArray[Any]] = {
        name: values.texts if isinstance(values, Codes) else values for name, values in named.items()
    }
    return evaluate(expression, plain)


class BatchScorer:
    """A scorer that takes codes. Which way it goes is told by `by_column`."""

    def __init__(self, scorer: Scorer) -> None:
        self.scorer = scorer
        trees = trees_of(scorer.bundle.model)
        self._trees = trees if trees is not None and self._agrees(trees) else None

    @property
    def by_column(self) -> bool:
        """Whether trees are asked by the column; else ONNX Runtime scores in chunks."""
        return self._trees is not None

    def probability(self, columns: CodedColumns) -> NDArray[np.float64]:
        """The calibrated probability of the positive class, shape (n,)."""
        tensor = encode_coded(self.scorer.bundle.encoder, columns)
        if self._trees is None:
            return self.scorer.score_tensor(np.ascontiguousarray(tensor)).probability
        return self._calibrated(self._trees, tensor)

    def _calibrated(self, trees: Trees, tensor: NDArray[np.float32]) -> NDArray[np.float64]:
        second = trees.probability(tensor)
        positive = second if self.scorer.bundle.decide.place == 1 else np.float32(1.0) - second
        return calibrated(self.scorer.bundle.calibration, positive.astype(np.float64))

    def _agrees(self, trees: Trees) -> bool:
        tensor = trees.stressing(len(self.scorer.bundle.encoder.places), _STRESSED, _SEED)
        apart = np.abs(self._calibrated(trees, tensor) - self.scorer.score_tensor(tensor).probability)
        return bool((apart <= TOLERANCE).all())
