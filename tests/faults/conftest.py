"""The real server on a real home, load that counts what it was told, and what of it is found afterwards."""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mainstay.ledger.observations import Observations
from mainstay.ledger.shipping import Shipped, ship
from mainstay.nouns import ModelVersion, Window
from mainstay.settings import Settings
from mainstay.wiring import platform

START = """
import sys
from mainstay.serving.main import serve
from mainstay.settings import Settings
serve(Settings(), "tiny", "127.0.0.1", 0, int(sys.argv[1]), True, lambda words: print(words, file=sys.stderr))
"""


@pytest.fixture
def home(tiny_live: ModelVersion, tiny_keys: Path, tmp_path: Path) -> Path:
    """The home of a real platform on which version 1.0.0 is live."""
    assert tiny_live.version == "1.0.0"
    shutil.copytree(tiny_keys, tmp_path / "keys")
    return tmp_path


@pytest.fixture
def row() -> dict[str, Any]:
    """Features of a customer."""
    return {"age": 40, "spent": 120.5, "plan": "basic"}


@dataclass
class Server:
    """A server in a process of its own; `children` are its workers and its shipper."""

    process: "subprocess.Popen[str]"
    address: str
    log: Path

    @property
    def host(self) -> str:
        return self.address.removeprefix("http://")

    def children(self, named: bytes) -> list[int]:
        """The processes it started, and which run now, with such a word in their command."""
        found = []
        for path in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            for child in path.read_text().split():
                line = Path(f"/proc/{child}/cmdline")
                if line.exists() and named in line.read_bytes():
                    found.append(int(child))
        return found

    def kill(self) -> None:
        """Kill it, and nobody that it started."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()


@pytest.fixture
def serving(home: Path) -> Callable[..., AbstractContextManager[Server]]:
    """Runs the server; one that was not killed is ended with SIGTERM, and must then end well."""

    @contextmanager
    def run(workers: int = 1, **settings: str) -> Iterator[Server]:
        told = {f"MAINSTAY_{name.upper()}": value for name, value in {"home": str(home), **settings}.items()}
        log = home / "server.log"
        with log.open("a") as errors:
            process = subprocess.Popen(
                [sys.executable, "-c", START, str(workers)],
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **told},  # noqa: TID251
            )
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            assert line, log.read_text()
            yield Server(process, line.split()[0], log)
        finally:
            killed = process.returncode == -signal.SIGKILL
            if not killed:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=40)
            process.stdout.close()
        assert killed or process.returncode == 0, log.read_text()

    return run


@dataclass
class Load:
    """Clients that ask without a pause, each on one connection, and remember what they were told.

    `answered` are the ids of predictions with a 200, `refused` other statuses, and `broken` what connections ended
    with while a request was on its way. A client whose connection is refused is done.
    """

    host: str
    row: dict[str, Any]
    clients: int = 4
    answered: list[str] = field(default_factory=list)
    refused: list[int] = field(default_factory=list)
    broken: list[Exception] = field(default_factory=list)
    gone: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self._ask) for _ in range(self.clients)]
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()

    def _ask(self) -> None:
        connection = http.client.HTTPConnection(self.host, timeout=10)
        body = json.dumps({"entity": "ada", "features": self.row})
        while not self._stop.is_set():
            try:
                connection.request("POST", "/predict", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                told = json.loads(answer.read())
                if answer.status == 200:
                    self.answered.append(told["prediction_id"])
                else:
                    self.refused.append(answer.status)
            except ConnectionRefusedError:
                self.gone += 1
                break
            except (OSError, http.client.HTTPException) as error:
                self.broken.append(error)
                connection.close()
        connection.close()


@pytest.fixture
def load(row: dict[str, Any]) -> Callable[..., Load]:
    """Clients that ask a server for predictions while the context is entered."""
    return lambda server, clients=4: Load(server.host, row, clients)


@dataclass(frozen=True)
class Found:
    """How often each prediction is in the observations, once everything on disk was shipped; and what that did."""

    times: Counter[str]
    last: Shipped

    def not_once(self, acknowledged: list[str]) -> list[str]:
        return [each for each in acknowledged if self.times[each] != 1]


@pytest.fixture
def found(home: Path) -> Callable[..., Found]:
    """What is in the observations; segments without a writer are shipped before."""

    def look(**settings: str) -> Found:
        opened = platform(Settings(home=home, **settings))  # type: ignore[arg-type]
        with opened.ledger:
            now = opened.settings.clock()
            last = ship(opened.stream(), opened.ledger, opened.blobs, "tiny", now)
            observations = Observations(opened.ledger, opened.blobs, "tiny", home / "cache")
            window = Window(now - timedelta(hours=1), now + timedelta(hours=1))
            return Found(Counter(observations.predictions(window)["prediction_id"].to_pylist()), last)

    return look
