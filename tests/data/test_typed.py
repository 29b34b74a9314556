"""One value, whatever the source wrote it as."""

import math
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.data.typed import text_of, typed
from mainstay.usecase import Column

INTEGER, NUMBER = Column(type="integer"), Column(type="number")
TIME, NAME = Column(type="timestamp"), Column(type="identifier")
FLAG = Column(type="category", values=("0", "1"))


def read(values: Any, column: Column, kind: Any = None) -> list[Any]:
    """The values as typed, `...` where they were wrong."""
    found = typed(pa.chunked_array([values if isinstance(values, pa.Array) else pa.array(values, kind)]), column)
    assert not any(bad and value is not None for bad, value in zip(found.wrong, found.values.to_pylist(), strict=True))
    return [... if bad else value for bad, value in zip(found.wrong, found.values.to_pylist(), strict=True)]


def test_integers_are_read_from_every_spelling_of_a_whole_number() -> None:
    assert read(["1", " -2 ", "+3", "4.0", "5e1", None, " ", "nan"], INTEGER) == [1, -2, 3, 4, 50, None, None, None]
    assert read(["1.5", "x", "1,000", "inf", "0x10"], INTEGER) == [...] * 5
    assert read([1.0, math.nan, 2.5, math.inf, None], INTEGER) == [1, None, ..., ..., None]
    assert read([1, None, 255], INTEGER, pa.uint8()) == [1, None, 255]
    assert read([Decimal("7.00"), Decimal("7.50")], INTEGER) == [7, ...]


def test_an_integer_too_large_to_be_exact_is_wrong() -> None:
    assert read(["9007199254740991", "9007199254740993"], INTEGER) == [2**53 - 1, ...]
    assert read([2**53 - 1, -(2**53), 2**63 - 1], INTEGER) == [2**53 - 1, ..., ...]


def test_numbers_are_read_as_they_are_written_and_infinities_are_none() -> None:
    assert read(["29.85", ".5", "5.", "-0", "1e-3", "NaN"], NUMBER) == [29.85, 0.5, 5.0, 0.0, 0.001, None]
    assert read(["29.85", "abc", "-inf", "1e999"], NUMBER) == [29.85, ..., ..., ...]
    assert math.copysign(1, read([-0.0], NUMBER)[0]) == 1
    assert read([True, None], NUMBER) == [..., None]
    assert read(pa.nulls(2), NUMBER) == [None, None]
    assert read(pa.array(["1", "1", None]).dictionary_encode(), NUMBER) == [1.0, 1.0, None]


@given(st.lists(st.floats() | st.text(st.sampled_from("0123456789+-.eE naif_x"), max_size=8), min_size=1))
def test_one_bad_number_changes_no_other(values: list[float | str]) -> None:
    texts = [str(value) for value in values]
    together = read([*texts, "bad"], NUMBER)[:-1]
    assert together == [read([text], NUMBER)[0] for text in texts]


def test_a_number_that_the_scorer_cannot_hold_is_wrong() -> None:
    largest = float(np.finfo(np.float32).max)
    assert read(["1e39", "-1e39", repr(largest)], NUMBER) == [..., ..., largest]
    assert read([1e39, -largest], NUMBER) == [..., -largest]
    assert read([Decimal(10**39)], NUMBER) == [...]


@given(st.floats(allow_nan=False, allow_infinity=False, width=32))
def test_a_number_is_the_same_as_text_and_as_a_float(value: float) -> None:
    assert read([repr(value)], NUMBER) == read([value], NUMBER) == [value]


def test_a_category_is_spelt_as_its_contract_spells_it() -> None:
    assert read(["0", "1.0", "2", " ", None], FLAG) == ["0", "1", "2", None, None]
    assert read([0, 1, 2], FLAG) == ["0", "1", "2"]
    assert read([0.0, 1.0, math.nan, math.inf, 0.5], FLAG) == ["0", "1", None, ..., "0.5"]
    cafe = Column(type="category", values=("caf\u00e9", "1.0"))
    assert read(["cafe\u0301", "1.0"], cafe) == ["caf\u00e9", "1.0"]


