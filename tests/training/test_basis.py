"""Numbers made ready: nothing missing, nothing lost to float32, and ramps where a column has something to tell."""

import numpy as np
import pytest

from mainstay.training.basis import MOST_RAMPS, Filled, Ramps, Scaled

Tensor = np.typing.NDArray[np.float64]


def column(*values: float) -> Tensor:
    return np.array(values, dtype=np.float64)[:, None]


def test_gaps_get_the_median_of_training_and_an_empty_column_zero() -> None:
    tensor = np.hstack([column(1, 2, 9, np.nan), column(*[np.nan] * 4)])
    np.testing.assert_array_equal(Filled().fit(tensor).transform(tensor)[3], [2, 0])


def test_only_what_has_no_number_at_all_is_filled_where_gaps_are_welcome() -> None:
    tensor = np.hstack([column(1, np.nan), column(np.nan, np.nan)])
    np.testing.assert_array_equal(Filled(only_empty=True).fit(tensor).transform(tensor), [[1, 0], [np.nan, 0]])


def test_a_large_offset_costs_no_precision() -> None:
    """Seconds since 1970, which float32 holds to 128: the mean has to be one that it holds as well."""
    seconds = np.random.default_rng(7).integers(1_700_000_000, 1_700_300_000, (500, 1)).astype(np.float32)
    made = Scaled().fit(seconds.astype(np.float64))
    np.testing.assert_array_equal(made.lower_, made.lower_.astype(np.float32))
    narrow = (seconds - made.lower_.astype(np.float32)) * made.inverse_.astype(np.float32)
    np.testing.assert_allclose(narrow, made.transform(seconds.astype(np.float64)), rtol=1e-6)
    assert narrow.std() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("value", [0.0, 7.0, 1.7e9, 1e-30])
def test_a_constant_column_says_nothing(value: float) -> None:
    tensor = column(*[float(np.float32(value))] * 5)
    np.testing.assert_array_equal(Scaled().fit(tensor).transform(tensor), 0)
    np.testing.assert_array_equal(Ramps().fit(tensor).transform(tensor), np.zeros((5, 1)))


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_ramps_rise_from_knot_to_knot_at_any_scale(scale: float) -> None:
    tensor = column(*np.arange(0, 81) * scale).astype(np.float32).astype(np.float64)
    ramps = Ramps(4).fit(tensor).transform(tensor)
    assert ramps.shape == (81, 4)
    np.testing.assert_allclose(ramps.sum(axis=1), np.arange(81) / 20, atol=1e-5)  # continuous, by equal steps
    np.testing.assert_allclose(ramps[30], [1, 0.5, 0, 0], atol=1e-5)


def test_beyond_the_training_rows_ramps_are_flat() -> None:
    made = Ramps(3).fit(column(*range(10)))
    np.testing.assert_array_equal(made.transform(column(-1e9, 1e9)), [[0, 0, 0], [1, 1, 1]])


def test_a_flag_is_itself_and_a_column_that_is_mostly_zero_still_bends() -> None:
    rare = np.zeros(100)
    rare[:4] = [1, 2, 3, 4]
    flag = (np.arange(100) % 2).astype(np.float64)
    made = Ramps(4).fit(np.column_stack([flag, rare]))
    assert made.columns_.tolist() == [0, 1, 1, 1, 1]
    np.testing.assert_array_equal(made.transform(np.column_stack([flag, rare]))[:, 0], flag)


def test_many_columns_share_the_ramps() -> None:
    tensor = np.random.default_rng(7).normal(size=(100, 120))
    assert Ramps(16).fit(tensor).transform(tensor).shape[1] <= MOST_RAMPS
