"""Real workers and shippers killed under load: every acknowledged prediction is in the observations, exactly once."""

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from mainstay.ledger.observations import Observations
from mainstay.ledger.shipping import ship
from mainstay.nouns import Window
from mainstay.settings import Settings
from mainstay.wiring import platform

KILLS = 20
WORKERS = 4
START = """
import sys
from pathlib import Path
from mainstay.serving.main import serve
from mainstay.settings import Settings
serve(Settings(home=Path(sys.argv[1])), "tiny", "127.0.0.1", 0, int(sys.argv[2]), True, lambda words: None)
"""


@contextmanager
def serving(home: Path) -> Iterator[tuple[int, str]]:
    """The process id and the address of a server with several workers; ended with SIGTERM."""
    server = subprocess.Popen(
        [sys.executable, "-c", START, str(home), str(WORKERS)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    try:
        yield server.pid, server.stdout.readline().split()[0].removeprefix("http://")
    finally:
        server.send_signal(signal.SIGTERM)
        assert server.wait(timeout=30) == 0
        server.stdout.close()


def workers_of(server: int) -> list[int]:
    """The workers of a server that run now."""
    listed = subprocess.run(
        ["ps", "-o", "pid=,args=", "--ppid", str(server)], capture_output=True, text=True, check=False
    )
    return [int(line.split()[0]) for line in listed.stdout.splitlines() if "mainstay.serving.worker" in line]


def kill_shipper(server: int) -> None:
    """Kill the process that ships, wherever it is in its work, if one runs now."""
    for path in Path(f"/proc/{server}/task").glob("*/children"):
        for child in path.read_text().split():
            with suppress(OSError):
                if b"--follow" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)


class Client:
    """Asks for predictions, and tells about each that it got, until it is stopped; it survives whatever happens."""

    def __init__(self, address: str, row: dict[str, Any], number: int) -> None:
        self.predicted: list[str] = []
        self.labelled: list[str] = []
        self.unanswered = 0
        self._address, self._row, self._number = address, row, number
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        connection = http.client.HTTPConnection(self._address, timeout=10)
        count = 0
        while not self._stop.is_set():
            count += 1
            try:
                asked = {"entity": f"{self._number}.{count}", "features": self._row}
                made = self._post(connection, "/predict", asked, 200)
                self.predicted.append(made["prediction_id"])
                if count % 10 == 0:
                    told = {"labels": [{"prediction_id": made["prediction_id"], "value": "Yes"}]}
                    assert self._post(connection, "/feedback", told, 202)["accepted"] == 1
                    self.labelled.append(made["prediction_id"])
            except (OSError, http.client.HTTPException):
                self.unanswered += 1
                connection.close()
        connection.close()

    @staticmethod
    def _post(connection: http.client.HTTPConnection, path: str, body: Any, status: int) -> dict[str, Any]:
        connection.request("POST", path, json.dumps(body), {"content-type": "application/json"})
        answer = connection.getresponse()
        read = answer.read()
        assert answer.status == status, read
        found: dict[str, Any] = json.loads(read)
        return found


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="workers are found by ps, as on Linux")
def test_every_acknowledged_record_outlives_twenty_kills_exactly_once(home: Path, row: dict[str, Any]) -> None:
    killed = 0
    with serving(home) as (server, address):
        clients = [Client(address, row, number) for number in range(4)]
        try:
            until = time.monotonic() + 90
            while killed < KILLS and time.monotonic() < until:
                time.sleep(0.4)
                running = workers_of(server)
                if len(running) > 1:  # one is left to answer
                    os.kill(running[0], signal.SIGKILL)
                    killed += 1
                if killed % 7 == 3:
                    kill_shipper(server)
        finally:
            for client in clients:
                client.stop()
    assert killed == KILLS
    opened = platform(Settings(home=home))
    # What a killed shipper left is taken up by whoever ships next.
    assert ship(opened.stream(), opened.ledger, opened.blobs, "tiny", opened.settings.clock()).damaged == 0
    assert opened.stream().sealed("tiny") == []
    observations = Observations(opened.ledger, opened.blobs, "tiny", home / "cache")
    now = opened.settings.clock()
    today = Window(now - timedelta(hours=1), now + timedelta(hours=1))
    predicted = Counter(observations.predictions(today)["prediction_id"].to_pylist())
    labelled = Counter(observations.labels(today)["prediction_id"].to_pylist())
    acknowledged = [each for client in clients for each in client.predicted]
    assert len(acknowledged) > 500
    assert [each for each in acknowledged if predicted[each] != 1] == []
    assert [each for client in clients for each in client.labelled if labelled[each] != 1] == []
    # A worker that died between writing and answering left a record that nobody got: never more than were asked for.
    assert len(predicted) - len(acknowledged) <= sum(each.unanswered for each in clients)
