"""Which estimator, with which parameters: a search over cross-validated log loss, and a vote of the best."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.scores import log_loss, paired_difference, roc_auc
from mainstay.scoring.frame import Frame
from mainstay.training.balance import restored
from mainstay.training.estimators import ENSEMBLE, Parameters, as_members
from mainstay.training.folds import EncodedFold, Fold, by_fold, encode_folds, folds
from mainstay.training.propose import Proposal, proposals
from mainstay.usecase import UseCase

Floats = NDArray[np.float64]
SURE = 0.997
"""The level of the interval that a trial is stopped by: three standard errors."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One estimator with one set of parameters, cross-validated; `number` counts from 0.

    `folds` maps `log_loss` and `roc_auc` to their values on each fold's unseen rows, in order; `log_loss` is the mean.
    A `stopped` trial has those of the folds before it was stopped, and its mean is not to be compared with others'.
    """

    number: int
    estimator: str
    parameters: Parameters
    folds: Mapping[str, tuple[float, ...]]
    log_loss: float
    stopped: bool = False


@dataclass(frozen=True, slots=True)
class Best:
    """The trial with the least log loss, the first of equals; `raw` are its out-of-fold probabilities, shape (n,).

    `runners_up` are the best trials of the other estimators with their raw probabilities, the least log loss first.
    """

    trial: Trial
    raw: Floats
    folds: tuple[Fold, ...]
    trials: tuple[Trial, ...]
    runners_up: tuple[tuple[Trial, Floats], ...] = ()

    def without_the_best(self) -> "Best | None":
        """The same search as if its best estimator had not been there; None where no other ended a trial."""
        if not self.runners_up:
            return None
        (trial, raw), *others = self.runners_up
        return replace(self, trial=trial, raw=raw, runners_up=tuple(others))


def search(use_case: UseCase, train: Frame, on_trial: Callable[[Trial], None]) -> Best:
    """Spend the recipe's budget of trials on the training part. Every estimator's defaults are tried first.

    `on_trial` hears of each trial as it ends. Trials run one after the other, because a sampler that learns from what
    happens to have ended is not repeatable. A trial is stopped after a fold where even an optimist would not expect it
    to become the best; an estimator's defaults never are, so that each has a trial to be compared, and to vote. A
    recipe with an ensemble at last tries the vote of the best two, three, … of them, as one more trial, which fits
    nothing: the mean of what the members said. Refused where there are too few rows of a class for the folds.
    """
    recipe = use_case.recipe
    made = folds(train, recipe.folds, recipe.seed)
    contest = _Contest(train.labels, encode_folds(use_case, train, made), recipe.seed)
    source = proposals(recipe)
    for proposal in source:
        trial = contest.tried(proposal)
        source.tell(proposal, trial.log_loss, trial.stopped)
        on_trial(trial)
    if ENSEMBLE in recipe.estimators:
        on_trial(contest.voted())
    (best, raw), *others = contest.ranked()
    return Best(best, raw, made, tuple(contest.trials), tuple(others))


class _Contest:
    """Trials on the same folds, and the best of each estimator so far with its raw out-of-fold probabilities."""

    def __init__(self, labels: NDArray[np.bool_], encoded: Sequence[EncodedFold], seed: int) -> None:
        self._labels, self._encoded, self._seed = labels, encoded, seed
        self._best: dict[str, tuple[Trial, Floats]] = {}
        self.trials: list[Trial] = []

    def tried(self, proposal: Proposal) -> Trial:
        """One more trial, stopped where it is hopeless."""
        raw = np.full(self._labels.size, np.nan)
        said = by_fold(self._encoded, proposal.estimator, proposal.parameters, self._seed)
        judged = 0
        for judged, (fold, probability) in enumerate(zip(self._encoded, said, strict=True), start=1):
            raw[fold.places] = probability
            if not proposal.first and judged < len(self._encoded) and self._hopeless(raw, judged):
                break
        return self._noted(proposal.estimator, proposal.parameters, raw, judged)

    def voted(self) -> Trial:
        """The vote of the best few estimators, as many as give the least log loss."""
        ranked = self.ranked()
        votes = [np.mean([raw for _, raw in ranked[:size]], axis=0) for size in range(2, len(ranked) + 1)]
        losses = [np.mean(self._scores(raw, len(self._encoded))["log_loss"]) for raw in votes]
        size = int(np.argmin(losses)) + 2
        members = as_members({trial.estimator: trial.parameters for trial, _ in ranked[:size]})
        return self._noted(ENSEMBLE, members, votes[size - 2], len(self._encoded))

    def ranked(self) -> list[tuple[Trial, Floats]]:
        """The best trial of each estimator, the least log loss first."""
        return sorted(self._best.values(), key=lambda each: (each[0].log_loss, each[0].number))

    def _noted(self, estimator: str, parameters: Parameters, raw: Floats, judged: int) -> Trial:
        scores = self._scores(raw, judged)
        loss = float(np.mean(scores["log_loss"]))
        stopped = judged < len(self._encoded)
        trial = Trial(len(self.trials), estimator, parameters, scores, loss, stopped)
        self.trials.append(trial)
        if not stopped and (estimator not in self._best or loss < self._best[estimator][0].log_loss):
            self._best[estimator] = trial, raw
        return trial

    def _scores(self, raw: Floats, judged: int) -> dict[str, tuple[float, ...]]:
        parts = [(self._labels[fold.places], self._restored(raw, fold)) for fold in self._encoded[:judged]]
        return {
            name: tuple(measure(truth, said).value for truth, said in parts)
            for name, measure in (("log_loss", log_loss), ("roc_auc", roc_auc))
        }

    def _hopeless(self, raw: Floats, judged: int) -> bool:
        """Whether the trial would lose to the best so far even if the folds to come were kind to it.

        Both are compared row by row. Kind is the lower end of the 99.7 % interval for the mean difference on the rows
        to come, given those seen; hopeless, if with it the mean over all rows is still above zero. What is decided
        depends on the folds' scores alone, never on how many run at a time.
        """
        _, leading = self.ranked()[0]
        seen = self._encoded[:judged]
        truth = np.concatenate([self._labels[fold.places] for fold in seen])
        lead, own = (np.concatenate([self._restored(each, fold) for fold in seen]) for each in (leading, raw))
        found = paired_difference(truth, lead, own, SURE)
        rest = self._labels.size - truth.size
        kind = found.value - (found.value - found.low) * math.sqrt(1 + truth.size / rest)
        return truth.size * found.value + rest * kind > 0

    @staticmethod
    def _restored(raw: Floats, fold: EncodedFold) -> Floats:
        return restored(raw[fold.places], fold.learnt.odds)
