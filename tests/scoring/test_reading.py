"""Rows as programs send them: read, flagged or refused, field by field."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.data.typed import typed
from mainstay.nouns import Value
from mainstay.scoring.encode import Input
from mainstay.scoring.reading import columns_of, read_row
from mainstay.usecase import Column

INPUTS = (
    Input("tenure", "integer", range=(0, 120)),
    Input("total", "number", nullable=True),
    Input("senior", "category", values=("0", "1")),
)
GOOD: dict[str, Value] = {"tenure": 12, "total": 29.85, "senior": "0"}


def test_a_good_row_is_read_as_it_is() -> None:
    row = read_row(GOOD, INPUTS, "flag", "flag")
    assert (row.values, row.flags, row.problems) == (GOOD, (), ())


def test_what_the_contract_lets_be_missing_may_be_missing() -> None:
    row = read_row({"tenure": 12.0, "senior": 1}, INPUTS, "flag", "flag")
    assert row.values == {"tenure": 12.0, "total": None, "senior": "1"}
    assert not row.problems


@pytest.mark.parametrize(
    ("field", "value", "reason"),
    [
        ("tenure", None, "is missing"),
        ("tenure", "12", "is not a number"),
        ("tenure", True, "is not a number"),
        ("tenure", 1.5, "is not an integer"),
        ("tenure", float("nan"), "is not a finite number"),
        ("tenure", 10**400, "is not a finite number"),
        ("total", 1e39, "is not a finite number"),
        ("total", [1], "is not a number"),
        ("tenure", 2**53, "is too large to be exact"),
        ("tenure", 1e20, "is too large to be exact"),
        ("senior", float("inf"), "is not a text"),
        ("senior", 10**400, "is not a text"),
        ("senior", {"a": 1}, "is not a text"),
        ("senior", None, "is missing"),
        ("senior", " ", "is missing"),
        ("senior", float("nan"), "is missing"),
        ("tenur", 12, "unknown field; did you mean `tenure`?"),
    ],
)
def test_a_bad_value_is_refused_with_what_would_be_right(field: str, value: Any, reason: str) -> None:
    (problem,) = read_row({**GOOD, field: value}, INPUTS, "flag", "flag").problems
    assert (problem.field, problem.reason) == (field, reason)
    assert problem.expected
    assert field in ("tenure", "tenur") or repr(value) not in problem.reason + problem.expected


def test_an_unseen_category_follows_the_policy() -> None:
    unseen = {**GOOD, "senior": "2"}
    assert read_row(unseen, INPUTS, "flag", "refuse").flags == ("unseen_category:senior",)
    (problem,) = read_row(unseen, INPUTS, "refuse", "flag").problems
    assert problem.expected == "one of 0, 1"


def test_a_category_that_training_never_saw_is_unseen_where_the_contract_lists_none() -> None:
    city = (Input("city", "category", nullable=True),)
    learned = {"city": frozenset({"Ulm", "Bonn"})}
    assert read_row({"city": " Ulm"}, city, "refuse", "flag", learned).values == {"city": "Ulm"}
    assert read_row({"city": None}, city, "refuse", "flag", learned).problems == ()
    assert read_row({"city": "Rome"}, city, "flag", "flag", learned).flags == ("unseen_category:city",)
    (problem,) = read_row({"city": "Rome"}, city, "refuse", "flag", learned).problems
    assert (problem.reason, problem.expected) == ("is not a known category", "a category that training saw")
    assert read_row({"city": "Rome"}, city, "refuse", "flag").problems == ()


@pytest.mark.parametrize(
    ("listed", "value"),
    [
        (("0", "1"), "1.0"),
        (("0", "1"), 1.0),
        (("0", "1"), 1),
        (("0", "1"), True),
        (("1.0", "2.5"), 1),
        (("True", "False"), True),
        (("caf\u00e9", "x"), "cafe\u0301"),
        (("Yes", "No"), " Yes\t"),
        (("Yes", "No"), "\u00a0"),
        (None, "cafe\u0301 "),
        (None, ""),
        (None, "1.0"),
        (None, 1.0),
        (None, 2**53 + 1),
        (None, 2.0**70),
        (None, 1e-7),
    ],
)
def test_a_category_is_spelt_in_a_request_as_it_is_in_the_training_rows(
    listed: tuple[str, ...] | None, value: Any
) -> None:
    trained = typed(pa.chunked_array([[value]]), Column(type="category", values=listed)).values[0].as_py()
    read = read_row({"k": value}, (Input("k", "category", nullable=True, values=listed),), "flag", "flag")
    assert read.values == {"k": trained}
    assert not read.problems


@given(st.text(max_size=6) | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_infinity=False))
def test_whatever_a_category_is_training_and_serving_spell_it_alike(value: str | float) -> None:
    for listed in (None, ("0", "1", "a", "True")):
        trained = typed(pa.chunked_array([[value]]), Column(type="category", values=listed)).values[0].as_py()
        read = read_row({"k": value}, (Input("k", "category", nullable=True, values=listed),), "flag", "flag")
        assert read.values == {"k": trained}


def test_of_many_unknown_fields_a_few_are_told() -> None:
    row = read_row({**GOOD, **{f"tenur{n}": 1 for n in range(10_000)}, "x" * 10**6: 1}, INPUTS, "flag", "flag")
    assert [problem.field for problem in row.problems] == ["tenur0", "tenur1", "tenur2"]
    (problem,) = read_row({**GOOD, "x" * 10**6: 1}, INPUTS, "flag", "flag").problems
    assert problem.reason == "unknown field"


def test_a_number_out_of_range_follows_the_policy() -> None:
    beyond = {**GOOD, "tenure": 121}
    assert read_row(beyond, INPUTS, "refuse", "flag").flags == ("out_of_range:tenure",)
    (problem,) = read_row(beyond, INPUTS, "flag", "refuse").problems
    assert problem.expected == "an integer from 0 to 120"


def test_rows_become_columns_with_nan_for_missing_numbers() -> None:
    columns = columns_of([GOOD, {**GOOD, "total": None, "senior": None}], INPUTS)
    np.testing.assert_array_equal(columns["total"], [29.85, np.nan])
    assert columns["senior"].tolist() == ["0", None]


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = SCALARS | st.lists(SCALARS, max_size=3) | st.dictionaries(st.text(max_size=5), SCALARS, max_size=3)


@given(st.dictionaries(st.sampled_from(["tenure", "total", "senior", "x"]), JSON))
def test_any_json_is_read_or_refused_and_never_breaks(row: dict[str, Any]) -> None:
    read = read_row(row, INPUTS, "flag", "flag")
    if not read.problems:
        assert columns_of([read.values], INPUTS)["tenure"].shape == (1,)
