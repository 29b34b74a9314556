"""Columns to a tensor: fitted once, the same ever after, whatever a request brings."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.expressions import parse
from mainstay.scoring.encode import MAX_CATEGORIES, Input, Reencoder, encode, fit

NUMBER = Input("age", "integer", nullable=True, range=(0, 120))
LISTED = Input("plan", "category", values=("basic", "plus"))
OPEN = Input("city", "category", nullable=True)
COLUMNS = {
    "age": np.array([30.0, np.nan, 50.0]),
    "plan": np.array(["plus", "basic", "plus"], dtype=object),
    "city": np.array(["Ulm", None, "Bonn"], dtype=object),
}


def test_places_are_named_and_never_depend_on_the_order_of_rows() -> None:
    encoder = fit(COLUMNS, (NUMBER, LISTED, OPEN), {})
    assert encoder.places == (
        "age",
        "age is missing",
        "plan=basic",
        "plan=plus",
        "city=Bonn",
        "city=Ulm",
        "city is missing",
    )
    assert fit({name: values[::-1] for name, values in COLUMNS.items()}, (NUMBER, LISTED, OPEN), {}) == encoder


def test_a_row_becomes_its_places() -> None:
    encoder = fit(COLUMNS, (NUMBER, LISTED, OPEN), {})
    tensor = encode(encoder, COLUMNS)
    assert tensor.dtype == np.float32
    np.testing.assert_array_equal(tensor[0], [30, 0, 0, 1, 0, 1, 0])
    np.testing.assert_array_equal(tensor[1], [np.nan, 1, 1, 0, 0, 0, 1])


def test_an_unseen_category_is_zeros_in_its_block() -> None:
    encoder = fit(COLUMNS, (OPEN,), {})
    np.testing.assert_array_equal(encode(encoder, {"city": np.array(["Rome"], dtype=object)}), [[0, 0, 0]])


def test_a_number_too_large_for_the_tensor_is_missing_not_infinite() -> None:
    encoder = fit(COLUMNS, (NUMBER,), {})
    np.testing.assert_array_equal(encode(encoder, {"age": np.array([1e300, -np.inf])}), [[np.nan, 1]] * 2)


def test_a_derived_number_too_large_for_the_tensor_is_missing_in_training_and_after() -> None:
    squared = {"squared": parse("age * age", {"age": "number"})}
    whole = Input("age", "number")
    flagged = fit({"age": np.array([1e30, 2.0])}, (whole,), squared)
    assert flagged.places == ("age", "squared", "squared is missing")
    np.testing.assert_array_equal(encode(flagged, {"age": np.array([1e30, 2.0])})[:, 1:], [[np.nan, 1], [4, 0]])
    unflagged = fit({"age": np.array([1.0, 2.0])}, (whole,), squared)
    np.testing.assert_array_equal(encode(unflagged, {"age": np.array([1e30])})[:, 1:], [[np.nan]])


def test_what_was_learnt_are_the_categories_that_no_contract_lists() -> None:
    assert fit(COLUMNS, (NUMBER, LISTED, OPEN), {}).learned == {"city": {"Ulm", "Bonn"}}


def test_derived_features_follow_the_inputs_and_know_when_they_are_missing() -> None:
    derived = {"per_year": parse("1 / age", {"age": "number"})}
    encoder = fit(COLUMNS, (NUMBER,), derived)
    assert encoder.places == ("age", "age is missing", "per_year", "per_year is missing")
    np.testing.assert_array_equal(encode(encoder, {"age": np.array([2.0, 0.0])})[:, 2:], [[0.5, 0], [np.nan, 1]])


def test_a_column_of_many_values_keeps_the_frequent_ones() -> None:
    names = np.array([f"v{n:03d}" for n in range(200) for _ in range(1 + (n < 10))], dtype=object)
    encoder = fit({"city": names}, (Input("city", "category"),), {})
    assert len(encoder.places) == MAX_CATEGORIES
    assert {f"city=v{n:03d}" for n in range(10)} <= set(encoder.places)


@given(st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=30))
def test_every_row_has_one_place_in_every_category_block(values: list[str | None]) -> None:
    columns = {"city": np.array(values, dtype=object)}
    encoder = fit(columns, (OPEN,), {})
    assert (encode(encoder, columns).sum(axis=1) == 1).all()


@pytest.mark.parametrize("rows", [0, 1, 33])
def test_the_tensor_has_a_row_for_each_row(rows: int) -> None:
    encoder = fit(COLUMNS, (NUMBER,), {})
    assert encode(encoder, {"age": np.zeros(rows)}).shape == (rows, 2)


def test_rows_that_change_in_a_column_are_encoded_again_to_the_bit() -> None:
    older = {"older": parse("age * 2", {"age": "number", "plan": "category", "city": "category"})}
    encoder = fit(COLUMNS, (NUMBER, LISTED, OPEN), older)
    again = Reencoder(encoder, COLUMNS)
    for name, values in COLUMNS.items():
        changed = {**COLUMNS, name: values[::-1].copy()}
        np.testing.assert_array_equal(again.encode(changed), encode(encoder, changed))
    np.testing.assert_array_equal(again.encode(COLUMNS), encode(encoder, COLUMNS))
