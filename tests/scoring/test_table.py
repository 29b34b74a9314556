"""Rows by the column mean what they mean one by one."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.scoring.coded import Codes
from mainstay.scoring.encode import Input
from mainstay.scoring.reading import Policy, read_row
from mainstay.scoring.table import Distinct, Given, TableRead, read_table

INPUTS = (
    Input("plan", "category", nullable=True, values=("basic", "plus", "1")),
    Input("town", "category"),
    Input("age", "integer", range=(18.0, 90.0)),
    Input("spent", "number", nullable=True),
)
LEARNED = {"town": frozenset({"Ulm", "Köln"})}
TEXTS = st.none() | st.sampled_from(["basic", "plus", " plus ", "1", "1.0", "gold", "", " ", "Ulm", "Ko\u0308ln"])
CATEGORIES = TEXTS | st.sampled_from([1, 1.0, 0, True, 2.5])
NUMBERS = st.none() | st.sampled_from([18, 40, 40.5, 91, -1, 1e39, 2**53, 2**60, 0.1, float("inf")])
POLICY = st.sampled_from(["flag", "refuse"])
ROW = st.fixed_dictionaries({"plan": CATEGORIES, "town": CATEGORIES, "age": NUMBERS, "spent": NUMBERS})


def column(values: list[Any], numbers: bool) -> Given:
    """The values as a reader of tables gives them."""
    if numbers:
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)
    places: dict[Any, int] = {}
    codes = [-1 if each is None else places.setdefault((type(each), each), len(places)) for each in values]
    return Distinct(np.array(codes, dtype=np.int32), tuple(value for _, value in places))


def at(read: TableRead, name: str, row: int) -> Any:
    values = read.columns[name]
    if isinstance(values, Codes):
        return values.texts[row]
    return None if np.isnan(values[row]) else values[row]


@given(st.lists(ROW, min_size=1, max_size=8), POLICY, POLICY)
def test_values_flags_and_refusals_are_those_of_rows_one_by_one(
    rows: list[dict[str, Any]], unseen: Policy, out_of_range: Policy
) -> None:
    table = {each.name: column([row[each.name] for row in rows], each.kind == "number") for each in INPUTS}
    read = read_table(len(rows), table, INPUTS, unseen, out_of_range, LEARNED)
    for n, row in enumerate(rows):
        alone = read_row(row, INPUTS, unseen, out_of_range, LEARNED)
        assert tuple(each.problem for each in read.refused if each.rows[n]) == alone.problems
        assert tuple(each.flag for each in read.flagged if each.rows[n]) == alone.flags
        assert read.bad[n] == bool(alone.problems)
        if not alone.problems:
            assert {each.name: at(read, each.name, n) for each in INPUTS} == dict(alone.values)


def test_a_text_is_the_number_that_it_spells() -> None:
    texts = (" 40 ", "4e1", "", "forty", "1_0", "nan", "٤")
    given = {"spent": Distinct(np.arange(len(texts), dtype=np.int32), texts)}
    read = read_table(len(texts), given, INPUTS[3:], "flag", "flag", {})
    spent = read.columns["spent"]
    assert isinstance(spent, np.ndarray)
    assert spent[:2].tolist() == [40.0, 40.0]
    assert np.isnan(spent[2])
    assert read.bad.tolist() == [False, False, False, True, True, True, True]


def test_numbers_are_categories_as_they_are_written() -> None:
    read = read_table(3, {"plan": np.array([1.0, 2.5, np.nan])}, INPUTS[:1], "refuse", "flag", {})
    assert at(read, "plan", 0) == "1"
    assert at(read, "plan", 2) is None
    assert read.bad.tolist() == [False, True, False]


@pytest.mark.parametrize("rows", [0, 2])
def test_a_column_that_is_not_given_is_missing_in_every_row(rows: int) -> None:
    read = read_table(rows, {}, INPUTS, "flag", "flag", LEARNED)
    assert read.bad.tolist() == [True] * rows
    assert [each.problem.field for each in read.refused] == (["town", "age"] if rows else [])
