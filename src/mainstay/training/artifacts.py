"""What a run leaves in MLflow beside its numbers: plots, importance, the per-slice table and the bundle."""

import csv
import io
import json
from collections.abc import Mapping, Sequence

from mainstay.examined import Examination, Slice
from mainstay.nouns import Estimate
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.frame import Frame
from mainstay.scoring.scorer import Scorer
from mainstay.training.calibrate import offer_of
from mainstay.training.plots import by_slice, holdout_plots, importance
from mainstay.usecase import UseCase

SLICED = "roc_auc", "log_loss", "recall_at_threshold"
"""The scores that get a picture by slice; the table has all of them."""


def artifacts(
    bundle: Bundle, files: Mapping[str, bytes], holdout: Frame, use_case: UseCase, examined: Examination
) -> dict[str, bytes]:
    """Artifacts by relative path: `plots/*.png`, `slices.csv`, `importance.json`, `bundle/*`. All of the holdout."""
    probability = Scorer(bundle).score(holdout.columns).probability
    plots = holdout_plots(holdout.labels, probability, bundle.decide.threshold, use_case.classes, offer_of(use_case))
    gains = dict(examined.importance)
    pictures = {f"slices_{name}.png": by_slice(_of(examined.slices, name), name) for name in SLICED}
    return {
        **{f"plots/{name}": picture for name, picture in (plots | pictures).items()},
        "plots/importance.png": importance(gains),
        "importance.json": json.dumps(gains, indent=2, allow_nan=False).encode(),
        "slices.csv": slices_csv(examined.slices).encode(),
        **{f"bundle/{name}": data for name, data in files.items()},
    }


def slices_csv(slices: Sequence[Slice]) -> str:
    """The per-slice table: a line for each slice, and for each score its value, interval and rows; unknown is blank."""
    names = list(dict.fromkeys(name for each in slices for name in each.scores))
    written = io.StringIO()
    table = csv.writer(written, lineterminator="\n")
    table.writerow(
        ["column", "value", "rows", *(f"{name}{end}" for name in names for end in ("", "_low", "_high", "_rows"))]
    )
    for each in slices:
        scores = (each.scores[name] for name in names)
        table.writerow([each.column, each.value, each.rows, *(cell for score in scores for cell in _cells(score))])
    return written.getvalue()


def _cells(score: Estimate) -> tuple[str | int, ...]:
    numbers = (score.value, score.low, score.high)
    return (*("" if number != number else f"{number:.6g}" for number in numbers), score.rows)


def _of(slices: Sequence[Slice], name: str) -> dict[str, Estimate]:
    return {f"{each.column}: {each.value}": each.scores[name] for each in slices if name in each.scores}
