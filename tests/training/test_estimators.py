"""Every estimator in the table: the same probabilities every time, and missing numbers welcome."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mainstay.training.estimators import (
    ENSEMBLE,
    ESTIMATORS,
    Draws,
    as_members,
    fitted,
    members_of,
    probability_of,
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As everywhere that fits: OpenMP's threads wait for each other by spinning, seconds where others work too."""
    with threadpool_limits(limits=1):
        yield


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


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_row_that_weighs_twice_counts_as_two(name: str) -> None:
    tensor, labels = rows()
    heavy = np.where(labels, 4.0, 1.0)
    plain, weighted = (
        probability_of(fitted(name, ESTIMATORS[name].defaults, 7, tensor, labels, weights), tensor).mean()
        for weights in (None, heavy)
    )
    assert weighted > plain + 0.1


def test_the_ensemble_says_the_mean_of_its_members() -> None:
    tensor, labels = rows()
    members = {name: ESTIMATORS[name].defaults for name in ("splines", "xgboost", "random_forest")}
    assert members_of(as_members(members)) == members
    vote = fitted(ENSEMBLE, as_members(members), 7, tensor, labels)
    alone = [probability_of(fitted(name, given, 7, tensor, labels), tensor) for name, given in members.items()]
    np.testing.assert_allclose(probability_of(vote, tensor), np.mean(alone, axis=0))


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_grid_is_of_parameters_that_there_are(name: str) -> None:
    assert ESTIMATORS[name].grid.keys() <= ESTIMATORS[name].defaults.keys()