def test_white_space_around_a_category_is_no_part_of_it() -> None:
    assert read([" 0", "1\t", "\u00a0"], FLAG) == ["0", "1", None]
    assert read([" Ulm ", "\u2003Bonn", "", "New  York"], Column(type="category")) == ["Ulm", "Bonn", None, "New  York"]


def test_a_category_of_numbers_is_spelt_alike_as_integers_and_as_floats() -> None:
    numbers = Column(type="category")
    assert read([2**53 + 1, 7], numbers) == ["9007199254740993", "7"]
    assert read([float(2**60), 1e-7, -0.0, math.inf], numbers) == [str(2**60), "1e-07", "0", ...]


def test_booleans_are_a_category_only_by_those_words() -> None:
    assert read([True, False, None], Column(type="category", values=("True", "False"))) == ["True", "False", None]
    assert read([True], Column(type="category", values=("Yes", "No"))) == ["true"]
    assert read([True], FLAG) == ["true"]
    assert read(["true"], Column(type="category", values=("True", "False"))) == ["true"]


def test_names_are_texts_in_one_normal_form() -> None:
    assert read(["007", "e\u0301", " a "], NAME) == ["007", "\u00e9", " a "]
    assert read([7, None], NAME) == ["7", None]
    assert read([7.0, math.nan], NAME) == ["7", None]
    assert read(["x"], NAME, pa.large_string()) == ["x"]
    assert read([[1]], NAME) == [...]
    assert read([b"x"], NAME) == [...]


def test_times_are_microseconds_utc_and_without_a_zone_they_are_utc() -> None:
    noon = datetime(2026, 1, 31, 12, tzinfo=UTC)
    written = ["2026-01-31T12:00:00Z", "2026-01-31 13:00+01:00", "2026-01-31t12:00:00.000000999", " 2026-01-31T12:00Z "]
    assert read(written, TIME) == [noon] * 4
    assert read(["2026-01-31", None], TIME) == [datetime(2026, 1, 31, tzinfo=UTC), None]
    bad = ["2026-02-30", "31.01.2026", "1700000000", "2026-01-31T25:00", "0001-01-01T00:00+23:00:00", "2026-W05"]
    assert read(bad, TIME) == [...] * 6
    for unit in ("s", "ms", "us", "ns"):
        assert read([noon, None], TIME, pa.timestamp(unit)) == [noon, None]
        assert read([noon], TIME, pa.timestamp(unit, "Europe/Berlin")) == [noon]
    for kind in (pa.date32(), pa.date64()):
        assert read([date(2026, 1, 31)], TIME, kind) == [datetime(2026, 1, 31, tzinfo=UTC)]
    assert read([1700000000], TIME) == [...]


def test_a_time_beyond_all_calendars_is_wrong_and_harms_no_other() -> None:
    seconds = pa.array([2**62, 0, -(2**62)], pa.int64()).cast(pa.timestamp("s"))
    assert read(seconds, TIME) == [..., datetime(1970, 1, 1, tzinfo=UTC), ...]
    assert read(["0001-01-01T00:00:00+01:00", "9999-12-31T23:59:59-01:00"], TIME) == [..., ...]


def test_nanoseconds_are_cut_as_in_a_text_also_before_1970() -> None:
    before = pa.array([-1], pa.int64()).cast(pa.timestamp("ns"))
    assert read(before, TIME) == read(["1969-12-31T23:59:59.999999999Z"], TIME)


@given(st.datetimes(min_value=datetime(2, 1, 1), max_value=datetime(9998, 1, 1)))  # noqa: DTZ001  (naive is meant)
def test_a_time_is_the_same_as_text_and_as_a_timestamp(at: datetime) -> None:
    assert read([at.isoformat()], TIME) == read([at], TIME) == [at.replace(tzinfo=UTC)]


@pytest.mark.parametrize("values", [["7"], [7], [7.0], [Decimal(7)]])
def test_seven_has_one_text(values: list[Any]) -> None:
    assert text_of(pa.chunked_array([pa.array(values)])).to_pylist() == ["7"]


def test_a_time_has_one_text() -> None:
    at = pa.array([datetime(2026, 1, 31, tzinfo=UTC), None])
    assert text_of(pa.chunked_array([at])).to_pylist() == ["2026-01-31T00:00:00.000000Z", None]
