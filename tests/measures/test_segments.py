from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from mainstay.measures.scores import log_loss, roc_auc
from mainstay.measures.segments import LEAST, MISSING, NAMED, OTHERS, segments, slices


def texts(*values: str | None) -> NDArray[Any]:
    return np.array([*values], dtype=object)


def named(columns: dict[str, NDArray[Any]]) -> dict[str, int]:
    return {each.value: int(each.mask.sum()) for each in segments(columns)}


def test_a_category_has_a_segment_for_each_value_and_one_for_missing() -> None:
    found = named({"plan": texts(*["plus"] * 7, *["basic"] * 9, *[None] * 6)})
    assert found == {"basic": 9, "plus": 7, MISSING: 6}


def test_what_few_rows_have_is_never_named_and_never_shown_alone() -> None:
    rare = [f"Ada {n}" for n in range(3)]
    assert named({"name": texts(*["Smith"] * 8, *rare)}) == {"Smith": 8}
    assert named({"name": texts(*["Smith"] * 8, *rare, *rare)}) == {"Smith": 8, OTHERS: 6}


def test_only_the_most_frequent_categories_are_told_apart() -> None:
    values = [f"v{n:02d}" for n in range(NAMED + 5) for _ in range(LEAST + NAMED + 5 - n)]
    found = named({"code": texts(*values)})
    assert len(found) == NAMED + 1
    assert sum(found.values()) == len(values)
    assert f"v{NAMED:02d}" not in found


def test_a_number_is_cut_at_its_quartiles() -> None:
    found = named({"age": np.append(np.arange(1.0, 101.0), [np.nan] * 5)})
    assert found == {
        "at most 25": 25,
        "above 25, at most 50": 25,
        "above 50, at most 75": 25,
        "above 75": 25,
        MISSING: 5,
    }


def test_a_number_of_few_values_has_a_segment_for_each() -> None:
    assert named({"kids": np.repeat([0.0, 1.0, 2.5], [10, 6, 5])}) == {"0": 10, "1": 6, "2.5": 5}


def test_equal_quartiles_are_one() -> None:
    values = np.append(np.zeros(90), np.arange(1.0, 11.0))
    assert named({"claims": values}) == {"at most 0": 90, "above 0": 10}


@pytest.mark.parametrize("values", [np.full(9, np.nan), texts(*[None] * 9)])
def test_a_column_without_a_value_is_missing_throughout(values: NDArray[Any]) -> None:
    assert named({"x": values}) == {MISSING: 9}


def test_no_rows_have_no_segments() -> None:
    assert segments({"x": np.empty(0), "y": texts()}) == ()


@given(
    st.one_of(
        arrays.arrays(np.float64, st.integers(0, 60)),
        st.lists(st.sampled_from(["a", "b", "c", None]), max_size=60).map(lambda each: texts(*each)),
    )
)
def test_segments_of_a_column_are_large_enough_and_never_overlap(values: NDArray[Any]) -> None:
    found = segments({"x": values})
    if found:
        together = np.sum([each.mask for each in found], axis=0)
        assert together.max() <= 1
        assert min(each.mask.sum() for each in found) >= LEAST
    assert len({each.value for each in found}) == len(found)


def test_scores_of_a_slice_are_those_of_its_rows() -> None:
    random = np.random.default_rng(3)
    plan = random.choice(texts("basic", "plus"), 200)
    said = random.random(200)
    truth = random.random(200) < said
    first, _ = slices({"plan": plan}, truth, said, 0.5)
    mine = plan == "basic"
    assert (first.column, first.value, first.rows) == ("plan", "basic", int(mine.sum()))
    assert first.scores["roc_auc"] == roc_auc(truth[mine], said[mine])
    assert first.scores["log_loss"] == log_loss(truth[mine], said[mine])
    assert first.scores["base_rate"].value == truth[mine].mean()
    assert first.scores["selected"].value == (said[mine] >= 0.5).mean()


def test_a_slice_of_one_class_has_no_auc() -> None:
    (only,) = slices({"plan": texts(*["basic"] * 6)}, [False] * 6, np.linspace(0, 1, 6), 0.5)
    assert np.isnan(only.scores["roc_auc"].value)
    assert only.scores["base_rate"].value == 0
