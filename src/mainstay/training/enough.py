"""Are there rows enough to learn from and to judge by? Asked before anything is paid for."""

import math

import numpy as np

from mainstay.errors import Refused
from mainstay.measures.rates import exact
from mainstay.scoring.frame import Frame, Parts
from mainstay.training.folds import folds
from mainstay.usecase import UseCase
from mainstay.verdicts import Check, Limit, Outcome, Verdict

LEAST_JUDGED = 2
"""Held out rows of a class, below which a score has no interval at all."""
TELLING = 100
"""Held out rows of the rarer class that prove a skill above .1, in 4 of 5 tries or more, for a calibrated model whose
skill is .22 to .26 (an AUC of .82 to .87) at 2 to 50 % of positives: simulated, normal logits, at a first look."""


def enough(parts: Parts, use_case: UseCase, dataset: str) -> Verdict:
    """PASS, or INCONCLUSIVE with how many rows would do: never FAIL, since what is too small to tell is no fault.

    Checks: `held_out_rows` of each class, which need LEAST_JUDGED; and `training_rows`, which need both classes in
    every fold (with `recipe.nested`, in folds within folds). `rows_needed` counts rows of the whole source: as many as
    hold TELLING rows of the rarer class out, if the classes keep their shares; None where there are as many already,
    and the rows cannot be parted. The verdict's subject is `dataset`.
    """
    wanted, said = _wanted(parts, use_case)
    classes = (
        (use_case.label.positive, parts.holdout.labels),
        (next(each for each in use_case.classes if each != use_case.label.positive), ~parts.holdout.labels),
    )
    checks = [_held_out(name, int(np.count_nonzero(rows)), len(parts.holdout), wanted, said) for name, rows in classes]
    return Verdict(dataset, (*checks, _trained_on(parts.train, use_case, wanted, said)))


def _wanted(parts: Parts, use_case: UseCase) -> tuple[int | None, str]:
    """How many rows of the source would do, and that in words; None where there are as many, and all alike."""
    both = np.concatenate([parts.train.labels, parts.holdout.labels])
    positives = int(np.count_nonzero(both))
    negatives = len(both) - positives
    fewer = min(positives, negatives)
    positive = use_case.label.positive
    rarer = positive if positives <= negatives else next(each for each in use_case.classes if each != positive)
    of_class = math.ceil(TELLING / use_case.recipe.holdout)
    if fewer >= of_class:
        return None, (
            "rows that are alike, or of one entity, are held out together, and nearly all of these are: bring columns "
            "that tell rows apart, or name in `entity` whom they are about"
        )
    wanted = math.ceil(of_class * len(both) / max(fewer, 1))
    there = f"{of_class:,} of them `{rarer}`, of which there are {fewer:,}"
    return wanted, f"about {wanted:,} rows like these would be enough to tell, {there}"


def _held_out(name: str, found: int, rows: int, wanted: int | None, said: str) -> Check:
    there = f"the holdout has {rows:,} rows, {found:,} of them `{name}`"
    met = found >= LEAST_JUDGED
    reason = there if met else f"{there}, and nothing can be judged by fewer than {LEAST_JUDGED}: {said}"
    return Check(
        "held_out_rows",
        Outcome.PASS if met else Outcome.INCONCLUSIVE,
        reason,
        name,
        estimate=exact(float(found), rows),
        limit=Limit(at_least=LEAST_JUDGED),
        rows_needed=None if met else wanted,
    )


def _trained_on(train: Frame, use_case: UseCase, wanted: int | None, said: str) -> Check:
    recipe = use_case.recipe
    try:
        for learnt, _ in folds(train, recipe.folds, recipe.seed):
            if recipe.nested:
                folds(train.take(learnt), recipe.folds, recipe.seed)
    except Refused as error:
        reason = f"{error.message}: {said}"
        return Check("training_rows", Outcome.INCONCLUSIVE, reason, rows_needed=wanted)
    return Check("training_rows", Outcome.PASS, f"{len(train):,} training rows fill {recipe.folds} folds")
