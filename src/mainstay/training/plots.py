"""Pictures of a candidate on its holdout, as PNG bytes: the same rows give the same bytes.

Everywhere `labels` (n,) are True for the positive class and `probabilities` (n,) its scores in [0, 1]. Where a curve
cannot be had (no rows, one class only, a score that is not finite) the picture says so. ValueError for other shapes.
"""

import io
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mainstay.measures.intervals import Bools, Floats, labelled
from mainstay.measures.money import Offer
from mainstay.measures.rates import rate
from mainstay.measures.scores import average_precision, roc_auc
from mainstay.nouns import Estimate

_BLUE, _ORANGE, _GREY, _INK = "#2b6ca3", "#d07a2d", "#a9b0b7", "#2f3640"
_SIZE = (7.2, 4.8)  # inches; at 120 dots each, 864 by 576 pixels
_DOTS = 120
_MOST = 20  # inputs in one picture of importance
_SLICES = 30  # in one picture of them


def holdout_plots(
    labels: ArrayLike, probabilities: ArrayLike, threshold: float, classes: tuple[str, str], offer: Offer | None = None
) -> dict[str, bytes]:
    """Every picture below but importance, by file name (`roc.png` …). `classes` are negative, positive."""
    return {
        "roc.png": roc(labels, probabilities),
        "precision_recall.png": precision_recall(labels, probabilities),
        "calibration.png": calibration(labels, probabilities),
        "thresholds.png": thresholds(labels, probabilities, threshold, offer),
        "scores.png": scores(labels, probabilities, threshold, classes),
        "confusion.png": confusion(labels, probabilities, threshold, classes),
    }


def roc(labels: ArrayLike, probabilities: ArrayLike) -> bytes:
    """True positive rate by false positive rate, over all thresholds, with the area under it."""

    def draw(axes: Any, truth: Bools, values: Floats) -> None:
        _, reached, hits = ranked(truth, values)
        missed = reached - hits
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1, label="chance")
        area = _words(roc_auc(truth, values))
        axes.plot(missed / missed[-1], hits / hits[-1], color=_BLUE, linewidth=2, label=f"area {area}")
        _square(axes)
        axes.legend(loc="lower right", frameon=False)

    return _picture("ROC", "false positive rate", "true positive rate", labels, probabilities, draw)


def precision_recall(labels: ArrayLike, probabilities: ArrayLike) -> bytes:
    """Precision by recall, over all thresholds, with the average precision and the base rate."""

    def draw(axes: Any, truth: Bools, values: Floats) -> None:
        _, reached, hits = ranked(truth, values)
        base = truth.mean()
        axes.axhline(base, color=_GREY, linestyle="--", linewidth=1, label=f"base rate {base:.3f}")
        average = _words(average_precision(truth, values))
        precision = hits[1:] / reached[1:]
        axes.step(hits[1:] / hits[-1], precision, color=_BLUE, linewidth=2, where="pre", label=f"average {average}")
        _square(axes)
        axes.legend(loc="upper right", frameon=False)

    return _picture("Precision and recall", "recall", "precision", labels, probabilities, draw)


def calibration(labels: ArrayLike, probabilities: ArrayLike, bins: int = 10) -> bytes:
    """Observed against predicted rates in `bins` groups of about equally many rows, with Wilson's 95 % intervals."""

    def draw(axes: Any, truth: Bools, values: Floats) -> None:
        order = np.argsort(values, kind="stable")
        groups = [group for group in np.array_split(order, bins) if group.size]
        said = np.array([values[group].mean() for group in groups])
        seen = [rate(int(truth[group].sum()), group.size) for group in groups]
        value = np.array([each.value for each in seen])
        reach = np.array([[each.value - each.low for each in seen], [each.high - each.value for each in seen]])
        axes.plot([0, 1], [0, 1], color=_GREY, linestyle="--", linewidth=1, label="what is said is so")
        axes.errorbar(said, value, np.clip(reach, 0, 1), color=_BLUE, fmt="o", capsize=3, label="observed, 95 %")
        _square(axes)
        axes.legend(loc="upper left", frameon=False)

    return _picture("Calibration", "predicted probability", "observed rate", labels, probabilities, draw)


