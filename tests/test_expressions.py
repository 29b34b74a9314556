"""The language of derived features: what it says, and what it refuses."""

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mainstay.errors import Refused
from mainstay.expressions import MAX_DEPTH, Kind, parse

COLUMNS: dict[str, Kind] = {"tenure": "number", "Monthly Charges": "number", "Contract": "category"}


def test_an_expression_names_the_columns_it_reads() -> None:
    assert parse("tenure * `Monthly Charges` + 1", COLUMNS).columns == {"tenure", "Monthly Charges"}


def test_a_text_may_hold_any_character() -> None:
    assert parse('Contract == "Zwei\'jährig"', COLUMNS).columns == {"Contract"}


@pytest.mark.parametrize(
    "hostile",
    [
        "__import__('os').system('true')",
        "tenure.__class__",
        "().__class__.__mro__",
        "[x for x in (1,)]",
        "lambda: 1",
        "tenure ** 9",
        "tenure if tenure else 1",
        "open('x')",
        "tenure[0]",
        "f'{tenure}'",
        "tenure := 1",
        "True",
        "None",
        "1 < tenure < 3",
        "tenure @ tenure",
        "min(*tenure)",
        "max(tenure, key=1)",
        "tenure; tenure",
        "import os",
        "",
        "tenure +",
        "\0",
        "(" * 300 + "tenure" + ")" * 300,
        "-" * 900 + "tenure",
        "tenure + " * 200 + "1",
        "9" * 990,
        "1e999",
    ],
)
def test_what_is_not_of_the_language_is_refused(hostile: str) -> None:
    with pytest.raises(Refused):
        parse(hostile, COLUMNS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tenur * 2", "there is no column `tenur`; did you mean `tenure`?"),
        ("logg(tenure)", "there is no function `logg`; did you mean `log`?"),
        ("log(tenure, 2)", "`log` takes 1 arguments, not 2"),
        ("Contract * 2", "`Contract` is a category"),
        ('Contract < "Two year"', "a category has no order"),
        ('tenure == "12"', "is a category"),
        ("tenure.mean()", "Call is not part of the language"),
    ],
)
def test_a_refusal_says_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(Refused, match=said.replace("?", r"\?").replace("(", r"\(")):
        parse(text, COLUMNS)


def test_nesting_is_bounded() -> None:
    parse("-" * (MAX_DEPTH - 1) + "tenure", COLUMNS)
    with pytest.raises(Refused, match="levels deep"):
        parse("-" * (MAX_DEPTH + 1) + "tenure", COLUMNS)


@given(st.text(max_size=200))
@settings(max_examples=300)
def test_any_text_is_parsed_or_refused_and_never_breaks(text: str) -> None:
    with contextlib.suppress(Refused):
        assert parse(text, COLUMNS).columns <= COLUMNS.keys()
