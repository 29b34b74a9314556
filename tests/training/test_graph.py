"""The graph says what the model says, on every row that a float tensor can hold."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mainstay.scoring.session import Session
from mainstay.training.estimators import ENSEMBLE, ESTIMATORS, Parameters, as_members, fitted, probability_of
from mainstay.training.graph import onnx_graph, with_float_thresholds

LIGHTGBM = {"max_depth": 4, "learning_rate": 0.1, "n_estimators": 50, "min_child_samples": 1, "reg_lambda": 0.0}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As everywhere that fits: OpenMP's threads wait for each other by spinning, seconds where others work too."""
    with threadpool_limits(limits=1):
        yield


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


def smaller(name: str) -> Parameters:
    """The defaults of an estimator with fewer trees, which are quicker; of an ensemble, those of all estimators."""
    if name == ENSEMBLE:
        return as_members({each: smaller(each) for each in ESTIMATORS})
    given = ESTIMATORS[name].defaults
    return {**given, **{key: 50 for key in ("n_estimators", "max_iter") if key in given}}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_graph_agrees_on_rows_of_every_kind(name: str) -> None:
    tensor, labels = rows()
    model = fitted(name, smaller(name), 7, tensor, labels)
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
    model = fitted(name, smaller(name), 7, tensor, np.arange(100) < 30)
    assert apart(model, tensor) < 2e-6


@pytest.mark.parametrize("positives", [2, 10, 38])
def test_a_boosted_model_of_too_few_rows_to_part_says_their_base_rate(positives: int) -> None:
    """The converter's own graph starts from the rate as if it were log odds: .32 off on 46 rows with 8 positives."""
    tensor = np.random.default_rng(7).normal(size=(40, 3)).astype(np.float32)
    for name in ("gradient_boosting", "lightgbm", "xgboost"):
        assert apart(fitted(name, smaller(name), 7, tensor, np.arange(40) < positives), tensor) < 2e-6


@pytest.mark.parametrize("name", ["logistic", "splines", ENSEMBLE])
def test_numbers_at_the_ends_of_what_a_tensor_holds_are_answered_alike(name: str) -> None:
    """Several at once, so that sums of enormous terms would cancel, or be no number."""
    tensor, labels = rows()
    model = fitted(name, smaller(name), 7, tensor, labels)
    random = np.random.default_rng(5)
    for size in (1e-45, 1e-20, 1e7, 1e20, 1e30, float(np.finfo(np.float32).max)):
        ends = (random.choice([-size, size], (200, 3))).astype(np.float32)
        with np.errstate(invalid="ignore"):  # scikit-learn adds them up, to see whether all are finite
            assert apart(model, ends) < 1e-5
            assert np.isfinite(probability_of(model, ends)).all()


@pytest.mark.parametrize("name", ESTIMATORS)
def test_the_graph_is_one_float_tensor_in_and_names_no_release(name: str) -> None:
    tensor, labels = rows()
    made = onnx.load_model_from_string(onnx_graph(fitted(name, smaller(name), 7, tensor, labels), tensor.shape[1]))
    onnx.checker.check_model(made)
    assert [each.name for each in made.graph.input] == ["rows"]
    assert (made.graph.name, made.producer_name, made.producer_version, made.doc_string) == ("mainstay", "", "", "")
    domains = [each.domain for each in made.opset_import]
    assert domains == sorted(domains)  # the converter leaves them in the order of a set, another in each process


def neighbours(count: int) -> NDArray[np.float32]:
    """Numbers around 28.3 that are each other's next float32, or the one after it."""
    column = np.full(count, 28.3, dtype=np.float32)
    random = np.random.default_rng(7)
    for _ in range(6):
        up = random.random(count) < 0.5
        column[up] = np.nextafter(column[up], np.float32(np.inf))
    return column


def nasty(count: int, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Columns that the files of strangers have: large offsets, tiny and huge scales, constants, gaps, many values."""
    random = np.random.default_rng(seed)
    town = random.integers(0, 50, count)
    columns = [
        random.normal(size=count),
        1.7e9 + random.integers(0, 300_000, count),
        random.lognormal(0, 6, count),
        random.normal(size=count) * 1e-25,
        random.normal(size=count) * 1e25,
        np.full(count, 7.0),
        np.full(count, 1.7e9),
        np.where(random.random(count) < 0.97, 0, random.exponential(size=count)),
        np.full(count, np.nan),
        neighbours(count),
        random.integers(0, 5, count) / 3,
        *(town == np.arange(50)[:, None]),
    ]
    tensor = np.column_stack(columns).astype(np.float32)
    signs = np.sign(columns[3]) + np.sign(columns[4]) + (columns[1] - 1.7e9) / 1e5 - 1.5
    steps = (tensor[:, 9] - np.float32(28.3)) * 2e5
    labels = random.random(count) < 1 / (1 + np.exp(-(signs + columns[0] + steps + np.sin(town))))
    tensor[random.random(count) < 0.2, 0] = np.nan
    tensor[random.random(count) < 0.1, 1] = np.nan
    return tensor, labels


@pytest.mark.parametrize("count", [300, 1200])
@pytest.mark.parametrize("name", [*ESTIMATORS, ENSEMBLE])
def test_the_graph_agrees_on_nasty_columns(name: str, count: int) -> None:
    tensor, labels = nasty(count, 7)
    model = fitted(name, smaller(name), 7, tensor, labels)
    asked, _ = nasty(1000, 8)
    gaps = asked.copy()
    gaps[np.random.default_rng(1).random(gaps.shape) < 0.2] = np.nan
    for each in (tensor, asked, gaps):
        assert apart(model, each) < 2e-6


@pytest.mark.parametrize("name", ["random_forest", "gradient_boosting", "lightgbm", "xgboost"])
def test_no_tree_sends_a_neighbouring_float_the_other_way(name: str) -> None:
    tensor = neighbours(800)[:, None]
    labels = np.random.default_rng(1).random(800) < 0.2 + 0.6 * (tensor[:, 0] > np.median(tensor))
    model = fitted(name, smaller(name), 7, tensor, labels)
    assert np.ptp(probability_of(model, tensor)) > 0.1
    assert apart(model, tensor) < 2e-6
