"""Pictures: the same bytes for the same rows, and words where there is nothing to draw."""

import io
import sys

import numpy as np
import pytest
from numpy.typing import NDArray

from mainstay.measures.money import Offer
from mainstay.training.plots import calibration, holdout_plots, importance, roc, thresholds

CLASSES = ("No", "Yes")
OFFER = Offer(20, 400, 0.3)


def rows(n: int = 400, seed: int = 1) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    random = np.random.default_rng(seed)
    probabilities = 1 / (1 + np.exp(-random.normal(-1.3, 1.3, n)))
    return random.random(n) < probabilities, probabilities


def pixels(png: bytes) -> NDArray[np.float32]:
    from matplotlib.image import imread

    return np.asarray(imread(io.BytesIO(png), format="png"))


@pytest.fixture(scope="module")
def drawn() -> dict[str, bytes]:
    return holdout_plots(*rows(), 0.25, CLASSES, OFFER)


def test_every_picture_of_a_holdout_is_a_png_that_fits_a_laptop(drawn: dict[str, bytes]) -> None:
    assert [name.removesuffix(".png") for name in drawn] == [
        "roc",
        "precision_recall",
        "calibration",
        "thresholds",
        "scores",
        "confusion",
    ]
    assert all(pixels(each).shape[:2] == (576, 864) for each in drawn.values())
    assert len(set(drawn.values())) == 6


def test_the_same_rows_give_the_same_bytes_in_whatever_order(drawn: dict[str, bytes]) -> None:
    labels, probabilities = rows()
    assert holdout_plots(labels[::-1], probabilities[::-1], 0.25, CLASSES, OFFER) == drawn
    assert roc(*rows(seed=2)) != drawn["roc.png"]


def test_pyplot_and_its_global_state_are_left_alone() -> None:
    roc(*rows())
    assert "matplotlib.pyplot" not in sys.modules


def test_without_an_offer_the_thresholds_show_precision_and_recall(drawn: dict[str, bytes]) -> None:
    assert thresholds(*rows(), 0.25) != drawn["thresholds.png"]


def test_an_offer_that_never_pays_is_drawn_too() -> None:
    assert thresholds(*rows(), 1.0, Offer(50, 10, 0.1)).startswith(b"\x89PNG")


def test_where_there_is_nothing_to_draw_the_picture_says_why() -> None:
    none, one, odd = roc([], []), roc([1, 1], [0.2, 0.3]), roc([0, 1], [0.2, np.nan])
    assert len({none, one, odd}) == 3
    assert roc([0, 0], [0.2, 0.3]) == one
    assert len(holdout_plots([], [], 0.25, CLASSES, OFFER)) == 6


def test_the_smallest_rows_with_two_classes_are_drawn() -> None:
    assert len(holdout_plots([0, 1], [0.5, 0.5], 0.5, CLASSES)) == 6
    assert len(holdout_plots([0, 1], [0.0, 1.0], 0.5, CLASSES, OFFER)) == 6
    assert calibration([0, 1, 1], [0.1, 0.9, 0.8], bins=2).startswith(b"\x89PNG")


def test_shapes_that_differ_are_an_error() -> None:
    with pytest.raises(ValueError, match="must both be"):
        roc([0, 1], [0.5])


def test_importance_shows_the_largest_twenty() -> None:
    many = {f"input {n:02}": 1 / (n + 1) for n in range(40)}
    assert importance(many) == importance(dict(list(many.items())[:20]))
    assert importance(many) == importance(dict(reversed(many.items())))


def test_importance_without_inputs_and_with_long_names_is_drawn() -> None:
    assert importance({}).startswith(b"\x89PNG")
    assert importance({"a name far too long to be written beside a bar": 0.1, "b": -0.01}).startswith(b"\x89PNG")
