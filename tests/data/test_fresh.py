"""A feed that stopped is noticed."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from mainstay.data.fresh import fresh
from mainstay.data.validate import validate
from mainstay.usecase import UseCase
from mainstay.verdicts import Outcome

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def within(shop: UseCase, span: timedelta) -> UseCase:
    rows = shop.contract.rows.model_copy(update={"newest_within": span})
    return shop.model_copy(update={"contract": shop.contract.model_copy(update={"rows": rows})})


def seen(*ages: timedelta) -> pa.Table:
    return pa.table({"seen": pa.array([NOW - age for age in ages], pa.timestamp("us", "UTC"))})


def test_the_newest_row_decides(shop: UseCase) -> None:
    asked = within(shop, timedelta(days=3))
    good = fresh(seen(timedelta(days=90), timedelta(days=2)), asked, NOW)
    late = fresh(seen(timedelta(days=90), timedelta(days=4)), asked, NOW)
    assert good is not None
    assert good.outcome is Outcome.PASS
    assert late is not None
    assert late.outcome is Outcome.FAIL
    assert late.blocking
    assert "4.00 days old, and must be at most 3d old" in late.reason


def test_nothing_is_asked_by_default_and_silence_never_passes(shop: UseCase, rows: pa.Table) -> None:
    assert fresh(seen(timedelta(days=90)), shop, NOW) is None
    unknown = fresh(seen(timedelta(0)), within(shop, timedelta(days=3)), None)
    assert unknown is not None
    assert unknown.outcome is Outcome.INCONCLUSIVE
    snapshot = validate(rows, within(shop, timedelta(days=3)), NOW).verdict
    (made,) = [each for each in snapshot.checks if each.name == "fresh"]
    assert made.outcome is Outcome.INCONCLUSIVE
