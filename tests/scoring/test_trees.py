"""Trees asked by the column say what ONNX Runtime says of the same graph."""

from collections.abc import Callable

import numpy as np
import pytest

from mainstay.scoring.session import Session
from mainstay.scoring.trees import trees_of

PLACES = 6
Forest = Callable[..., bytes]


def rows(count: int, seed: int) -> np.ndarray[tuple[int, int], np.dtype[np.float32]]:
    """At thresholds, between them, and missing."""
    random = np.random.default_rng(seed)
    values = np.array([0, 0.5, 1, 18, 40, 50, 50.0001, 55.5, 200, 500, 1e30, -3, np.nan, np.inf], dtype=np.float32)
    return random.choice(values, (count, PLACES))


@pytest.mark.parametrize("modes", [["BRANCH_LEQ"], ["BRANCH_LT"], ["BRANCH_LEQ", "BRANCH_LT"]])
@pytest.mark.parametrize("depth", [1, 2, 4, 6])
def test_the_probabilities_are_those_of_onnx_runtime(forest: Forest, depth: int, modes: list[str]) -> None:
    for seed in range(2):
        graph = forest(PLACES, trees=24, depth=depth, seed=seed, modes=modes, base=[0.25] if seed % 2 else [-1.5])
        trees = trees_of(graph)
        assert trees is not None
        given = rows(2_000, seed)
        apart = np.abs(trees.probability(given) - Session(graph).scores(given)[:, 1])
        assert apart.max() <= 1.2e-7  # one place of float32: the sums are the same


def test_a_row_scores_the_same_in_whatever_block_it_stands(forest: Forest) -> None:
    trees = trees_of(forest(PLACES, trees=30, depth=3))
    assert trees is not None
    given = np.asfortranarray(rows(20_000, 1))
    whole = trees.probability(given)
    assert len(given) > 2 * trees.block
    np.testing.assert_array_equal(trees.probability(given[5:6]), whole[5:6])
    np.testing.assert_array_equal(trees.probability(np.ascontiguousarray(given[8_000:8_500])), whole[8_000:8_500])
    assert trees.probability(given[:0]).shape == (0,)


def test_many_conditions_make_smaller_blocks_and_not_more_memory(forest: Forest) -> None:
    few, many = trees_of(forest(PLACES, trees=5)), trees_of(forest(500, trees=180, depth=6))
    assert few is not None
    assert many is not None
    assert len(many.conditions) * many.block * 4 <= 64_000_000
    assert many.block < few.block


@pytest.mark.parametrize(
    "other",
    [{"post_transform": "NONE"}, {"both": True}, {"base": [0.1, 0.2]}, {"modes": ["BRANCH_GT"]}, {"depth": 9}],
    ids=str,
)
def test_other_graphs_are_left_to_onnx_runtime(forest: Forest, other: dict[str, object]) -> None:
    assert trees_of(forest(PLACES, **other)) is None


def test_a_graph_that_is_more_than_trees_is_left_to_onnx_runtime(tiny_bundle: object) -> None:
    assert trees_of(tiny_bundle.model) is None  # type: ignore[attr-defined]


def test_what_stresses_trees_stands_at_and_beside_every_threshold(forest: Forest) -> None:
    trees = trees_of(forest(PLACES, trees=40))
    assert trees is not None
    stressed = trees.stressing(PLACES, 4_000, 0)
    for each in trees.conditions:
        at = np.float32(each.threshold)
        beside = {float(at), float(np.nextafter(at, np.float32(np.inf))), float(np.nextafter(at, np.float32(-np.inf)))}
        assert beside <= set(stressed[:, each.feature].tolist())
    assert np.isnan(stressed[:, trees.conditions[0].feature]).any()
