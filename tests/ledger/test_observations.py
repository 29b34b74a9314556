"""What came in a window, counted without reading it in."""

from datetime import timedelta
from pathlib import Path

from tests.ledger.conftest import NOW, Home, a_prediction

from mainstay.ledger.observations import Seen
from mainstay.ledger.shipping import ship
from mainstay.nouns import Window
from mainstay.observed import Ending, Role

DAY = timedelta(days=1)
WEEK = Window(NOW - 7 * DAY, NOW)


def seen(home: Home, version: str = "1.0.0") -> Seen:
    ship(home.stream, home.ledger, home.blobs, "churn", NOW)
    return home.observations.seen(WEEK, version)


def test_without_files_nothing_was_seen(tmp_path: Path) -> None:
    assert seen(Home(tmp_path)) == Seen(0, 0, None, 0, 0)


def test_a_request_counts_once_whoever_listened_or_failed_before_it_was_answered(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.log(
        a_prediction("old", NOW - 8 * DAY),
        a_prediction("a", NOW - 2 * DAY),
        a_prediction("a", NOW - 2 * DAY, version="1.1.0", role=Role.LISTENED),
        a_prediction("b", NOW - DAY, version="1.1.0", role=Role.ATTEMPTED, outcome=Ending.RAISED),
        a_prediction("b", NOW - DAY),
        a_prediction("c", NOW - DAY, entity="bob", role=Role.ATTEMPTED, outcome=Ending.NOT_FINITE),
    )
    assert seen(home) == Seen(3, 2, NOW - 2 * DAY, 3, 1)
    assert seen(home, "1.1.0") == Seen(3, 2, NOW - 2 * DAY, 1, 1)
