"""Decisions that are acted upon: a town whose leavers are kept by offers, observed, joined and gathered."""

import math
from dataclasses import replace
from datetime import datetime, timedelta

from rollout_traffic import DAY, MINUTE, ROLLOUT, START, Town, Traffic, after, history, split

from mainstay.churn import lives
from mainstay.churn.offers import offers
from mainstay.churn.simulate import Population
from mainstay.digests import unit_interval
from mainstay.gathered import Compared
from mainstay.ledger.joined import Rules
from mainstay.ledger.observations import Observations
from mainstay.observed import Feed
from mainstay.rollout.gather import gather

MONTH = DAY
"""A month of the town passes in a day, so that what is observed of it is in few files."""
FASTER = timedelta(days=30) / MONTH
DAYS = 75
LEAVE = {"Month-to-month": 0.43, "One year": 0.11, "Two year": 0.03}
"""What both models know: how many leave, by their contract."""


def soon(at: datetime) -> datetime:
    return START + (at - START) / FASTER


def scored(arm: str, entity: str, contract: str) -> float:
    """Models that are as good, each wrong on its own account."""
    odds = LEAVE[contract] / (1 - LEAVE[contract]) * math.exp(3 * unit_interval("assign", arm, entity) - 1.5)
    return odds / (1 + odds)


def lived(acting: bool) -> Traffic:
    """A paired shadow: whom the champion flags is made an offer the day after, which keeps nearly all who would go."""
    town = lives.Town(Population(4_000, 9), START, lives.Habits(save_rate=0.9, mistaken=0))
    traffic, decided = Traffic(), dict[str, str]()
    for _ in range(DAYS):
        day = town.step(offers(decided) if acting else None)
        names, contracts, times = (day.asked[name].tolist() for name in ("customerID", "Contract", "observed_at"))
        decided = {}
        for entity, contract, at in zip(names, contracts, times, strict=True):
            minutes = (soon(at.replace(tzinfo=START.tzinfo)) - START) / MINUTE
            theirs, ours = (scored(arm, entity, contract) for arm in ("challenger", "champion"))
            traffic.both(minutes, theirs, ours, entity=entity)
            decided[entity] = "Yes" if ours >= 0.5 else "No"
        traffic.labels += [
            replace(each, known_at=soon(each.known_at), true_at=soon(each.true_at), as_of=None, horizon=MONTH)
            for each in day.labels
            if each.true_at is not None
        ]
        traffic.actions += [replace(each, at=soon(each.at), known_at=soon(each.known_at)) for each in day.actions]
        traffic.feeds.append(Feed("simulator", soon(day.complete_through), soon(day.window.end)))
    return traffic


def paired(observations: Observations, changes: bool) -> Compared:
    rules = Rules("Yes", horizon=MONTH, grace=MONTH / 6, absent_means="No")
    shadow, now = history(split(1, 0, listens=True)), after(DAYS / FASTER * 24 * 60)
    told = gather(observations, shadow, ROLLOUT, rules, None, [], now, action_changes_outcome=changes)
    return told.by_mean["log_loss_paired"]


def error(found: Compared) -> float:
    return found.difference.deviation / math.sqrt(found.difference.rows)


def test_outcomes_that_offers_have_changed_are_judged_as_if_there_had_been_none(town: Town) -> None:
    traffic = lived(True)
    kinds = [action.kind for action in traffic.actions]
    assert 0.15 < kinds.count("none") / len(kinds) < 0.25
    offered, alone = town.observations(traffic), town.observations(lived(False))
    weighted, naive, truth = paired(offered, True), paired(offered, False), paired(alone, False)
    assert weighted.difference.rows == naive.difference.rows
    assert abs(weighted.difference.mean - truth.difference.mean) < 2 * error(weighted)
    assert naive.difference.mean < truth.difference.mean - 4 * error(naive)
    assert weighted.units == int(weighted.difference.rows / 5)
