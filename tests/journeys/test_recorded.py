"""Things named by the start of their id."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.errors import NotFound, Refused
from mainstay.journeys.recorded import recorded
from mainstay.ledger.facts import Entry, Ledger
from mainstay.ledger.kinds import DATASETS
from mainstay.nouns import DatasetVersion, Holdout

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Three datasets of the use case shop."""
    with Ledger(f"sqlite:///{tmp_path}/ledger.db") as made:
        for name in ("ds_abcd1111", "ds_abcd2222", "ds_ffff0000"):
            body = DatasetVersion(name, "shop", 1, ("id",), "c" * 64, Holdout("shop", 0.2))
            made.write("shop", Entry(DATASETS, name, body), at=NOW, actor="ada", reason="It was frozen.")
        yield made


@pytest.mark.parametrize("named", ["ds_ffff0000", "ds_ffff", "ds_ffff00"])
def test_an_id_or_its_start_is_enough(ledger: Ledger, named: str) -> None:
    assert recorded(ledger, "shop", DATASETS, named).subject == "ds_ffff0000"


@pytest.mark.parametrize("named", ["", " ", "ds_", "ds_fff", "d"])
def test_too_short_a_start_is_refused(ledger: Ledger, named: str) -> None:
    with pytest.raises(Refused, match="is too short to name a dataset: give at least 4 digits"):
        recorded(ledger, "shop", DATASETS, named)


def test_the_start_of_two_is_refused_and_both_are_shown(ledger: Ledger) -> None:
    with pytest.raises(Refused, match="`ds_abcd` is the start of 2 datasets: ds_abcd1111, ds_abcd2222"):
        recorded(ledger, "shop", DATASETS, "ds_abcd")


def test_what_is_not_there_is_told_with_what_is(ledger: Ledger) -> None:
    with pytest.raises(NotFound, match=r"there is no dataset `ds_0000` of shop \(the last are: ds_abcd1111, "):
        recorded(ledger, "shop", DATASETS, "ds_0000")
    with pytest.raises(NotFound, match=r"there is no dataset `ds_ffff` of churn$"):
        recorded(ledger, "churn", DATASETS, "ds_ffff")
