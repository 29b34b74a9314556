"""What would have to change for a check to pass, in words.

A reason ends with it, after `TO_PASS`, so that a verdict read back from the ledger tells it as well.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Final

from mainstay.verdicts import Check, Need, Outcome, Verdict

TO_PASS: Final = "; to pass: "  # noqa: S105  (what ends a reason, not a password)
_MACHINERY: Final = {
    "parity": "train another estimator, whose graph is exact; a wider limit would hide a defect",
    "claims": "train again: what it says of its scores is not what they are; a wider limit would hide a defect",
}
_ALARMS: Final = {
    "permuted_auc": "find how labels reach the features: an outcome among them, or rows that tell each other's",
    "copied_rows": "keep each row once in the source, or make its entity unique in the contract",
    "single_feature_auc": "take `{subject}` out of the contract, unless it is known when predictions are asked for",
    "pure_bins": "take `{subject}` out of the contract, unless it is known when predictions are asked for",
    "model_auc": "take the feature that knows the outcome out of the contract",
}
_EVIDENCE: Final = (*_MACHINERY, *_ALARMS, "size")
"""Checks of what the training leaves behind: more rows would not bring it."""
_BETTER: Final = {"size": "a smaller candidate", "latency": "a faster candidate or machine"}
"""What is better than rows: these do not rest on any."""
_CHANCE: Final = {"roc_auc": 0.5, "skill": 0.0}
"""What anything at all reaches: a limit below it is no gate, and none is proposed."""
_KEYS: Final = {
    "champion": "champion.log_loss",
    "champion_profit": "champion.profit",
    "profit_above": "profit",
    **{name: f"leakage.{name}" for name in _ALARMS},
    **{name: name for name in ("skill", "calibration_error", "size", "latency")},
}


def told_remedy(made: Check) -> Check:
    """The same check, its reason ending with what would let it pass; one that is met or has an ending is left alone."""
    if made.met or TO_PASS in made.reason:
        return made
    return ending(made, _remedy(made))


def ending(made: Check, words: str) -> Check:
    """The same check with a remedy of its own at the end of its reason."""
    return replace(made, reason=f"{made.reason}{TO_PASS}{words}")


def to_pass(verdict: Verdict) -> tuple[str, ...]:
    """A line for every blocking check that is not met: what it asks, and what would have to change.

    A check that says nothing of that is told by its reason. A verdict that passed has none.
    """
    lines = []
    for made in verdict.checks:
        if made.blocking and not made.met:
            _, found, words = made.reason.rpartition(TO_PASS)
            lines.append(f"{made.name} {made.subject}".strip() + f": {words}" if found else made.reason)
    return tuple(lines)


def limit_for(made: Sequence[Check], key: str) -> str | None:
    """The limit, as a setting of `gates`, within which every estimate of these checks of one gate would lie.

    None where an estimate has no finite interval, or rests on fewer rows than its gate asks for: no limit would do. And
    where a guess would be within it: such a limit asks nothing.
    """
    found = [each.estimate for each in made if each.estimate is not None]
    limit = made[0].limit
    if limit is None or len(found) < len(made) or min(each.rows for each in found) < limit.rows:
        return None
    low, high = min(each.low for each in found), max(each.high for each in found)
    if not (math.isfinite(low) and math.isfinite(high)):
        return None
    if limit.at_least is not None and low <= _CHANCE.get(key.rpartition(".")[2], -math.inf):
        return None
    wanted = []
    if limit.at_least is not None and low < limit.at_least:
        wanted.append(f"at_least {_rounded(low, math.floor):g}")
    if limit.at_most is not None and high > limit.at_most:
        wanted.append(f"at_most {_rounded(high, math.ceil):g}")
    return f"`gates.{key}` with {' and '.join(wanted)}" if wanted else None


def evidence_needed(made: Check, better: str, among: str = "rows") -> str:
    """More rows where the value lies within the limit and only its interval does not; else what is `better`.

    `among` are what the estimate rests on: all held out rows, or its positives or negatives.
    """
    if made.outcome is Outcome.FAIL or made.name in _BETTER or not _within(made):
        return better
    return f"about {made.rows_needed:,} {among} in the holdout" if made.rows_needed else f"more {among}, or {better}"


def _within(made: Check) -> bool:
    found, limit = made.estimate, made.limit
    if found is None or limit is None:
        return False
    low = -math.inf if limit.at_least is None else limit.at_least
    high = math.inf if limit.at_most is None else limit.at_most
    return low <= found.value <= high


def _remedy(made: Check) -> str:
    found, limit = made.estimate, made.limit
    known = found is not None and all(math.isfinite(each) for each in (found.value, found.low, found.high))
    if not known:
        return _measured(made)
    if found is not None and limit is not None and found.rows < limit.rows:
        return f"{limit.rows:,} rows to judge it on"
    if made.name in _MACHINERY:
        return _MACHINERY[made.name]
    key = _KEYS.get(made.name, f"floors.{made.name}")
    better = _BETTER.get(made.name, "a better candidate")
    if made.needs is Need.QUIET and made.name in _ALARMS:
        words = _ALARMS[made.name].format(subject=made.subject)
    else:
        words = evidence_needed(made, better)
    return either((words, limit_for([made], key)))


def _measured(made: Check) -> str:
    """What it takes until there is a number at all."""
    if made.name in _EVIDENCE:
        return "train again: this candidate has no such evidence"
    if made.name == "champion" and made.estimate is None:
        return f"make {made.subject} believed again, or give it the rows that it asks for"
    if made.name == "profit" and made.estimate is None:
        return "say under `profit` what an offer costs and brings"
    return "rows of both classes in the holdout, and a candidate that gives each a probability"


def either(ways: Iterable[str | None]) -> str:
    """The ways there are, as alternatives."""
    return ", or ".join(way for way in ways if way)


def told_in_all(made: Check, rows: float) -> Check:
    """The same check, its reason saying what the held out rows that it lacks are in rows of the source.

    `rows` are those that the source has now, held out or not: the check's own rows grow with them. Their number is of
    an estimate that stays as it is, so it is right about half the time (.5 to .9, simulated), and that is said too.
    Where the value lies outside the limit, more rows would tell that, and that is no way to pass.
    """
    found, needed = made.estimate, made.rows_needed
    if made.outcome is not Outcome.INCONCLUSIVE or found is None or needed is None:
        return made
    if made.name in _EVIDENCE or made.name in _BETTER:
        return made
    if not 0 < found.rows < needed or found.level == 1:
        return made
    in_all = math.ceil(rows * needed / found.rows)
    there = f"about {in_all:,} rows in all, with those to train on"
    said = f"that is {there}" if _within(made) else f"{there}, would tell that it fails"
    return replace(made, reason=f"{made.reason}; if it stays as it is, {said}")


def _rounded(number: float, to: Callable[[float], int]) -> float:
    """Three digits, so that the interval still lies within."""
    if number == 0:
        return 0.0
    unit = 10.0 ** (math.floor(math.log10(abs(number))) - 2)
    return to(number / unit) * unit
