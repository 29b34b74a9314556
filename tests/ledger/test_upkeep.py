from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from mainstay.adapters.blobs import BlobDirectory
from mainstay.errors import Conflict, Refused, Unavailable
from mainstay.ledger.database import FILES
from mainstay.ledger.files import collected, live_files, replace_files, unneeded
from mainstay.ledger.shipping import ship
from mainstay.ledger.upkeep import collect, compact, erase, retain
from mainstay.nouns import Window
from mainstay.observed import Action, Feed, Label, Origin

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def three_segments(home: Any, predicted: Any, now: datetime) -> None:
    home.log(predicted("p1"), predicted("p2", entity="bob"))
    home.log(predicted("p3", origins={"tenure": Origin.MISSING}))
    home.log(predicted("p4", features={"region": "north"}, entity=None), features={"region": "category"})
    ship(home.stream, home.ledger, home.blobs, "churn", now)


def test_an_hour_that_is_over_becomes_one_file_and_an_old_snapshot_still_reads(
    home: Any, predicted: Any, now: datetime
) -> None:
    three_segments(home, predicted, now)
    before = home.observations.head()
    window = Window(now - DAY, now + DAY)
    rows = home.observations.predictions(window).to_pylist()
    assert compact(home.ledger, home.blobs, "churn", now).hours == 0
    done = compact(home.ledger, home.blobs, "churn", now + HOUR)
    assert (done.hours, done.files, done.blobs) == (1, 3, 0)
    assert len(live_files(home.ledger, "churn", "prediction")) == 1
    again = home.observations.predictions(window).to_pylist()
    origins = [row.pop("o.tenure") for row in again]
    assert [origin or "given" for origin in origins] == [row.pop("o.tenure") or "given" for row in rows]
    assert again == rows
    assert home.ids(before) == home.ids() == ["p1", "p2", "p3", "p4"]
    assert compact(home.ledger, home.blobs, "churn", now + HOUR).hours == 0


def test_what_was_replaced_goes_after_a_day(home: Any, predicted: Any, now: datetime) -> None:
    three_segments(home, predicted, now)
    compact(home.ledger, home.blobs, "churn", now + HOUR)
    assert len(home.blobs.names("observations/")) == 4
    with home.ledger.database.writing("churn") as connection:
        connection.execute(update(FILES).values(at=datetime.now().astimezone() - 1.1 * DAY))  # noqa: TID251
    assert compact(home.ledger, home.blobs, "churn", now + HOUR).blobs == 3
    assert len(home.blobs.names("observations/")) == 1
    assert collect(home.ledger, home.blobs, "churn", DAY) == 0
    assert home.ids() == ["p1", "p2", "p3", "p4"]


def test_a_file_is_replaced_once(home: Any, predicted: Any, now: datetime) -> None:
    three_segments(home, predicted, now)
    files = live_files(home.ledger, "churn", "prediction")
    replace_files(home.ledger, "churn", files[:1], [])
    with pytest.raises(Conflict, match="look again"):
        replace_files(home.ledger, "churn", files, [])
    assert live_files(home.ledger, "churn", "prediction") == files[1:]


def test_what_is_older_than_its_time_is_dropped(home: Any, predicted: Any, now: datetime) -> None:
    home.log(predicted("old", now - 100 * DAY), predicted("new"))
    home.log(Feed("crm", now - 200 * DAY, now - 100 * DAY))
    ship(home.stream, home.ledger, home.blobs, "churn", now)
    done = retain(home.ledger, home.blobs, "churn", now - 90 * DAY)
    assert (done.files, done.rows) == (2, 2)
    assert home.ids() == ["new"]
    assert retain(home.ledger, home.blobs, "churn", now - 90 * DAY).files == 0


def test_an_erased_entity_is_in_no_file_any_more(home: Any, predicted: Any, now: datetime) -> None:
    three_segments(home, predicted, now)
    compact(home.ledger, home.blobs, "churn", now + HOUR)
    home.log(Label("Yes", now, "crm", DAY, entity="ada"), Label("No", now, "crm", DAY, prediction_id="p3"))
    home.log(Label("Yes", now, "crm", DAY, entity="bob"))
    home.log(Action("offer", now, now, 1.0, 2.0, "crm", entity="ada"))
    ship(home.stream, home.ledger, home.blobs, "churn", now)
    assert erase(home.ledger, home.blobs, "churn", "ada").rows == 5
    window = Window(now - DAY, now + DAY)
    assert home.ids() == ["p2", "p4"]
    assert [row["entity"] for row in home.observations.labels(window).to_pylist()] == ["bob"]
    assert home.observations.actions(window).num_rows == 0
    for name in home.blobs.names("observations/"):
        assert b"ada" not in home.blobs.get(name)
    assert erase(home.ledger, home.blobs, "churn", "ada").rows == 0
    with pytest.raises(Refused, match="name"):
        erase(home.ledger, home.blobs, "churn", "")


