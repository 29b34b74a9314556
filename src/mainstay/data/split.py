"""A frame in two: what candidates learn from, and what they are judged by."""

import numpy as np

from mainstay.errors import Refused
from mainstay.nouns import DatasetVersion
from mainstay.scoring.frame import Frame, Parts, instant64
from mainstay.usecase import UseCase


def split(frame: Frame, dataset: DatasetVersion, use_case: UseCase) -> Parts:
    """The rows that are held out, and those to train on.

    Where there is a cut, rows before it whose horizon crosses it are in neither: their outcome was decided in the
    holdout's time. A part may lack rows, or a class, which is for `training.enough` to say. Refused, with the numbers,
    where no row of the whole is of one class.
    """
    train = ~frame.held_out
    if dataset.holdout.cut is not None and frame.times is not None:
        train &= frame.times + np.timedelta64(use_case.label.horizon) <= instant64(dataset.holdout.cut)
    parts = Parts(frame.take(train), frame.take(frame.held_out))
    positive = int(frame.labels.sum())
    if not 0 < positive < len(frame):
        raise Refused(
            f"of {len(frame):,} rows that can be learnt from, {positive:,} are `{use_case.label.positive}`: a model "
            "needs both classes",
            dataset.id,
        )
    return parts
