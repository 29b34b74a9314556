"""Serving in a failing world, over real HTTP: killed, full, without a ledger, tampered with, damaged, and ended."""

import http.client
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.adapters.blobs import BlobDirectory
from mainstay.adapters.signing import KeyFile
from mainstay.ledger.facts import Entry, Ledger
from mainstay.ledger.kinds import SPLITS
from mainstay.nouns import Arm, ModelVersion, Split
from mainstay.registry.shelf import Admission, admit, signed
from mainstay.scoring.bundle import Bundle

Serving = Any
Loading = Any
Finding = Any

pytestmark = pytest.mark.skipif(not Path("/proc").is_dir(), reason="processes are looked at as Linux shows them")


def eventually(so: Callable[[], bool], seconds: float = 10) -> bool:
    """Whether it comes to be so."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if so():
            return True
        time.sleep(0.05)
    return False


def metric(address: str, name: str) -> float:
    """The sum of a metric's samples."""
    lines = httpx.get(f"{address}/metrics").text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.partition("{")[0].split()[0] == name)


@pytest.mark.long
def test_servers_killed_under_load_lose_nothing_they_acknowledged(
    serving: Serving, load: Loading, found: Finding
) -> None:
    answered: list[str] = []
    for turn in range(6):
        with serving(workers=1 + turn % 2) as server:
            with load(server) as clients:
                time.sleep(0.5)
                server.kill()  # the supervisor; the process that answers, where there is one alone
                # Its workers end with it: whatever they answer until then is kept as well.
                until = time.monotonic() + 10
                while clients.gone < clients.clients and time.monotonic() < until:
                    time.sleep(0.05)
            answered += clients.answered
    with serving() as server:
        assert httpx.get(f"{server.address}/health").json()["ready"]
    after = found()
    assert len(answered) > 500
    assert after.not_once(answered) == []
    assert after.last.damaged == 0


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.long)])
def test_ending_under_load_loses_no_request_and_ships_every_answer(
    workers: int, home: Path, row: dict[str, Any], serving: Serving, load: Loading, found: Finding
) -> None:
    with serving(workers) as server:
        # One request is on its way when the server is told to end; who asks beside it hears that it is not ready.
        held = http.client.HTTPConnection(server.host, timeout=10)
        beside = [http.client.HTTPConnection(server.host, timeout=10) for _ in range(6)]
        body = json.dumps({"features": row}).encode()
        held.putrequest("POST", "/predict")
        held.putheader("content-type", "application/json")
        held.putheader("content-length", str(len(body)))
        held.endheaders(body[:10])
        for each in beside:
            each.request("GET", "/health/ready")
            assert json.loads(each.getresponse().read())["ready"]
        with load(server, 8) as clients:
            time.sleep(0.5)
            server.process.send_signal(signal.SIGTERM)
            time.sleep(0.1)
            said = set()
            for each in beside:
                each.request("GET", "/health/ready")
                answer = each.getresponse()
                said.add((answer.status, json.loads(answer.read())["status"]))
                each.close()
            held.send(body[10:])
            last = held.getresponse()
            assert last.status == 200
            clients.answered.append(json.loads(last.read())["prediction_id"])
            held.close()
            server.process.wait(20)
    assert said == {(503, "draining")}
    assert (clients.refused, clients.broken, clients.gone) == ([], [], 8)
    assert len(clients.answered) > 50
    assert not list((home / "segments" / "tiny").iterdir())  # all of it is sealed, and shipped
    assert found().not_once(clients.answered) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 512 KB."""
    place = tmp_path / "disk"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(place)]
    mounted = subprocess.run(command, capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"no disk of its own can be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def fill(place: Path) -> None:
    """Leave no byte free on a disk."""
    with suppress(OSError), (place / "ballast").open("ab", buffering=0) as ballast:
        while ballast.write(bytes(4096)):
            pass


def test_a_full_disk_is_503_and_counted_and_got_over_when_there_is_space(
    small_disk: Path, row: dict[str, Any], serving: Serving, found: Finding
) -> None:
    segments = f"spool://{small_disk}/segments"
    answered = []
    with serving(segments=segments) as server, httpx.Client(base_url=server.address) as client:

        def ask() -> httpx.Response:
            told = client.post("/predict", json={"features": row})
            if told.status_code == 200:
                answered.append(told.json()["prediction_id"])
            return told

        def turned_away() -> bool:
            fill(small_disk)  # the shipper makes room
            return ask().status_code == 503

        assert ask().status_code == 200
        assert eventually(turned_away)
        fill(small_disk)
        refused = ask()
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "5")
        batch = client.post("/predict_batch", json={"rows": [{"features": row}] * 100})
        assert batch.status_code == 503
        assert client.get("/health").status_code == 200
        assert metric(server.address, "mainstay_log_failures_total") >= 3
        assert metric(server.address, "mainstay_errors_total") >= 3
        (small_disk / "ballast").unlink()
        assert ask().status_code == 200
    assert found(segments=segments).not_once(answered) == []
    assert sum(found(segments=segments).times.values()) == len(answered)  # nothing of what was refused


@pytest.mark.long
def test_a_ledger_that_dies_and_returns_costs_nobody_an_answer(
    home: Path, serving: Serving, load: Loading, found: Finding
) -> None:
    def stands(server: Any, status: str) -> bool:
        return bool(httpx.get(f"{server.address}/health").json()["status"] == status)

    with serving(workers=2) as server, load(server) as clients:
        time.sleep(0.5)
        kept = {each: each.read_bytes() for each in home.glob("ledger.db*")}
        for each in kept:  # in place: the supervisor has them open
            with each.open("r+b") as file:
                file.write(b"this is no database" * 100)
        # A worker that runs says that the ledger is lost; one that starts now hears of none, and answers all the same.
        os.kill(server.children(b"serving.worker")[0], signal.SIGKILL)
        assert eventually(lambda: stands(server, "degraded"), 20)
        before = len(clients.answered)
        assert eventually(lambda: len(clients.answered) > before + 50)
        for each, data in kept.items():
            with each.open("r+b") as file:
                file.write(data)
                file.truncate()
        assert eventually(lambda: all(stands(server, "ok") for _ in range(20)), 20)
    assert clients.refused == []
    assert len(clients.broken) <= clients.clients  # what the killed worker had on its way
    assert found().not_once(clients.answered) == []


def test_a_version_tampered_with_between_loads_leaves_the_one_before_it_answering(
    home: Path,
    row: dict[str, Any],
    serving: Serving,
    tiny_live: ModelVersion,
    tiny_other_bundle: Bundle,
    tiny_admission: Callable[..., Admission],
    tiny_ledger: Ledger,
    tiny_blobs: BlobDirectory,
    tiny_signer: KeyFile,
) -> None:
    now = signed(tiny_live, tiny_blobs).at
    admit(tiny_admission(tiny_other_bundle), tiny_ledger, tiny_blobs, tiny_signer, now=now, actor="ada", reason="ok")
    shelved = home / "blobs" / "versions" / "tiny" / "1.1.0" / "model.onnx"
    whole = shelved.read_bytes()
    with serving() as server, httpx.Client(base_url=server.address) as client:
        shelved.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        first = tiny_ledger.latest("tiny", SPLITS, "tiny")
        assert first is not None
        split = Split(2, "tiny", (Arm("1.1.0", 1.0),), first.body.configuration)
        tiny_ledger.write("tiny", Entry(SPLITS, "tiny", split, 1), at=now, actor="user:ada", reason="the next")
        assert eventually(lambda: client.get("/health").json()["status"] == "degraded")
        health = client.get("/health").json()
        assert (health["ready"], health["version"], health["split"]) == (True, "1.0.0", 1)
        assert "model.onnx was changed after it was signed" in health["reason"]
        assert client.post("/predict", json={"features": row}).json()["version"] == "1.0.0"
        text = client.get("/metrics").text
        assert 'mainstay_arm_loads_total{outcome="refused",version="1.1.0"}' in text
        assert 'mainstay_arm_loads_total{outcome="loaded",version="1.0.0"} 1.0' in text
        shelved.write_bytes(whole)
        assert eventually(lambda: client.get("/health").json()["version"] == "1.1.0", 15)
        assert client.post("/predict", json={"features": row}).json()["version"] == "1.1.0"


@pytest.mark.long
def test_segments_torn_and_flipped_before_a_start_cost_the_record_they_hit_alone(
    home: Path, row: dict[str, Any], serving: Serving, found: Finding
) -> None:
    with serving() as server:
        time.sleep(2)  # the shipper has started
        with httpx.Client(base_url=server.address) as client:
            answers = [client.post("/predict", json={"features": row}).json() for _ in range(200)]
        for shipper in server.children(b"--follow"):
            os.kill(shipper, signal.SIGKILL)
        server.kill()
    answered = [each["prediction_id"] for each in answers]
    segments = list((home / "segments" / "tiny").glob("*.open"))
    assert segments, "the server was killed before its segment was sealed"
    (segment,) = [each for each in segments if each.stat().st_size > 10_000]
    data = bytearray(segment.read_bytes())
    data[len(data) // 2] ^= 0x10
    segment.write_bytes(bytes(data) + (500).to_bytes(4, "little") + b"torn")
    with serving() as server:
        again = httpx.post(f"{server.address}/predict", json={"features": row}).json()["prediction_id"]
        assert eventually(lambda: metric(server.address, "mainstay_shipper_damaged_total") >= 1)
    after = found()
    lost = after.not_once([*answered, again])
    assert len(lost) == 1
    assert abs(answered.index(lost[0]) - 100) <= 10  # the one in the middle
    assert after.times[lost[0]] == 0
    assert len(list((home / "segments" / "tiny").glob("*.damaged"))) == 1
