"""What an expression means on rows, missing values included."""

import numpy as np
import pytest

from mainstay.expressions import Kind, parse
from mainstay.scoring.derive import evaluate

NAN = np.nan
KINDS: dict[str, Kind] = {"a": "number", "b": "number", "c": "category"}
COLUMNS = {
    "a": np.array([1.0, 2.0, NAN, 0.0]),
    "b": np.array([2.0, 2.0, 2.0, 0.0]),
    "c": np.array(["x", "y", None, "x"], dtype=object),
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * 2", [5, 6, NAN, 0]),
        ("(a - b) / 2", [-0.5, 0, NAN, 0]),
        ("-a", [-1, -2, NAN, 0]),
        ("a / b", [0.5, 1, NAN, NAN]),
        ("log(a)", [0, np.log(2), NAN, NAN]),
        ("abs(a - b)", [1, 0, NAN, 0]),
        ("min(a, b, 1)", [1, 1, NAN, 0]),
        ("max(a, b)", [2, 2, NAN, 0]),
        ("a == b", [0, 1, NAN, 1]),
        ("a != b", [1, 0, NAN, 0]),
        ("a < b", [1, 0, NAN, 0]),
        ("a <= b", [1, 1, NAN, 1]),
        ("a > b", [0, 0, NAN, 0]),
        ("a >= b", [0, 1, NAN, 1]),
        ("is_null(a)", [0, 0, 1, 0]),
        ("is_null(c)", [0, 0, 1, 0]),
        ('c == "x"', [1, 0, NAN, 1]),
        ('"x" != c', [0, 1, NAN, 0]),
        ("not a", [0, 0, NAN, 1]),
        ("a > 1 or b > 1", [1, 1, 1, 0]),
        ("a > 1 and b > 1", [0, 1, NAN, 0]),
        ("a > 1 and b > 9", [0, 0, 0, 0]),
        ("a > 1 or b > 9", [0, 1, NAN, 0]),
        ("3", [3, 3, 3, 3]),
    ],
)
def test_an_expression_is_worth_what_arithmetic_says(text: str, expected: list[float]) -> None:
    np.testing.assert_allclose(evaluate(parse(text, KINDS), COLUMNS), expected, equal_nan=True)


def test_a_category_is_compared_as_it_is_spelt() -> None:
    cafe = {"c": np.array(["caf\u00e9"], dtype=object)}
    assert evaluate(parse('c == " cafe\u0301"', KINDS), cafe).tolist() == [1.0]


def test_no_rows_give_no_values() -> None:
    empty = {name: values[:0] for name, values in COLUMNS.items()}
    assert evaluate(parse('a + b > 1 or c == "x"', KINDS), empty).shape == (0,)
