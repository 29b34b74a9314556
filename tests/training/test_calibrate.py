"""Calibration and threshold: true probabilities, learnt without the row that they judge."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from mainstay.measures.money import Offer
from mainstay.measures.scores import log_loss
from mainstay.scoring.decide import calibrated
from mainstay.training.calibrate import cross_fit, cross_validated, offer_of, platt, threshold_of
from mainstay.usecase import UseCase

OFFER = Offer(20, 400, 0.3)


def drawn(rows: int, seed: int = 7) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
    """Labels, and the true probabilities they were drawn from."""
    random = np.random.default_rng(seed)
    true = random.beta(1, 3, rows)
    return random.random(rows) < true, true


def logit(probability: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.log(probability / (1 - probability)))


def test_probabilities_that_were_bent_are_bent_back() -> None:
    labels, true = drawn(20_000)
    bent = 1 / (1 + np.exp(-(2 * logit(true) + 1)))
    found = platt(labels, bent)
    assert found.slope == pytest.approx(0.5, abs=0.03)
    assert found.offset == pytest.approx(-0.5, abs=0.05)
    assert log_loss(labels, calibrated(found, bent)).value < log_loss(labels, bent).value - 0.02


def test_true_probabilities_stay_as_they_are() -> None:
    found = platt(*drawn(50_000))
    assert found.slope == pytest.approx(1, abs=0.03)
    assert found.offset == pytest.approx(0, abs=0.04)


@pytest.mark.parametrize("raw", [np.tile([1e-9, 1.0], 50), np.tile([0.0, 1.0], 50), np.tile([0.49, 0.51], 50)])
def test_rows_that_separate_perfectly_give_finite_numbers(raw: NDArray[np.float64]) -> None:
    found = platt(np.tile([False, True], 50), raw)
    assert math.isfinite(found.slope)
    assert math.isfinite(found.offset)
    assert found.slope > 0
    negative, positive = calibrated(found, raw[:2])
    assert 0 < negative < 0.5 < positive < 1


def test_one_constant_probability_becomes_the_base_rate() -> None:
    labels = np.arange(1000) < 300
    found = platt(labels, np.full(1000, 0.9))
    assert found.slope == pytest.approx(1, abs=0.05)
    assert calibrated(found, np.array([0.9]))[0] == pytest.approx(0.3, abs=0.005)


def test_probabilities_that_rank_backwards_are_worth_the_base_rate() -> None:
    labels, true = drawn(5000)
    found = platt(labels, 1 - true)
    assert found.slope == 0
    assert calibrated(found, np.array([0.1, 0.9])).tolist() == pytest.approx([labels.mean()] * 2, abs=0.01)


@pytest.mark.parametrize("label", [False, True])
def test_one_class_gives_finite_numbers(label: bool) -> None:
    found = platt(np.full(20, label), np.linspace(0.1, 0.9, 20))
    said = calibrated(found, np.linspace(0.1, 0.9, 20))
    assert said.mean() == pytest.approx(21 / 22 if label else 1 / 22, abs=0.01)


def test_no_rows_change_nothing() -> None:
    found = platt(np.empty(0, dtype=np.bool_), np.empty(0))
    assert (found.slope, found.offset) == (1, 0)


def test_the_threshold_follows_the_offer_and_f1_without_one(gym: UseCase) -> None:
    labels, true = drawn(3000)
    assert threshold_of(labels, true, OFFER) == pytest.approx(20 / 120)
    assert threshold_of(labels, true, None) == pytest.approx(0.3, abs=0.08)
    assert offer_of(gym) == Offer(5, 100, 0.3)
    assert offer_of(gym.model_copy(update={"profit": None})) is None


def test_a_fold_is_judged_by_what_the_others_teach() -> None:
    """One fold's probabilities are bent; the folds around it know nothing of that, and must not undo it."""
    labels, true = drawn(3000)
    places = np.arange(3000)
    folds = [(places[places % 3 != n], places[places % 3 == n]) for n in range(3)]
    raw = np.where(places % 3 == 2, 1 / (1 + np.exp(-(logit(true) + 2))), true)
    judged = cross_fit(labels, raw, folds, OFFER)
    straight = platt(labels[folds[2][0]], raw[folds[2][0]])
    np.testing.assert_array_equal(judged.probability[folds[2][1]], calibrated(straight, raw[folds[2][1]]))
    assert judged.probability[folds[2][1]].mean() > labels.mean() + 0.15


def test_the_labels_of_a_fold_do_not_reach_its_own_decisions() -> None:
    labels, true = drawn(900)
    places = np.arange(900)
    folds = [(places[places % 3 != n], places[places % 3 == n]) for n in range(3)]
    flipped = np.where(places % 3 == 0, ~labels, labels)
    before, after = cross_fit(labels, true, folds, None), cross_fit(flipped, true, folds, None)
    mine = folds[0][1]
    np.testing.assert_array_equal(before.probability[mine], after.probability[mine])
    np.testing.assert_array_equal(before.decided[mine], after.decided[mine])


def test_the_scorecard_decides_each_row_by_its_own_folds_threshold() -> None:
    labels, true = drawn(3000)
    places = np.arange(3000)
    judged = cross_fit(labels, true, [(places[:1500], places[1500:]), (places[1500:], places[:1500])], OFFER)
    scores = cross_validated(labels, judged, OFFER)
    hits = np.count_nonzero(judged.decided & labels)
    assert scores["precision_at_threshold"].value == pytest.approx(hits / np.count_nonzero(judged.decided))
    assert scores["recall_at_threshold"].value == pytest.approx(hits / np.count_nonzero(labels))
    assert scores["profit"].value == pytest.approx((120 * hits - 20 * np.count_nonzero(judged.decided)) / 3000)
    assert scores["accuracy"].value == pytest.approx(np.mean((judged.probability >= 0.5) == labels))
    assert scores["log_loss"].value == log_loss(labels, judged.probability).value
    assert all(score.rows > 0 and score.low <= score.value <= score.high for score in scores.values())
    assert "profit" not in cross_validated(labels, judged, None)
