"""Folds: every row judged once, by what has never seen it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mainstay.errors import Refused
from mainstay.scoring.frame import Frame
from mainstay.training.folds import encode_folds, folds, out_of_fold
from mainstay.usecase import UseCase

LIGHTGBM = {"max_depth": 4, "learning_rate": 0.1, "n_estimators": 100, "min_child_samples": 1, "reg_lambda": 0.0}


def test_every_row_is_judged_once_and_classes_keep_their_share(members: Callable[..., Frame]) -> None:
    frame = members(200)
    made = folds(frame, 5, seed=7)
    assert sorted(np.concatenate([judged for _, judged in made]).tolist()) == list(range(200))
    for learnt, judged in made:
        assert not set(learnt.tolist()) & set(judged.tolist())
        assert abs(frame.labels[judged].mean() - frame.labels.mean()) < 0.03


def test_the_rows_of_one_entity_are_never_separated(members: Callable[..., Frame]) -> None:
    frame = replace(members(300), groups=np.arange(300) // 3)
    for learnt, judged in folds(frame, 5, seed=7):
        assert not set(frame.groups[learnt].tolist()) & set(frame.groups[judged].tolist())


@pytest.mark.parametrize("rows_each", [1, 3])
def test_the_same_seed_gives_the_same_folds_and_another_seed_others(
    members: Callable[..., Frame], rows_each: int
) -> None:
    frame = replace(members(300), groups=np.arange(300) // rows_each)

    def judged(seed: int) -> list[list[int]]:
        return [places.tolist() for _, places in folds(frame, 3, seed)]

    assert judged(7) == judged(7) != judged(8)


@pytest.mark.parametrize(("positives", "name"), [(0, "0 positive"), (4, "4 positive"), (97, "3 negative")])
def test_too_few_of_a_class_are_refused_with_the_numbers(
    members: Callable[..., Frame], positives: int, name: str
) -> None:
    frame = replace(members(100), labels=np.arange(100) < positives)
    with pytest.raises(Refused, match=f"{name} entities among 100 training rows are too few for 5 folds") as refused:
        folds(frame, 5, seed=7)
    assert refused.value.place == "recipe.folds"


def test_an_entity_that_fills_a_fold_with_one_class_is_refused(members: Callable[..., Frame]) -> None:
    groups = np.repeat([0, 1, 2, 3], [10, 20, 20, 1])
    labels = np.repeat([True, True, False, True, False, False], [10, 10, 10, 10, 10, 1])
    with pytest.raises(Refused, match=r"has 10 positives among its 10 rows.* it needs both classes"):
        folds(replace(members(51), groups=groups, labels=labels), 3, seed=7)


def test_no_rows_are_refused(members: Callable[..., Frame]) -> None:
    with pytest.raises(Refused, match="0 positive entities among 0 training rows"):
        folds(members(0), 5, seed=7)


def test_the_encoder_of_a_fold_knows_only_what_the_fold_learns_from(
    gym: UseCase, members: Callable[..., Frame]
) -> None:
    frame = members(60)
    alone = frame.columns["town"].copy()
    alone[7] = "Nowhere"
    frame = replace(frame, columns={**frame.columns, "town": alone})
    for fold in encode_folds(gym, frame, folds(frame, 3, seed=7)):
        judged_there = 7 in fold.places
        assert fold.learnt.tensor.shape[1] == (12 if judged_there else 13)


@pytest.mark.parametrize("estimator", ["logistic", "lightgbm"])
def test_a_name_that_only_held_out_rows_could_explain_helps_nobody(
    gym: UseCase, members: Callable[..., Frame], estimator: str
) -> None:
    """Ids as a category: an encoding that saw the judged rows' labels would score 1, an honest one scores chance."""
    frame = members(240)
    columns = {
        "age": np.full(240, 40.0),
        "balance": np.zeros(240),
        "plan": np.full(240, "plus", dtype=object),
        "town": np.array([f"town {n}" for n in range(240)], dtype=object),
    }
    frame = replace(frame, columns=columns)
    parameters = {"C": 10.0} if estimator == "logistic" else LIGHTGBM
    raw = out_of_fold(encode_folds(gym, frame, folds(frame, 3, seed=7)), estimator, parameters, 7)
    for _, judged in folds(frame, 3, seed=7):
        assert np.ptp(raw[judged]) < 0.05


def test_the_threads_of_the_linear_algebra_change_no_digit(gym: UseCase, members: Callable[..., Frame]) -> None:
    frame = members(1000)
    towns = np.array([f"town {n % 50}" for n in range(1000)], dtype=object)  # wide enough to be shared by threads
    frame = replace(frame, columns={**frame.columns, "town": towns})
    encoded = encode_folds(gym, frame, folds(frame, 2, seed=7))
    said = []
    for threads in (1, 2):
        with threadpool_limits(limits=threads):
            said.append(out_of_fold(encoded, "logistic", {"C": 1.0}, 7))
    np.testing.assert_array_equal(said[0], said[1])


def test_probabilities_stand_at_the_places_of_their_rows(gym: UseCase, members: Callable[..., Frame]) -> None:
    frame = members(600)
    raw = out_of_fold(encode_folds(gym, frame, folds(frame, 3, seed=7)), "logistic", {"C": 1.0}, 7)
    assert raw[frame.labels].mean() > raw[~frame.labels].mean() + 0.15
