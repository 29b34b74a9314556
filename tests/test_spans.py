"""Spans and rates as people write them."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.spans import per_day, span, span_text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("50ms", timedelta(milliseconds=50)),
        ("30s", timedelta(seconds=30)),
        ("1.5h", timedelta(minutes=90)),
        ("30d", timedelta(days=30)),
        ("2w", timedelta(days=14)),
        (timedelta(days=1), timedelta(days=1)),
    ],
)
def test_a_span_is_a_number_and_a_unit(text: object, value: timedelta) -> None:
    assert span(text) == value


@pytest.mark.parametrize("text", ["30", "d", "30 days", "-1d", "", "1d2h", None])
def test_anything_else_is_no_span(text: object) -> None:
    with pytest.raises(ValueError, match="is not a span"):
        span(text)


@given(st.integers(0, 10**12))
def test_a_span_reads_back_as_it_was_written(milliseconds: int) -> None:
    value = timedelta(milliseconds=milliseconds)
    assert span(span_text(value)) == value


def test_a_span_has_an_end() -> None:
    with pytest.raises(ValueError, match="longer than 36500 days"):
        span("99999999999d")


def test_a_rate_is_per_day() -> None:
    assert per_day("2000/day") == 2000
    assert per_day("5/second") == 432_000
    assert per_day("1/year") == pytest.approx(1 / 365)
    assert per_day(2000) == 2000


@pytest.mark.parametrize("text", ["2000", "day", "2000/fortnight", True])
def test_anything_else_is_no_rate(text: object) -> None:
    with pytest.raises(ValueError, match="is not a rate"):
        per_day(text)
