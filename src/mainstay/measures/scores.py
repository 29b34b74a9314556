"""How good scores are, each number with its interval, its rows and its method.

`labels` are bool or 0/1 of shape (n,), 1 being the positive class; `probabilities` are float64 of shape (n,), of that
class. Positive is decided by probability >= threshold, everywhere. Intervals are two-sided, take rows as independent
and the model and its threshold as given (not chosen on these rows), and are valid at one look.

What cannot be had is NaN with its rows, never a warning: empty input, a probability that is not finite or lies outside
[0, 1] (rankings and decisions take any finite score), a class that a measure needs and the rows lack. ValueError: a
label other than 0 and 1, shapes that differ. How far each interval can be trusted at which size is in docs/alarms.md.
"""

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from mainstay.measures.intervals import (
    Bools,
    Floats,
    labelled,
    never_missed,
    normal_quantile,
    on_logit_scale,
    probable,
    skewed_mean,
    student_quantile,
    unknown,
)
from mainstay.measures.money import Offer, expected_profit
from mainstay.measures.rates import rate
from mainstay.nouns import Estimate


def roc_auc(labels: ArrayLike, scores: ArrayLike, level: float = 0.95) -> Estimate:
    """The probability that a positive scores above a negative, ties counting half; in [0, 1]. Any finite scores.

    DeLong's variance (DeLong et al. 1988, Biometrics 44), by ranks in O(n log n) (Sun & Xu 2014, IEEE Signal Process.
    Lett. 21), on the logit scale, with Welch's degrees of freedom. It believes few positives that happen to rank high
    (it covers .88 with 10 of them at an AUC of .95), so below 100 rows of the rarer class the interval is widened to
    Newcombe's score interval (2006, Statist. Med. 25, part 2, method 5) where that reaches further. All pairs in order,
    or none: an exact binomial bound, since min(positives, negatives) disjoint pairs are independent. A constant score
    ranks nothing: exactly .5. One row of a class: [0, 1]. One class: NaN.
    """
    method = "DeLong, logit"
    truth, values = labelled(labels, scores)
    n, positives = values.size, int(np.count_nonzero(truth))
    if not 0 < positives < n or not np.all(np.isfinite(values)):
        return unknown(n, method, level)
    above, below = _placements(np.sort(values[truth]), np.sort(values[~truth]))
    value = float(above.mean())
    fewer = min(positives, n - positives)
    if value in (0.0, 1.0):
        bound = never_missed(fewer, level)
        low, high = (bound, 1.0) if value else (0.0, 1 - bound)
    elif fewer == 1:
        low, high = 0.0, 1.0
    else:
        parts = (float(above.var(ddof=1)) / above.size, float(below.var(ddof=1)) / below.size)
        variance = sum(parts)
        if variance < 1e-24:
            return Estimate(value, value, value, n, level, method)
        freedom = variance**2 / (parts[0] ** 2 / (above.size - 1) + parts[1] ** 2 / (below.size - 1))
        low, high = on_logit_scale(value, math.sqrt(variance), student_quantile(level, freedom))
        if fewer < 100:
            z = normal_quantile(level)
            low = min(low, _score_bound(value, 0.0, above.size, below.size, z))
            high = max(high, _score_bound(value, 1.0, above.size, below.size, z))
    return Estimate(value, low, high, n, level, method)


def _score_bound(value: float, end: float, positives: int, negatives: int, z: float) -> float:
    """The AUC between `value` and `end` from which `value` is z standard errors away, as of exponential scores.

    Hanley & McNeil's variance (1982, Radiology 143) with both classes of their mean size, as Newcombe has it.
    """
    others = (positives + negatives) / 2 - 1
    near, far = value, end
    for _ in range(60):
        tried = (near + far) / 2
        spread = 1 + others * ((1 - tried) / (2 - tried) + tried / (1 + tried))
        inside = (value - tried) ** 2 <= z * z * tried * (1 - tried) * spread / (positives * negatives)
        near, far = (tried, far) if inside else (near, tried)
    return near


