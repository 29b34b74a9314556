"""The graph says what the model says, on every row that a float tensor can hold."""

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from mainstay.scoring.session import Session
from mainstay.training.estimators import ESTIMATORS, fitted, probability_of
from mainstay.training.graph import onnx_graph, with_float_thresholds

LIGHTGBM = {"max_depth": 4, "learning_rate": 0.1, "n_estimators": 50, "min_child_samples": 1, "reg_lambda": 0.0}


def rows(count: int = 500) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """A number that may be missing, one that never is, and a flag."""
    random = np.random.default_rng(7)
    tensor = random.normal(size=(count, 3)).astype(np.float32)
    tensor[:, 2] = random.integers(0, 2, count)
    labels = tensor[:, 0] - tensor[:, 1] + tensor[:, 2] + random.normal(size=count) > 0.5
    tensor[random.random(count) < 0.2, 0] = np.nan
    return tensor, labels


def apart(model: Any, tensor: NDArray[np.float32]) -> float:
    said = Session(onnx_graph(model, tensor.shape[1])).scores(tensor)
    np.testing.assert_allclose(said.sum(axis=1), 1, atol=1e-6)
    return float(np.abs(said[:, 1] - probability_of(model, tensor)).max())


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_graph_agrees_on_rows_of_every_kind(name: str) -> None:
    tensor, labels = rows()
    model = fitted(name, ESTIMATORS[name].defaults, 7, tensor, labels)
    gaps = tensor.copy()
    gaps[np.random.default_rng(1).random(gaps.shape) < 0.3] = np.nan  # also where training had none
    for asked in (tensor, gaps, -tensor, tensor * 1e6, np.zeros_like(tensor)):
        assert apart(model, asked) < 2e-6


def test_neighbouring_floats_stay_on_their_side_of_a_threshold() -> None:
    """As a derived feature has them, where two sums that ought to be equal differ by their rounding."""
    tensor = np.full((500, 1), 28.3, dtype=np.float32)
    random = np.random.default_rng(7)
    for _ in range(6):
        up = random.random(500) < 0.5
        tensor[up] = np.nextafter(tensor[up], np.float32(np.inf))
    labels = random.random(500) < 0.2 + 0.6 * (tensor[:, 0] > np.median(tensor))
    model = fitted("lightgbm", LIGHTGBM, 7, tensor, labels)
    assert apart(model, tensor) < 2e-6
    rounded = with_float_thresholds(model)
    np.testing.assert_array_equal(probability_of(rounded, tensor), probability_of(model, tensor))
    thresholds = rounded.booster_.trees_to_dataframe()["threshold"].dropna().to_numpy()
    np.testing.assert_array_equal(thresholds, thresholds.astype(np.float32))


def test_a_split_on_missing_alone_survives() -> None:
    """Its threshold is infinite: whatever is there goes left."""
    tensor, _ = rows()
    only = np.where(np.isnan(tensor[:, :1]), np.nan, tensor[:, 2:])
    model = fitted("lightgbm", LIGHTGBM, 7, only, np.isnan(only[:, 0]))
    assert apart(model, only) < 2e-6
    assert probability_of(model, only).std() > 0.1


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_model_that_learnt_nothing_can_be_exported(name: str) -> None:
    tensor = np.ones((100, 2), dtype=np.float32)
    model = fitted(name, ESTIMATORS[name].defaults, 7, tensor, np.arange(100) < 30)
    assert apart(model, tensor) < 2e-6


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_graph_is_one_float_tensor_in_and_names_no_release(name: str) -> None:
    tensor, labels = rows()
    made = onnx.load_model_from_string(
        onnx_graph(fitted(name, ESTIMATORS[name].defaults, 7, tensor, labels), tensor.shape[1])
    )
    onnx.checker.check_model(made)
    assert [each.name for each in made.graph.input] == ["rows"]
    assert (made.graph.name, made.producer_name, made.producer_version, made.doc_string) == ("mainstay", "", "", "")
    domains = [each.domain for each in made.opset_import]
    assert domains == sorted(domains)  # the converter leaves them in the order of a set, another in each process
