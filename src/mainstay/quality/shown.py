"""The parts of a card that an examination fills: decisions, calibration, importance and slices, with their plots."""

import math
from collections.abc import Sequence

from mainstay.examined import Examination, Slice
from mainstay.nouns import Candidate, Estimate
from mainstay.quality.document import Block, Line, Paragraph, Picture, Pictures, Span, Table, code, words
from mainstay.quality.drawings import bars, curve, dots
from mainstay.scoring.decide import Calibration, Decide

_DIAGONAL = ((0.0, 0.0), (1.0, 1.0))
_MOST = 20


def decision_blocks(
    examined: Examination | None, decide: Decide, candidate: Candidate, named: str
) -> tuple[Block, ...]:
    """The threshold, what it earns, what was decided against what was so, and the curves behind it."""
    told = words("It decides ", code(decide.positive), " from ", Span(f"{decide.threshold:.4f}", "run"), " on.")
    for name, start in decide.risk:
        told = (*told, *words(f" {name} risk begins at ", Span(f"{start:.4f}", "run"), "."))
    blocks: list[Block] = [Paragraph(told)]
    profit = candidate.holdout.get("profit")
    if profit is None:
        blocks.append(Paragraph(words("What an action costs and brings is not recorded, so there is no profit.")))
    else:
        earned = words("On the holdout it earns ", *number(profit), " per customer.")
        blocks.append(Paragraph(earned))
    if examined is None:
        return (*blocks, Paragraph(words("Its run kept no confusion matrix and no curves.")))
    if examined.profit is not None:
        offer = examined.profit
        blocks.append(
            Paragraph(
                words(
                    "An offer costs ",
                    Span(f"{offer.offer_cost:.15g}", "run"),
                    ", a customer who stays is worth ",
                    Span(f"{offer.value_saved:.15g}", "run"),
                    ", and an offer keeps ",
                    Span(f"{offer.save_rate:.15g}", "run"),
                    " of those who would leave.",
                )
            )
        )
    found = examined.confusion
    other = next(each for each in decide.classes if each != decide.positive)
    rows = (
        (words("was ", code(decide.positive)), _count(found.hits), _count(found.missed)),
        (words("was ", code(other)), _count(found.false_alarms), _count(found.rejections)),
    )
    blocks.append(Table(("", f"decided {decide.positive}", f"decided {other}"), rows, numbers_from=1))
    brings = "F1" if examined.profit is None else "profit per customer"
    pictures = (
        Picture(
            f"{_file(named)}-threshold",
            curve(
                f"What a threshold brings: {brings}",
                "threshold",
                brings,
                examined.by_threshold,
                mark=examined.threshold,
                level=f"chosen: {examined.threshold:.4f}",
            ),
            f"What each threshold brings on the holdout ({brings}), and the one chosen.",
        ),
        Picture(
            f"{_file(named)}-roc",
            curve("ROC", "false positive rate", "true positive rate", examined.roc, dashed=_DIAGONAL),
            "True positive rate by false positive rate; the dashed line is chance.",
        ),
        Picture(
            f"{_file(named)}-precision-recall",
            curve("Precision and recall", "recall", "precision", examined.precision_recall),
            "Precision by recall, over all thresholds.",
        ),
    )
    return (*blocks, Pictures(pictures))


def calibration_blocks(
    examined: Examination | None, calibration: Calibration, candidate: Candidate, named: str
) -> tuple[Block, ...]:
    """Whether what it says comes true as often as it says."""
    told = words(
        "Platt's numbers, learnt out of fold: slope ",
        Span(f"{calibration.slope:.4f}", "run"),
        ", offset ",
        Span(f"{calibration.offset:.4f}", "run"),
        ". Calibration error on the holdout: ",
        *number(candidate.holdout.get("calibration_error")),
        ".",
    )
    if examined is None:
        return Paragraph(told), Paragraph(words("Its run kept no calibration points."))
    rows = tuple(
        ((Span(f"{each.predicted:.4f}", "run"),), number(each.observed), _count(each.observed.rows))
        for each in examined.calibration
    )
    drawn = dots(
        "Calibration",
        "predicted probability",
        "observed rate",
        [(each.predicted, each.observed) for each in examined.calibration],
    )
    said = "Observed by predicted rates with their intervals; on the dashed line what is said is so."
    return (
        Paragraph(told),
        Pictures((Picture(f"{_file(named)}-calibration", drawn, said),)),
        Table(("predicted", "observed", "rows"), rows, numbers_from=0),
    )


def importance_blocks(examined: Examination | None, named: str) -> tuple[Block, ...]:
    """What the model rests on, the most important input first."""
    if examined is None:
        return (Paragraph(words("Its run kept no importance of its inputs.")),)
    ranked = sorted(examined.importance.items(), key=lambda each: (-_or_least(each[1]), each[0]))
    told = "How much log loss it gains, on the holdout, when the values of one input are dealt out anew."
    drawn = bars("Importance", "log loss gained", ranked[:_MOST])
    rows = tuple(
        (words(code(name)), (Span(f"{gain:.4f}", "run"),) if math.isfinite(gain) else words("not known"))
        for name, gain in ranked
    )
    return (
        Paragraph(words(told)),
        Pictures((Picture(f"{_file(named)}-importance", drawn, "The inputs that matter most, from the top down."),)),
        Table(("input", "log loss gained"), rows, numbers_from=1),
    )


def slice_table(slices: Sequence[Slice], names: Sequence[str]) -> Table:
    """A row for each slice, with its scores in the order of their names."""
    rows = tuple(
        (
            words(code(each.column)),
            words(code(each.value)),
            _count(each.rows),
            *(number(each.scores.get(name), 3) for name in names),
        )
        for each in slices
    )
    return Table(("column", "value", "rows", *(name.replace("_", " ") for name in names)), rows, numbers_from=2)


def number(found: Estimate | None, places: int = 4) -> Line:
    """An estimate with its interval, linked to the run; `not known` where there is none."""
    if found is None or not math.isfinite(found.value):
        return words("not known")
    if found.low == found.high:
        return (Span(f"{found.value:.6g}", "run"),)
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return (Span(f"{found.value:.{places}f}", "run"), Span(", how exactly is not known"))
    return (Span(f"{found.value:.{places}f} ({found.low:.{places}f} to {found.high:.{places}f})", "run"),)


def _count(count: int) -> Line:
    return (Span(f"{count:,}", "run"),)


def _or_least(value: float) -> float:
    return value if math.isfinite(value) else -math.inf


def _file(named: str) -> str:
    """The start of the names of a card's files: `churn-1.4.0`."""
    return named.replace("@", "-")
