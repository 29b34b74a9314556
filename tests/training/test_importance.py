from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from mainstay.scoring.bundle import Bundle
from mainstay.scoring.derive import Columns
from mainstay.scoring.frame import Frame
from mainstay.scoring.reading import columns_of
from mainstay.scoring.scorer import Scorer
from mainstay.training.importance import Score, permutation_importance, scored_again


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


def always(score: Score) -> Callable[[Columns], Score]:
    return lambda columns: score


def truth(columns: Columns) -> NDArray[np.float64]:
    plus = (columns["plan"] == "plus").astype(np.float64)
    return np.asarray(1 / (1 + np.exp(-(2 * columns["strong"] + 0.5 * columns["weak"] + plus))))


def test_the_input_that_matters_most_comes_first_and_noise_is_exactly_zero() -> None:
    found = permutation_importance(always(truth), frame(1500), seed=7)
    assert next(iter(found)) == "strong"
    assert set(found) == {"noise", "weak", "strong", "plan"}
    assert found["strong"] > found["weak"] > 0.01
    assert found["plan"] > 0.01
    assert found["noise"] == 0


def test_the_same_seed_gives_the_same_numbers_and_leaves_the_rows_alone() -> None:
    rows = frame(300)
    before = {name: values.copy() for name, values in rows.columns.items()}
    first = permutation_importance(always(truth), rows, seed=7)
    assert permutation_importance(always(truth), rows, seed=7) == first
    assert permutation_importance(always(truth), rows, seed=8) != first
    assert all((rows.columns[name] == before[name]).all() for name in before)


def test_a_large_holdout_is_sampled() -> None:
    asked: list[int] = []

    def score(columns: Columns) -> NDArray[np.float64]:
        asked.append(len(columns["noise"]))
        return truth(columns)

    permutation_importance(always(score), frame(500), seed=7, repeats=2, rows=100)
    assert asked == [100] * (1 + 4 * 2)


@pytest.mark.parametrize("rows", [0, 50])
def test_what_cannot_be_scored_has_no_importance(rows: int) -> None:
    found = permutation_importance(always(lambda columns: np.full(len(columns["noise"]), np.nan)), frame(rows), seed=7)
    assert all(np.isnan(each) for each in found.values())


def test_what_did_not_change_is_not_encoded_again_and_the_answer_is_the_scorers_to_the_bit(
    tiny_bundle: Bundle,
) -> None:
    scorer = Scorer(tiny_bundle)
    columns = columns_of(tiny_bundle.golden.rows, tiny_bundle.encoder.inputs)
    score = scored_again(scorer, columns)
    np.testing.assert_array_equal(score(columns), scorer.score(columns).probability)
    for name, values in columns.items():
        changed = {**columns, name: values[::-1]}
        np.testing.assert_array_equal(score(changed), scorer.score(changed).probability)
    np.testing.assert_array_equal(score(columns), scorer.score(columns).probability)
