"""The real server, in processes of its own."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.errors import Misconfigured, Refused, Unavailable
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import SPLITS
from mainstay.scoring.bundle import Bundle
from mainstay.serving.following import Following
from mainstay.serving.heard import Heard
from mainstay.serving.main import listen, serve
from mainstay.serving.tally import EVERY
from mainstay.serving.work import news_line
from mainstay.serving.worker import arms_of
from mainstay.settings import Settings
from mainstay.wiring import platform

START = """
import sys
from pathlib import Path
from mainstay.serving.main import serve
from mainstay.settings import Settings

def say(words):
    print(words, file=sys.stderr)

serve(Settings(home=Path(sys.argv[1])), "tiny", "127.0.0.1", 0, int(sys.argv[2]), True, say)
"""


@contextmanager
def running(home: Path, workers: int) -> "Iterator[tuple[subprocess.Popen[str], str, str]]":
    """A server, its address and the line it printed. It is ended with SIGTERM, and must then end well."""
    server = subprocess.Popen(
        [sys.executable, "-c", START, str(home), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert server.stdout is not None
    try:
        line = server.stdout.readline()
        if not line:
            pytest.fail(server.communicate()[1])
        yield server, line.split()[0], line
    finally:
        server.send_signal(signal.SIGTERM)
        _, errors = server.communicate(timeout=15)
    assert server.returncode == 0, errors


def test_a_server_starts_answers_and_ends_what_it_began(home: Path, row: dict[str, Any]) -> None:
    with running(home, 1) as (server, address, line), httpx.Client(base_url=address) as client:
        assert line == f"{address} serves tiny@1.0.0\n"
        answer = client.post("/predict", json={"features": row})
        assert answer.json()["version"] == "1.0.0"
        assert "server" not in answer.headers
        # The policy is that of the configuration which the split names.
        assert client.post("/predict", json={"features": row | {"plan": "gold"}}).status_code == 422
        # The body of an answer does not wait until its headers are acknowledged.
        taken = sorted(client.post("/predict", json={"features": row}).elapsed for _ in range(20))
        assert taken[10] < timedelta(milliseconds=30)

        def body() -> Iterator[bytes]:
            yield b'{"features": {"age": 40, '
            server.send_signal(signal.SIGTERM)
            time.sleep(0.3)
            with pytest.raises(httpx.ConnectError):
                httpx.get(f"{address}/health")
            yield b'"plan": "basic"}}'

        answer = client.post("/predict", content=body(), headers={"content-type": "application/json"})
        assert answer.status_code == 200


def workers_of(server: int) -> list[str]:
    """The ids of a server's workers; its shipper is a child too."""
    children = Path(f"/proc/{server}/task/{server}/children").read_text().split()
    return [child for child in children if b"mainstay.serving.worker" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_workers_share_a_socket_sum_their_metrics_and_are_replaced(home: Path, row: dict[str, Any]) -> None:
    with running(home, 2) as (server, address, line):
        assert line == f"{address} serves tiny@1.0.0\n"
        # A connection for each: the kernel gives connections to workers, not requests.
        for _ in range(40):
            assert httpx.post(f"{address}/predict", json={"features": row}).status_code == 200
        time.sleep(EVERY + 0.2)  # a worker tells the others once a second what it counted
        text = httpx.get(f"{address}/metrics").text
        assert 'mainstay_requests_total{route="/predict",status="200",version="1.0.0"} 40.0' in text
        assert 'mainstay_arm_loads_total{outcome="loaded",version="1.0.0"} 2.0' in text
        assert "mainstay_split_number 1.0" in text
        before = workers_of(server.pid)
        assert len(before) == 2
        os.kill(int(before[0]), signal.SIGKILL)
        until = time.monotonic() + 8
        while time.monotonic() < until and (len(now := workers_of(server.pid)) < 2 or before[0] in now):
            time.sleep(0.05)
        assert len(now) == 2
        assert httpx.post(f"{address}/predict", json={"features": row}).status_code == 200
    assert list((home / "metrics").iterdir()) == []


def test_a_world_in_which_nothing_can_be_served_is_told_before_a_worker_starts(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    with pytest.raises(Misconfigured, match="a file is in the way"):
        serve(Settings(home=tmp_path / "file" / "home"), "tiny", "127.0.0.1", 0, 2, True, print)
    (tmp_path / "metrics").write_text("no directory")
    with pytest.raises(Unavailable, match="while making a place for metrics"):
        serve(Settings(home=tmp_path), "tiny", "127.0.0.1", 0, 2, True, print)
    (tmp_path / "metrics").unlink()
    with pytest.raises(Misconfigured):
        serve(Settings(home=tmp_path, ledger="nonsense://"), "tiny", "127.0.0.1", 0, 2, True, print)


def test_a_server_waits_for_the_first_release_and_hears_of_it(home: Path, tmp_path: Path) -> None:
    fresh = tmp_path / "fresh"
    with running(fresh, 1) as (_, address, line):
        assert "is up, and not ready: no version is live yet" in line
        assert httpx.get(f"{address}/health").status_code == 503
        for part in ("keys", "blobs"):
            shutil.copytree(home / part, fresh / part)
        opened = platform(Settings(home=home))
        released = opened.ledger.latest("tiny", SPLITS, "tiny")
        opened.ledger.close()
        assert released is not None
        with platform(Settings(home=fresh)).ledger as ledger:
            ledger.write("tiny", Entry(SPLITS, "tiny", released.body), at=released.at, actor="ada", reason="the first")
        until = time.monotonic() + 3
        while time.monotonic() < until and not httpx.get(f"{address}/health").json()["ready"]:
            time.sleep(0.05)
        assert httpx.get(f"{address}/health").json()["version"] == "1.0.0"


@pytest.mark.parametrize("workers", [1, 2])
def test_ending_under_load_leaves_no_request_without_its_answer(home: Path, row: dict[str, Any], workers: int) -> None:
    body = json.dumps({"features": row})
    endings: list[Exception] = []
    answered: list[bytes] = []

    def ask(address: str) -> None:
        """Ask without a pause on one connection, and on another one whenever the server ends it."""
        connection = HTTPConnection(address.removeprefix("http://"), timeout=5)
        try:
            while True:
                connection.request("POST", "/predict", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                assert answer.status == 200
                answered.append(answer.read())
        except (OSError, HTTPException, AssertionError) as error:
            endings.append(error)
        finally:
            connection.close()

    with running(home, workers) as (server, address, _):
        clients = [threading.Thread(target=ask, args=(address,)) for _ in range(10)]
        for client in clients:
            client.start()
        time.sleep(0.3)
        assert not endings
        server.send_signal(signal.SIGTERM)
        server.wait(30)
        for client in clients:
            client.join(5)
    # Whatever was sent was answered, with a word that the connection ends; the next one was never made.
    assert [type(error) for error in endings] == [ConnectionRefusedError] * 10
    assert len(answered) > 10
    assert {json.loads(each)["version"] for each in answered} == {"1.0.0"}


@pytest.mark.parametrize("workers", [1, 2])
def test_a_server_whose_live_version_cannot_be_believed_says_so_as_it_starts(home: Path, workers: int) -> None:
    model = home / "blobs" / "versions" / "tiny" / "1.0.0" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    said = "1.0.0 is live and cannot be believed: model.onnx was changed after it was signed"
    with running(home, workers) as (_, address, line):
        assert line == f"{address} is up, and not ready: {said}\n"
        health = httpx.get(f"{address}/health")
        assert (health.status_code, health.json()["ready"], health.json()["reason"]) == (503, False, said)
        assert said in httpx.post(f"{address}/predict", json={"features": {}}).json()["detail"]


def test_a_taken_port_is_one_sentence() -> None:
    with listen("127.0.0.1", 0) as taken, pytest.raises(Unavailable, match="in use: choose another port with --port"):
        listen("127.0.0.1", taken.getsockname()[1])


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70_000), ("no such host", 8000)])
def test_an_address_that_cannot_be_is_misconfigured(host: str, port: int) -> None:
    with pytest.raises(Misconfigured):
        listen(host, port)


