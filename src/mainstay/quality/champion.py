"""Is the candidate no worse than what is live? Both scored on the same rows, none of which the champion learnt from."""

import math
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from mainstay.measures.money import Offer
from mainstay.measures.scores import paired_difference
from mainstay.nouns import Look
from mainstay.quality.worth import called_by, gain
from mainstay.usecase_gates import Gate
from mainstay.verdicts import Check, Limit, Outcome, check

NAME = "champion"


@dataclass(frozen=True, slots=True)
class Contest:
    """What the champion and the candidate say of n rows: `labels`, `champion` and `candidate` have shape (n,).

    `seen` counts the rows of the candidate's holdout that are left out because the champion was trained on them.
    """

    version: str
    labels: NDArray[np.bool_]
    champion: NDArray[np.float64]
    candidate: NDArray[np.float64]
    seen: int = 0
    champion_threshold: float = math.nan
    candidate_threshold: float = math.nan


@dataclass(frozen=True, slots=True)
class Unasked:
    """A champion that cannot be compared with, and why: it is not believed, or the rows lack what it asks for."""

    version: str
    reason: str


def champion_check(contest: Contest | Unasked, gate: Gate, taken: Look | None = None) -> Check:
    """Non-inferiority: the candidate's mean log loss minus the champion's, in nats, clipped and paired by row.

    The interval has the level of the look `taken`, .95 for None. No rows, or too few, are INCONCLUSIVE. A champion that
    cannot be asked is INCONCLUSIVE too, but advisory: what was tampered with must not keep its successor away.
    """
    limit = Limit(gate.at_least, gate.at_most, gate.rows)
    if isinstance(contest, Unasked):
        said = f"{NAME}: {contest.version}, which is live, cannot be compared with: {contest.reason}"
        return Check(NAME, Outcome.INCONCLUSIVE, said, contest.version, blocking=False, limit=limit)
    level = 0.95 if taken is None else 1 - taken.alpha
    found = paired_difference(contest.labels, contest.champion, contest.candidate, level)
    made = check(NAME, found, limit, subject=contest.version, blocking=gate.blocking)
    said = f"log loss minus that of the {made.reason}"
    if taken is not None:
        said += f" (look {taken.number})"
    if contest.seen:
        said += f"; {contest.seen:,} rows that {contest.version} was trained on do not count"
    if made.outcome is Outcome.INCONCLUSIVE and (contest.seen or (taken is not None and taken.number > 1)):
        renewing = (
            "a later cut" if taken is not None and taken.cut is not None else "more rows under the champion's salt"
        )
        said += f"; {renewing if contest.seen else _renewal(taken)} renews the holdout"
    return replace(made, reason=said)


def champion_profit(contest: Contest, offer: Offer, gate: Gate, taken: Look | None = None) -> Check:
    """The candidate's profit a customer minus the champion's, each at its own threshold, paired by row."""
    worth = np.where(contest.labels, offer.worth, 0.0) - offer.cost
    here = called_by(contest.candidate, contest.candidate_threshold)
    there = called_by(contest.champion, contest.champion_threshold)
    found = gain(worth, here, there, 0.95 if taken is None else 1 - taken.alpha)
    limit = Limit(gate.at_least, gate.at_most, gate.rows)
    made = check("champion_profit", found, limit, subject=contest.version, blocking=gate.blocking)
    return replace(made, reason=made.reason.replace("champion_profit of", "profit above that of the champion", 1))


def _renewal(taken: Look | None) -> str:
    return "a later cut" if taken is not None and taken.cut is not None else "a new salt"
