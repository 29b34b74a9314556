"""The shipper beside the workers, as a real process."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx

from mainstay.ledger.observations import Observations
from mainstay.logged import encode_header, encoded, rejection_row
from mainstay.nouns import Window
from mainstay.observed import Rejection, SegmentHeader
from mainstay.serving.shipper import shipping
from mainstay.settings import Settings
from mainstay.wiring import platform

HOLD = """
import sys, time
from pathlib import Path
from typing import Any

import httpx
from mainstay.serving.shipper import shipping
from mainstay.settings import Settings
with shipping(Settings(home=Path(sys.argv[1])), "tiny", print):
    print("begun", flush=True)
    time.sleep(60)
"""


def log_one(home: Path, reason: str, seal: bool = True) -> None:
    now = datetime.now(UTC)  # noqa: TID251
    header = SegmentHeader("tiny", "rejection", "c1", "host-a", now, {})
    writer = platform(Settings(home=home)).stream().write("tiny", encode_header(header), now)
    writer.append(encoded(rejection_row(Rejection(now, 422, "age", reason))))
    if seal:
        writer.seal()


def shipped(home: Path) -> list[str]:
    now = datetime.now(UTC)  # noqa: TID251
    found = platform(Settings(home=home))
    observations = Observations(found.ledger, found.blobs, "tiny", home / "cache")
    reasons: list[str] = observations.rejections(Window(now - timedelta(hours=1), now + timedelta(hours=1)))[
        "reason"
    ].to_pylist()
    return reasons


def eventually(so: Callable[[], bool], seconds: float = 10) -> bool:
    until = time.monotonic() + seconds
    while not so() and time.monotonic() < until:
        time.sleep(0.1)
    return so()


def test_what_is_sealed_is_readable_within_seconds_and_the_last_of_it_at_the_end(tmp_path: Path) -> None:
    said: list[str] = []
    with shipping(Settings(home=tmp_path), "tiny", said.append):
        log_one(tmp_path, "early")
        assert eventually(lambda: shipped(tmp_path) == ["early"])
        log_one(tmp_path, "late")
    assert shipped(tmp_path) == ["early", "late"]
    assert said == []


def test_a_second_shipper_of_a_host_stands_by_until_the_first_is_gone(tmp_path: Path) -> None:
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"begun\n"
    log_one(tmp_path, "first")
    assert eventually(lambda: shipped(tmp_path) == ["first"])
    with shipping(Settings(home=tmp_path), "tiny", print):
        os.kill(holder.pid, signal.SIGKILL)  # its shipper notices that it is alone, and ends
        holder.wait()
        holder.stdout.close()
        log_one(tmp_path, "second")
        assert eventually(lambda: shipped(tmp_path) == ["first", "second"])
    assert shipped(tmp_path) == ["first", "second"]


def test_a_shipper_that_dies_is_started_again_and_said(tmp_path: Path) -> None:
    said: list[str] = []
    with shipping(Settings(home=tmp_path), "tiny", said.append):
        log_one(tmp_path, "first")
        assert eventually(lambda: shipped(tmp_path) == ["first"])
        children = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()
        (child,) = [each for each in children if b"--follow" in Path(f"/proc/{each}/cmdline").read_bytes()]
        os.kill(int(child), signal.SIGKILL)
        log_one(tmp_path, "second")
        assert eventually(lambda: shipped(tmp_path) == ["first", "second"], 15)
    assert said == ["the shipper ended with -9; another takes its place"]


SERVE = """
import sys
from pathlib import Path
from typing import Any

import httpx
from mainstay.serving.main import serve
from mainstay.settings import Settings
serve(Settings(home=Path(sys.argv[1])), "tiny", "127.0.0.1", 0, 1, True, lambda words: None)
"""


def test_an_answer_is_in_the_observations_within_ten_seconds(home: Path, row: dict[str, Any]) -> None:
    server = subprocess.Popen([sys.executable, "-c", SERVE, str(home)], stdout=subprocess.PIPE, text=True)
    assert server.stdout is not None
    try:
        address = server.stdout.readline().split()[0]
        time.sleep(3)  # the shipper starts beside it
        answered = time.monotonic()
        made = httpx.post(f"{address}/predict", json={"features": row}).json()["prediction_id"]
        opened = platform(Settings(home=home))
        observations = Observations(opened.ledger, opened.blobs, "tiny", home / "cache")
        now = opened.settings.clock()
        window = Window(now - timedelta(hours=1), now + timedelta(hours=1))
        assert eventually(lambda: made in observations.predictions(window)["prediction_id"].to_pylist(), 12)
        assert time.monotonic() - answered < 10
        (found,) = observations.predictions(window).to_pylist()
        assert {name: found[f"f.{name}"] for name in row} == row
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(30) == 0
        server.stdout.close()
