"""Do the groups of a protected attribute fare alike? Gaps between their rates, each with its interval.

The selection rate is the share of a group that is called positive; the true and false positive rates are that share of
its positives and of its negatives (Hardt, Price & Srebro 2016, "Equality of opportunity in supervised learning").
"""

import itertools
import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.rates import difference, rate
from mainstay.nouns import Estimate
from mainstay.quality.remedy import either, ending, evidence_needed, limit_for
from mainstay.scoring.frame import Frame
from mainstay.usecase_gates import Fairness, Gate
from mainstay.verdicts import Check, Limit, check

NAMED = 5
"""How many of the groups that are too small a reason names."""
MISSING = "(missing)"

AMONG = {"selection_gap": "rows", "true_positive_gap": "positives", "false_positive_gap": "negatives"}
"""What each gap counts of a group."""

Bools = NDArray[np.bool_]
Groups = dict[str, Bools]


def fairness_checks(holdout: Frame, probability: NDArray[np.float64], threshold: float, gates: Fairness) -> list[Check]:
    """A check for every gap that has a gate, on every protected attribute of the n rows; its subject is the attribute.

    `probability` has shape (n,); rows without a value are a group of their own. A group is compared where its rate
    rests on `group_at_least` rows (of its positives, for the true positive rate); those that are not are named.
    A probability or threshold that is not finite makes every gap unknown. No protected attributes: no checks.
    """
    finite = bool(np.isfinite(probability).all()) and not math.isnan(threshold)
    called = probability >= threshold if finite else None
    asked = (
        ("selection_gap", gates.selection_gap, np.ones(len(holdout), dtype=np.bool_)),
        ("true_positive_gap", gates.true_positive_gap, holdout.labels),
        ("false_positive_gap", gates.false_positive_gap, ~holdout.labels),
    )
    by_attribute = {attribute: _groups(values) for attribute, values in holdout.slices.items()}
    return [
        _compared(name, gate, attribute, {group: rows & among for group, rows in groups.items()}, called, gates)
        for attribute, groups in by_attribute.items()
        for name, gate, among in asked
        if gate is not None
    ]


def gap(rates: list[Estimate], level: float = 0.95) -> Estimate | None:
    """The greatest difference between any two of k independent rates, in [0, 1]; None for fewer than two.

    The rates' own level must be 1 - (1 - level) / pairs: then all pairwise intervals (Newcombe 1998) hold at once
    (Bonferroni), and so does the greatest of their lower and of their upper ends for the greatest true difference.
    An interval of the most distant pair alone would be optimistic: that pair was chosen by its noise.
    """
    pairs = [difference(*sorted(pair, key=lambda each: each.value)) for pair in itertools.combinations(rates, 2)]
    if not pairs:
        return None
    return Estimate(
        max(pair.value for pair in pairs),
        max(0.0, *(pair.low for pair in pairs)),
        min(1.0, max(max(pair.high, -pair.low) for pair in pairs)),
        sum(each.rows for each in rates),
        level,
        f"Newcombe, Bonferroni over {len(pairs)}",
    )


def _groups(values: NDArray[np.object_]) -> Groups:
    names = dict.fromkeys(values.tolist())
    places = {value: n for n, value in enumerate(names)}
    codes = np.fromiter((places[value] for value in values.tolist()), dtype=np.int64, count=len(values))
    return {MISSING if value is None else str(value): codes == n for value, n in places.items()}


def _compared(name: str, gate: Gate, attribute: str, groups: Groups, called: Bools | None, gates: Fairness) -> Check:
    sizes = {group: int(np.count_nonzero(rows)) for group, rows in groups.items()}
    large = [group for group in groups if sizes[group] >= gates.group_at_least]
    rates: dict[str, Estimate] = {}
    if called is not None and len(large) > 1:
        level = 1 - 0.05 / math.comb(len(large), 2)
        rates = {group: rate(int(np.count_nonzero(called & groups[group])), sizes[group], level) for group in large}
    found = gap(list(rates.values()))
    limit = Limit(gate.at_least, gate.at_most, gate.rows)
    made = check(name, found, limit, subject=attribute, blocking=gate.blocking)
    said = made.reason
    lowest, highest = min(large, key=_by(rates), default=""), max(large, key=_by(rates), default="")
    if rates:
        said += f"; lowest {lowest} ({rates[lowest].value:.3g}), highest {highest} ({rates[highest].value:.3g})"
    small = sorted(set(groups) - set(large))
    among = AMONG[name]
    if small:
        more = f" and {len(small) - NAMED} more" if len(small) > NAMED else ""
        said += f"; not compared, on fewer than {gates.group_at_least} {among}: {', '.join(small[:NAMED])}{more}"
    told = replace(made, reason=said)
    if made.met:
        return told
    if called is None:
        return ending(told, "train again: what it says is no number")
    if not rates:
        return ending(told, _more_of(sizes, small, gates.group_at_least, among))
    return ending(told, _closer(made, name, (lowest, highest), among))


def _by(rates: dict[str, Estimate]) -> Callable[[str], float]:
    return lambda group: rates[group].value if group in rates else 0.0


def _more_of(sizes: dict[str, int], small: list[str], least: int, among: str) -> str:
    """What it takes until two groups can be compared: the largest of those that are too small need the fewest."""
    lacking = sorted(small, key=lambda group: -sizes[group])[: 2 - (len(sizes) - len(small))]
    if len(sizes) < 2:
        return f"rows of a second group, with {least} {among} or more; there is only {next(iter(sizes), 'none')}"
    need = " and ".join(f"{group} (now {sizes[group]})" for group in lacking)
    return f"{least} {among} or more in the holdout of {need}"


def _closer(made: Check, name: str, groups: tuple[str, str], among: str) -> str:
    """By how much the two groups that are furthest apart would have to come closer; or rows, where they are close."""
    better = f"a candidate that treats {groups[0]} and {groups[1]} more alike"
    if made.estimate is not None and made.limit is not None and made.limit.at_most is not None:
        excess = made.estimate.value - made.limit.at_most
        if excess > 0:
            pair = f"{groups[0]} and {groups[1]} (of their {among})"
            better = f"a candidate whose rates for {pair} lie {excess:.2g} closer, or more"
    return either((evidence_needed(made, better, among), limit_for([made], f"fairness.{name}")))
