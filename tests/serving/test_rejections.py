"""What is refused leaves a sample in the log: the field and the reason, and no value."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mainstay.adapters.stream import Spool
from mainstay.logged import decode_header, observed
from mainstay.observed import Rejection
from mainstay.scoring.reading import Problem
from mainstay.serving.log import Log
from mainstay.serving.problems import Rejected
from mainstay.serving.rejections import A_SECOND, Rejections

if TYPE_CHECKING:
    from tests.serving.conftest import Client, Written

NOW = datetime(2026, 1, 1, tzinfo=UTC)
WRONG = [Problem(f"f{number}", "is not a number", "a number") for number in range(5)]


@pytest.fixture
def spool(tmp_path: Path) -> Spool:
    return Spool(tmp_path)


@pytest.fixture
def log(spool: Spool) -> Iterator[Log]:
    made = Log(spool, "tiny", "host-a", lambda: NOW)
    yield made
    made.close()


def logged(spool: Spool, log: Log) -> list[Any]:
    log.close()
    found: list[Any] = []
    for name in spool.sealed("tiny"):
        run = spool.read("tiny", name)
        header = decode_header(run.header or b"")
        found += [each for payload in run.payloads for each in observed(header, payload)]
    return found


def test_what_was_wrong_is_logged_field_by_field_and_with_the_key(spool: Spool, log: Log) -> None:
    rejections = Rejections(log, lambda: NOW)
    rejections.note(Rejected(422, "f0: is not a number, and 4 more", WRONG), "key-1")
    rejections.note(Rejected(400, "the body is not JSON"))
    assert logged(spool, log) == [
        *(Rejection(NOW, 422, f"f{number}", "is not a number", "key-1") for number in range(3)),
        Rejection(NOW, 400, "", "the body is not JSON", None),
    ]


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500, 503])
def test_what_says_nothing_about_the_request_is_not_logged(spool: Spool, log: Log, status: int) -> None:
    Rejections(log, lambda: NOW).note(Rejected(status, "no"))
    assert logged(spool, log) == []


def test_a_flood_fills_no_disk(spool: Spool, log: Log) -> None:
    rejections = Rejections(log, lambda: NOW)
    for _ in range(1000):
        rejections.note(Rejected(422, "wrong", WRONG))
    # At most two seconds begin while this runs.
    assert A_SECOND <= len(logged(spool, log)) <= 3 * A_SECOND


def test_a_log_that_cannot_be_written_is_passed_over(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    broken = Log(Spool(tmp_path / "file"), "tiny", "host-a", lambda: NOW)
    Rejections(broken, lambda: NOW).note(Rejected(422, "wrong", WRONG))
    assert broken.failures == 3


def test_a_refused_request_and_a_refused_row_of_a_batch_leave_their_reason(
    client: "Client", written: "Written", row: dict[str, Any]
) -> None:
    client.post("/predict", json={"features": row | {"age": "forty"}})
    client.post("/predict_batch", json={"rows": [{"features": row}, {"features": row | {"age": "secret"}}]})
    client.get("/nowhere")
    refused = [record for kind, _, _, record in written.records if kind == "rejection"]
    assert [(record[1], record[2]) for record in refused] == [(422, "age"), (422, "age")]
    assert "forty" not in str(refused)
    assert "secret" not in str(refused)