def _placements(positives: Floats, negatives: Floats) -> tuple[Floats, Floats]:
    """For each positive the share of negatives below it, for each negative the share of positives above it."""
    under = np.searchsorted(negatives, positives, "left") + np.searchsorted(negatives, positives, "right")
    over = np.searchsorted(positives, negatives, "left") + np.searchsorted(positives, negatives, "right")
    return under / (2 * negatives.size), 1 - over / (2 * positives.size)


def average_precision(labels: ArrayLike, scores: ArrayLike, level: float = 0.95) -> Estimate:
    """The mean, over the positives, of the precision at each one's score; in (0, 1]. Any finite scores.

    The value is scikit-learn's. The standard error is the infinitesimal jackknife (Efron 1982, chapter 6), which is the
    bootstrap's in the limit, without its noise; on the logit scale (Boyd et al. 2013, ECML PKDD, section 4), with
    Student's t at positives - 1. Perfect ranking: Boyd's binomial bound on the positives. One positive: [0, 1]; none:
    NaN.
    """
    method = "infinitesimal jackknife, logit"
    truth, values = labelled(labels, scores)
    n, positives = values.size, int(np.count_nonzero(truth))
    if positives == 0 or not np.all(np.isfinite(values)):
        return unknown(n, method, level)
    value, influence = _precision_influence(truth, values)
    if value >= 1:
        low, high = never_missed(positives, level), 1.0
    elif positives == 1:
        low, high = 0.0, 1.0
    else:
        error = math.sqrt(float(np.sum(influence**2))) / n
        low, high = on_logit_scale(value, error, student_quantile(level, positives - 1))
    return Estimate(value, low, high, n, level, method)


def _precision_influence(truth: Bools, scores: Floats) -> tuple[float, Floats]:
    """Average precision, and what a little more weight on each row (in score order) would add to it."""
    order = np.argsort(scores, kind="stable")
    ranked, hit = scores[order], truth[order].astype(np.float64)
    n, positives = hit.size, hit.sum()
    starts = np.flatnonzero(np.append(True, ranked[1:] != ranked[:-1]))  # the first row of each distinct score
    sizes = np.diff(np.append(starts, n))
    reached = (n - starts).astype(np.float64)
    hits = np.add.reduceat(hit, starts)
    precision = np.cumsum(hits[::-1])[::-1] / reached
    value = float(np.sum(hits * precision) / positives)
    raised = np.repeat(np.cumsum(hits / reached), sizes)
    lowered = np.repeat(np.cumsum(hits * precision / reached), sizes)
    own = hit * (np.repeat(precision, sizes) - value)
    return value, n / positives * (own + hit * raised - lowered)


