"""What a model rests on: the loss that it gains when one of its inputs is shuffled."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.scores import log_loss
from mainstay.scoring.derive import Columns
from mainstay.scoring.encode import Reencoder
from mainstay.scoring.frame import Frame
from mainstay.scoring.scorer import Scorer

Score = Callable[[Columns], NDArray[np.float64]]
"""Probabilities of shape (n,) for n rows of columns."""


def scored_again(scorer: Scorer, columns: Columns) -> Score:
    """The scorer, for rows that differ from these in a column or two: what did not change is not encoded again."""
    encoder = Reencoder(scorer.bundle.encoder, columns)
    return lambda changed: scorer.score_tensor(encoder.encode(changed)).probability


def permutation_importance(
    scoring: Callable[[Columns], Score], frame: Frame, seed: int, repeats: int = 5, rows: int = 2_000
) -> dict[str, float]:
    """Mean increase in log loss (nats) when an input's values are dealt out anew among the rows; largest first.

    `scoring` gives, for the rows that are asked about, what scores them with one column dealt out anew. That is asked
    `repeats` (at least one) times per input, on at most `rows` rows drawn from the frame, so that a large holdout costs
    no more than a small one. The same deals serve every input, and derived features follow theirs. About zero: the
    model does not need it, or another input says the same; below zero is noise. No rows, or probabilities that are not
    finite: NaN throughout.
    Source: Breiman, "Random Forests", Machine Learning 45 (2001), section 10, here with the loss in place of accuracy.
    """
    random = np.random.default_rng(seed)
    if len(frame) > rows:
        frame = frame.take(np.sort(random.choice(len(frame), rows, replace=False)))
    deals = [random.permutation(len(frame)) for _ in range(repeats)]
    score = scoring(frame.columns)
    usual = log_loss(frame.labels, score(frame.columns)).value
    gains = {
        name: float(np.mean([_loss(score, frame, name, deal) for deal in deals])) - usual for name in frame.columns
    }
    return dict(sorted(gains.items(), key=lambda each: (-each[1], each[0])))


def _loss(score: Score, frame: Frame, name: str, deal: NDArray[np.int64]) -> float:
    return log_loss(frame.labels, score({**frame.columns, name: frame.columns[name][deal]})).value
