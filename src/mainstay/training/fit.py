"""The chosen recipe, fitted once more on the whole training part, with what its out-of-fold rows taught."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from mainstay.nouns import Estimate
from mainstay.scoring.decide import Calibration, calibrated
from mainstay.scoring.encode import Encoder, encode, inputs_of
from mainstay.scoring.encode import fit as fit_encoder
from mainstay.scoring.frame import Frame
from mainstay.training.balance import balanced
from mainstay.training.calibrate import cross_fit, cross_validated, offer_of, platt, threshold_of
from mainstay.training.estimators import Parameters, fitted, probability_of
from mainstay.training.tune import Best
from mainstay.usecase import UseCase


@dataclass(frozen=True, slots=True)
class Fitted:
    """A model as it was fitted, before it is exported.

    `out_of_fold` (n,) are calibrated probabilities of the training rows in their order, each from models and a
    calibration that have not seen the row; `cross_validated` are their scores. `base_rate` is the share of positives.
    """

    estimator: str
    parameters: Parameters
    seed: int
    encoder: Encoder
    model: Any
    calibration: Calibration
    threshold: float
    base_rate: float
    out_of_fold: NDArray[np.float64]
    cross_validated: Mapping[str, Estimate]

    def raw(self, tensor: NDArray[np.float32]) -> NDArray[np.float64]:
        """Probabilities of the positive class before calibration, shape (n,), for a tensor of shape (n, places)."""
        with threadpool_limits(limits=1):
            return probability_of(self.model, tensor)


def finish(best: Best, train: Frame, use_case: UseCase) -> Fitted:
    """Fit the best trial's estimator on every training row; calibrate and decide by all out-of-fold probabilities.

    The calibration also takes out what balancing the classes put into the probabilities.
    """
    trial, offer, recipe = best.trial, offer_of(use_case), use_case.recipe
    encoder = fit_encoder(train.columns, inputs_of(use_case), use_case.derived)
    rows = balanced(encode(encoder, train.columns), train.labels, recipe, stream=recipe.folds)
    with threadpool_limits(limits=1):  # as in the folds
        model = fitted(trial.estimator, trial.parameters, recipe.seed, rows.tensor, rows.labels, rows.weights)
    calibration = platt(train.labels, best.raw)
    judged = cross_fit(train.labels, best.raw, best.folds, offer)
    return Fitted(
        estimator=trial.estimator,
        parameters=trial.parameters,
        seed=recipe.seed,
        encoder=encoder,
        model=model,
        calibration=calibration,
        threshold=threshold_of(train.labels, calibrated(calibration, best.raw), offer),
        base_rate=float(train.labels.mean()),
        out_of_fold=judged.probability,
        cross_validated=cross_validated(train.labels, judged, offer),
    )
