"""Too few rows are no fault: what would be enough is said before anything is paid for."""

import dataclasses

import numpy as np
import pytest

from mainstay.scoring.frame import Frame, Parts
from mainstay.training.enough import enough
from mainstay.usecase import UseCase
from mainstay.verdicts import Outcome


def part(positives: int, negatives: int) -> Frame:
    """Rows of both classes, each an entity of its own."""
    labels = np.array([True] * positives + [False] * negatives, dtype=np.bool_)
    return Frame(
        {"age": np.zeros(len(labels))}, labels, np.arange(len(labels)), np.zeros(len(labels), dtype=np.bool_), {}
    )


def folded(use_case: UseCase, folds: int, nested: bool = False) -> UseCase:
    return use_case.model_copy(update={"recipe": use_case.recipe.model_copy(update={"folds": folds, "nested": nested})})


def test_two_held_out_rows_of_each_class_and_a_row_for_each_fold_are_enough_to_begin(tiny_use_case: UseCase) -> None:
    verdict = enough(Parts(part(3, 9), part(2, 2)), folded(tiny_use_case, 3), "ds_1")
    assert (verdict.outcome, verdict.subject) == (Outcome.PASS, "ds_1")
    assert [made.name for made in verdict.checks] == ["held_out_rows", "held_out_rows", "training_rows"]


@pytest.mark.parametrize(
    ("holdout", "lacking"),
    [((0, 0), {"Yes", "No"}), ((0, 40), {"Yes"}), ((1, 40), {"Yes"}), ((5, 1), {"No"})],
)
def test_a_holdout_that_lacks_a_class_is_inconclusive_and_says_what_would_do(
    holdout: tuple[int, int], lacking: set[str], tiny_use_case: UseCase
) -> None:
    verdict = enough(Parts(part(5, 95), part(*holdout)), tiny_use_case, "ds_1")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    short = [made for made in verdict.checks if made.outcome is not Outcome.PASS]
    assert {made.subject for made in short} == lacking
    for made in short:
        assert made.rows_needed is not None
        assert f"about {made.rows_needed:,} rows like these would be enough to tell, 500 of them `Yes`" in made.reason


def test_what_would_be_enough_follows_the_rarer_class_and_the_share_held_out(tiny_use_case: UseCase) -> None:
    rare = enough(Parts(part(2, 800), part(1, 197)), tiny_use_case, "ds_1")
    assert {made.rows_needed for made in rare.checks if not made.met} == {500 * 1000 // 3 + 1}
    half = tiny_use_case.model_copy(update={"recipe": tiny_use_case.recipe.model_copy(update={"holdout": 0.5})})
    often = enough(Parts(part(20, 2), part(77, 1)), half, "ds_1")
    assert {made.rows_needed for made in often.checks if not made.met} == {200 * 100 // 3 + 1}
    assert "200 of them `No`, of which there are 3" in often.reason


def test_training_rows_that_do_not_fill_the_folds_are_inconclusive(tiny_use_case: UseCase) -> None:
    verdict = enough(Parts(part(4, 96), part(2, 22)), folded(tiny_use_case, 5), "ds_1")
    [made] = (each for each in verdict.checks if not each.met)
    assert (made.name, made.rows_needed) == ("training_rows", 500 * 124 // 6 + 1)
    assert "4 positive entities among 100 training rows are too few for 5 folds" in made.reason


def test_entities_that_fill_a_fold_with_one_class_are_inconclusive(tiny_use_case: UseCase) -> None:
    groups = np.repeat([0, 1, 2, 3], [10, 20, 20, 1])
    labels = np.repeat([True, True, False, True, False, False], [10, 10, 10, 10, 10, 1])
    crowded = dataclasses.replace(part(30, 21), labels=labels, groups=groups)
    verdict = enough(Parts(crowded, part(9, 9)), folded(tiny_use_case, 3), "ds_1")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "10 positives among its 10 rows" in verdict.reason


def test_nested_folds_need_rows_for_folds_within_folds(tiny_use_case: UseCase) -> None:
    parts = Parts(part(3, 97), part(5, 45))
    assert enough(parts, folded(tiny_use_case, 3), "ds_1").outcome is Outcome.PASS
    assert enough(parts, folded(tiny_use_case, 3, nested=True), "ds_1").outcome is Outcome.INCONCLUSIVE
    assert (
        enough(Parts(part(5, 97), part(5, 45)), folded(tiny_use_case, 3, nested=True), "ds_1").outcome is Outcome.PASS
    )


def test_rows_that_cannot_be_parted_are_told_so(tiny_use_case: UseCase) -> None:
    verdict = enough(Parts(part(600, 600), part(0, 0)), tiny_use_case, "ds_1")
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert {made.rows_needed for made in verdict.checks} == {None}
    assert "bring columns that tell rows apart, or name in `entity`" in verdict.reason
