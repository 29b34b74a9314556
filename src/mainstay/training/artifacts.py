"""What a run leaves in MLflow beside its numbers: plots, importance and the bundle."""

import json
from collections.abc import Mapping

from mainstay.scoring.bundle import Bundle
from mainstay.scoring.derive import Columns, Floats
from mainstay.scoring.frame import Frame
from mainstay.scoring.scorer import Scorer
from mainstay.training.calibrate import offer_of
from mainstay.training.importance import permutation_importance
from mainstay.training.plots import holdout_plots, importance
from mainstay.usecase import UseCase


def artifacts(bundle: Bundle, files: Mapping[str, bytes], holdout: Frame, use_case: UseCase) -> dict[str, bytes]:
    """Artifacts by relative path: `plots/*.png`, `importance.json`, `bundle/*`. All drawn from the holdout."""
    scorer = Scorer(bundle)

    def score(columns: Columns) -> Floats:
        return scorer.score(columns).probability

    gains = permutation_importance(score, holdout, use_case.recipe.seed)
    plots = holdout_plots(
        holdout.labels, score(holdout.columns), bundle.decide.threshold, use_case.classes, offer_of(use_case)
    )
    return {
        **{f"plots/{name}": picture for name, picture in plots.items()},
        "plots/importance.png": importance(gains),
        "importance.json": json.dumps(gains, indent=2, allow_nan=False).encode(),
        **{f"bundle/{name}": data for name, data in files.items()},
    }
