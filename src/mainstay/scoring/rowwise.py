"""One row at a time, fast: a bundle compiled for single requests.

It gives what `reading.read_row`, `encode.encode` and `Scorer.score_tensor` give, to the bit (but for the sign of a zero
that an expression makes). What is usual in a row, a listed category spelt as the contract spells it and a number in its
range, is looked up; whatever is not is given to `read_row`, which alone knows what is wrong and how to say it.
"""

import math
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mainstay.expressions import Expression
from mainstay.nouns import Value
from mainstay.scoring.decide import calibrated_one
from mainstay.scoring.derive import evaluate
from mainstay.scoring.encode import LARGEST_INTEGER, LARGEST_NUMBER, Encoder, Input
from mainstay.scoring.reading import Policy, Problem, columns_of, read_row
from mainstay.scoring.scorer import Scorer
from mainstay.scoring.single import OnRow, on_row
from mainstay.scoring.spelling import spelling

_ABSENT: Final = object()


class ReadRow(NamedTuple):
    """A row as read: its values in the inputs' order, None for missing; flags and problems as `read_row` words them."""

    values: list[Value]
    flags: tuple[str, ...]
    problems: tuple[Problem, ...]


class ScoredRow(NamedTuple):
    """The scores (one for each class, in order), the positive's probability, and what is decided on it.

    Decision and risk are None where the probability is not finite.
    """

    scores: list[float]
    probability: float
    decision: str | None
    risk: str | None


class RowReader:
    """Reads rows by the contract that a version was trained under, and by the policies given. Any thread may call."""

    def __init__(self, encoder: Encoder, unseen: Policy, out_of_range: Policy) -> None:
        self._encoder = encoder
        self._policies = unseen, out_of_range
        self._names = frozenset(each.name for each in encoder.inputs)
        self.usual = [_usual(each, encoder.learned.get(each.name)) for each in encoder.inputs]
        self._count = len(encoder.inputs)

    def read(self, given: Mapping[str, Any]) -> ReadRow:
        """As `read_row` does, for a row from JSON."""
        values: list[Value] = []
        get = given.get
        known = 0
        for name, texts, nullable, low, high, whole in self.usual:
            value = get(name, _ABSENT)
            kind = value.__class__
            if kind is str:
                if texts is None:
                    return self._unusual(given)
                value = texts.get(value)
                if value is None:
                    return self._unusual(given)
            elif kind is float or kind is int:
                if texts is not None:
                    value = texts.get(value)
                    if value is None:
                        return self._unusual(given)
                    values.append(value)
                    continue
                # A NaN is in no range; an integer that no float holds is beyond every one.
                if not low <= value <= high:
                    return self._unusual(given)
                value = float(value)
                if whole and not value.is_integer():
                    return self._unusual(given)
            elif not nullable:
                return self._unusual(given)
            elif value is _ABSENT:
                known -= 1
                value = None
            elif value is not None:
                return self._unusual(given)
            values.append(value)
        if known + self._count != len(given):  # there are fields that nobody asked for
            return self._unusual(given)
        return ReadRow(values, (), ())

    def _unusual(self, given: Mapping[str, Any]) -> ReadRow:
        row = read_row(given, self._encoder.inputs, *self._policies, self._encoder.learned)
        return ReadRow([row.values[each.name] for each in self._encoder.inputs], row.flags, row.problems)


Usual = tuple[str, dict[str | int, str] | None, bool, float, float, bool]


def _usual(given: Input, learned: frozenset[str] | None) -> Usual:
    """What passes without a question: the name, the texts of a category, whether null, the range, whether whole."""
    if given.kind == "category":
        listed = given.values if given.values is not None else tuple(learned or ())
        spelt = spelling(given.values or ())
        whole = [int(value) for value in listed if value.isdecimal() and len(value) < 16]
        written: list[str | int] = [*listed, *whole]
        texts = {value: text for value in written if (text := spelt(value)) and text in listed}
        return given.name, texts, given.nullable, 0.0, -1.0, False
    low, high = given.range or (-math.inf, math.inf)
    most = LARGEST_INTEGER if given.type == "integer" else LARGEST_NUMBER
    return given.name, None, given.nullable, max(low, -most), min(high, most), given.type == "integer"


