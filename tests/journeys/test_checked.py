"""Rows beside the dataset version before them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mainstay.data.freeze import blob_name
from mainstay.journeys import release as journey
from mainstay.journeys import versions
from mainstay.journeys.asked import Asked
from mainstay.journeys.progress import Release
from mainstay.usecase import UseCase
from mainstay.verdicts import Outcome
from mainstay.wiring import Platform

pytestmark = pytest.mark.xdist_group("mlflow")
Rows = list[dict[str, str]]


def test_a_column_in_another_unit_is_not_frozen_unless_the_former_rows_are_lost(
    home: Platform,
    shop: UseCase,
    customers: Rows,
    write_rows: Callable[[Path, Rows], None],
    asked: Callable[[Platform], Asked],
) -> None:
    source, heard = home.settings.home.parent / "shop.csv", list[Any]()
    assert journey.ingest(home, shop, asked(home), Release(shop.name), heard.append) is not None
    first = versions.latest(home, shop).body
    write_rows(source, [{**row, "spent": row["spent"] and str(float(row["spent"]) / 100)} for row in customers])
    far = Release(shop.name)
    assert journey.ingest(home, shop, asked(home), far, heard.append) is None
    assert far.verdict is not None
    failed = [
        (each.name, each.subject) for each in far.verdict.checks if each.outcome is Outcome.FAIL and each.blocking
    ]
    assert ("units", "spent") in failed
    lost = next(path for path in home.settings.home.rglob("*.parquet") if path.name == Path(blob_name(first)).name)
    lost.unlink()
    assert journey.ingest(home, shop, asked(home), Release(shop.name), heard.append) is not None
    assert any("units are not compared with the last dataset version" in str(each) for each in heard)
