"""What a contract says of every row, and which rows break it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstay.data.typed import TIMESTAMP, Mask, Typed, text_of
from mainstay.data.written import written_as
from mainstay.expressions import Expression
from mainstay.scoring.derive import evaluate
from mainstay.scoring.frame import grouped
from mainstay.usecase import Column, UseCase

_LISTED: Final = 12
_ARTICLES: Final = {
    "identifier": "a text",
    "category": "a text",
    "integer": "an integer",
    "number": "a number",
    "timestamp": "a time",
}


@dataclass(frozen=True, slots=True)
class Promise:
    """One thing said of each of n rows: `broken` (n,) marks those of which it is not so.

    `kept` and `fault` are what is said of the subject (a column or a rule) where it holds and where it does not.
    `values` says whether the values that break it may be shown: never those of a personal column.
    """

    name: str
    subject: str
    broken: Mask
    kept: str
    fault: str
    values: bool = False


def promises(
    columns: Mapping[str, Typed], use_case: UseCase, rows: int, now: datetime | None = None
) -> Iterator[Promise]:
    """Every promise about the columns that are there, in contract order, then the rules, then what is unique.

    With `now`, an event time and a time of knowing lie at or before it.
    """
    always = {use_case.entity, use_case.event_time.column if use_case.event_time else None}
    broken = np.zeros(rows, dtype=np.bool_)
    for name, found in columns.items():
        column = use_case.contract.columns[name]
        for promise in _of_column(name, column, found, required=name in always or not column.nullable):
            broken |= promise.broken
            yield promise
    for promise in _witnessed(columns, use_case, now) if now is not None else ():
        broken |= promise.broken
        yield promise
    for rule in use_case.rules:
        promise = _of_rule(rule, columns, use_case, rows)
        broken |= promise.broken
        yield promise
    same = grouped(chain((codes(found.values) for found in columns.values()), [broken]), rows)
    for name, found in columns.items():
        if use_case.contract.columns[name].unique:
            yield _unique(name, found, same, shown=use_case.contract.columns[name].personal is None)


def codes(values: pa.Array) -> NDArray[np.int64]:
    """A whole number for each value (n,), the same for the same value, null included."""
    coded = values.dictionary_encode().indices.fill_null(len(values))
    return np.asarray(coded.to_numpy(zero_copy_only=False), dtype=np.int64)


def missing(values: pa.Array) -> Mask:
    """Which values (n,) are null."""
    return np.asarray(values.is_null().to_numpy(zero_copy_only=False))


def _of_column(name: str, column: Column, found: Typed, *, required: bool) -> Iterator[Promise]:
    shown = column.personal is None
    article = _ARTICLES[column.type] + written_as(column)
    yield Promise("type", name, found.wrong, f"is {article}", f"is not {article}", shown)
    if required:
        absent = missing(found.values) & ~found.wrong
        yield Promise("null", name, absent, "is never missing", f"is missing, and must be {article}")
    if column.range is not None:
        low, high = column.range
        outside = _true(pc.or_(pc.less(found.values, low), pc.greater(found.values, high)))
        said = f"from {low:g} to {high:g}" + (f" {column.unit}" if column.unit else "")
        yield Promise("range", name, outside, f"is {said}", f"is not {said}", shown)
    if column.values is not None:
        known = pc.is_in(found.values, pa.array(column.values, pa.string()), skip_nulls=True)
        listed = ", ".join(column.values[:_LISTED]) + (", …" if len(column.values) > _LISTED else "")
        other = ~_true(known) & ~missing(found.values)
        yield Promise("values", name, other, f"is one of {listed}", f"is not one of {listed}", shown)


def _witnessed(columns: Mapping[str, Typed], use_case: UseCase, now: datetime) -> Iterator[Promise]:
    """Rows witness what was: one with a time to come would make every other row look long past."""
    time = use_case.event_time
    for name in dict.fromkeys((time.column, time.known_at)) if time is not None else ():
        if name is not None and name in columns:
            later = _true(pc.greater(columns[name].values, pa.scalar(now.astimezone(UTC), TIMESTAMP)))
            shown = use_case.contract.columns[name].personal is None
            yield Promise("future", name, later, "is never in the future", "is in the future", shown)


def _of_rule(rule: Expression, columns: Mapping[str, Typed], use_case: UseCase, rows: int) -> Promise:
    """Broken where it is definitely false: what is missing, a whole column included, makes a rule unknown."""
    needed: dict[str, NDArray[Any]] = {"": np.zeros(rows)}  # a rule of constants has rows too
    for name in rule.columns:
        if name in columns:
            needed[name] = _array(columns[name].values)
        else:
            number = use_case.contract.columns[name].kind == "number"
            needed[name] = np.full(rows, np.nan) if number else np.full(rows, None, dtype=object)
    return Promise("rule", rule.text, evaluate(rule, needed) == 0, "holds", "does not hold")


def _array(values: pa.Array) -> NDArray[Any]:
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
        return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64)
    return np.asarray(text_of(values).to_numpy(zero_copy_only=False), dtype=object)


def _unique(name: str, found: Typed, same: NDArray[np.int64], *, shown: bool) -> Promise:
    """All rows that share a value are at fault, since none of them is known to be the right one.

    But of rows that are the same in every column the first stays. So which rows stay never depends on their order.
    """
    values = codes(found.values)
    counts = np.bincount(values, minlength=1)
    shared = np.flatnonzero((counts[values] > 1) & ~missing(found.values))
    broken = np.zeros(len(values), dtype=np.bool_)
    if len(shared):
        _, first, group = np.unique(values[shared], return_index=True, return_inverse=True)
        differs = same[shared] != same[shared][first][group]
        conflicting = np.bincount(group, weights=differs) > 0
        broken[shared] = conflicting[group] | (np.arange(len(shared)) != first[group])
    return Promise("unique", name, broken, "is another in every row", "is in more than one row", shown)


def _true(answers: pa.Array) -> Mask:
    return np.asarray(answers.fill_null(False).to_numpy(zero_copy_only=False))
