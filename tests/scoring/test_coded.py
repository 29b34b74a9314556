"""Rows as codes score as rows do: the same tensor, the same probabilities."""

import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from mainstay.expressions import parse
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.coded import BatchScorer, Coded, Codes, encode_coded
from mainstay.scoring.encode import MAX_CATEGORIES, Input, encode, fit
from mainstay.scoring.scorer import Scorer

INPUTS = (
    Input("age", "integer", nullable=True, range=(0, 120)),
    Input("plan", "category", values=("basic", "plus")),
    Input("city", "category", nullable=True),
)
KINDS = {each.name: each.kind for each in INPUTS}


def columns(count: int, seed: int) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)
    cities = np.array([*(f"city {n}" for n in range(MAX_CATEGORIES + 9)), None], dtype=object)
    return {
        "age": random.choice([1.0, 30.5, np.nan, 1e300, -0.0], count),
        "plan": random.choice(np.array(["basic", "plus", "gold", None], dtype=object), count),
        "city": random.choice(cities, count),
    }


def coded(given: dict[str, NDArray[Any]]) -> dict[str, Coded]:
    made: dict[str, Coded] = {}
    for name, values in given.items():
        if values.dtype != object:
            made[name] = values
            continue
        known = [value for value in dict.fromkeys(values.tolist()) if value is not None]
        twice = [*known, *known]  # a file may spell one value in two ways
        places = [-1 if value is None else known.index(value) + len(known) * (n % 2) for n, value in enumerate(values)]
        made[name] = Codes(np.array(places, dtype=np.int32), tuple(twice))
    return made


@pytest.mark.parametrize(
    "derived", [{}, {"old": "age > 30 and plan == 'plus'", "nowhere": "is_null(city)", "one": "1"}]
)
def test_the_tensor_is_bit_for_bit_that_of_rows(derived: dict[str, str]) -> None:
    expressions = {name: parse(text, KINDS) for name, text in derived.items()}
    encoder = fit(columns(500, 0), INPUTS, expressions)
    given = columns(700, 1)
    made = encode_coded(encoder, coded(given))
    expected = encode(encoder, given)
    assert made.flags.f_contiguous
    np.testing.assert_array_equal(made, expected)
    assert made.dtype == expected.dtype == np.float32


def test_codes_are_texts_again_where_an_expression_asks() -> None:
    assert Codes(np.array([1, -1, 0], dtype=np.int32), ("a", "b")).texts.tolist() == ["b", None, "a"]


def tiny_columns(count: int) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(5)
    return {
        "age": random.integers(10, 130, count).astype(np.float64),
        "spent": random.choice([np.nan, 40.0, 55.5, 200.0, 700.0], count),
        "plan": random.choice(np.array(["basic", "plus", "gold"], dtype=object), count),
    }


def test_trees_are_asked_by_the_column_and_say_what_the_scorer_says(tiny_forest: Bundle) -> None:
    scorer = Scorer(tiny_forest)
    batch = BatchScorer(scorer)
    assert batch.by_column
    given = tiny_columns(3_000)
    np.testing.assert_allclose(batch.probability(coded(given)), scorer.score(given).probability, rtol=0, atol=2e-7)


def test_the_positive_class_may_come_first(tiny_forest: Bundle) -> None:
    decide = dataclasses.replace(tiny_forest.decide, classes=("Yes", "No"))
    scorer = Scorer(dataclasses.replace(tiny_forest, decide=decide))
    given = tiny_columns(500)
    found = BatchScorer(scorer).probability(coded(given))
    np.testing.assert_allclose(found, scorer.score(given).probability, rtol=0, atol=2e-7)


def test_any_other_graph_runs_in_onnx_runtime_with_the_same_bits(tiny_bundle: Bundle) -> None:
    scorer = Scorer(tiny_bundle)
    batch = BatchScorer(scorer)
    assert not batch.by_column
    given = tiny_columns(100)
    np.testing.assert_array_equal(batch.probability(coded(given)), scorer.score(given).probability)


def test_trees_that_disagree_with_onnx_runtime_are_not_asked(tiny_forest: Bundle, forest: Callable[..., bytes]) -> None:
    class Changed(Scorer):
        """A scorer whose session holds another graph than its bundle says."""

        def score_tensor(self, tensor: NDArray[np.float32]) -> Any:
            return Scorer(dataclasses.replace(tiny_forest, model=forest(5, trees=40, seed=4))).score_tensor(tensor)

    assert not BatchScorer(Changed(tiny_forest)).by_column
