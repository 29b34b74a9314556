"""`observations`: shipped, shown, compacted, dropped and erased from the command line."""

import fcntl
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from mainstay.churn.customers import customer_ids
from mainstay.digests import pseudonym
from mainstay.ledger.kinds import DATASETS, ERASURES
from mainstay.logged import encode_header, encoded, label_row
from mainstay.observed import Label, SegmentHeader
from mainstay.settings import read_settings
from mainstay.wiring import Platform, platform

Run = Callable[..., tuple[int, str, str]]


def opened() -> Platform:
    return platform(read_settings())


def log_labels(*entities: str, ago: timedelta = timedelta(hours=2), seal: bool = True) -> Any:
    now = datetime.now(UTC)  # noqa: TID251
    header = SegmentHeader("churn", "label", "c1", "host-a", now, {})
    writer = opened().stream().write("churn", encode_header(header), now)
    for entity in entities:
        writer.append(encoded(label_row(Label("Yes", now - ago, "crm", timedelta(days=30), entity=entity))))
    if seal:
        writer.seal()
    return writer


def shown(run: Run) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run("observations", "show", "--json")[1])
    return found


def test_what_is_sealed_is_shipped_shown_and_made_one_file(empty: Path, run: Run) -> None:
    assert run("observations", "ship")[:2] == (0, "0 segments: no rows\n")
    log_labels("a", "b")
    log_labels("c")
    assert shown(run)["waiting"]["bytes"] > 0
    assert run("observations", "ship")[:2] == (0, "2 segments: 3 of label\n")
    found = shown(run)
    assert (found["kinds"]["label"]["rows"], found["kinds"]["label"]["files"], found["waiting"]["bytes"]) == (3, 2, 0)
    code, out, _ = run("observations", "compact", "--json")
    assert (code, json.loads(out)["hours"]) == (0, 1)
    assert shown(run)["kinds"]["label"]["files"] == 1
    assert "3 rows in 1 files" in run("observations", "show")[1]


def test_what_is_too_old_is_dropped(empty: Path, run: Run) -> None:
    log_labels("a", ago=timedelta(days=100))
    log_labels("b")
    run("observations", "ship")
    assert run("observations", "retain", "--keep", "90 moons")[0] == 2
    code, out, _ = run("observations", "retain", "--keep", "90d")
    assert (code, out) == (0, "1 files with 1 rows dropped; their blobs go after a day\n")
    assert shown(run)["kinds"]["label"]["rows"] == 1


def test_damage_is_said_and_shown(empty: Path, run: Run) -> None:
    log_labels("a", "b", "c")
    (path,) = (empty / "home" / "segments" / "churn").iterdir()
    data = bytearray(path.read_bytes())
    data[-40] ^= 1
    path.write_bytes(data)
    code, out, _ = run("observations", "ship")
    assert code == 0
    assert "2 of label" in out
    assert "1 records cannot be read" in out
    assert shown(run)["kinds"]["damaged"]["rows"] == 1


def test_an_entity_is_erased_under_its_pseudonym_also_from_what_waits(empty: Path, run: Run) -> None:
    run("keys", "init")
    assert run("observations", "erase", "C-1")[:2] == (0, "0 rows erased from 0 files\n")
    stored = pseudonym("C-1", opened().pseudonym_key()[1])
    log_labels(stored, "other")
    run("observations", "ship")
    log_labels(stored)
    code, out, _ = run("observations", "erase", "C-1", "--why", "Ticket 12.", "--json")
    assert (code, json.loads(out)["rows"], json.loads(out)["datasets"]) == (0, 2, [])
    assert shown(run)["kinds"]["label"]["rows"] == 1
    fact = opened().ledger.all_of("churn", ERASURES)[-1]
    assert (fact.reason, fact.body.rows) == ("Ticket 12.", 2)
    assert stored not in str(fact)
    assert "C-1" not in str(fact)


def test_a_dataset_that_holds_an_erased_entity_is_named(released_copy: Path, run: Run) -> None:
    (dataset,) = opened().ledger.all_of("churn", DATASETS)
    (customer,) = customer_ids(1, np.array([0]))
    assert json.loads(run("observations", "erase", str(customer), "--json")[1])["datasets"] == [dataset.body.id]
    code, out, _ = run("observations", "erase", str(customer))
    assert (code, f"{dataset.body.id} was frozen with rows of it" in out) == (0, True)
    assert json.loads(run("observations", "erase", "nobody", "--json")[1])["datasets"] == []


def test_two_do_not_ship_at_once(empty: Path, run: Run) -> None:
    run("observations", "ship")
    with (empty / "home" / "shipper-churn.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, err = run("observations", "ship")
    assert (code, "another process ships" in err) == (2, True)


def test_a_follower_ships_what_comes_and_ends_on_sigterm_with_the_last_of_it(empty: Path, run: Run) -> None:
    command = [sys.executable, "-m", "mainstay.cli.main", "observations", "ship", "--follow", "--name", "churn"]
    follower = subprocess.Popen(command)
    try:
        log_labels("a")
        until = time.monotonic() + 20
        while shown(run)["kinds"]["label"]["rows"] < 1 and time.monotonic() < until:
            time.sleep(0.1)
        log_labels("b")
    finally:
        follower.send_signal(signal.SIGTERM)
        assert follower.wait(20) == 0
    assert shown(run)["kinds"]["label"]["rows"] == 2
