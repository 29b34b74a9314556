"""Nested cross-validation: every row judged by a search that never saw it."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from mainstay.scoring.frame import Frame
from mainstay.training.nested import nested
from mainstay.training.tune import search
from mainstay.usecase import UseCase


def test_all_rows_are_judged_and_nothing_is_told_twice(
    recipe: Callable[..., UseCase], members: Callable[..., Frame]
) -> None:
    frame = members(400)
    heard: list[str] = []
    use_case = recipe(estimators=("logistic", "splines", "ensemble"), trials=3)
    first, again = (nested(use_case, frame, heard.append) for _ in range(2))
    assert first == again
    assert first["nested_roc_auc"].rows == 400
    assert first["nested_roc_auc"].value > 0.7
    assert {"nested_log_loss", "nested_profit", "nested_f1_at_threshold"} < first.keys()
    assert [each[:18] for each in heard[:3]] == ["nested fold 1 of 3", "nested fold 2 of 3", "nested fold 3 of 3"]


def test_what_a_search_finds_by_luck_is_not_in_the_nested_number(
    recipe: Callable[..., UseCase], members: Callable[..., Frame]
) -> None:
    """Labels that nothing predicts: the best of many trials looks a little better than chance, the search does not."""
    frame = members(250)
    random = np.random.default_rng(11)
    luck = []
    for _ in range(3):
        dealt = replace(frame, labels=random.permutation(frame.labels))
        use_case = recipe(estimators=("lightgbm",), trials=5, search="random")
        best = search(use_case, dealt, lambda trial: None).trial.log_loss
        luck.append(nested(use_case, dealt, lambda words: None)["nested_log_loss"].value - best)
    assert np.mean(luck) > -0.002
