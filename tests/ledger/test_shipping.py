import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pytest

from mainstay.adapters.blobs import BlobDirectory
from mainstay.errors import Unavailable
from mainstay.ledger import shipping
from mainstay.ledger.files import DAMAGED, blob_name, head, live_files, replace_files
from mainstay.nouns import Window
from mainstay.observed import Action, FeaturesAt, Feed, Label, Origin

MINUTE, DAY = timedelta(minutes=1), timedelta(days=1)


def ship(home: Any, now: datetime) -> shipping.Shipped:
    return shipping.ship(home.stream, home.ledger, home.blobs, "churn", now)


def test_what_was_logged_is_read_as_it_was_logged(home: Any, predicted: Any, now: datetime) -> None:
    full = predicted(
        "p2", origins={"tenure": Origin.MISSING}, features={"tenure": None, "Contract": "Two year"},
        features_at={"view": FeaturesAt(now, None)}, tensor=b"\0\1", flags=("out_of_range:tenure",),
    )  # fmt: skip
    home.log(predicted("p1"), full)
    assert ship(home, now).rows == {"prediction": 2}
    first, second = home.observations.predictions(Window(now, now + MINUTE)).to_pylist()
    assert (first["prediction_id"], first["asked_at"], first["scores"], first["tensor"]) == (
        "p1",
        now,
        [0.25, 0.75],
        None,
    )
    assert (first["f.tenure"], first["f.Contract"], first["o.tenure"], first["flags"]) == (
        12.0,
        "One year",
        "given",
        [],
    )
    assert (second["f.tenure"], second["f.Contract"], second["o.tenure"]) == (None, "Two year", "missing")
    assert (second["features_at"], second["tensor"]) == ([("view", {"event_time": now, "watermark": None})], b"\0\1")
    assert "o.Contract" not in first


def test_every_kind_goes_to_its_own_files_by_the_hour_of_its_time(home: Any, predicted: Any, now: datetime) -> None:
    home.log(predicted("p1", now - 31 * MINUTE), predicted("p2"), predicted("p3", now + MINUTE))
    home.log(Label("Yes", now, "crm", 30 * DAY, entity="ada", as_of=now - DAY))
    home.log(Action("offer", now, now, 0.5, 20.0, "crm", prediction_id="p1"))
    home.log(Feed("crm", now - DAY, now))
    assert ship(home, now).rows == {"prediction": 3, "label": 1, "action": 1, "feed": 1}
    assert [(file.hour.hour, file.rows) for file in live_files(home.ledger, "churn", "prediction")] == [
        (11, 1),
        (12, 2),
    ]
    window = Window(now - DAY, now + DAY)
    (label,) = home.observations.labels(window).to_pylist()
    assert (label["value"], label["entity"], label["as_of"], label["horizon"]) == (
        "Yes",
        "ada",
        now - DAY,
        30 * 86_400_000_000,
    )
    assert home.observations.actions(window).num_rows == home.observations.feeds(window).num_rows == 1
    assert home.observations.rejections(window).num_rows == 0
    assert all(home.blobs.exists(blob_name("churn", file)) for file in live_files(home.ledger, "churn", "label"))


def test_nothing_is_left_to_do_and_shipping_again_does_nothing(home: Any, predicted: Any, now: datetime) -> None:
    home.log(predicted("p1"))
    assert (ship(home, now).runs, ship(home, now).runs) == (1, 0)
    assert home.stream.sealed("churn") == []
    assert home.ids() == ["p1"]


def test_a_writer_at_work_is_left_alone(home: Any, predicted: Any, now: datetime) -> None:
    writer = home.log(predicted("p1"), seal=False)
    assert ship(home, now).runs == 0
    writer.seal()
    assert ship(home, now).runs == 1


@dataclass
class Dying:
    """Something of the outside world that kills its process at the n-th call of one of its methods."""

    inner: Any
    method: str
    calls: int
    after: bool

    def __getattr__(self, name: str) -> Any:
        found: Callable[..., Any] = getattr(self.inner, name)
        if name != self.method:
            return found

        def call(*arguments: Any, **named: Any) -> Any:
            self.calls -= 1
            if self.calls == 0 and not self.after:
                os.kill(os.getpid(), signal.SIGKILL)
            made = found(*arguments, **named)
            if self.calls == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return made

        return call


