"""Parts of a holdout on which a model is worse than elsewhere."""

from dataclasses import replace
from typing import Any

import numpy as np

from mainstay.quality.slices import slice_checks, slices_of
from mainstay.scoring.frame import Frame
from mainstay.usecase_gates import Gate, Slices
from mainstay.verdicts import Check, Outcome

COUNT = 4000
RANDOM = np.random.default_rng(4)
TRUTH = 1 / (1 + np.exp(-RANDOM.normal(-0.5, 2, COUNT)))
COLUMNS: dict[str, np.ndarray[Any, Any]] = {
    "plan": np.array(["basic", "plus", None], dtype=object)[RANDOM.integers(0, 3, COUNT)],
    "age": np.where(RANDOM.random(COUNT) < 0.1, np.nan, RANDOM.integers(18, 90, COUNT).astype(float)),
}
NONE = np.zeros(COUNT, dtype=np.bool_)
FRAME = Frame(COLUMNS, RANDOM.random(COUNT) < TRUTH, np.arange(COUNT), ~NONE, {"plan": COLUMNS["plan"]})
GATES = Slices(roc_auc=Gate(at_least=0.7))


def told(checks: list[Check], outcome: Outcome) -> list[str]:
    return [made.subject for made in checks if made.outcome is outcome]


def test_categories_quarters_and_what_is_missing_are_slices() -> None:
    names = [part.name for part in slices_of(FRAME)]
    assert names[:4] == ["plan=(missing)", "plan=basic", "plan=plus", "age=(missing)"]
    quarters = slices_of(FRAME)[4:]
    assert len(quarters) == 4
    assert np.array([part.rows for part in slices_of(FRAME)[3:]]).sum(axis=0).tolist() == [1] * COUNT


def test_a_model_that_ranks_well_everywhere_passes() -> None:
    (made,) = slice_checks(FRAME, TRUTH, 0.5, GATES)
    assert made.outcome is Outcome.PASS
    assert "the worst of 8 slices that pass" in made.reason


def test_the_slice_where_the_model_guesses_is_named() -> None:
    blind = np.where(COLUMNS["plan"] == "plus", RANDOM.random(COUNT), TRUTH)
    checks = slice_checks(FRAME, blind, 0.5, GATES)
    assert told(checks, Outcome.FAIL) == ["plan=plus"]
    lost = Slices(roc_auc=None, recall_at_threshold=Gate(at_least=0.5), log_loss=Gate(at_most=0.9))
    assert {made.name for made in slice_checks(FRAME, blind, 0.5, lost)} == {
        "slice_recall_at_threshold",
        "slice_log_loss",
    }


def test_small_slices_are_not_judged_and_a_constant_column_has_none() -> None:
    assert not slice_checks(FRAME, TRUTH, 0.5, Slices(rows_at_least=COUNT))
    same = replace(FRAME, columns={"one": np.ones(COUNT), "gone": np.full(COUNT, np.nan)}, slices={})
    assert not slice_checks(same, TRUTH, 0.5, GATES)


def test_no_number_is_no_pass() -> None:
    checks = slice_checks(FRAME, np.full(COUNT, np.nan), 0.5, GATES)
    assert [made.outcome for made in checks] == [Outcome.INCONCLUSIVE]
