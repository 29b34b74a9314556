"""What a pin's condition means on one row, in plain Python: the same as `scoring/derive.py` on a row of its own."""

import math
from collections.abc import Callable, Mapping

from mainstay.expressions import Column, Expression, Node, Number, Operation, Text
from mainstay.nouns import Value
from mainstay.usecase import normal

Features = Mapping[str, Value]
_Meaning = Callable[[Features], float]


def condition(expression: Expression) -> Callable[[Features], bool]:
    """Whether the expression holds for served features: it has a value on them, and the value is not 0.

    Features are given as they were read: numbers, categories as training spells them, None for missing (what is not
    named is missing too). Missing in, missing out, `and` and `or` three-valued, as `derive.evaluate`; what is not
    finite is missing, and what is missing does not hold.
    """
    meaning = _meaning(expression.tree)

    def holds(features: Features) -> bool:
        value = meaning(features)
        return math.isfinite(value) and value != 0.0

    return holds


def _meaning(node: Node) -> _Meaning:
    match node:
        case Number(value):
            return lambda features: value
        case Column(name):
            return lambda features: _number(features.get(name))
        case Operation("is_null", (Column(name, "category"),)):
            return lambda features: float(features.get(name) is None)
        case Operation("==" | "!=" as operator, (Column(name, "category"), Text(wanted))):
            return _same(name, normal(wanted), operator == "==")
        case Operation(name, arguments):
            operation, meanings = _OPERATIONS[name], [_meaning(argument) for argument in arguments]
            return lambda features: operation(*(meaning(features) for meaning in meanings))
    raise TypeError(f"no meaning for {node}")  # unreachable while the parser and this agree


def _number(value: Value) -> float:
    return math.nan if value is None else float(value)


def _same(name: str, wanted: str | None, equal: bool) -> _Meaning:
    def meaning(features: Features) -> float:
        value = features.get(name)
        return math.nan if value is None else float((value == wanted) is equal)

    return meaning


def _compared(compare: Callable[[float, float], bool]) -> Callable[..., float]:
    def answer(left: float, right: float) -> float:
        return math.nan if math.isnan(left) or math.isnan(right) else float(compare(left, right))

    return answer


def _any(*values: float) -> float:
    if any(value != 0 and not math.isnan(value) for value in values):
        return 1.0
    return math.nan if any(map(math.isnan, values)) else 0.0


def _all(*values: float) -> float:
    if any(value == 0 for value in values):
        return 0.0
    return math.nan if any(map(math.isnan, values)) else 1.0


def _divided(left: float, right: float) -> float:
    """As IEEE 754 has it: Python alone raises where the divisor is 0."""
    if right != 0:
        return left / right
    if left == 0 or math.isnan(left) or math.isnan(right):
        return math.nan
    return math.copysign(math.inf, left) * math.copysign(1.0, right)


def _log(value: float) -> float:
    if value == 0:
        return -math.inf
    return math.nan if value < 0 else math.log(value)


def _unknown_or(choose: Callable[..., float]) -> Callable[..., float]:
    def answer(*values: float) -> float:
        return math.nan if any(map(math.isnan, values)) else choose(values)

    return answer


_OPERATIONS: dict[str, Callable[..., float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": _divided,
    "negate": lambda value: -value,
    "==": _compared(lambda left, right: left == right),
    "!=": _compared(lambda left, right: left != right),
    "<": _compared(lambda left, right: left < right),
    "<=": _compared(lambda left, right: left <= right),
    ">": _compared(lambda left, right: left > right),
    ">=": _compared(lambda left, right: left >= right),
    "and": _all,
    "or": _any,
    "not": lambda value: math.nan if math.isnan(value) else float(value == 0),
    "min": _unknown_or(min),
    "max": _unknown_or(max),
    "log": _log,
    "abs": abs,
    "is_null": lambda value: float(math.isnan(value)),
}