STEPS = [("blobs", "put", 1), ("blobs", "put", 2), ("stream", "done", 1), ("stream", "done", 2)]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("what", "method", "calls"), STEPS)
def test_a_shipper_killed_at_any_step_loses_and_doubles_nothing(
    home: Any, predicted: Any, now: datetime, what: str, method: str, calls: int, after: bool
) -> None:
    home.log(predicted("p1", now - 40 * MINUTE), predicted("p2"))
    home.log(predicted("p3"))
    setattr(home, what, Dying(getattr(home, what), method, calls, after))
    child = os.fork()
    if child == 0:
        try:
            ship(home, now)
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    setattr(home, what, getattr(home, what).inner)
    ship(home, now)
    assert home.ids() == ["p1", "p2", "p3"]
    assert home.stream.sealed("churn") == []


def test_a_digest_that_is_known_is_never_added_again_even_after_it_was_replaced(
    home: Any, predicted: Any, now: datetime
) -> None:
    home.log(predicted("p1"))
    (name,) = home.stream.sealed("churn")
    path = home.root / "segments" / "churn" / f"{name}.sealed"
    data = path.read_bytes()
    ship(home, now)
    replace_files(home.ledger, "churn", live_files(home.ledger, "churn", "prediction"), [])
    path.write_bytes(data)
    assert ship(home, now).known == 1
    assert home.ids() == []


class FullBlobs(BlobDirectory):
    def put(self, name: str, data: bytes) -> None:
        raise Unavailable("disk full", name)


def test_a_store_that_is_down_leaves_the_segment_for_later(home: Any, predicted: Any, now: datetime) -> None:
    home.log(predicted("p1"))
    with pytest.raises(Unavailable):
        shipping.ship(home.stream, home.ledger, FullBlobs(home.root / "full"), "churn", now)
    assert head(home.ledger, "churn") == 0
    assert ship(home, now).rows == {"prediction": 1}


def test_what_a_flipped_bit_cost_is_counted_and_the_rest_is_shipped(home: Any, predicted: Any, now: datetime) -> None:
    home.log(*(predicted(f"p{n}") for n in range(5)))
    (name,) = home.stream.sealed("churn")
    path = home.root / "segments" / "churn" / f"{name}.sealed"
    data = bytearray(path.read_bytes())
    data[data.index(b"p2")] ^= 1
    path.write_bytes(data)
    done = ship(home, now)
    assert (done.rows, done.damaged) == ({"prediction": 4}, 1)
    assert done.damaged_bytes > 0
    assert home.ids() == ["p0", "p1", "p3", "p4"]
    (counted,) = live_files(home.ledger, "churn", DAMAGED)
    assert counted.rows == 1
    assert path.with_suffix(".damaged").read_bytes() == data
    assert ship(home, now).damaged == 0


def test_a_segment_without_a_header_is_kept_and_counted(home: Any, now: datetime) -> None:
    directory = home.root / "segments" / "churn"
    directory.mkdir(parents=True)
    (directory / f"{'0' * 32}.sealed").write_bytes(b"nothing of ours, and long enough to be looked at")
    assert ship(home, now).damaged == 1
    assert home.stream.sealed("churn") == []
    assert (directory / f"{'0' * 32}.damaged").exists()


def test_contracts_that_differ_are_read_together_by_name(home: Any, predicted: Any, now: datetime) -> None:
    home.log(predicted("p1"))
    home.log(predicted("p2", features={"region": "north"}), features={"region": "category"})
    ship(home, now)
    found = home.observations.predictions(Window(now, now + MINUTE))
    assert found["f.region"].to_pylist() == [None, "north"]
    assert found["f.tenure"].to_pylist() == [12.0, None]
    chosen = home.observations.predictions(Window(now, now + MINUTE), features=["region", "never_served"])
    assert [name for name in chosen.column_names if name.startswith("f.")] == ["f.region", "f.never_served"]
    assert chosen["f.never_served"].to_pylist() == [None, None]
