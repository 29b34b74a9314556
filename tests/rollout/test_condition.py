"""A pin's condition on one row means what the same expression means on columns."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.expressions import Kind, parse
from mainstay.rollout.condition import condition
from mainstay.scoring.derive import evaluate

KINDS: dict[str, Kind] = {"a": "number", "b": "number", "c": "category"}
_NUMBERS = st.sampled_from(["a", "b", "0", "1", "2.5", "1e308"])


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    binary = st.sampled_from(["+", "-", "*", "/", "==", "!=", "<", "<=", ">", ">=", "and", "or"])
    return st.one_of(
        st.builds("({} {} {})".format, inner, binary, inner),
        st.builds("{}({}, {})".format, st.sampled_from(["min", "max"]), inner, inner),
        st.builds("({}({}))".format, st.sampled_from(["log", "abs", "is_null", "not ", "-"]), inner),
    )


LEAVES = _NUMBERS | st.sampled_from(["(c == 'x')", "(c != ' x ')", "is_null(c)"])
EXPRESSIONS = st.recursive(LEAVES, _grown, max_leaves=8)
VALUES = st.none() | st.sampled_from([0.0, -0.0, 1.0, -3.5, 1e308, -1e308, 5e-324]) | st.floats(-100, 100)


@settings(max_examples=400, deadline=None)
@given(text=EXPRESSIONS, a=VALUES, b=VALUES, c=st.sampled_from([None, "x", "y"]))
def test_a_condition_holds_where_the_column_expression_is_known_and_not_zero(text: str, a: Any, b: Any, c: Any) -> None:
    expression = parse(text, KINDS)
    columns = {
        "a": np.array([math.nan if a is None else a]),
        "b": np.array([math.nan if b is None else b]),
        "c": np.array([c], dtype=object),
    }
    value = evaluate(expression, columns)[0]
    assert condition(text, KINDS)({"a": a, "b": b, "c": c}) is bool(not math.isnan(value) and value != 0)


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("a > 5 or not (c == 'x')", True),
        ("b > 1 or a > 1", True),  # b is missing: unknown or true is true
        ("b > 1 or a > 100", False),
        ("b > 1", False),
        ("is_null(b) and not is_null(c)", True),
        ("a / 0 > 1", True),
        ("a / 0", False),
        ("-a / 0 < 0", True),
        ("log(0) < 0", True),
        ("is_null(log(-1))", True),
        ("is_null(0 / 0)", True),
        ("1 / 0", False),
    ],
)
def test_conditions(text: str, holds: bool) -> None:
    assert condition(text, KINDS)({"a": 10.0, "c": "y"}) is holds
