"""How good the recipe is, search and all: its number would hold if nobody had looked."""

from collections.abc import Callable

import numpy as np

from mainstay.nouns import Estimate
from mainstay.scoring.decide import calibrated
from mainstay.scoring.encode import encode
from mainstay.scoring.frame import Frame
from mainstay.training.calibrate import CrossFitted, cross_validated, offer_of
from mainstay.training.fit import finish
from mainstay.training.folds import folds
from mainstay.training.tune import search
from mainstay.usecase import UseCase

NESTED = "nested_"
"""What the names of these scores begin with among a candidate's evidence."""


def nested(use_case: UseCase, train: Frame, tell: Callable[[str], None]) -> dict[str, Estimate]:
    """The scorecard of n training rows, `nested_roc_auc` and so on, each row judged by a search that never saw it.

    The best of many trials looks a little better out of fold than it is, because it was chosen there (Cawley & Talbot
    2010, JMLR 11; Varma & Simon 2006). So an outer set of the recipe's folds is held out from all of it: search,
    calibration, threshold and fit happen on the other rows. Costs about `folds` searches. Nothing is chosen by it.
    Refused where a class has too few rows for folds within folds.
    """
    recipe, offer = use_case.recipe, offer_of(use_case)
    probability, decided = np.full(len(train), np.nan), np.zeros(len(train), dtype=np.bool_)
    for number, (learnt, judged) in enumerate(folds(train, recipe.folds, recipe.seed), start=1):
        rows, asked = train.take(learnt), train.take(judged)
        made = finish(search(use_case, rows, lambda trial: None), rows, use_case)
        said = calibrated(made.calibration, made.raw(encode(made.encoder, asked.columns)))
        probability[judged], decided[judged] = said, said >= made.threshold
        tell(f"nested fold {number} of {recipe.folds}: {made.estimator}")
    scores = cross_validated(train.labels, CrossFitted(probability, decided), offer)
    return {f"{NESTED}{name}": score for name, score in scores.items()}