def thresholds(labels: ArrayLike, probabilities: ArrayLike, threshold: float, offer: Offer | None = None) -> bytes:
    """What each threshold would bring, and the one chosen: profit per customer, or precision, recall and F1."""

    def draw(axes: Any, truth: Bools, values: Floats) -> None:
        at, reached, hits = ranked(truth, values)
        if offer is not None:
            profit = (offer.worth * hits - offer.cost * reached) / truth.size
            everyone = offer.worth * truth.mean() - offer.cost
            axes.axhline(0, color=_GREY, linestyle="--", linewidth=1, label="no offers")
            axes.step([0, *at[:0:-1], 1], [everyone, *profit[:0:-1], 0], color=_BLUE, linewidth=2, where="pre")
            axes.set_ylim(*_around(np.append(profit, 0)))
        else:
            positives = hits[-1]
            curves = {
                "precision": (hits[1:] / reached[1:], _GREY),
                "recall": (hits[1:] / positives, _ORANGE),
                "F1": (2 * hits[1:] / (reached[1:] + positives), _BLUE),
            }
            for name, (curve, color) in curves.items():
                axes.step(at[1:], curve, color=color, linewidth=2, where="post", label=name)
            axes.set_ylim(0, 1.02)
        axes.axvline(threshold, color=_INK, linewidth=1, label=f"chosen: {threshold:.3f}")
        axes.set_xlim(0, 1)
        axes.legend(loc="best", frameon=False)

    title = "Precision, recall and F1 by threshold" if offer is None else "Profit by threshold"
    return _picture(
        title, "threshold", "value" if offer is None else "profit per customer", labels, probabilities, draw
    )


def scores(labels: ArrayLike, probabilities: ArrayLike, threshold: float, classes: tuple[str, str]) -> bytes:
    """How the probabilities of each class lie, as shares of that class in bins of .05."""

    def draw(axes: Any, truth: Bools, values: Floats) -> None:
        edges = np.linspace(0, 1, 21)
        for positive, color in ((False, _GREY), (True, _ORANGE)):
            own = values[truth == positive]
            name = f"{classes[int(positive)]} ({own.size:,} rows)"
            axes.hist(own, edges, weights=np.full(own.size, 1 / own.size), color=color, alpha=0.65, label=name)
        axes.axvline(threshold, color=_INK, linewidth=1, label=f"threshold {threshold:.3f}")
        axes.set_xlim(0, 1)
        axes.legend(loc="best", frameon=False)

    return _picture(
        "Scores by class", f"probability of {classes[1]}", "share of the class", labels, probabilities, draw
    )


def confusion(labels: ArrayLike, probabilities: ArrayLike, threshold: float, classes: tuple[str, str]) -> bytes:
    """What was decided against what was so, at probability >= threshold: rows, and the share of what was so."""

    def draw(axes: Any, truth: Bools, values: Floats) -> None:
        decided = values >= threshold
        counts = np.array(
            [[np.sum((truth == so) & (decided == said)) for said in (False, True)] for so in (False, True)]
        )
        shares = counts / counts.sum(axis=1, keepdims=True)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for (row, column), count in np.ndenumerate(counts):
            share = shares[row, column]
            words = f"{count:,}\n{share:.1%}"
            color = "white" if share > 0.55 else _INK
            axes.text(column, row, words, ha="center", va="center", fontsize=14, color=color)
        axes.set_xticks([0, 1], classes)
        axes.set_yticks([0, 1], classes)
        axes.grid(False)

    return _picture(f"Decisions at {threshold:.3f}", "decided", "was", labels, probabilities, draw)


def importance(values: Mapping[str, float], unit: str = "increase in log loss when shuffled") -> bytes:
    """Bars of the 20 inputs that matter most, by name; `unit` labels their axis. An empty mapping is said in words."""
    ranked = sorted(values.items(), key=lambda each: (-each[1], each[0]))[:_MOST]
    figure, axes = _figure("Importance", unit, "")
    if not ranked:
        return _png(figure, axes, "no inputs")
    names, sizes = [name if len(name) <= 28 else f"{name[:27]}…" for name, _ in ranked], [size for _, size in ranked]
    places = np.arange(len(names))
    axes.barh(places, sizes, color=_BLUE, height=0.7)
    axes.set_yticks(places, names)
    axes.invert_yaxis()
    axes.grid(False, axis="y")
    axes.axvline(0, color=_INK, linewidth=0.8)
    return _png(figure, axes)


