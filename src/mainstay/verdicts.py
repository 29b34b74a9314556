"""How we judge: data, candidates, rollouts, drift and service, all the same way.

`check` compares an estimate's interval with a limit; `alarm` reads a sequential test:

    PASS           the interval lies wholly inside the limit
    QUIET          the alarm has not crossed, its evidence is present and its minimum exposure reached
    INCONCLUSIVE   straddling, too few rows, NaN, or no evidence at all
    FAIL           the interval lies wholly outside; the alarm has crossed

The absence of an alarm proves nothing, so QUIET is less than PASS, and each check states which of the two it needs.
A verdict is FAIL if a blocking check failed, PASS if there is at least one blocking check and each reached what it
needs, else INCONCLUSIVE. Silence never passes.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from pydantic import computed_field

from mainstay.errors import Refused
from mainstay.nouns import Estimate, Evidence, Valid, Window


class Outcome(StrEnum):
    PASS = "PASS"  # noqa: S105  (an outcome, not a password)
    QUIET = "QUIET"
    INCONCLUSIVE = "INCONCLUSIVE"
    FAIL = "FAIL"


class Need(StrEnum):
    """What a check has to reach: proof, or at least the absence of an alarm."""

    PASS = "pass"  # noqa: S105  (a need, not a password)
    QUIET = "quiet"


@dataclass(frozen=True, slots=True)
class Limit:
    """The closed interval an estimate must lie in, and the rows needed to say so. None is no bound."""

    at_least: float | None = None
    at_most: float | None = None
    rows: int = 1

    def __post_init__(self) -> None:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a limit needs at_least or at_most")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"at_least {self.at_least:g} is above at_most {self.at_most:g}")

    def __str__(self) -> str:
        if self.at_least is None:
            return f"at most {self.at_most:g}"
        if self.at_most is None:
            return f"at least {self.at_least:g}"
        return f"between {self.at_least:g} and {self.at_most:g}"


@dataclass(frozen=True, slots=True)
class Check:
    """One question asked of the evidence, and its answer with a reason in words.

    `rows_needed` is about how many rows would settle an inconclusive check, where that can be told.
    """

    name: str
    outcome: Outcome
    reason: str
    subject: str = ""
    needs: Need = Need.PASS
    blocking: bool = True
    estimate: Estimate | None = None
    evidence: Evidence | None = None
    limit: Limit | None = None
    rows_needed: int | None = None

    @property
    def met(self) -> bool:
        """Whether the check reached what it needs."""
        return self.outcome is Outcome.PASS or (self.outcome is Outcome.QUIET and self.needs is Need.QUIET)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Every check of one subject over one window (None where time has no part).

    `policy` is the digest of what was asked for and of whom, where a later step must know that it is still the same.
    """

    subject: str
    checks: tuple[Check, ...]
    window: Window | None = None
    policy: str | None = None

    @computed_field  # type: ignore[prop-decorator]  # mypy cannot see through pydantic's decorator on a property
    @property
    def outcome(self) -> Outcome:
        """FAIL, PASS or INCONCLUSIVE; advisory checks never count."""
        return outcome_of(self.checks)

    @property
    def reason(self) -> str:
        """Why the verdict is what it is: the blocking checks that decided it."""
        blocking = [made for made in self.checks if made.blocking]
        if not blocking:
            return "nothing was checked"
        if self.outcome is Outcome.PASS:
            return f"all {len(blocking)} blocking checks reached what they need"
        failed = [made for made in blocking if made.outcome is Outcome.FAIL]
        return "; ".join(made.reason for made in failed or [made for made in blocking if not made.met])


def outcome_of(checks: Iterable[Check]) -> Outcome:
    """The outcome of a set of checks; advisory ones never count."""
    blocking = [made for made in checks if made.blocking]
    if any(made.outcome is Outcome.FAIL for made in blocking):
        return Outcome.FAIL
    if blocking and all(made.met for made in blocking):
        return Outcome.PASS
    return Outcome.INCONCLUSIVE


