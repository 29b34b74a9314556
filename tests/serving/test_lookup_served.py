"""Look-ups by the real server: the ledger says what is recorded, a real Redis or SQLite what is known."""

import json
import signal
import struct
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from redised import RedisServer

from mainstay.adapters.feast_format import entity_key, key_prefix, redis_field
from mainstay.defined import FeatureColumn, FeatureService, FeatureView
from mainstay.errors import Misconfigured
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import FEATURE_SERVICES
from mainstay.nouns import rfc3339
from mainstay.serving.main import serve
from mainstay.settings import Settings
from mainstay.wiring import platform

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = (FeatureColumn("age", "integer"), FeatureColumn("spent", "number"), FeatureColumn("plan", "category"))
SERVICE = FeatureService("tiny_v1", "0" * 64, (FeatureView("tiny", "id", COLUMNS, None, None, None, "tiny.csv"),))
FULL = {"age": 40, "spent": 120.5, "plan": "basic"}
Running = Callable[..., AbstractContextManager[tuple[subprocess.Popen[str], str]]]


def fill(server: RedisServer) -> None:
    """What Feast would write of one entity, and how far."""
    from redis import Redis

    client = Redis(port=server.port)
    times = b"\x08" + bytes([0x80, 0xF9, 0xD6, 0xCA, 0x06])  # 2026-01-01
    values = {
        "age": b"\x29" + struct.pack("<d", 40),
        "spent": b"\x29" + struct.pack("<d", 120.5),
        "plan": b"\x12\x05basic",
    }
    fields: dict[Any, Any] = {redis_field("tiny", name): value for name, value in values.items()}
    key: Any = entity_key(key_prefix("id"), "a") + b"tiny"
    client.hset(key, mapping={"_ts:tiny": times, **fields})
    client.hset("mainstay:watermarks:tiny", "tiny", rfc3339(NOW + timedelta(hours=1)))


@pytest.fixture
def recorded(home: Path) -> Path:
    """That home, with the feature service recorded."""
    with platform(Settings(home=home)).ledger as ledger:
        entry = Entry(FEATURE_SERVICES, "tiny_v1", SERVICE)
        ledger.write("tiny", entry, at=NOW, actor="user:ada", reason="a test")
    return home


def test_redis_is_looked_up_and_while_it_is_killed_full_features_are_answered(
    recorded: Path, running: Running, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(redis_server)
    monkeypatch.setenv("MAINSTAY_ONLINE_URL", f"redis://127.0.0.1:{redis_server.port}/0")
    with running(recorded) as (_, line), httpx.Client(base_url=line.split()[0], timeout=10) as client:

        def status(**request: Any) -> int:
            return client.post("/predict", json=request).status_code

        alone = client.post("/predict", json={"entity": "a"}).json()
        full = client.post("/predict", json={"entity": "a", "features": FULL}).json()
        assert alone["probability"] == full["probability"]
        assert status(entity="nobody") == 404
        redis_server.kill()
        try:
            for _ in range(3):
                assert status(entity="a") == 503
                assert status(entity="a", features=FULL) == 200
            assert client.get("/health/ready").status_code == 200
        finally:
            redis_server.start()
        fill(redis_server)
        assert status(entity="a") == 200
        rows = [{"entity": "a"}] * 3 + [{"entity": "nobody"}]
        made = client.post("/predict_batch", json={"rows": rows}).json()["predictions"]
        assert [each.get("status", 200) for each in made] == [200, 200, 200, 404]


def test_a_redis_that_hangs_holds_up_nobody_else(
    recorded: Path, running: Running, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(redis_server)
    monkeypatch.setenv("MAINSTAY_ONLINE_URL", f"redis://127.0.0.1:{redis_server.port}/0")
    with running(recorded) as (_, line), httpx.Client(base_url=line.split()[0], timeout=10) as client:
        assert client.post("/predict", json={"entity": "a"}).status_code == 200
        redis_server.process.send_signal(signal.SIGSTOP)
        try:
            answer = client.post("/predict", json={"entity": "a"})
            assert answer.status_code == 503
            assert answer.elapsed < timedelta(seconds=2)
            assert client.post("/predict", json={"features": FULL}).elapsed < timedelta(seconds=0.2)
        finally:
            redis_server.process.send_signal(signal.SIGCONT)


def test_a_service_that_is_recorded_while_serving_is_looked_up_and_kept(
    home: Path, running: Running, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(redis_server)
    monkeypatch.setenv("MAINSTAY_ONLINE_URL", f"redis://127.0.0.1:{redis_server.port}/0")
    with running(home) as (_, line), httpx.Client(base_url=line.split()[0], timeout=10) as client:
        assert client.post("/predict", json={"entity": "a"}).status_code == 422
        with platform(Settings(home=home)).ledger as ledger:
            entry = Entry(FEATURE_SERVICES, "tiny_v1", SERVICE)
            ledger.write("tiny", entry, at=NOW, actor="user:ada", reason="a test")
        for _ in range(100):
            answer = client.post("/predict", json={"entity": "a"})
            if answer.status_code == 200:
                break
            time.sleep(0.1)
        else:
            pytest.fail(answer.text)
    kept = json.loads((home / "serving" / "tiny.json").read_text())
    assert kept["standing"]["services"].keys() == {"tiny_v1"}


def test_an_address_of_no_store_is_said_before_anything_starts(home: Path) -> None:
    settings = Settings(home=home, online_url="mysql://somewhere")
    with pytest.raises(Misconfigured, match="MAINSTAY_ONLINE_URL"):
        serve(settings, "tiny", "127.0.0.1", 0, 1, True, lambda words: None)
