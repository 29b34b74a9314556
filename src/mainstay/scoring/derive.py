"""What an expression means on rows: the same numpy code in training, gates, serving, batch and replay."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.expressions import Column, Expression, Node, Number, Operation, Text
from mainstay.usecase import normal

Columns = Mapping[str, NDArray[Any]]
"""Rows by column, each of shape (n,): numbers float64 with NaN for missing, categories objects of str | None."""
Floats = NDArray[np.float64]


def evaluate(expression: Expression, columns: Columns) -> Floats:
    """The expression's value on every row, shape (n,), float64; comparisons give 1.0 and 0.0.

    Missing in, missing out (NaN); `and` and `or` are three-valued (Kleene), so that `x > 1 or True` is true where x is
    missing. What is not finite, a division by zero or the log of nothing, is missing too: an infinity is no feature.
    """
    rows = len(next(iter(columns.values()))) if columns else 0
    with np.errstate(all="ignore"):
        values = np.broadcast_to(_value(expression.tree, columns), (rows,))
        return np.where(np.isfinite(values), values, np.nan)


def _value(node: Node, columns: Columns) -> Floats:
    match node:
        case Number(value):
            return np.array([value])
        case Column(name):
            return np.asarray(columns[name], dtype=np.float64)
        case Operation("is_null", (Column(name, "category"),)):
            return _missing(columns[name]).astype(np.float64)
        case Operation("==" | "!=" as operator, (Column(name, "category"), Text(wanted))):
            equal = (columns[name] == normal(wanted)).astype(np.float64)
            answered = equal if operator == "==" else 1.0 - equal
            return np.where(_missing(columns[name]), np.nan, answered)
        case Operation(name, arguments):
            return _OPERATIONS[name](*(_value(argument, columns) for argument in arguments))
    raise TypeError(f"no meaning for {node}")  # unreachable while the parser and this agree


def _missing(values: NDArray[Any]) -> NDArray[np.bool_]:
    return np.fromiter((value is None for value in values), dtype=np.bool_, count=len(values))


def _compared(compare: Callable[..., Any]) -> Callable[..., Floats]:
    def answer(left: Floats, right: Floats) -> Floats:
        return np.where(np.isnan(left) | np.isnan(right), np.nan, compare(left, right))

    return answer


def _any(*arguments: Floats) -> Floats:
    stacked = np.stack(np.broadcast_arrays(*arguments))
    unknown = np.isnan(stacked)
    return np.where(((stacked != 0) & ~unknown).any(0), 1.0, np.where(unknown.any(0), np.nan, 0.0))


def _all(*arguments: Floats) -> Floats:
    stacked = np.stack(np.broadcast_arrays(*arguments))
    unknown = np.isnan(stacked)
    return np.where((stacked == 0).any(0), 0.0, np.where(unknown.any(0), np.nan, 1.0))


def _folded(combine: Callable[[Floats, Floats], Floats]) -> Callable[..., Floats]:
    def answer(first: Floats, *others: Floats) -> Floats:
        for other in others:
            first = combine(first, other)
        return first

    return answer


_OPERATIONS: dict[str, Callable[..., Floats]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "/": np.divide,
    "negate": np.negative,
    "==": _compared(np.equal),
    "!=": _compared(np.not_equal),
    "<": _compared(np.less),
    "<=": _compared(np.less_equal),
    ">": _compared(np.greater),
    ">=": _compared(np.greater_equal),
    "and": _all,
    "or": _any,
    "not": lambda value: np.where(np.isnan(value), np.nan, (value == 0).astype(np.float64)),
    "min": _folded(np.minimum),
    "max": _folded(np.maximum),
    "log": np.log,
    "abs": np.abs,
    "is_null": lambda value: np.isnan(value).astype(np.float64),
}
