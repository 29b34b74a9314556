"""What would have to change for a check to pass, in words."""

import math
from collections.abc import Callable
from dataclasses import replace

from mainstay.verdicts import Check, Need, Outcome

NO_LIMIT = ("parity", "claims")
"""Checks of the machinery: a wider limit would hide a defect."""


def told_remedy(made: Check) -> Check:
    """The same check, its reason ending with the limit that it would pass where it did not; alarms are left alone.

    Only what was measured can say: without a finite interval the reason stays as it is.
    """
    found, limit = made.estimate, made.limit
    if made.met or made.needs is Need.QUIET or made.name in NO_LIMIT or found is None or limit is None:
        return made
    if not (math.isfinite(found.low) and math.isfinite(found.high)) or found.rows < limit.rows:
        return made
    wanted = []
    if limit.at_least is not None and found.low < limit.at_least:
        wanted.append(f"at least {_rounded(found.low, math.floor):g}")
    if limit.at_most is not None and found.high > limit.at_most:
        wanted.append(f"at most {_rounded(found.high, math.ceil):g}")
    if not wanted:
        return made
    level = f" at level {found.level:.4g}" if found.level < 1 else ""
    better = "or a better candidate" if made.outcome is Outcome.FAIL else "or more rows"
    return replace(made, reason=f"{made.reason}; to pass it takes a limit of {' and '.join(wanted)}{level}, {better}")


def told_in_all(made: Check, rows: float) -> Check:
    """The same check, its reason saying what the held out rows that it lacks are in rows of the source.

    `rows` are those that the source has now, held out or not: the check's own rows grow with them. Their number is of
    an estimate that stays as it is, so it is right about half the time (.5 to .9, simulated), and that is said too.
    """
    found, needed = made.estimate, made.rows_needed
    if made.outcome is not Outcome.INCONCLUSIVE or found is None or needed is None or made.name in (*NO_LIMIT, "size"):
        return made
    if not 0 < found.rows < needed or found.level == 1:
        return made
    in_all = math.ceil(rows * needed / found.rows)
    return replace(
        made,
        reason=f"{made.reason}; if it stays as it is, that is about {in_all:,} rows in all, with those to train on",
    )


def _rounded(number: float, to: Callable[[float], int]) -> float:
    """Three digits, so that the interval still lies within."""
    if number == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(number))) - 2)
    return to(number / unit) * unit
