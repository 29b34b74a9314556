"""The shipper's round while the world is down."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mainstay.errors import Unavailable
from mainstay.journeys.asked import Asked
from mainstay.journeys.observations import erased, follow, stored_name
from mainstay.ledger.kinds import ERASURES
from mainstay.ledger.observations import Observations
from mainstay.logged import encode_header, encoded, label_row
from mainstay.nouns import Window
from mainstay.observed import Label, SegmentHeader
from mainstay.registry.manifest import Entity
from mainstay.serving.entities import storing
from mainstay.settings import Settings
from mainstay.usecase_file import loads
from mainstay.wiring import Platform, platform

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


YAML = """
schema: 1
name: tiny
source: tiny.csv
entity: id
label: {column: left, positive: "Yes", horizon: 30d}
contract:
  columns:
    id: {type: TYPE}
    age: {type: integer}
    left: {type: category, values: ["No", "Yes"]}
"""


@pytest.mark.parametrize("kind", ["identifier", "integer", "number", "category"])
@pytest.mark.parametrize("given", ["ann", "007", " 7 ", "7.0", "7.5", str(2**53 + 1), "1" * 200, "rene\u0301", "inf"])
def test_an_entity_is_erased_under_the_name_that_serving_stores(kind: str, given: str, tmp_path: Path) -> None:
    opened = platform(Settings(home=tmp_path, now=NOW))
    stored = storing(Entity("id", kind), opened.pseudonym_key)
    assert stored_name(opened, loads(YAML.replace("TYPE", kind)), given) == stored(given)


def erase(opened: Platform, wait: Callable[[float], bool]) -> int:
    use_case = loads(YAML.replace("TYPE", "identifier"))
    return erased(opened, use_case, "ada", Asked("user:ada", "They asked.", Path()), wait).rows


def test_nothing_is_said_to_be_erased_while_something_that_was_logged_before_is_not_shipped(tmp_path: Path) -> None:
    opened = platform(Settings(home=tmp_path, now=NOW))
    writer = opened.stream().write("tiny", encode_header(SegmentHeader("tiny", "label", "c", "h", NOW, {})), NOW)
    writer.append(encoded(label_row(Label("Yes", NOW, "crm", timedelta(days=30), entity="ada"))))
    with pytest.raises(Unavailable, match="nothing was erased"):
        erase(opened, lambda _: True)
    assert opened.ledger.all_of("tiny", ERASURES) == []
    writer.seal()
    assert erase(opened, lambda _: True) == 1
