"""A candidate, examined on its holdout: what cards and comparisons show of it later, without measuring again."""

from functools import partial

import numpy as np

from mainstay.examined import Calibrated, Confusion, Curve, Examination, Part
from mainstay.measures.intervals import Bools, Floats
from mainstay.measures.money import Offer
from mainstay.measures.rates import rate
from mainstay.measures.segments import slices
from mainstay.nouns import Candidate
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.frame import Frame, Parts
from mainstay.scoring.scorer import Scorer
from mainstay.training.calibrate import offer_of
from mainstay.training.importance import permutation_importance, scored_again
from mainstay.training.plots import ranked
from mainstay.usecase import UseCase

POINTS = 101
GROUPS = 10


def examine(bundle: Bundle, parts: Parts, candidate: Candidate, use_case: UseCase) -> Examination:
    """Slices by every input and protected attribute, curves, calibration and importance, all on the holdout.

    The holdout has both classes. The same candidate on the same rows gives the same examination, save for its run.
    """
    scorer, holdout = Scorer(bundle), parts.holdout
    probability, threshold = scorer.score(holdout.columns).probability, bundle.decide.threshold
    truth, called = holdout.labels, probability >= threshold
    curves = _curves(truth, probability, offer_of(use_case))
    return Examination(
        run=candidate.run,
        use_case=use_case.name,
        candidate=candidate.id,
        dataset=candidate.dataset,
        label=use_case.label,
        recipe=use_case.recipe.model_dump(mode="json"),
        profit=use_case.profit,
        protected=tuple(holdout.slices),
        train=_part(parts.train),
        holdout=_part(holdout),
        threshold=threshold,
        confusion=Confusion(*(int(np.count_nonzero(each)) for each in _quadrants(truth, called))),
        calibration=_calibration(truth, probability),
        roc=curves[0],
        precision_recall=curves[1],
        by_threshold=curves[2],
        importance=permutation_importance(partial(scored_again, scorer), holdout, use_case.recipe.seed),
        slices=slices({**holdout.slices, **holdout.columns}, truth, probability, threshold),
    )


def _part(frame: Frame) -> Part:
    return Part(len(frame), int(np.count_nonzero(frame.labels)))


def _quadrants(truth: Bools, called: Bools) -> tuple[Bools, Bools, Bools, Bools]:
    return truth & called, truth & ~called, ~truth & called, ~truth & ~called


def _calibration(truth: Bools, probability: Floats) -> tuple[Calibrated, ...]:
    order = np.argsort(probability, kind="stable")
    groups = [group for group in np.array_split(order, GROUPS) if group.size]
    return tuple(
        Calibrated(float(probability[group].mean()), rate(int(np.count_nonzero(truth[group])), group.size))
        for group in groups
    )


def _curves(truth: Bools, probability: Floats, offer: Offer | None) -> tuple[Curve, Curve, Curve]:
    """ROC, precision by recall, and what a threshold brings."""
    at, reached, hits = ranked(truth, probability)
    positives, rows = hits[-1], reached[-1]
    missed = reached - hits
    if offer is None:
        brought = 2 * hits[1:] / (reached[1:] + positives)
    else:
        brought = (offer.worth * hits[1:] - offer.cost * reached[1:]) / rows
    return (
        _thinned(missed / missed[-1], hits / positives),
        _thinned(hits[1:] / positives, hits[1:] / reached[1:]),
        _thinned(at[:0:-1], brought[::-1]),
    )


def _thinned(across: Floats, up: Floats) -> Curve:
    """At most 101 points, about evenly spread over a rising `across`; the ends are always among them."""
    wanted = np.linspace(across[0], across[-1], POINTS)
    chosen = np.unique(np.append(np.searchsorted(across, wanted), (0, len(across) - 1)).clip(0, len(across) - 1))
    if len(chosen) > POINTS:
        chosen = np.append(chosen[: POINTS - 1], chosen[-1])
    return tuple(zip(across[chosen].tolist(), up[chosen].tolist(), strict=True))
