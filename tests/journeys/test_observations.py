"""The shipper's round while the world is down."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from mainstay.journeys.observations import follow
from mainstay.ledger.observations import Observations
from mainstay.logged import encode_header, encoded, label_row
from mainstay.nouns import Window
from mainstay.observed import Label, SegmentHeader
from mainstay.settings import Settings
from mainstay.wiring import platform

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def test_shipping_waits_for_a_dead_store_says_so_once_and_goes_on(tmp_path: Path) -> None:
    opened = platform(Settings(home=tmp_path / "home", now=NOW))
    writer = opened.stream().write("churn", encode_header(SegmentHeader("churn", "label", "c", "h", NOW, {})), NOW)
    writer.append(encoded(label_row(Label("Yes", NOW, "crm", timedelta(days=30), entity="ada"))))
    writer.seal()
    blocked = tmp_path / "home" / "blobs"
    blocked.write_text("a file where the store's directory should be")
    said: list[str] = []
    rounds = threading.Semaphore(0)
    stop = threading.Event()

    def wait(seconds: float) -> bool:
        rounds.release()
        return stop.wait(0.01)

    follower = threading.Thread(target=follow, args=(opened, "churn", wait, said.append))
    follower.start()
    for _ in range(3):
        rounds.acquire()
    blocked.unlink()
    for _ in range(2):
        rounds.acquire()
    stop.set()
    follower.join(10)
    assert len(said) == 2
    assert said[0].startswith("shipping waits: ")
    assert said[1] == "shipping goes on"
    observations = Observations(opened.ledger, opened.blobs, "churn", tmp_path / "cache")
    assert observations.labels(Window(NOW, NOW + timedelta(hours=1))).num_rows == 1