def test_a_snapshot_whose_files_were_erased_says_so(home: Any, predicted: Any, now: datetime) -> None:
    three_segments(home, predicted, now)
    before = home.observations.head()
    erase(home.ledger, home.blobs, "churn", "ada")
    with pytest.raises(Unavailable, match="observations"):
        home.ids(before)


def test_a_file_that_is_not_where_the_ledger_says_is_unavailable(home: Any, predicted: Any, now: datetime) -> None:
    three_segments(home, predicted, now)
    home.blobs.remove(home.blobs.names("observations/")[0])
    with pytest.raises(Unavailable):
        compact(home.ledger, home.blobs, "churn", now + HOUR)
    with pytest.raises(Unavailable):
        home.ids()


class Meanwhile(BlobDirectory):
    """A store in which somebody else gets something done just before the first blob is put."""

    def __init__(self, root: Path, does: Callable[[], object]) -> None:
        super().__init__(root)
        self.does: Callable[[], object] | None = does

    def put(self, name: str, data: bytes) -> None:
        if self.does is not None:
            does, self.does = self.does, None
            does()
        super().put(name, data)


def test_two_erasures_at_once_each_remove_their_own(home: Any, predicted: Any, now: datetime) -> None:
    home.log(predicted("p1"), predicted("p2", entity="bob"), predicted("p3", entity="eve"))
    ship(home.stream, home.ledger, home.blobs, "churn", now)
    blobs = Meanwhile(home.root / "blobs", lambda: erase(home.ledger, home.blobs, "churn", "bob"))
    with pytest.raises(Conflict):
        erase(home.ledger, blobs, "churn", "ada")
    assert home.ids() == ["p1", "p3"]
    assert erase(home.ledger, home.blobs, "churn", "ada").rows == 1
    assert home.ids() == ["p3"]


def test_what_a_compaction_made_in_vain_is_left_nowhere(home: Any, predicted: Any, now: datetime) -> None:
    three_segments(home, predicted, now)
    blobs = Meanwhile(home.root / "blobs", lambda: erase(home.ledger, home.blobs, "churn", "ada"))
    assert compact(home.ledger, blobs, "churn", now + HOUR).hours == 0
    for name in home.blobs.names("observations/"):
        assert b"ada" not in home.blobs.get(name)
    assert home.ids() == ["p2", "p4"]


def test_two_compactions_of_one_hour_at_once_leave_its_file(home: Any, predicted: Any, now: datetime) -> None:
    three_segments(home, predicted, now)
    blobs = Meanwhile(home.root / "blobs", lambda: compact(home.ledger, home.blobs, "churn", now + HOUR))
    assert compact(home.ledger, blobs, "churn", now + HOUR).hours == 0
    assert home.ids() == ["p1", "p2", "p3", "p4"]


def test_an_erasure_that_was_interrupted_finds_the_labels_of_predictions_all_the_same(
    home: Any, predicted: Any, now: datetime
) -> None:
    home.log(predicted("p1"))
    home.log(Label("No", now, "crm", DAY, prediction_id="p1"), Label("No", now, "crm", DAY, entity="bob"))
    ship(home.stream, home.ledger, home.blobs, "churn", now)
    (labels,) = live_files(home.ledger, "churn", "label")
    blobs = Meanwhile(home.root / "blobs", lambda: replace_files(home.ledger, "churn", [labels], []))
    with pytest.raises(Conflict):
        erase(home.ledger, blobs, "churn", "ada")
    assert home.ids() == ["p1"]  # who its labels are about is known for as long as there are any


def test_two_who_remove_the_same_blobs_do_not_disturb_each_other(home: Any, predicted: Any, now: datetime) -> None:
    three_segments(home, predicted, now)
    compact(home.ledger, home.blobs, "churn", now + HOUR)
    gone = unneeded(home.ledger, "churn", -HOUR)
    assert collect(home.ledger, home.blobs, "churn", -HOUR) == 3
    collected(home.ledger, "churn", gone)
    assert unneeded(home.ledger, "churn", -HOUR) == []


def test_an_hour_in_which_a_feature_changed_its_type_is_compacted(home: Any, predicted: Any, now: datetime) -> None:
    home.log(predicted("p1", features={"plan": 2.0}), features={"plan": "number"})
    home.log(predicted("p2", features={"plan": "two"}), features={"plan": "category"})
    ship(home.stream, home.ledger, home.blobs, "churn", now)
    window = Window(now - DAY, now + DAY)
    before = home.observations.predictions(window)["f.plan"].to_pylist()
    assert compact(home.ledger, home.blobs, "churn", now + HOUR).hours == 1
    assert home.observations.predictions(window)["f.plan"].to_pylist() == before == ["2.0", "two"]
