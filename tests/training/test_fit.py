"""The finished model: fitted on every training row, calibrated by what it said of rows it had not seen."""

from dataclasses import replace

import numpy as np
import pytest

from mainstay.measures.scores import roc_auc
from mainstay.scoring.decide import calibrated
from mainstay.scoring.encode import encode
from mainstay.scoring.frame import Parts
from mainstay.training.fit import Fitted, finish
from mainstay.training.tune import Best
from mainstay.usecase import UseCase


def test_the_encoder_and_the_estimator_know_the_whole_training_part(fits: dict[str, Fitted], parts: Parts) -> None:
    for fitted in fits.values():
        town = next(feature for feature in fitted.encoder.features if feature.name == "town")
        assert town.categories == ("Bonn", "Kiel", "Ulm")
        tensor = encode(fitted.encoder, parts.holdout.columns)
        assert roc_auc(parts.holdout.labels, fitted.raw(tensor)).value > 0.7
    assert fits["logistic"].base_rate == parts.train.labels.mean()


def test_the_scores_are_of_rows_that_no_part_of_the_model_had_seen(fits: dict[str, Fitted], parts: Parts) -> None:
    fitted = fits["lightgbm"]
    seen = fitted.raw(encode(fitted.encoder, parts.train.columns))
    claimed = fitted.cross_validated["roc_auc"]
    assert claimed.value < roc_auc(parts.train.labels, seen).value - 0.01
    assert claimed.value == roc_auc(parts.train.labels, fitted.out_of_fold).value
    assert claimed.rows == len(parts.train)


def test_the_threshold_is_where_an_offer_pays(fits: dict[str, Fitted]) -> None:
    assert fits["logistic"].threshold == pytest.approx(5 / 30, abs=0.05)


def test_without_an_offer_the_threshold_follows_f1(best: Best, parts: Parts, gym: UseCase) -> None:
    plain = finish(best, parts.train, gym.model_copy(update={"profit": None}))
    assert 0.2 < plain.threshold < 0.5
    assert "profit" not in plain.cross_validated
    assert plain.cross_validated["f1_at_threshold"].value > plain.cross_validated["f1"].value


def test_calibration_is_learnt_from_out_of_fold_rows(best: Best, parts: Parts, gym: UseCase) -> None:
    bent = replace(best, raw=best.raw**2)
    fitted = finish(bent, parts.train, gym)
    assert calibrated(fitted.calibration, bent.raw).mean() == pytest.approx(parts.train.labels.mean(), abs=0.01)
    assert np.abs(fitted.out_of_fold - finish(best, parts.train, gym).out_of_fold).max() < 0.1
