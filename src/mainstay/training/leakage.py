"""Signs that a model knows what it should not: of labels, of single inputs, of rows that stand on both sides."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.rates import mean
from mainstay.measures.scores import roc_auc
from mainstay.nouns import Estimate
from mainstay.scoring.derive import Columns
from mainstay.scoring.encode import Input, inputs_of
from mainstay.scoring.frame import Frame, Parts
from mainstay.training.fit import Fitted
from mainstay.training.folds import encode_folds, folds, out_of_fold
from mainstay.usecase import UseCase

BINS = 20
_PRIOR_ROWS = 10.0  # how many rows of the base rate a category's own mean is smoothed by


def evidence(fitted: Fitted, parts: Parts, use_case: UseCase) -> dict[str, Estimate]:
    """`permuted_auc`, `copied_rows`, and `single_feature_auc:NAME` for every input, in the contract's order."""
    singles = {f"single_feature_auc:{each.name}": single_feature_auc(each, parts) for each in inputs_of(use_case)}
    return {
        "permuted_auc": permuted_auc(fitted, parts.train, use_case),
        "copied_rows": copied_rows(parts, fitted.out_of_fold),
        **singles,
    }


def permuted_auc(fitted: Fitted, train: Frame, use_case: UseCase) -> Estimate:
    """The ROC AUC of the same recipe, cross-validated on labels dealt out to the training rows at random.

    About .5, unless labels reach the rows that are judged by a way of their own, such as resampling before the split.
    """
    recipe = use_case.recipe
    labels = np.random.default_rng(recipe.seed).permutation(train.labels)
    dealt = replace(train, labels=labels)
    encoded = encode_folds(use_case, dealt, folds(dealt, recipe.folds, recipe.seed))
    return roc_auc(labels, out_of_fold(encoded, fitted.estimator, fitted.parameters, recipe.seed))


def single_feature_auc(given: Input, parts: Parts) -> Estimate:
    """The ROC AUC on the holdout of one input alone, scored by the share of positives in its bin of training rows.

    Bins are up to 20 of equal mass for a number, the values of a category, and one for missing; each is smoothed by
    ten rows of the base rate, which is also what an unseen value scores.
    """
    learnt, asked = (_bins(given, parts.train.columns, part.columns) for part in (parts.train, parts.holdout))
    most = max(int(learnt.max(initial=0)), int(asked.max(initial=0))) + 1
    rows = np.bincount(learnt, minlength=most)
    positives = np.bincount(learnt, weights=parts.train.labels, minlength=most)
    base = float(parts.train.labels.mean())
    share = (positives + _PRIOR_ROWS * base) / (rows + _PRIOR_ROWS)
    return roc_auc(parts.holdout.labels, share[asked])


def _bins(given: Input, train: Columns, part: Columns) -> NDArray[np.int64]:
    """The bin of each row of a part, shape (n,): 0 missing, 1 unseen, then the training part's."""
    values = part[given.name]
    if given.kind == "category":
        seen = sorted({value for value in train[given.name].tolist() if value is not None})
        numbered = {None: 0, **{value: n + 2 for n, value in enumerate(seen)}}
        return np.array([numbered.get(value, 1) for value in values.tolist()], dtype=np.int64)
    known = train[given.name][~np.isnan(train[given.name])]
    edges = np.unique(np.quantile(known, np.arange(1, BINS) / BINS)) if known.size else np.empty(0)
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values, "right") + 2)


def copied_rows(parts: Parts, out_of_fold: NDArray[np.float64]) -> Estimate:
    """The share of holdout rows that are copies of training rows under another entity.

    Rows that look alike are not enough: with coarse columns, customers are twins by nature, and their labels agree by
    chance. A copy carries the label with it. For a holdout row with label y, whose training twins (same inputs, another
    entity) have the share t of positives and the mean out-of-fold probability p, (y - p)(t - p) averages 0 among
    natural twins and p(1 - p) among copies of a single row, so its mean over all holdout rows (0 without a twin), over
    the mean p(1 - p) of the training part, is the share of copies. Natural twins beside the one copied dilute it. A
    model that misses what the inputs tell lets natural twins agree a little: by its excess Brier score.
    """
    train, asked = parts.train, parts.holdout
    alike = _numbered([np.concatenate([values, asked.columns[name]]) for name, values in train.columns.items()])
    own = _numbered([alike, np.concatenate([train.groups, asked.groups])])

    def over_twins(values: NDArray[np.float64]) -> NDArray[np.float64]:
        everyone, oneself = (np.bincount(codes[: len(train)], values, codes.max() + 1) for codes in (alike, own))
        return np.asarray(everyone[alike[len(train) :]] - oneself[own[len(train) :]], dtype=np.float64)

    twins = over_twins(np.ones(len(train)))
    there = twins > 0
    share = over_twins(train.labels.astype(np.float64))[there] / twins[there]
    probability = over_twins(out_of_fold)[there] / twins[there]
    agreement = np.zeros(len(asked))
    agreement[there] = (asked.labels[there] - probability) * (share - probability)
    return mean(agreement / float(np.mean(out_of_fold * (1 - out_of_fold))))


def _numbered(columns: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """A number for each row, shape (n,), the same where the rows are: NaN is NaN's equal, and None its own."""
    codes = np.zeros(len(columns[0]), dtype=np.int64)
    for values in columns:
        if values.dtype == object:
            numbers: dict[object, int] = {}
            column = np.array([numbers.setdefault(value, len(numbers)) for value in values.tolist()], dtype=np.int64)
        else:
            column = np.unique(values, return_inverse=True)[1]
        codes = np.unique(codes * (int(column.max()) + 1) + column, return_inverse=True)[1]
    return codes
