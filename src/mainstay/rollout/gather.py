"""What traffic said of the two arms of a rollout, as counts and sums: the only thing that its judge goes by.

* A unit is an entity, or a request where it names none. It counts for the arm it was *assigned* to, whichever answered:
  a challenger that failed before the champion answered has failed, and the champion's answer stands for its arm.
* Whoever is pinned was not assigned: none of the numbers has them. A request that was tried again is one request.
* A unit is exposed once per rollout: at its first request while both arms answer. Where one answers everything and the
  other listens it is compared once too, at its first request that both scored, with itself. Its first error and its
  first request that lacked a feature count once per rollout, in the epoch in which they happened.
* In paired epochs an error counts where the other arm made none. Nobody listens to what nobody answered: a request at
  which the champion failed counts as its error, which can only spare the challenger, and does not excuse it.
* Outcomes are of predictions that are ripe, with the value that they had when they entered (`ledger.joined`).

The last minute is left out (`lag`): what was asked in it may not have been shipped.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from mainstay.gathered import Compared, Epoch, Gathered, Moments
from mainstay.ledger.facts import Fact
from mainstay.ledger.joined import Rules
from mainstay.ledger.observations import Observations
from mainstay.measures.sequential import weighted_difference
from mainstay.nouns import Rollout, Split, Window
from mainstay.observed import Replica
from mainstay.rollout.epochs import Stage, stages
from mainstay.rollout.exposures import Asking, Row, sums
from mainstay.rollout.outcomes import Outcomes, outcomes
from mainstay.usecase import Profit

LEFT_OUT = timedelta(minutes=1)
"""What was asked so shortly before now is not looked at, unless a caller says otherwise: it may be on its way."""


def gather(
    observations: Observations,
    splits: Sequence[Fact[Split]],
    rollout: Rollout,
    rules: Rules,
    profit: Profit | None,
    replicas: Sequence[Replica],
    now: datetime,
    seq: int | None = None,
    *,
    action_changes_outcome: bool = True,
    slow_over_us: float | None = None,
    lag: timedelta = LEFT_OUT,
) -> Gathered:
    """The evidence of a rollout at `now`; the same for the same `seq` and `now`, to the last bit.

    `splits` is the use case's whole history; those of other rollouts are passed over, and what was served under them.
    `replicas` are the live ones. `seq` is a snapshot of the observations, the present one where there is none.
    `action_changes_outcome` is what the use case says of its label. `slow_over_us` is the bound that an earlier look
    froze: given it, observations that arrive late move it no more. `lag` is how far behind `now` the evidence ends: as
    long as a host may take to ship what it answered. Unavailable as `Observations`.
    """
    at = observations.head() if seq is None else seq
    warm = sum({rollout.champion, rollout.challenger} <= set(each.warm) for each in replicas)
    until = now - lag
    none = Gathered(until, at, len(replicas), warm, slow_over_us=slow_over_us)
    found = stages(splits, rollout)
    if not found or until <= rollout.started_at:
        return none
    window = Window(rollout.started_at, until)
    asking = Asking(observations, rollout, found, at)
    rows = sums(asking, window, slow_over_us)
    told = outcomes(asking, window, rules, profit, action_changes_outcome)
    return _filled(none, found, rows, told)


def _filled(none: Gathered, found: Sequence[Stage], rows: Sequence[Row], told: Outcomes) -> Gathered:
    by: dict[str, list[Row]] = {}
    for row in rows:
        by.setdefault(row["what"], []).append(row)
    (counts,), (pairs,), split = by["counts"], by["paired"], by.get("split", [])
    compared = {
        "errors": _added(_events(split, "errors", "rows"), _discordant(pairs, "errors", "rows")),
        "slow": _added(_events(split, "slow", "slow_rows"), _discordant(pairs, "slow", "slow_rows")),
        "missing": _added(_events(split, "missing", "missing_rows"), _discordant(pairs, "missing", "missing_rows")),
        "shift": _added(_shift(split), _moved(pairs, "total")),
        "disagreement": _moved(pairs, "apart"),
        "flipped": _flipped(pairs),
        **told.by_mean,
    }
    could = sum(int(row["probabilities"]) for row in (*split, pairs))
    return replace(
        none,
        requests=int(counts["requests"]),
        step_requests=int(counts["step_requests"]),
        exposed=_counted(split, found),
        errors=_counted(by.get("errors", []), found),
        missing=_counted(by.get("missing", []), found),
        by_mean={name: each for name, each in compared.items() if each.difference.rows},
        labels=told.labels,
        unripe=could - told.ripe,
        contradicted=told.contradicted,
        complete_through=told.complete_through,
        shed=int(counts["shed"]),
        slow_over_us=counts["slow_over"],
        newest=None if counts["newest"] is None else counts["newest"].astimezone(UTC),
    )


def _counted(rows: Sequence[Row], found: Sequence[Stage]) -> tuple[Epoch, ...]:
    """Counts by arm in each epoch, in order of time; epochs in which nothing happened are left out."""
    shares = {stage.epoch: stage.share for stage in found}
    counts: dict[int, list[int]] = {}
    for row in rows:
        counts.setdefault(row["epoch"], [0, 0])[bool(row["challenged"])] += int(row["rows"])
    return tuple(Epoch(counts[epoch][1], counts[epoch][0], shares[epoch]) for epoch in sorted(counts))


def _weighted(total: float, squares: float, row: Row, rows: int) -> Moments:
    """The moments of ψ of units that one arm was given with one logged probability: it is the same multiple of each."""
    factor = float(weighted_difference([1.0], [row["challenged"]], [row["odds"]])[0])
    return Moments(rows, factor * total, factor**2 * squares)


def _events(split: Sequence[Row], name: str, among: str) -> Compared:
    difference, arms, units = Moments(), [0, 0], 0
    for row in split:
        events, rows = int(row[name]), int(row[among])
        difference += _weighted(events, events, row, rows)
        arms[bool(row["challenged"])] += events
        units += rows if row["challenged"] else 0
    return Compared(difference, arms[1], arms[0], units)


def _shift(split: Sequence[Row]) -> Compared:
    difference, arms = Moments(), [0, 0]
    for row in split:
        rows = int(row["probabilities"])
        difference += _weighted(row["total"] or 0.0, row["squares"] or 0.0, row, rows)
        arms[bool(row["challenged"])] += rows
    return Compared(difference, arms[1], arms[0], arms[1])


def _discordant(pairs: Row, name: str, among: str) -> Compared:
    """Differences of paired events: 1, 0 or -1, so that the sum of the squares counts those that differ."""
    total, differ, of, other = (
        int(pairs[each] or 0) for each in (f"{name}_total", f"{name}_differ", f"c_{name}", f"h_{name}")
    )
    rows = int(pairs[among])
    return Compared(Moments(rows, float(total), float(differ)), of, other, rows)


def _moved(pairs: Row, name: str) -> Compared:
    rows = int(pairs["probabilities"])
    return Compared(Moments(rows, pairs[name] or 0.0, pairs["squares"] or 0.0), rows, rows, rows)


def _flipped(pairs: Row) -> Compared:
    """The share of pairs decided otherwise: a flip is an event of both arms."""
    rows, flips = int(pairs["decisions"]), int(pairs["flipped"] or 0)
    return Compared(Moments(rows, float(flips), float(flips)), flips, flips, rows)


def _added(one: Compared, other: Compared) -> Compared:
    return Compared(
        one.difference + other.difference,
        one.challenger + other.challenger,
        one.champion + other.champion,
        one.units + other.units,
    )
