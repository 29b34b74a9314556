"""Questions that need more room than they are given."""

import tempfile
from pathlib import Path

import pytest

from mainstay.errors import Unavailable
from mainstay.ledger.query import ask

LARGE = """SELECT max(nth) AS most, count(DISTINCT place) AS places
FROM (SELECT range AS nth, row_number() OVER (ORDER BY hash(range)) AS place FROM range(1000000))"""
WIDE = "SELECT length(string_agg(repeat('x', 1000), '')) AS long FROM range(200000)"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_what_does_not_fit_in_memory_goes_to_the_disk_and_leaves_nothing_there(scratch: Path) -> None:
    found = ask(LARGE, {}, {}, "test", memory="40MB").to_pylist()
    assert found == [{"most": 999_999, "places": 1_000_000}]
    assert list(scratch.iterdir()) == []


def test_what_fits_nowhere_is_unavailable_with_its_place(scratch: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be read") as caught:
        ask(WIDE, {}, {}, "observations of churn", memory="40MB")
    assert "observations of churn" in str(caught.value)
    assert list(scratch.iterdir()) == []


def test_where_there_is_no_room_for_temporary_files_a_question_is_unavailable(scratch: Path) -> None:
    scratch.rmdir()
    with pytest.raises(Unavailable, match="cannot be read"):
        ask("SELECT 1 AS one", {}, {}, "observations of churn")
