"""Versions of data, as people go back and forth between them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainstay.errors import NotFound, Refused
from mainstay.journeys import progress, versions
from mainstay.journeys import release as journey
from mainstay.journeys.asked import Asked
from mainstay.ledger.kinds import TAGS
from mainstay.usecase import UseCase
from mainstay.wiring import Platform

pytestmark = pytest.mark.xdist_group("mlflow")
Rows = list[dict[str, str]]
Ask = Callable[[Platform], Asked]
Write = Callable[[Path, Rows], None]


@pytest.fixture
def grown(customers: Rows) -> Rows:
    """Of 800 customers 20 went and 30 came, 100 are older, and one has a plan that there is none of."""
    rows = [dict(row) for row in customers[20:]]
    for row in rows[:100]:
        row["age"] = str(int(row["age"]) + 5)
    rows += [{**row, "id": f"x{row['id']}"} for row in rows[300:330]]
    rows[200]["plan"] = "gold; `silver"
    return rows


def freeze(home: Platform, use_case: UseCase, asked: Ask) -> str:
    far = progress.Release(use_case.name)
    made = journey.ingest(home, use_case, asked(home), far, lambda noun: None)
    assert made is not None
    return made.id


def test_an_older_version_is_released_as_the_candidate_that_it_was(
    released: Platform, shop: UseCase, grown: Rows, write_rows: Write, asked: Ask
) -> None:
    first = versions.latest(released, shop).body
    before = progress.Release(shop.name)
    versions.tag(released, shop, "first", None, asked(released))
    write_rows(released.settings.home.parent / "shop.csv", grown)
    assert freeze(released, shop, asked) != first.id
    journey.release(released, shop, asked(released), before, lambda noun: None, "first")
    assert before.dataset == first
    assert before.version is not None
    assert before.candidate is not None
    assert (before.version.version, before.version.candidate) == ("1.0.0", before.candidate.id)


def test_the_log_has_the_newest_first_with_its_parent_and_its_tags(
    home: Platform, shop: UseCase, grown: Rows, write_rows: Write, asked: Ask
) -> None:
    with pytest.raises(NotFound, match="no dataset of shop yet"):
        versions.latest(home, shop)
    first = freeze(home, shop, asked)
    write_rows(home.settings.home.parent / "shop.csv", grown)
    second = freeze(home, shop, asked)
    versions.tag(home, shop, "now", first, asked(home))
    versions.tag(home, shop, "now", second[:12], asked(home))
    versions.tag(home, shop, "now", None, asked(home))
    versions.tag(home, shop, "then", first, asked(home))
    logged = versions.log(home, shop)
    assert [(each.fact.subject, each.fact.body.parent, each.tags) for each in logged] == [
        (second, first, ("now",)),
        (first, None, ("then",)),
    ]
    assert [fact.body.dataset for fact in home.ledger.history(shop.name, TAGS, "now")] == [first, second]


@pytest.mark.parametrize("name", ["", "ds_1234", "-x", "a b", "x" * 64, "ü"])
def test_a_name_that_could_be_anything_else_is_no_tag(home: Platform, shop: UseCase, asked: Ask, name: str) -> None:
    with pytest.raises(Refused, match="a tag is 1 to 63"):
        versions.tag(home, shop, name, None, asked(home))


def test_a_difference_counts_rows_by_entity_and_shows_nothing_personal(
    home: Platform, shop: UseCase, grown: Rows, write_rows: Write, asked: Ask
) -> None:
    first = freeze(home, shop, asked)
    write_rows(home.settings.home.parent / "shop.csv", grown)
    freeze(home, shop, asked)
    found = versions.diff(home, shop, first, None)
    rows = found.rows
    assert (rows.by, rows.before, rows.after) == (("id",), 800, 809)
    assert (rows.added, rows.removed, rows.changed, rows.columns) == (30, 21, 100, {"age": 100})
    assert all(example.row is None and set(example.after) == {"age"} for example in rows.examples)
    assert {shift.column for shift in found.shifts} == {"age", "spent", "plan", "region", "left"}


def test_without_an_entity_whole_rows_are_compared(
    home: Platform, shop_but: Callable[[str, str], UseCase], customers: Rows, write_rows: Write, asked: Ask
) -> None:
    nameless = shop_but("entity: id\n", "")
    first = freeze(home, nameless, asked)
    write_rows(home.settings.home.parent / "shop.csv", [{**customers[0], "age": "19"}, *customers[1:]])
    freeze(home, nameless, asked)
    rows = versions.diff(home, nameless, first, None).rows
    assert (rows.by, rows.added, rows.removed, rows.changed) == ((), 1, 1, 0)


def test_the_quarantine_tells_reasons_without_values(
    home: Platform, shop: UseCase, grown: Rows, write_rows: Write, asked: Ask
) -> None:
    write_rows(home.settings.home.parent / "shop.csv", grown)
    freeze(home, shop, asked)
    found = versions.quarantined(home, shop, None)
    assert (found.rows, len(found.reasons)) == (1, 1)
    assert not any("gold" in reason or "silver" in reason for reason in found.reasons)
    assert found.place is not None
    assert home.blobs.exists(found.place)


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_without_pseudonyms_a_checkout_is_the_same_version_again(
    home: Platform, shop_but: Callable[[str, str], UseCase], asked: Ask, tmp_path: Path, ending: str
) -> None:
    open_shop = shop_but(", personal: hash", "")
    first = freeze(home, open_shop, asked)
    out = tmp_path / f"rows{ending}"
    versions.checkout(home, open_shop, first, out)
    again: Any = open_shop.model_copy(update={"source": str(out)})
    assert freeze(home, again, asked) == first
    assert len(versions.log(home, open_shop)) == 1
    assert not versions.pseudonyms(versions.latest(home, open_shop).body, open_shop)


def test_a_checkout_overwrites_nothing_and_knows_two_endings(
    home: Platform, shop: UseCase, asked: Ask, tmp_path: Path
) -> None:
    first = freeze(home, shop, asked)
    (tmp_path / "rows.csv").write_text("mine")
    with pytest.raises(Refused, match="it is there already"):
        versions.checkout(home, shop, first, tmp_path / "rows.csv")
    with pytest.raises(Refused, match=r"not `\.xlsx`"):
        versions.checkout(home, shop, first, tmp_path / "rows.xlsx")
    assert versions.pseudonyms(versions.checkout(home, shop, first, tmp_path / "new.csv"), shop) == ("id",)
    assert sorted(path.name for path in tmp_path.glob("*.*")) == ["new.csv", "rows.csv"]
