"""Is the source still being written? How old its newest row is, by what the rows themselves say."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from mainstay.data.holdout import watermark_of
from mainstay.nouns import Estimate, rfc3339
from mainstay.spans import span_text
from mainstay.usecase import UseCase
from mainstay.verdicts import Check, Limit, Outcome


def fresh(good: pa.Table, use_case: UseCase, now: datetime | None) -> Check | None:
    """Whether the newest event time, or time of knowing, of rows that keep their promises is recent enough at `now`.

    None where the contract asks for nothing. Where no row or no `now` can say, it is INCONCLUSIVE.
    """
    most = use_case.contract.rows.newest_within
    if most is None:
        return None
    limit = Limit(at_most=most / timedelta(days=1))
    newest = watermark_of(good, use_case) if good.num_rows else None
    if newest is None or now is None:
        said = f"no row says how new the source is, and its newest must be at most {span_text(most)} old"
        return Check("fresh", Outcome.INCONCLUSIVE, said, limit=limit)
    old = now.astimezone(UTC) - newest
    days = old / timedelta(days=1)
    outcome = Outcome.PASS if old <= most else Outcome.FAIL
    said = f"the newest row is of {rfc3339(newest)}, {days:.2f} days old, and must be at most {span_text(most)} old"
    found = Estimate(days, days, days, good.num_rows, level=1.0, method="census")
    return Check("fresh", outcome, said, estimate=found, limit=limit)
