"""Which rows are held out, and where the cut lies."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from mainstay.data.holdout import held_out, holdout_of, watermark_of
from mainstay.digests import canonical_json, unit_interval
from mainstay.nouns import Holdout
from mainstay.usecase import UseCase

START = datetime(2026, 1, 1, 6, tzinfo=UTC)


def daily(days: int, *, loaded: datetime | None = None) -> pa.Table:
    """One row a day at six in the morning."""
    times = [START + timedelta(days=n) for n in range(days)]
    kind = pa.timestamp("us", "UTC")
    return pa.table(
        {
            "id": [f"c{n}" for n in range(days)],
            "seen": pa.array(times, kind),
            "loaded": pa.array([None] * (days - 1) + [loaded], kind),
            "left": ["No"] * days,
        }
    )


def cut_of(table: pa.Table, use_case: UseCase, least_cut: datetime | None = None) -> Holdout:
    return holdout_of(table, use_case, watermark_of(table, use_case), least_cut)


def test_a_snapshot_is_held_out_by_the_hash_of_its_names(shop: UseCase) -> None:
    table = pa.table({"id": [f"c{n}" for n in range(2000)]})
    made = cut_of(table, shop)
    assert made == Holdout("shop", 0.25)
    found = held_out(table, shop, made)
    assert found.tolist() == [unit_interval("holdout", "shop", f"c{n}") < 0.25 for n in range(2000)]
    assert 0.22 < found.mean() < 0.28


def test_an_entity_s_rows_are_all_on_one_side(shop: UseCase) -> None:
    table = pa.table({"id": [f"c{n % 50}" for n in range(200)]})
    sides = held_out(table, shop, cut_of(table, shop)).reshape(4, 50)
    assert (sides == sides[0]).all()


def test_without_names_the_row_itself_is_hashed_but_not_its_label(tiny_use_case: UseCase) -> None:
    nameless = tiny_use_case.model_copy(update={"entity": None})
    table = pa.table(
        {
            "at": pa.array([START, None, START], pa.timestamp("us", "UTC")),
            "age": [20, 30, 20],
            "spent": [1.5, None, 1.5],
            "plan": ['"a', None, '"a'],
            "left": ["No", "Yes", None],
        }
    )
    first = canonical_json(["2026-01-01T06:00:00.000000Z", 20, 1.5, '"a']).decode()
    texts = [first, canonical_json([None, 30, None, None]).decode(), first]
    for share in (0.1, 0.3, 0.5, 0.7, 0.9):
        found = held_out(table, nameless, Holdout("tiny", share))
        assert found.tolist() == [unit_interval("holdout", "tiny", text) < share for text in texts]


def test_the_watermark_is_the_latest_time_that_the_rows_bear_witness_to(shop: UseCase) -> None:
    assert watermark_of(pa.table({"id": ["a"]}), shop) is None
    assert watermark_of(daily(10), shop) == START + timedelta(days=9)
    later = datetime(2027, 1, 1, tzinfo=UTC)
    assert watermark_of(daily(10, loaded=later), shop) == later
    assert watermark_of(daily(10).drop_columns("loaded"), shop) == START + timedelta(days=9)


def test_the_cut_is_the_midnight_before_the_quantile_of_ripe_rows(shop: UseCase) -> None:
    table = daily(73)  # 33 days until ripe: the first 40 are
    made = cut_of(table, shop)
    assert made.cut == datetime(2026, 1, 31, tzinfo=UTC)
    ripe = [at < START + timedelta(days=40) for at in table["seen"].to_pylist()]
    assert int((held_out(table, shop, made) & np.array(ripe)).sum()) == 10
    assert held_out(table, shop, made).tolist() == [day >= 30 for day in range(73)]


def test_the_cut_never_moves_back_whatever_the_share_or_the_salt(shop: UseCase) -> None:
    later = datetime(2026, 5, 1, tzinfo=UTC)
    wider = shop.model_copy(update={"recipe": shop.recipe.model_copy(update={"holdout": 0.5, "salt": "other"})})
    for use_case in (shop, wider):
        assert cut_of(daily(73), use_case, later).cut == later
    assert cut_of(daily(73), shop, datetime(2025, 5, 1, tzinfo=UTC)).cut == datetime(2026, 1, 31, tzinfo=UTC)


def test_as_long_as_nothing_is_ripe_nothing_is_held_out(shop: UseCase) -> None:
    made = cut_of(daily(20), shop)
    assert made.cut is None
    assert not held_out(daily(20), shop, made).any()


@pytest.mark.parametrize("share", [0.001, 0.999])
def test_any_share_has_a_cut(shop: UseCase, share: float) -> None:
    other = shop.model_copy(update={"recipe": shop.recipe.model_copy(update={"holdout": share})})
    assert cut_of(daily(73), other).cut is not None
