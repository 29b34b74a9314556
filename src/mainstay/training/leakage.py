"""Signs that a model knows what it should not: of labels, of single features, of rows that stand on both sides."""

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.errors import Refused
from mainstay.measures.rates import mean, rate
from mainstay.measures.scores import roc_auc
from mainstay.nouns import Estimate
from mainstay.scoring.derive import Columns
from mainstay.scoring.encode import Input, inputs_of, with_derived
from mainstay.scoring.frame import Frame, Parts
from mainstay.training.fit import Fitted
from mainstay.training.folds import encode_folds, folds, out_of_fold
from mainstay.usecase import UseCase

BINS = 20
PURE = 0.98  # the share of one class from which on a bin is pure
LOOKED_AT = 30  # fewer training rows make no bin that is looked at
_PRIOR_ROWS = 10.0  # how many rows of the base rate a category's own mean is smoothed by
_PROVEN = 0.9  # what a pure bin's share is above, by its interval
_CLIFF = 0.5  # a pure range of numbers next to one above this share is the end of a slope
_COMMON = 2 / 3  # a class this common fills whole bins by nature
_BY_CHANCE = 0.05  # natural twins that a row may expect and still be told from a copy


def evidence(fitted: Fitted, parts: Parts, use_case: UseCase) -> dict[str, Estimate]:
    """`permuted_auc`, `copied_rows`, then `single_feature_auc:NAME` and `pure_bins:NAME` of every feature.

    Features are the inputs, in the contract's order, and what is derived from them.
    """
    train, asked = (replace(part, columns=with_derived(part.columns, use_case.derived)) for part in _both(parts))
    features = (*inputs_of(use_case), *(Input(name, "number", nullable=True) for name in use_case.derived))
    whole = Parts(train, asked)
    return {
        "permuted_auc": permuted_auc(fitted, parts.train, use_case),
        "copied_rows": copied_rows(parts, fitted.out_of_fold),
        **{f"single_feature_auc:{each.name}": single_feature_auc(each, whole) for each in features},
        **{f"pure_bins:{each.name}": pure_bins(each, whole) for each in features},
    }


def _both(parts: Parts) -> tuple[Frame, Frame]:
    return parts.train, parts.holdout


def permuted_auc(fitted: Fitted, train: Frame, use_case: UseCase) -> Estimate:
    """The ROC AUC of the same recipe, cross-validated on labels dealt out to the training rows at random.

    About .5, unless labels reach the rows that are judged by a way of their own, such as resampling before the split.
    n rows are dealt ceil(4000 / n) times, at most 20, so that few rows can tell as well: the mean, its interval by
    MOVER from DeLong's (Zou & Donner 2008, Statist. Med. 27). NaN where no deal leaves every fold both classes.
    """
    recipe = use_case.recipe
    random = np.random.default_rng(recipe.seed)
    found = []
    for _ in range(min(20, math.ceil(4000 / len(train)))):
        labels = random.permutation(train.labels)
        dealt = replace(train, labels=labels)
        try:
            made = folds(dealt, recipe.folds, recipe.seed)
        except Refused:  # rows of one entity keep together: a deal may leave a fold one class, though the truth did not
            continue
        encoded = encode_folds(use_case, dealt, made)
        found.append(roc_auc(labels, out_of_fold(encoded, fitted.estimator, fitted.parameters, recipe.seed)))
    method = f"DeLong, {len(found)} permutations"
    if not found:
        return Estimate(math.nan, math.nan, math.nan, len(train), method=method)
    value = sum(each.value for each in found) / len(found)
    below = math.hypot(*(each.value - each.low for each in found)) / len(found)
    above = math.hypot(*(each.high - each.value for each in found)) / len(found)
    return Estimate(value, value - below, value + above, len(train), method=method)


