"""A frame in two: what candidates learn from, and what they are judged by."""

import numpy as np

from mainstay.errors import Refused
from mainstay.nouns import DatasetVersion
from mainstay.scoring.frame import Frame, Parts, instant64
from mainstay.usecase import UseCase


def split(frame: Frame, dataset: DatasetVersion, use_case: UseCase) -> Parts:
    """The rows that are held out, and those to train on.

    Where there is a cut, rows before it whose horizon crosses it are in neither: their outcome was decided in the
    holdout's time. Refused, with the numbers, where a part has no rows or only one class.
    """
    train = ~frame.held_out
    if dataset.holdout.cut is not None and frame.times is not None:
        train &= frame.times + np.timedelta64(use_case.label.horizon) <= instant64(dataset.holdout.cut)
    parts = Parts(frame.take(train), frame.take(frame.held_out))
    purged = len(frame) - len(parts.train) - len(parts.holdout)
    for part, name in ((parts.train, "training part"), (parts.holdout, "holdout")):
        positive = int(part.labels.sum())
        if not 0 < positive < len(part):
            raise Refused(
                f"the {name} has {len(part):,} rows, {positive:,} of them `{use_case.label.positive}`: it needs both "
                f"classes (training {len(parts.train):,}, held out {len(parts.holdout):,}, purged {purged:,}); "
                "give more rows or change recipe.holdout",
                dataset.id,
            )
    return parts
