"""Observations over each database and each store: the same files, the same rows."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mainstay.adapters.blobs import Blobs, blobs_from
from mainstay.adapters.stream import Spool
from mainstay.errors import Conflict
from mainstay.ledger.facts import Ledger
from mainstay.ledger.files import add_shipped, live_files, replace_files
from mainstay.ledger.observations import Observations
from mainstay.ledger.shipping import ship
from mainstay.ledger.upkeep import compact, erase
from mainstay.logged import encode_header, encoded, label_row
from mainstay.nouns import Window
from mainstay.observed import Label, ObservationFile, SegmentHeader

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
DAY = Window(NOW - 24 * HOUR, NOW + 24 * HOUR)


@pytest.fixture
def ledger(address: str) -> Iterator[Ledger]:
    with Ledger(address) as made:
        yield made


@pytest.fixture(params=["file", pytest.param("s3", marks=pytest.mark.s3)])
def blobs(request: pytest.FixtureRequest, tmp_path: Path) -> Blobs:
    if request.param == "s3":
        return blobs_from(f"s3://{request.getfixturevalue('bucket')}/home/blobs")
    return blobs_from((tmp_path / "blobs").as_uri())


def log(stream: Spool, *entities: str) -> None:
    writer = stream.write("churn", encode_header(SegmentHeader("churn", "label", "c1", "h", NOW, {})), NOW)
    for entity in entities:
        writer.append(encoded(label_row(Label("Yes", NOW, "crm", HOUR, entity=entity))))
    writer.seal()


def test_shipped_read_compacted_and_erased(ledger: Ledger, blobs: Blobs, tmp_path: Path) -> None:
    stream = Spool(tmp_path / "segments")
    observations = Observations(ledger, blobs, "churn", tmp_path / "cache")
    assert observations.head() == 0
    log(stream, "ada", "bob")
    log(stream, "eve")
    assert ship(stream, ledger, blobs, "churn", NOW).rows == {"label": 3}
    before = observations.head()
    assert observations.labels(DAY)["entity"].to_pylist() == ["ada", "bob", "eve"]
    assert compact(ledger, blobs, "churn", NOW + HOUR).files == 2
    assert observations.labels(DAY, before).equals(observations.labels(DAY))
    assert erase(ledger, blobs, "churn", "bob").rows == 1
    assert observations.labels(DAY)["entity"].to_pylist() == ["ada", "eve"]
    assert len(blobs.names("observations/")) == 1


def test_one_digest_is_added_once_and_one_file_replaced_once(ledger: Ledger) -> None:
    file = ObservationFile("add", "d" * 64, "label", NOW.replace(minute=0), 3, 100, NOW, NOW)
    assert add_shipped(ledger, "churn", file.digest, [file])
    assert not add_shipped(ledger, "churn", file.digest, [file])
    assert live_files(ledger, "churn", "label", DAY) == [file]
    assert live_files(ledger, "churn", "label", Window(NOW + HOUR, NOW + 2 * HOUR)) == []
    assert live_files(ledger, "fraud", "label") == []
    replace_files(ledger, "churn", [file], [])
    with pytest.raises(Conflict):
        replace_files(ledger, "churn", [file], [])
    assert not add_shipped(ledger, "churn", file.digest, [file])
    assert live_files(ledger, "churn", "label") == []
