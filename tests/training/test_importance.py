import numpy as np
import pytest
from numpy.typing import NDArray

from mainstay.scoring.derive import Columns
from mainstay.scoring.frame import Frame
from mainstay.training.importance import permutation_importance


def frame(rows: int, seed: int = 1) -> Frame:
    """Labels drawn from `strong` and `weak` and a category; `noise` says nothing."""
    random = np.random.default_rng(seed)
    columns = {
        "noise": random.normal(size=rows),
        "weak": random.normal(size=rows),
        "strong": random.normal(size=rows),
        "plan": random.choice(np.array(["basic", "plus", None], dtype=object), rows),
    }
    labels = random.random(rows) < truth(columns)
    return Frame(columns, labels, np.arange(rows), np.ones(rows, dtype=np.bool_), {})


def truth(columns: Columns) -> NDArray[np.float64]:
    plus = (columns["plan"] == "plus").astype(np.float64)
    return np.asarray(1 / (1 + np.exp(-(2 * columns["strong"] + 0.5 * columns["weak"] + plus))))


def test_the_input_that_matters_most_comes_first_and_noise_is_exactly_zero() -> None:
    found = permutation_importance(truth, frame(1500), seed=7)
    assert next(iter(found)) == "strong"
    assert set(found) == {"noise", "weak", "strong", "plan"}
    assert found["strong"] > found["weak"] > 0.01
    assert found["plan"] > 0.01
    assert found["noise"] == 0


def test_the_same_seed_gives_the_same_numbers_and_leaves_the_rows_alone() -> None:
    rows = frame(300)
    before = {name: values.copy() for name, values in rows.columns.items()}
    first = permutation_importance(truth, rows, seed=7)
    assert permutation_importance(truth, rows, seed=7) == first
    assert permutation_importance(truth, rows, seed=8) != first
    assert all((rows.columns[name] == before[name]).all() for name in before)


def test_a_large_holdout_is_sampled() -> None:
    asked: list[int] = []

    def score(columns: Columns) -> NDArray[np.float64]:
        asked.append(len(columns["noise"]))
        return truth(columns)

    permutation_importance(score, frame(500), seed=7, repeats=2, rows=100)
    assert asked == [100] * (1 + 4 * 2)


@pytest.mark.parametrize("rows", [0, 50])
def test_what_cannot_be_scored_has_no_importance(rows: int) -> None:
    found = permutation_importance(lambda columns: np.full(len(columns["noise"]), np.nan), frame(rows), seed=7)
    assert all(np.isnan(each) for each in found.values())
