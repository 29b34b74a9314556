"""Columns of a file as inputs: refused and flagged as `read_row` does, whatever the file's types."""

import json
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.data.inputs import InputRows, read_inputs
from mainstay.scoring.coded import Codes
from mainstay.scoring.encode import Input
from mainstay.scoring.reading import Policy, Row, read_row

INPUTS = (
    Input("age", "integer", range=(18, 120)),
    Input("spent", "number", nullable=True, range=(0, 1000)),
    Input("plan", "category", values=("basic", "plus", "1")),
    Input("city", "category", nullable=True),
    Input("free", "category", nullable=True),
)
LEARNED = {"city": frozenset({"Ulm", "Köln"})}
ROWS = {
    "age": st.sampled_from([30, 30.0, 17, 121, 18.5, None, 2**60, 1e300, "x", True, -0.0]),
    "spent": st.sampled_from([0, 12.5, -1, 1000.5, None, 3.5e38, "12", "much"]),
    "plan": st.sampled_from(["basic", " plus ", "plus", "gold", "", None, "1", "1.0", 1, 1.0, True, "BASIC"]),
    "city": st.sampled_from(["Ulm", "Köln", "Ko\u0308ln", "Bonn", " Ulm", None, "  "]),
    "free": st.sampled_from(["anything", None, "Ulm"]),
}


def value_at(read: InputRows, name: str, row: int) -> Any:
    column = read.columns[name]
    if isinstance(column, Codes):
        return column.texts[row]
    return None if np.isnan(column[row]) else column[row]


def compare(read: InputRows, row: int, one: Row) -> None:
    refused = {each.said.split("`")[1] for each in read.refused if each.rows[row]}
    assert refused == {each.field for each in one.problems}
    for each in one.problems:
        said = next(odd.said for odd in read.refused if odd.rows[row] and odd.said.startswith(f"`{each.field}`"))
        assert said.endswith(f"it must be {each.expected}")
    assert [each.said for each in read.flagged if each.rows[row]] == list(one.flags)
    for name, value in one.values.items():
        if name not in refused:
            assert value_at(read, name, row) == value


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.fixed_dictionaries(ROWS), st.sampled_from(["flag", "refuse"]), st.sampled_from(["flag", "refuse"]))
def test_a_row_is_read_as_a_request_is(row: dict[str, Any], unseen: Policy, out_of_range: Policy) -> None:
    if isinstance(row["spent"], str) or isinstance(row["age"], str):
        return  # a file has numbers as texts, JSON has not: see below
    table = pa.table({name: pa.array([value]) for name, value in row.items()})
    read = read_inputs(table, INPUTS, unseen, out_of_range, LEARNED)
    compare(read, 0, read_row(row, INPUTS, unseen, out_of_range, LEARNED))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.fixed_dictionaries(ROWS), min_size=1, max_size=8), st.booleans())
def test_texts_are_read_as_the_values_that_they_write(rows: list[dict[str, Any]], dictionaries: bool) -> None:
    def written(value: Any) -> str | None:
        return None if value is None or not str(value).strip() else str(value)

    def meant(name: str, text: str | None) -> Any:
        if name not in ("age", "spent") or text is None:
            return text
        try:
            return json.loads(text)
        except ValueError:
            return text

    texts = [{name: written(value) for name, value in row.items()} for row in rows]
    table = pa.table({name: pa.array([row[name] for row in texts], pa.string()) for name in ROWS})
    if dictionaries:
        table = pa.table([column.dictionary_encode() for column in table.columns], names=table.column_names)
    read = read_inputs(table, INPUTS, "flag", "flag", LEARNED)
    for place, row in enumerate(texts):
        asked = {name: meant(name, text) for name, text in row.items()}
        compare(read, place, read_row(asked, INPUTS, "flag", "flag", LEARNED))


def test_a_column_that_is_not_there_is_missing_in_every_row() -> None:
    table = pa.table({"age": [30, 40], "plan": ["basic", "plus"]})
    read = read_inputs(table, INPUTS, "flag", "flag", LEARNED)
    assert not read.refused
    assert not read.flagged
    assert np.isnan(read.columns["spent"]).all()  # type: ignore[arg-type]
    assert value_at(read, "city", 1) is None


@pytest.mark.parametrize(
    "values",
    [pa.array([["a"], None]), pa.array([b"a", None]), pa.array([{"a": 1}, None]), pa.nulls(2)],
    ids=["list", "bytes", "struct", "nothing"],
)
def test_what_is_no_value_of_anything_is_refused_where_it_is(values: pa.Array) -> None:
    table = pa.table({"age": values, "spent": values, "plan": values, "city": values})
    read = read_inputs(table, INPUTS, "flag", "flag", LEARNED)
    said = {each.said.split(":")[0]: each.rows.tolist() for each in read.refused}
    if values.type == pa.null():
        assert said == {"`age` is missing": [True, True], "`plan` is missing": [True, True]}
    else:
        first, second = [True, False], [False, True]
        assert said == {
            "`age` is not an integer": first, "`age` is missing": second,
            "`spent` is not a finite number": first,
            "`plan` is not a text": first, "`plan` is missing": second,
            "`city` is not a text": first,
        }  # fmt: skip
