"""How a candidate does on parts of the holdout: each category's values, quarters of each number, protected groups."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.scores import log_loss, recall, roc_auc
from mainstay.nouns import Estimate
from mainstay.quality.remedy import either, ending, evidence_needed, limit_for
from mainstay.scoring.frame import Frame
from mainstay.usecase_gates import Gate, Slices
from mainstay.verdicts import Check, Limit, Outcome, check

MISSING = "(missing)"
NAMED = 5
"""How many slices of one outcome a reason names."""


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of n rows, `rows` being a mask (n,); `name` says which, as in `Contract=Two year` or `tenure<9`."""

    name: str
    rows: NDArray[np.bool_]


def slices_of(holdout: Frame, least: int = 1) -> list[Slice]:
    """Every slice of `least` rows or more that is not the whole; protected attributes that are no input come last.

    A number is cut at its quartiles, equal values never parted; what is missing is a slice of its own.
    """
    columns = {
        **holdout.columns,
        **{name: each for name, each in holdout.slices.items() if name not in holdout.columns},
    }
    found = (part for name, values in columns.items() for part in _of_column(name, values))
    return [part for part in found if least <= np.count_nonzero(part.rows) < len(holdout)]


def _of_column(name: str, values: NDArray[np.generic]) -> Iterator[Slice]:
    if values.dtype != np.float64:
        for value in sorted({MISSING if each is None else str(each) for each in values.tolist()}):
            rows = [(MISSING if each is None else str(each)) == value for each in values.tolist()]
            yield Slice(f"{name}={value}", np.array(rows, dtype=np.bool_))
        return
    numbers = values.astype(np.float64)
    absent = np.isnan(numbers)
    if absent.any():
        yield Slice(f"{name}={MISSING}", absent)
    if absent.all():
        return
    ends = np.unique(np.quantile(numbers[~absent], (0.25, 0.5, 0.75)))
    place = np.searchsorted(ends, np.where(absent, 0.0, numbers), "right")
    bounds = ["", *(f"{end:g}" for end in ends), ""]
    for n in range(len(ends) + 1):
        low, high = bounds[n], bounds[n + 1]
        said = f"{low}<={name}<{high}" if low and high else f"{name}<{high}" if high else f"{name}>={low}"
        yield Slice(said, (place == n) & ~absent)


def slice_checks(holdout: Frame, probability: NDArray[np.float64], threshold: float, gates: Slices) -> list[Check]:
    """For each measure that has a gate: a check for every slice that fails, and one each for those that cannot be told
    and those that pass, by the nearest to the limit.

    The intervals of one measure hold for all of its slices at once (Bonferroni). Slices of fewer than `rows_at_least`
    rows are not judged. No slice at all: no check.
    """
    parts = slices_of(holdout, gates.rows_at_least)
    if not parts:
        return []
    level = 1 - 0.05 / len(parts)
    measured: tuple[tuple[str, Gate | None, Callable[[Slice], Estimate]], ...] = (
        ("roc_auc", gates.roc_auc, lambda part: roc_auc(holdout.labels[part.rows], probability[part.rows], level)),
        ("log_loss", gates.log_loss, lambda part: log_loss(holdout.labels[part.rows], probability[part.rows], level)),
        (
            "recall_at_threshold",
            gates.recall_at_threshold,
            lambda part: recall(holdout.labels[part.rows], probability[part.rows], threshold, level),
        ),
    )
    checks: list[Check] = []
    for name, gate, of in measured:
        if gate is not None:
            limit = Limit(gate.at_least, gate.at_most, gate.rows)
            made = [
                check(f"slice_{name}", of(part), limit, subject=part.name, blocking=gate.blocking) for part in parts
            ]
            checks += _told(made, name)
    return checks


def _told(made: list[Check], name: str) -> list[Check]:
    told = [ending(each, _remedy([each], name)) for each in made if each.outcome is Outcome.FAIL]
    for outcome, said in ((Outcome.INCONCLUSIVE, "cannot be told"), (Outcome.PASS, "pass")):
        alike = sorted((each for each in made if each.outcome is outcome), key=_room)
        if alike:
            others = ", ".join(each.subject for each in alike[1:NAMED]) if outcome is Outcome.INCONCLUSIVE else ""
            more = f" (after it {others}{', …' if len(alike) > NAMED else ''})" if others else ""
            reason = f"{alike[0].reason}; it is the worst of {len(alike)} slices that {said}{more}"
            one = replace(alike[0], reason=reason)
            told.append(one if outcome is Outcome.PASS else ending(one, _remedy(alike, name)))
    return told


def _remedy(alike: list[Check], name: str) -> str:
    """What would let all of these slices pass, the worst first."""
    worst, key = alike[0], f"slices.{name}"
    if worst.estimate is None or not np.isfinite([worst.estimate.low, worst.estimate.high]).all():
        return f"more rows, of both classes, where {worst.subject}, or a larger `gates.slices.rows_at_least`"
    needed = [each.rows_needed for each in alike]
    better = f"a candidate that does better where {worst.subject}"
    if any(each is None for each in needed) or evidence_needed(worst, better) == better:
        return either((better, limit_for(alike, key)))
    return either((f"up to {max(filter(None, needed)):,} rows of such a slice", limit_for(alike, key)))


def _room(made: Check) -> float:
    """How far the value lies inside its limit; what has no value comes first."""
    if made.estimate is None or made.limit is None or made.estimate.value != made.estimate.value:
        return -np.inf
    low, high = made.limit.at_least, made.limit.at_most
    room = [
        np.inf if low is None else made.estimate.value - low,
        np.inf if high is None else high - made.estimate.value,
    ]
    return float(min(room))