def by_slice(scores: Mapping[str, Estimate], name: str) -> bytes:
    """One score with its interval for the 30 slices where it is furthest from the median one, the highest on top."""
    known = {slice_: each for slice_, each in scores.items() if np.isfinite([each.value, each.low, each.high]).all()}
    figure, axes = _figure(f"{name} by slice", name, "")
    if not known:
        return _png(figure, axes, "no slice with what it needs")
    usual = float(np.median([each.value for each in known.values()]))
    furthest = sorted(known, key=lambda slice_: (-abs(known[slice_].value - usual), slice_))[:_SLICES]
    shown = sorted(furthest, key=lambda slice_: (-known[slice_].value, slice_))
    figure.set_size_inches(_SIZE[0], max(_SIZE[1], 1.2 + 0.26 * len(shown)))
    values = np.array([[known[each].value, known[each].low, known[each].high] for each in shown])
    reach = np.clip([values[:, 0] - values[:, 1], values[:, 2] - values[:, 0]], 0, None)
    places = np.arange(len(shown))
    axes.errorbar(values[:, 0], places, xerr=reach, color=_BLUE, fmt="o", capsize=3)
    axes.set_yticks(places, [each if len(each) <= 44 else f"{each[:43]}…" for each in shown])
    axes.invert_yaxis()
    axes.axvline(usual, color=_GREY, linestyle="--", linewidth=1)
    return _png(figure, axes)


def _picture(
    title: str,
    across: str,
    up: str,
    labels: ArrayLike,
    probabilities: ArrayLike,
    draw: Callable[[Any, Bools, Floats], None],
) -> bytes:
    truth, values = labelled(labels, probabilities)
    figure, axes = _figure(title, across, up)
    why = ""
    if truth.size == 0:
        why = "no rows"
    elif not np.all(np.isfinite(values)):
        why = "some probabilities are not finite"
    elif truth.all() or not truth.any():
        why = "one class only"
    else:
        draw(axes, truth, values)
    return _png(figure, axes, why)


def _figure(title: str, across: str, up: str) -> tuple[Any, Any]:
    # Imported here: importing a journey must not cost half a second of matplotlib. A figure without pyplot has no
    # window, no global state and the Agg renderer.
    from matplotlib.figure import Figure

    figure = Figure(figsize=_SIZE, dpi=_DOTS, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=_INK, fontsize=13, fontweight="bold")
    axes.set_xlabel(across, color=_INK)
    axes.set_ylabel(up, color=_INK)
    axes.tick_params(colors=_INK)
    axes.grid(True, color="#e6e8ea", linewidth=0.8)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_GREY)
    return figure, axes


def _png(figure: Any, axes: Any, why_not: str = "") -> bytes:
    if why_not:
        axes.text(0.5, 0.5, f"not drawn: {why_not}", ha="center", va="center", transform=axes.transAxes, color=_INK)
    file = io.BytesIO()
    figure.savefig(file, format="png", metadata={"Software": None})  # which would name a version of matplotlib
    return file.getvalue()


def ranked(truth: Bools, values: Floats) -> tuple[Floats, NDArray[np.float64], NDArray[np.float64]]:
    """Distinct scores from the highest down, and the rows and positives at or above each; before them, nothing."""
    order = np.argsort(-values, kind="stable")
    last = np.flatnonzero(np.append(np.diff(values[order]) != 0, True))
    reached = np.insert((last + 1).astype(np.float64), 0, 0)
    hits = np.insert(np.cumsum(truth[order])[last].astype(np.float64), 0, 0)
    return np.insert(values[order][last], 0, np.inf), reached, hits


def _around(values: Floats) -> tuple[float, float]:
    """Limits of an axis that shows all of them; the far side of a ruinous threshold may leave the picture."""
    top = float(values.max())
    bottom = max(float(values.min()), -2 * top) if top > 0 else float(values.min())
    room = 0.05 * (top - bottom) or 1.0
    return bottom - room, top + room


def _square(axes: Any) -> None:
    axes.set_xlim(-0.01, 1.01)
    axes.set_ylim(-0.01, 1.01)


def _words(estimate: Estimate) -> str:
    return f"{estimate.value:.3f} [{estimate.low:.3f}, {estimate.high:.3f}]"