def log_loss(labels: ArrayLike, probabilities: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean negative log likelihood in nats, at least 0; probabilities are clipped to [1e-15, 1 - 1e-15].

    The interval is Hall's for leaning means. It cannot know of a confident error that has not happened yet.
    """
    truth, values = labelled(labels, probabilities)
    if not probable(values):
        return unknown(values.size, "Hall", level)
    return skewed_mean(_losses(truth, values, 1e-15), level, lowest=0.0)


def _losses(truth: Bools, probabilities: Floats, clip: float) -> Floats:
    said = np.clip(np.where(truth, probabilities, 1 - probabilities), clip, 1 - clip)
    return np.asarray(-np.log(said), dtype=np.float64)


def brier(labels: ArrayLike, probabilities: ArrayLike, level: float = 0.95) -> Estimate:
    """Mean squared error of the probabilities, in [0, 1], with Hall's interval for leaning means."""
    truth, values = labelled(labels, probabilities)
    if not probable(values):
        return unknown(values.size, "Hall", level)
    return skewed_mean((values - truth) ** 2, level, lowest=0.0, highest=1.0)


def paired_difference(
    labels: ArrayLike, champion: ArrayLike, challenger: ArrayLike, level: float = 0.95, clip: float = 0.01
) -> Estimate:
    """Mean log loss of the challenger minus the champion's on the same rows, in nats: below 0 the challenger is better.

    Probabilities are clipped to [clip, 1 - clip], so that one confident error does not decide: the result lies in
    [-ln 99, ln 99] at .01. Hall's interval, which with fewer than 20 rows
    of a class may cover .92; it is one point at 0 where both models agree on every row.
    """
    truth, before = labelled(labels, champion)
    _, after = labelled(labels, challenger)
    if not probable(before) or not probable(after):
        return unknown(before.size, "Hall, paired", level)
    found = skewed_mean(_losses(truth, after, clip) - _losses(truth, before, clip), level)
    return dataclasses.replace(found, method="Hall, paired")


def skill(labels: ArrayLike, probabilities: ArrayLike, level: float = 0.95) -> Estimate:
    """1 - log loss / log loss of always saying these rows' base rate: 1 is perfect, 0 no better, below 0 worse.

    Delta method on the ratio, the base rate being estimated too, with Student's t at (rows of the rarer class) - 1.
    Fewer than two rows of a class: no interval; one class: NaN.
    """
    method = "delta"
    truth, values = labelled(labels, probabilities)
    n, base = values.size, float(truth.mean()) if truth.size else 0.0
    if not probable(values) or not 0 < base < 1:
        return unknown(n, method, level)
    losses = _losses(truth, values, 1e-15)
    loss, entropy = float(losses.mean()), -(base * math.log(base) + (1 - base) * math.log(1 - base))
    value = 1 - loss / entropy
    fewer = min(int(np.count_nonzero(truth)), int(np.count_nonzero(~truth)))
    if fewer < 2:
        return unknown(n, method, level, value)
    slope = loss / entropy**2 * math.log((1 - base) / base)
    influence = slope * (truth - base) - (losses - loss) / entropy
    reach = student_quantile(level, fewer - 1) * math.sqrt(float(np.sum(influence**2))) / n
    return Estimate(value, value - reach, min(1.0, value + reach), n, level, method)


def calibration_error(labels: ArrayLike, probabilities: ArrayLike, level: float = 0.95, bins: int = 10) -> Estimate:
    """Expected calibration error: the mean over rows of |observed rate - mean probability| of the row's bin; in [0, 1].

    Up to `bins` bins of equal mass, each of 20 rows or more, equal probabilities never parted. The plain sum is biased
    upwards (a true model on 1,000 rows shows about .03), so each bin's gap is debiased by what noise adds to its size
    (Kumar, Liang & Ma 2019, NeurIPS, section 4.3, in closed form: a folded normal); the noise is a binomial's at the
    Laplace-smoothed rate, so that a bin without positives is not believed to be exact. The interval allows for any bias
    between none (every bin is off) and that of a true model (none is); it is conservative: it covers over `level`.
    """
    method = "debiased, folded normal"
    truth, values = labelled(labels, probabilities)
    z, n = normal_quantile(level), values.size
    if not probable(values):
        return unknown(n, method, level)
    order = np.argsort(values, kind="stable")
    starts = _bin_starts(values[order], max(1, min(bins, n // 20)))
    sizes = np.diff(np.append(starts, n)).astype(np.float64)
    hits = np.add.reduceat(truth[order].astype(np.float64), starts)
    gaps = np.abs(hits - np.add.reduceat(values[order], starts)) / sizes
    smoothed = (hits + 1) / (sizes + 2)
    noise = np.sqrt(smoothed * (1 - smoothed) / sizes)
    weights = sizes / n
    plain, error = float(weights @ gaps), math.sqrt(float(np.sum((weights * noise) ** 2)))
    most = math.sqrt(2 / math.pi) * float(weights @ noise)
    value = max(0.0, plain - float(weights @ (_folded_mean(gaps, noise) - gaps)))
    return Estimate(value, max(0.0, plain - most - z * error), min(1.0, plain + z * error), n, level, method)


def _bin_starts(ranked: Floats, bins: int) -> NDArray[np.intp]:
    """Where each bin begins among sorted probabilities: at the first row of the one that stands at each quantile."""
    quantiles = ranked[np.arange(bins) * ranked.size // bins]
    return np.unique(np.searchsorted(ranked, quantiles, "left"))


def _folded_mean(middle: Floats, spread: Floats) -> Floats:
    """The mean of |X| for a normal X."""
    ratio = middle / spread
    density = np.exp(-(ratio**2) / 2) * math.sqrt(2 / math.pi)
    return np.asarray(spread * density + middle * (1 - 2 * ndtr(-ratio)), dtype=np.float64)


def accuracy(labels: ArrayLike, probabilities: ArrayLike, threshold: float = 0.5, level: float = 0.95) -> Estimate:
    """The share of rows decided rightly, with Wilson's interval."""
    both, wasted, missed, neither = _counts(labels, probabilities, threshold)
    return rate(both + neither, both + wasted + missed + neither, level)


def precision(labels: ArrayLike, probabilities: ArrayLike, threshold: float = 0.5, level: float = 0.95) -> Estimate:
    """The share of positives among those called positive, who are its `rows`. Wilson; nobody called positive: NaN."""
    both, wasted, _, _ = _counts(labels, probabilities, threshold)
    return rate(both, both + wasted, level)


def recall(labels: ArrayLike, probabilities: ArrayLike, threshold: float = 0.5, level: float = 0.95) -> Estimate:
    """The share of the positives, who are its `rows`, that are called positive. Wilson; no positives: NaN."""
    both, _, missed, _ = _counts(labels, probabilities, threshold)
    return rate(both, both + missed, level)


def f1(labels: ArrayLike, probabilities: ArrayLike, threshold: float = 0.5, level: float = 0.95) -> Estimate:
    """The harmonic mean of precision and recall, in [0, 1]. `rows` are those that are positive or called so.

    F1 = 2J/(1+J), where J is the share of these rows that are both: a proportion, whose Wilson interval carries over
    (Lam, Gopal & Qian 2023, arXiv 2309.14621, "Wilson indirect"). No such rows: NaN.
    """
    both, wasted, missed, _ = _counts(labels, probabilities, threshold)
    found = rate(both, both + wasted + missed, level)
    value, low, high = (2 * share / (1 + share) for share in (found.value, found.low, found.high))
    return Estimate(value, low, high, found.rows, level, "Wilson, indirect")


def _counts(labels: ArrayLike, probabilities: ArrayLike, threshold: float) -> tuple[int, int, int, int]:
    """True positives, false positives, false negatives, true negatives; all 0 where nothing can be decided."""
    truth, values = labelled(labels, probabilities)
    if math.isnan(threshold) or not np.all(np.isfinite(values)):
        return 0, 0, 0, 0
    called = values >= threshold
    both = int(np.count_nonzero(called & truth))
    wasted, missed = int(np.count_nonzero(called)) - both, int(np.count_nonzero(truth)) - both
    return both, wasted, missed, values.size - both - wasted - missed


def scorecard(
    labels: ArrayLike, probabilities: ArrayLike, threshold: float, offer: Offer | None = None, level: float = 0.95
) -> dict[str, Estimate]:
    """Every score of one model on one set of rows, by metric: the names that releases, cards and monitors show.

    accuracy, precision, recall and f1 are at .5, and `_at_threshold` at `threshold`; so is profit, there only with an
    offer. One estimate that cannot be had does not spoil the others.
    """
    truth, values = labelled(labels, probabilities)
    cards = {
        "roc_auc": roc_auc(truth, values, level),
        "average_precision": average_precision(truth, values, level),
        "log_loss": log_loss(truth, values, level),
        "brier": brier(truth, values, level),
    }
    decisions = {"accuracy": accuracy, "precision": precision, "recall": recall, "f1": f1}
    cards |= {name: measure(truth, values, 0.5, level) for name, measure in decisions.items()}
    if offer is not None:
        cards["profit"] = expected_profit(truth, values, threshold, offer, level)
    cards |= {f"{name}_at_threshold": measure(truth, values, threshold, level) for name, measure in decisions.items()}
    cards["calibration_error"] = calibration_error(truth, values, level)
    cards["skill"] = skill(truth, values, level)
    return cards
