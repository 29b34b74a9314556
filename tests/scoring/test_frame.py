"""Rows in order, rows that are ripe, and rows that are chosen."""

from datetime import UTC, datetime

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mainstay.scoring.frame import Frame, grouped, instant64, ripe
from mainstay.usecase import Label

LABEL = Label(column="left", positive="Yes", horizon="30d", grace="3d")


def test_a_row_is_ripe_once_horizon_and_grace_are_over() -> None:
    times = np.array(["2026-01-01", "2026-01-01T00:00:00.000001", "NaT"], dtype="datetime64[us]")
    assert ripe(times, datetime(2026, 2, 3, tzinfo=UTC), LABEL).tolist() == [True, False, False]


def test_an_instant_is_the_same_in_every_zone() -> None:
    assert instant64(datetime.fromisoformat("2026-01-01T02:00:00+02:00")) == np.datetime64("2026-01-01T00:00:00")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3))))
def test_numbers_rise_as_the_keys_do(rows: list[tuple[int, int, int]]) -> None:
    keys = [np.array(key, dtype=np.uint64) for key in zip(*rows, strict=True)]
    found = grouped(keys, len(rows))
    distinct = sorted(set(rows))
    assert found.tolist() == [distinct.index(row) for row in rows]


def test_keys_that_are_not_needed_are_not_read() -> None:
    keys = iter([np.array([2, 1]), np.array([1, 1])])
    assert grouped(keys, 2).tolist() == [1, 0]
    assert next(keys).tolist() == [1, 1]


def test_rows_are_chosen_by_mask_or_place() -> None:
    frame = Frame(
        {"a": np.array([1.0, 2.0, 3.0])},
        np.array([True, False, True]),
        np.array([0, 1, 1]),
        np.array([False, False, True]),
        {"b": np.array(["x", None, "y"], dtype=object)},
        np.array(["2026-01-01", "2026-01-02", "2026-01-03"], dtype="datetime64[us]"),
    )
    for chosen in (frame.take(np.array([True, False, True])), frame.take(np.array([0, 2]))):
        assert len(chosen) == 2
        assert chosen.columns["a"].tolist() == [1.0, 3.0]
        assert chosen.slices["b"].tolist() == ["x", "y"]
        assert chosen.groups.tolist() == [0, 1]
        assert chosen.times is not None
        assert chosen.times[1] == np.datetime64("2026-01-03")
