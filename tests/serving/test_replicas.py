"""Serving processes in the ledger's table of replicas, and serving without the ledger: with real processes."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.ledger.facts import Entry, Ledger
from mainstay.ledger.kinds import SPLITS
from mainstay.ledger.replicas import live, vanished
from mainstay.nouns import Arm, Split
from mainstay.settings import Settings
from mainstay.wiring import platform

Running = Callable[..., AbstractContextManager[tuple[subprocess.Popen[str], str]]]
NOBODY_LISTENS = "postgresql://mainstay@127.0.0.1:1/ledger"


@pytest.fixture
def ledger(home: Path) -> Iterator[Ledger]:
    opened = platform(Settings(home=home))
    with opened.ledger:
        yield opened.ledger


def test_every_worker_reports_its_split_and_what_is_warm_and_signs_off_at_its_end(
    home: Path, ledger: Ledger, running: Running
) -> None:
    with running(home, 2):
        time.sleep(0.2)
        found = live(ledger, "tiny")
        assert [(each.split, each.warm) for each in found] == [(1, ("1.0.0",))] * 2
        assert len({each.id for each in found}) == 2
        fact = ledger.latest("tiny", SPLITS, "tiny")
        assert fact is not None
        split = Split(2, "tiny", (Arm("1.0.0", 1.0), Arm("1.1.0", standby=True)), fact.body.configuration)
        ledger.write("tiny", Entry(SPLITS, "tiny", split, after=1), at=fact.at, actor="user:ada", reason="stand by")
        until = time.monotonic() + 3
        while {(each.split, each.warm) for each in live(ledger, "tiny")} != {(2, ("1.0.0", "1.1.0"))}:
            assert time.monotonic() < until
            time.sleep(0.05)
    assert live(ledger, "tiny") + vanished(ledger, "tiny") == []


def test_a_worker_that_is_killed_is_missed(home: Path, ledger: Ledger, running: Running) -> None:
    with running(home, 2) as (server, _):
        children = [
            each
            for each in Path(f"/proc/{server.pid}/task/{server.pid}/children").read_text().split()
            if "mainstay.serving.worker" in Path(f"/proc/{each}/cmdline").read_text()  # not the shipper
        ]
        time.sleep(0.2)
        before = {each.id for each in live(ledger, "tiny")}
        os.kill(int(children[0]), signal.SIGKILL)
        until = time.monotonic() + 8
        while len({each.id for each in live(ledger, "tiny")} - before) < 1:  # the one that took its place
            assert time.monotonic() < until
            time.sleep(0.1)
    assert len({each.id for each in live(ledger, "tiny")} & before) == 1  # never signed off


def test_a_restart_without_the_ledger_answers_as_before_and_says_that_it_is_degraded(
    home: Path, row: dict[str, Any], running: Running
) -> None:
    with running(home) as (_, line):
        assert "serves tiny@1.0.0" in line
    for workers in (1, 2):
        with running(home, workers, NOBODY_LISTENS) as (_, line), httpx.Client(base_url=line.split()[0]) as client:
            assert "serves tiny@1.0.0" in line
            assert client.post("/predict", json={"features": row}).json()["version"] == "1.0.0"
            # The policy as well is the one that was live.
            assert client.post("/predict", json={"features": row | {"plan": "gold"}}).status_code == 422
            health = client.get("/health").json()
            assert (health["status"], health["ready"]) == ("degraded", True)
            assert health["reason"] == "the split cannot be read: the ledger cannot be reached"
            assert client.get("/info").json()["split"] == 1