def test_without_a_key_and_without_open_nothing_is_started(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="there are no API keys"):
        serve(Settings(home=tmp_path / "home"), "tiny", "127.0.0.1", 0, 1, False, print)


def test_a_version_that_was_tampered_with_is_not_served(home: Path, tiny_bundle: Bundle) -> None:
    model = home / "blobs" / "versions" / "tiny" / "1.0.0" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\0")
    opened = platform(Settings(home=home))
    heard = Heard()
    with opened.ledger:
        heard.take(news_line(Following(opened.ledger, "tiny", open_=True).look(time.monotonic), {}))
    arms = arms_of(opened, "tiny", heard, lambda split, warm: None)
    arms.refresh(0.0)
    assert arms.live is None
    assert "model.onnx was changed after it was signed" in (arms.health().reason or "")
    assert str(home) not in (arms.health().reason or "")


HEAVY = {"mlflow", "feast", "sklearn", "scipy", "optuna", "pandas", "pyarrow", "duckdb", "lightgbm", "onnx"}
ROOMS = {"data", "training", "quality", "monitoring", "incidents", "journeys", "measures"}


@pytest.mark.parametrize(
    ("module", "others"),
    [
        ("mainstay.serving.worker", {"mainstay.ledger", "mainstay.wiring", "sqlalchemy", "typer", "rich"}),
        ("mainstay.serving.supervisor, mainstay.serving.main", {"numpy", "onnxruntime", "fastapi", "uvicorn"}),
    ],
)
def test_a_process_of_a_server_imports_only_what_it_works_with(module: str, others: set[str]) -> None:
    asked = f"import sys, {module}; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)
    assert set(found.stdout.split()) & (HEAVY | others | {f"mainstay.{room}" for room in ROOMS}) == set()
