"""Balanced classes: in what is learnt from, and nowhere else."""

from collections.abc import Callable

import numpy as np
import pytest

from mainstay.recipe import Recipe
from mainstay.scoring.frame import Frame, Parts
from mainstay.training.balance import balanced, restored
from mainstay.training.fit import finish
from mainstay.training.folds import encode_folds, folds
from mainstay.training.leakage import permuted_auc
from mainstay.training.tune import search
from mainstay.usecase import UseCase

LABELS = np.arange(100) < 20
TENSOR = np.arange(100, dtype=np.float32)[:, None]
WAYS = ({"class_weight": "balanced"}, {"resample": "over"}, {"resample": "under"})


def test_weights_give_both_classes_the_same_say() -> None:
    made = balanced(TENSOR, LABELS, Recipe(class_weight="balanced"), 0)
    assert made.weights is not None
    assert made.weights[LABELS].sum() == made.weights[~LABELS].sum() == 50
    assert made.tensor is TENSOR


@pytest.mark.parametrize(("way", "rows"), [("over", 160), ("under", 40)])
def test_resampling_repeats_or_leaves_out_rows_until_classes_are_equal(way: str, rows: int) -> None:
    recipe = Recipe.model_validate({"resample": way})
    made, again, other = (balanced(TENSOR, LABELS, recipe, stream) for stream in (0, 0, 1))
    assert (len(made.labels), made.labels.sum()) == (rows, rows // 2)
    np.testing.assert_array_equal(made.labels, made.tensor[:, 0] < 20)  # each keeps its own label
    np.testing.assert_array_equal(made.tensor, again.tensor)
    assert not np.array_equal(made.tensor, other.tensor)
    if way == "over":
        assert set(made.tensor[:, 0].tolist()) == set(range(100))
    else:
        assert len(set(made.tensor[:, 0].tolist())) == rows


def test_the_odds_of_the_world_are_restored() -> None:
    assert balanced(TENSOR, LABELS, Recipe(resample="over"), 0).odds == 0.25
    np.testing.assert_allclose(restored(np.array([0.0, 0.5, 1.0]), 0.25), [0, 0.2, 1])
    untouched = np.array([0.3])
    assert restored(untouched, balanced(TENSOR, LABELS, Recipe(), 0).odds) is untouched


@pytest.mark.parametrize("way", WAYS)
def test_judged_rows_are_never_balanced(
    recipe: Callable[..., UseCase], members: Callable[..., Frame], way: dict[str, str]
) -> None:
    frame = members(300)
    for fold, (_, judged) in zip(
        encode_folds(recipe(**way), frame, folds(frame, 3, 7)), folds(frame, 3, 7), strict=True
    ):
        assert len(fold.judged) == len(judged) == len(fold.places)


@pytest.mark.parametrize("estimator", ["logistic", "lightgbm", "xgboost"])
@pytest.mark.parametrize("way", WAYS)
def test_calibration_gives_the_probabilities_of_the_world_back(
    recipe: Callable[..., UseCase], members: Callable[..., Frame], way: dict[str, str], estimator: str
) -> None:
    frame = members(900, 3)
    rare = frame.take(~frame.labels | (np.arange(900) % 3 == 0))  # one in seven leaves
    use_case = recipe(estimators=(estimator,), trials=1, **way)
    best = search(use_case, rare, lambda trial: None)
    assert abs(best.raw.mean() - rare.labels.mean()) > 0.1  # the raw ones are of a balanced world
    fitted = finish(best, rare, use_case)
    assert fitted.out_of_fold.mean() == pytest.approx(rare.labels.mean(), abs=0.02)
    assert fitted.cross_validated["calibration_error"].value < 0.08
    plain = search(recipe(estimators=(estimator,), trials=1), rare, lambda trial: None)
    assert best.trial.log_loss == pytest.approx(plain.trial.log_loss, abs=0.04)  # compared at the odds of the world


@pytest.mark.parametrize("way", WAYS)
def test_resampling_inside_the_folds_lets_no_label_through(
    recipe: Callable[..., UseCase], parts: Parts, way: dict[str, str]
) -> None:
    """Before the split it would: copies of a row on both sides. A deep tree would find them."""
    use_case = recipe(estimators=("lightgbm",), trials=1, **way)
    fitted = finish(search(use_case, parts.train, lambda trial: None), parts.train, use_case)
    assert permuted_auc(fitted, parts.train, use_case).value < 0.54
