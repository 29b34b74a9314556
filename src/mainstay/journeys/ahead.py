"""What a plan would do if it were started now: at the traffic that was observed, else at the one that is expected."""

from datetime import datetime, timedelta

from mainstay.ledger.kinds import SPLITS
from mainstay.ledger.observations import Observations
from mainstay.nouns import Window
from mainstay.rollout.preview import Base, Preview, Traffic, preview
from mainstay.usecase import Label
from mainstay.usecase_plan import Plan
from mainstay.wiring import Platform

WEEK = timedelta(days=7)
LEAST = timedelta(hours=1)
"""Less than this since the first request tells no rate."""
ENOUGH = 1000
"""Fewer requests than this that the champion answered tell no error rate."""


def look_ahead(platform: Platform, use_case: str, plan: Plan, label: Label, why: str = "") -> Preview:
    """The plan, were it started now; `why` is the reason of its start.

    Traffic and the champion's error rate are those of the last week, or since its first request. Unavailable where
    observations cannot be read.
    """
    now = platform.settings.clock()
    traffic, base = _observed(platform, use_case, now)
    if traffic is None and plan.expected_traffic is not None:
        traffic = Traffic(plan.expected_traffic, "expected_traffic")
    return preview(plan, traffic, base, label, now, why)


def _observed(platform: Platform, use_case: str, now: datetime) -> tuple[Traffic | None, Base]:
    split = platform.ledger.latest(use_case, SPLITS, use_case)
    if split is None:
        return None, Base()
    cache = platform.settings.home / "cache" / "observations"
    observations = Observations(platform.ledger, platform.blobs, use_case, cache)
    seen = observations.seen(Window(now - WEEK, now), split.body.reigning)
    base = Base(seen.errors / seen.scored, measured=True) if seen.scored >= ENOUGH else Base()
    if seen.first_at is None or now - seen.first_at < LEAST:
        return None, base
    days = (now - seen.first_at) / timedelta(days=1)
    again = max(0.0, seen.requests / max(1, seen.units) - 1) / days  # who came once says nothing about coming again
    return Traffic(seen.requests / days, "observations", again), base