def check(
    name: str,
    estimate: Estimate | None,
    limit: Limit,
    *,
    subject: str = "",
    blocking: bool = True,
    looked_at_again: bool = False,
) -> Check:
    """Compare an estimate with a limit. None means the evidence could not be had.

    `looked_at_again` is True wherever the same question is asked of growing evidence (rollouts, monitoring): an
    interval that is valid at one look only is then Refused.
    """
    if looked_at_again and estimate is not None and estimate.valid is Valid.ONE_LOOK:
        raise Refused(f"{name}: an interval valid at one look cannot judge what is looked at again")
    named = f"{name} of {subject}" if subject else name
    outcome, reason, rows_needed = _compare(named, estimate, limit)
    return Check(
        name,
        outcome,
        reason,
        subject,
        blocking=blocking,
        estimate=estimate,
        limit=limit,
        rows_needed=rows_needed,
    )


def _compare(name: str, found: Estimate | None, limit: Limit) -> tuple[Outcome, str, int | None]:
    if found is None:
        return Outcome.INCONCLUSIVE, f"{name} could not be measured", None
    if not all(math.isfinite(number) for number in (found.value, found.low, found.high)):
        return Outcome.INCONCLUSIVE, f"{name} is not a number", None
    if found.low > found.high:
        return Outcome.INCONCLUSIVE, f"{name} has an interval that ends before it starts", None
    if found.rows < limit.rows:
        return (
            Outcome.INCONCLUSIVE,
            f"{name} rests on {found.rows} rows of the {limit.rows} needed",
            limit.rows,
        )
    low = -math.inf if limit.at_least is None else limit.at_least
    high = math.inf if limit.at_most is None else limit.at_most
    interval = "" if found.low == found.high else f" ({found.low:.4g} to {found.high:.4g})"
    said = f"{name} is {found.value:.4g}{interval}, and must be {limit}"
    if low <= found.low and found.high <= high:
        return Outcome.PASS, said, None
    if found.high < low or high < found.low:
        return Outcome.FAIL, said, None
    rows = _rows_to_settle(found, low, high)
    hint = f"; about {rows:,} rows would tell" if rows else ""
    return Outcome.INCONCLUSIVE, f"{said}: too close to tell on {found.rows:,} rows{hint}", rows


def _rows_to_settle(found: Estimate, low: float, high: float) -> int | None:
    """Rows at which the interval, shrinking as 1/sqrt(rows), would clear the bound it straddles."""
    needed = 0.0
    for bound in (low, high):
        if found.low <= bound <= found.high:
            apart = abs(found.value - bound)
            reach = found.value - found.low if bound <= found.value else found.high - found.value
            if apart <= 1e-6 * abs(reach):  # as good as on the bound: no number of rows that anybody has would tell
                return None
            needed = max(needed, found.rows * (reach / apart) ** 2)
    return math.ceil(needed) if 0 < needed < 1e9 else None


def alarm(
    name: str,
    evidence: Evidence | None,
    bar: float,
    *,
    subject: str = "",
    blocking: bool = True,
    needs: Need = Need.QUIET,
) -> Check:
    """Read a sequential test against `bar`, the e-value (> 1) at which it crosses: 1/alpha, by Ville's inequality.

    Refused where `needs` is PASS: the absence of an alarm is no proof, so that need could never be met.
    """
    if needs is Need.PASS:
        raise Refused(f"{name}: an alarm can be quiet, never pass; a check that needs a pass needs an interval")
    if not bar > 1:
        raise Refused(f"{name}: a bar is an e-value above 1, not {bar:g}")
    named = f"{name} of {subject}" if subject else name
    outcome, reason, rows_needed = _read(named, evidence, bar)
    return Check(name, outcome, reason, subject, needs, blocking, evidence=evidence, rows_needed=rows_needed)


def _read(name: str, found: Evidence | None, bar: float) -> tuple[Outcome, str, int | None]:
    if found is None:
        return Outcome.INCONCLUSIVE, f"{name} has no evidence", None
    if math.isnan(found.log_value):
        return Outcome.INCONCLUSIVE, f"{name} is not a number", None
    value = f"e-value {math.exp(min(found.log_value, 700)):.3g} of {bar:g}"
    if found.log_value >= math.log(bar):
        return Outcome.FAIL, f"{name} crossed ({value}) after {found.rows:,} units", None
    if found.rows < max(found.rows_needed, 1):
        needed = max(found.rows_needed, 1)
        return (
            Outcome.INCONCLUSIVE,
            f"{name} has seen {found.rows:,} units of the {needed:,} it needs",
            needed,
        )
    return Outcome.QUIET, f"{name} is quiet ({value}) after {found.rows:,} units", None
