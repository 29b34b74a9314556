"""One expression on one row, without arrays: what `derive.evaluate` gives on a column of one value."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np

from mainstay.expressions import Column, Expression, Node, Number, Operation, Text
from mainstay.nouns import Value
from mainstay.usecase import normal

OnRow = Callable[[Sequence[Value]], float]
"""The value of an expression on a row: its inputs' values in order, None for missing. NaN where it is missing."""

_NAN: Final = math.nan


def on_row(expression: Expression, places: Mapping[str, int]) -> OnRow:
    """Compile an expression; `places` says where a column's value stands in a row.

    A division by zero raises ZeroDivisionError: the sign of that infinity may depend on the sign of a zero, which
    numpy does not promise for `min` and `max`. Whoever asks then asks numpy. A zero's own sign is not promised here.
    """
    value = _compiled(expression.tree, places)

    def finite(row: Sequence[Value]) -> float:
        found = value(row)
        return found if found - found == 0 else _NAN  # an infinity is no feature

    return finite


def _compiled(node: Node, places: Mapping[str, int]) -> OnRow:
    match node:
        case Number(constant):
            return lambda row: constant
        case Column(name):
            return _column(places[name])
        case Operation("is_null", (Column(name, "category"),)):
            at = places[name]
            return lambda row: 1.0 if row[at] is None else 0.0
        case Operation("==" | "!=" as operator, (Column(name, "category"), Text(wanted))):
            return _is(places[name], normal(wanted), operator == "==")
        case Operation("and" | "or" as name, arguments):
            return _kleene([_compiled(each, places) for each in arguments], 1.0 if name == "or" else 0.0)
        case Operation("min" | "max" as name, arguments):
            return _extreme([_compiled(each, places) for each in arguments], name == "min")
        case Operation(name, (argument,)):
            return _unary(name, _compiled(argument, places))
        case Operation(name, (left, right)):
            return _binary(name, _compiled(left, places), _compiled(right, places))
    raise TypeError(f"no meaning for {node}")  # unreachable while the parser and this agree


def _column(at: int) -> OnRow:
    def value(row: Sequence[Value]) -> float:
        found = row[at]
        return _NAN if found is None else found  # type: ignore[return-value]  # a category stands in `is_null`, == and !=

    return value


def _is(at: int, wanted: str, equal: bool) -> OnRow:
    def value(row: Sequence[Value]) -> float:
        found = row[at]
        return _NAN if found is None else float((found == wanted) is equal)

    return value


def _kleene(arguments: list[OnRow], settles: float) -> OnRow:
    """Three-valued `or` (settled by a truth) or `and` (settled by a zero)."""

    def value(row: Sequence[Value]) -> float:
        unknown = False
        for each in arguments:
            found = each(row)
            if found != found:
                unknown = True
            elif (found != 0) == (settles != 0):
                return settles
        return _NAN if unknown else 1.0 - settles

    return value


def _extreme(arguments: list[OnRow], least: bool) -> OnRow:
    def value(row: Sequence[Value]) -> float:
        found = [each(row) for each in arguments]
        for each in found:
            if each != each:
                return _NAN
        return min(found) if least else max(found)

    return value


def _unary(name: str, inner: OnRow) -> OnRow:
    match name:
        case "negate":
            return lambda row: -inner(row)
        case "abs":
            return lambda row: abs(inner(row))
        case "log":
            return lambda row: _log(inner(row))
        case "is_null":
            return lambda row: 0.0 if (found := inner(row)) == found else 1.0
        case "not":
            return lambda row: found if (found := inner(row)) != found else float(found == 0)
    raise TypeError(f"no meaning for {name}")


def _log(value: float) -> float:
    if value > 0:
        return float(np.log(value))  # not math.log: its last digit may be another
    return -math.inf if value == 0 else _NAN


def _binary(name: str, left: OnRow, right: OnRow) -> OnRow:
    match name:
        case "+":
            return lambda row: left(row) + right(row)
        case "-":
            return lambda row: left(row) - right(row)
        case "*":
            return lambda row: left(row) * right(row)
        case "/":
            return lambda row: left(row) / right(row)
    compare = _COMPARED[name]

    def value(row: Sequence[Value]) -> float:
        first, second = left(row), right(row)
        return _NAN if first != first or second != second else float(compare(first, second))

    return value


_COMPARED: dict[str, Callable[[float, float], bool]] = {
    "==": float.__eq__,
    "!=": float.__ne__,
    "<": float.__lt__,
    "<=": float.__le__,
    ">": float.__gt__,
    ">=": float.__ge__,
}
