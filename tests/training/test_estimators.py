"""Every estimator in the table: the same probabilities every time, and missing numbers welcome."""

from typing import Any

import numpy as np
import pytest

from mainstay.training.estimators import ESTIMATORS, Draws, fitted, probability_of


class Ends(Draws):
    """A space's lower or upper end, drawn every time."""

    def __init__(self, upper: bool) -> None:
        self._upper = upper

    def suggest_float(self, name: str, low: float, high: float, *, log: bool = False) -> float:
        return high if self._upper else low

    def suggest_int(self, name: str, low: int, high: int, *, step: int = 1, log: bool = False) -> int:
        return high if self._upper else low


def rows(count: int = 300) -> tuple[Any, Any]:
    """Five numbers of which the first decides, some missing, one never there."""
    random = np.random.default_rng(7)
    tensor = random.normal(size=(count, 5)).astype(np.float32)
    labels = tensor[:, 0] + random.normal(size=count) > 0.5
    tensor[random.random((count, 5)) < 0.1] = np.nan
    tensor[:, 4] = np.nan
    return tensor, labels


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_same_seed_fits_the_same_model_on_rows_with_gaps(name: str) -> None:
    tensor, labels = rows()
    first, again = (
        probability_of(fitted(name, ESTIMATORS[name].defaults, 7, tensor, labels), tensor) for _ in range(2)
    )
    np.testing.assert_array_equal(first, again)
    assert ((first > 0) & (first < 1)).all()
    assert first[labels].mean() > first[~labels].mean() + 0.1


@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("name", ESTIMATORS)
def test_both_ends_of_the_search_space_can_be_fitted(name: str, upper: bool) -> None:
    tensor, labels = rows()
    parameters = ESTIMATORS[name].suggest(Ends(upper))
    assert parameters.keys() == ESTIMATORS[name].defaults.keys()
    said = probability_of(fitted(name, parameters, 7, tensor, labels), tensor)
    assert np.isfinite(said).all()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_rows_that_say_nothing_get_the_base_rate(name: str, capfd: pytest.CaptureFixture[str]) -> None:
    labels = np.arange(100) < 30
    tensor = np.ones((100, 2), dtype=np.float32)
    said = probability_of(fitted(name, ESTIMATORS[name].defaults, 7, tensor, labels), tensor)
    np.testing.assert_allclose(said, 0.3, atol=0.02)  # subsamples differ from the whole
    assert capfd.readouterr() == ("", "")
