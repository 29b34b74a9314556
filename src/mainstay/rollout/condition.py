"""What a pin's condition means for the features of one request: what the scorer's own expressions mean."""

import math
from collections.abc import Callable, Mapping

import numpy as np

from mainstay.expressions import Kind, parse
from mainstay.nouns import Value
from mainstay.scoring.derive import evaluate
from mainstay.scoring.single import on_row

Features = Mapping[str, Value]


def condition(text: str, kinds: Mapping[str, Kind]) -> Callable[[Features], bool]:
    """Whether a condition over these features holds: it has a value, and that is not 0. Refused as `parse`.

    Features are given as they were read: numbers, categories as training spells them, None for missing (what is not
    named is missing too). Missing in, missing out, `and` and `or` three-valued, as `derive.evaluate`; what is not
    finite is missing, and what is missing does not hold.
    """
    expression = parse(text, kinds)
    names = tuple(sorted(expression.columns))
    numbers = [kinds[name] == "number" for name in names]
    value = on_row(expression, {name: place for place, name in enumerate(names)})

    def holds(features: Features) -> bool:
        row = [_typed(features.get(name), number) for name, number in zip(names, numbers, strict=True)]
        try:
            found = value(row)
        except ZeroDivisionError:
            columns = {name: _column(given, kinds[name]) for name, given in zip(names, row, strict=True)}
            found = float(evaluate(expression, columns or {"": np.zeros(1)})[0])
        return not math.isnan(found) and found != 0

    return holds


def _typed(given: Value, number: bool) -> Value:
    return float(given) if number and given is not None else given


def _column(given: Value, kind: Kind) -> "np.ndarray[tuple[int], np.dtype[np.generic]]":
    if kind == "category":
        return np.array([given], dtype=object)
    return np.array([math.nan if given is None else given], dtype=np.float64)