def single_feature_auc(given: Input, parts: Parts) -> Estimate:
    """The ROC AUC on the holdout of one feature alone, scored by the share of positives in its bin of training rows.

    Bins are up to 20 of equal mass for a number and one for each value that repeats (30 rows and 1 %), the values of a
    category, and one for missing; each is smoothed by ten rows of the base rate, which an unseen value scores too.
    """
    learnt, asked = (_bins(given, parts.train.columns, part.columns) for part in _both(parts))
    most = max(int(learnt.max(initial=0)), int(asked.max(initial=0))) + 1
    rows = np.bincount(learnt, minlength=most)
    positives = np.bincount(learnt, weights=parts.train.labels, minlength=most)
    base = float(parts.train.labels.mean())
    share = (positives + _PRIOR_ROWS * base) / (rows + _PRIOR_ROWS)
    return roc_auc(parts.holdout.labels, share[asked])


def pure_bins(given: Input, parts: Parts) -> Estimate:
    """The share of a class's holdout rows that one feature gives away: they lie in bins where nobody else is.

    A column that is filled for some leavers only ("reason for leaving") hardly moves its AUC, and is a leak. Looked at
    are the bins of `single_feature_auc`, and all rows that are not missing as one, where they have 30 training rows. A
    bin is pure if 98 % of its training rows are of the class, surely above 90 % (Wilson, corrected for the bins looked
    at by Bonferroni), and the holdout agrees: not surely below 98 %, and surely above the class's own share. Bins of
    numbers side by side are one, and must end in a cliff, since any strong honest slope ends in a pure range. Classes
    of more than two thirds of the rows fill bins by nature and are not asked after; of both, the greater share is it.
    """
    found = [_given_away(given, parts, label) for label in (True, False)]
    return max((each for each in found if each is not None), key=lambda each: each.value)


def _given_away(given: Input, parts: Parts, label: bool) -> Estimate | None:
    """As `pure_bins`, of the rows with this label; None for a class that is too common."""
    base = float(np.mean(parts.train.labels == label))
    if base > _COMMON:
        return None
    learnt, asked = (_bins(given, parts.train.columns, part.columns) for part in _both(parts))
    bins = max(int(learnt.max(initial=0)), int(asked.max(initial=0)), 1) + 1
    hits, rows = _counted(learnt, parts.train.labels == label, bins)
    asked_hits, asked_rows = _counted(asked, parts.holdout.labels == label, bins)
    level = 1 - 2 * 0.05 / max(1, int(np.count_nonzero(rows >= LOOKED_AT)))
    pure = np.zeros(bins + 1, dtype=np.bool_)
    seem = (rows >= LOOKED_AT) & (hits >= PURE * rows)
    ordered = slice(2, bins) if given.kind == "number" else slice(0, 0)
    alone = [np.array([each]) for each in np.flatnonzero(seem) if not ordered.start <= each < ordered.stop]
    for stretch in [*alone, *(each + 2 for each in _steep(seem[ordered], hits[ordered], rows[ordered]))]:
        proven = rate(int(hits[stretch].sum()), int(rows[stretch].sum()), level)
        again = rate(int(asked_hits[stretch].sum()), int(asked_rows[stretch].sum()))
        pure[stretch] = proven.low > _PROVEN and again.high >= PURE and again.low > base
    caught = pure[asked] | (pure[bins] & (asked > 0))
    return rate(int(np.count_nonzero(caught & (parts.holdout.labels == label))), int(asked_hits[0] + asked_hits[bins]))