class RowScorer:
    """A scorer for rows one by one. One thread at a time: it writes every row into the same tensor."""

    def __init__(self, scorer: Scorer) -> None:
        bundle = scorer.bundle
        self._encoder = bundle.encoder
        self._calibration = bundle.calibration
        self._place = bundle.decide.place
        self._single = scorer.single()
        self._into = self._single.tensor.data.cast("B").cast("f")
        self._blank = array("f", bytes(4 * len(bundle.encoder.places)))
        self._texts, self._numbers, self._derived = _blocks(bundle.encoder)
        self._rule = rule = bundle.decide
        self._negative = next(name for name in rule.classes if name != rule.positive)
        self._bands = sorted(rule.risk, key=lambda band: -band[1])

    def encode(self, values: Sequence[Value]) -> NDArray[np.float32]:
        """The tensor of a row that was read, shape (1, places). The next row is written over it."""
        into = self._into
        into[:] = self._blank
        for n, place_of in self._texts:
            at = place_of.get(values[n])
            if at is not None:
                into[at] = 1.0
        for n, at, missing_at in self._numbers:
            value = values[n]
            if value is not None:
                into[at] = value  # type: ignore[assignment]  # the value of a number
            else:
                into[at] = math.nan
                into[missing_at] = 1.0 if missing_at != at else math.nan
        for value_of, expression, at, missing_at in self._derived:
            try:
                into[at] = value_of(values)
            except ZeroDivisionError:
                into[at] = self._by_columns(expression, values)
            rounded = into[at]
            if rounded - rounded != 0:  # float32 holds less than float64, and what it cannot hold is missing
                into[missing_at] = 1.0
                into[at] = math.nan
        return self._single.tensor

    def score(self, values: Sequence[Value]) -> ScoredRow:
        """Score a row that was read."""
        self.encode(values)
        probability = calibrated_one(self._calibration, self._single.run(self._place))
        rest = 1.0 - probability
        scores = [rest, probability] if self._place else [probability, rest]
        if probability != probability:
            return ScoredRow(scores, probability, None, None)
        decided = self._rule.positive if probability >= self._rule.threshold else self._negative
        for band, start in self._bands:
            if probability >= start:
                return ScoredRow(scores, probability, decided, band)
        raise ValueError(f"no band of risk starts at or below {probability}")

    def _by_columns(self, expression: Expression, values: Sequence[Value]) -> float:
        inputs = self._encoder.inputs
        row = {each.name: value for each, value in zip(inputs, values, strict=True)}
        return float(evaluate(expression, columns_of([row], inputs))[0])


_Texts = list[tuple[int, dict[Value, int]]]
_Numbers = list[tuple[int, int, int]]
_Derived = list[tuple[OnRow, Expression, int, int]]


def _blocks(encoder: Encoder) -> tuple[_Texts, _Numbers, _Derived]:
    """The tensor's blocks: where a value stands in a row, and where its places are in the tensor.

    Where a number has no place for missing, its own stands for it.
    """
    row = {each.name: n for n, each in enumerate(encoder.inputs)}
    texts: _Texts = []
    numbers: _Numbers = []
    derived: _Derived = []
    at = 0
    for each in encoder.features:
        end = at + len(each.places)
        missing_at = end - 1 if each.missing else at
        if each.name in encoder.expressions:
            expression = encoder.expressions[each.name]
            derived.append((on_row(expression, row), expression, at, missing_at))
        elif each.kind == "number":
            numbers.append((row[each.name], at, missing_at))
        else:
            place_of: dict[Value, int] = {value: at + n for n, value in enumerate(each.categories)}
            if each.missing:
                place_of[None] = missing_at
            texts.append((row[each.name], place_of))
        at = end
    return texts, numbers, derived