def _counted(
    bins: NDArray[np.int64], hit: NDArray[np.bool_], most: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Hits and rows of each bin, shape (most + 1,): the last is all that is not missing."""
    hits, rows = np.bincount(bins, hit, most), np.bincount(bins, minlength=most).astype(np.float64)
    return np.append(hits, hits[1:].sum()), np.append(rows, rows[1:].sum())


def _steep(seem: NDArray[np.bool_], hits: NDArray[np.float64], rows: NDArray[np.float64]) -> list[NDArray[np.intp]]:
    """The stretches of a number's bins, given in its order, that seem pure and have a cliff at each end.

    A cliff is a neighbour of at most half the class; bins of few rows are stepped over.
    """
    there = np.flatnonzero(rows >= LOOKED_AT)
    share, found = hits[there] / rows[there], np.concatenate([[False], seem[there], [False]])
    turns = np.flatnonzero(found[1:] != found[:-1])
    return [
        there[start:end]
        for start, end in turns.reshape(-1, 2)
        if np.all(np.append(share[max(0, start - 1) : start], share[end : end + 1]) <= _CLIFF)
    ]


def _bins(given: Input, train: Columns, part: Columns) -> NDArray[np.int64]:
    """The bin of each row of a part, shape (n,): 0 missing, 1 unseen, then the training part's."""
    values = part[given.name]
    if given.kind == "category":
        seen = sorted({value for value in train[given.name].tolist() if value is not None})
        numbered = {None: 0, **{value: n + 2 for n, value in enumerate(seen)}}
        return np.array([numbered.get(value, 1) for value in values.tolist()], dtype=np.int64)
    known = train[given.name][~np.isnan(train[given.name])]
    edges = np.quantile(known, np.arange(1, BINS) / BINS) if known.size else np.empty(0)
    distinct, rows = np.unique(known, return_counts=True)
    repeated = distinct[rows >= max(LOOKED_AT, 0.01 * known.size)]
    edges = np.unique(np.concatenate([edges, repeated, np.nextafter(repeated, np.inf)]))
    return np.where(np.isnan(values), 0, np.searchsorted(edges, values, "right") + 2)


def copied_rows(parts: Parts, out_of_fold: NDArray[np.float64]) -> Estimate:
    """The share of holdout rows that are copies of training rows under another entity.

    Rows that look alike are not enough: with coarse columns, customers are twins by nature. So a row counts only where
    a twin by chance would be rare: were columns independent, fewer than .05 training entities would have its values.
    And a copy carries the label with it: for a holdout row with label y, whose training twins (same inputs, another
    entity) have the share t of positives and the mean out-of-fold probability p, (y - p)(t - p) averages 0 among
    natural twins and p(1 - p) among copies of a single row, so its mean over all holdout rows (0 where none counts),
    over the mean p(1 - p) of the training part, is the share of copies. Natural twins beside the one copied dilute it.
    NaN where every p is 0 or 1: then a label is no more than its row says.
    """
    train, asked = parts.train, parts.holdout
    both = [np.concatenate([values, asked.columns[name]]) for name, values in train.columns.items()]
    alike = _numbered(both)
    own = _numbered([alike, np.concatenate([train.groups, asked.groups])])

    def over_twins(values: NDArray[np.float64]) -> NDArray[np.float64]:
        everyone, oneself = (np.bincount(codes[: len(train)], values, codes.max() + 1) for codes in (alike, own))
        return np.asarray(everyone[alike[len(train) :]] - oneself[own[len(train) :]], dtype=np.float64)

    twins = over_twins(np.ones(len(train)))
    there = (twins > 0) & (_natural_twins(both, train.groups) < _BY_CHANCE)
    share = over_twins(train.labels.astype(np.float64))[there] / twins[there]
    probability = over_twins(out_of_fold)[there] / twins[there]
    agreement = np.zeros(len(asked))
    agreement[there] = (asked.labels[there] - probability) * (share - probability)
    unsure = float(np.mean(out_of_fold * (1 - out_of_fold)))
    return mean(agreement / (unsure or math.nan))


def _natural_twins(columns: Sequence[NDArray[Any]], groups: NDArray[np.int64]) -> NDArray[np.float64]:
    """How many training entities would have a holdout row's values by chance, shape (holdout rows,).

    `columns` are the training part's rows, then the holdout's; `groups` the training part's entities. That a value was
    met once tells little of how often it comes: Good-Turing does (Good 1953, Biometrika 40), from those met twice.
    """
    n = len(groups)
    entities = np.unique(groups).size
    expected = np.full(len(columns[0]) - n, float(entities))
    for values in columns:
        codes = _numbered([values])
        pairs = np.unique(np.stack([codes[:n], groups]), axis=1)[0]
        met = np.bincount(pairs, minlength=int(codes.max()) + 1).astype(np.float64)
        once, twice = np.count_nonzero(met == 1), np.count_nonzero(met == 2)
        if once:
            met[met == 1] = min(1.0, 2 * twice / once)
        expected *= met[codes[n:]] / entities
    return expected


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
