"""The real server, in processes of its own."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

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
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COV")}  # noqa: TID251
    server = subprocess.Popen(
        [sys.executable, "-c", START, str(home), str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
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


def test_a_server_starts_answers_and_ends_well(home: Path, row: dict[str, Any]) -> None:
    with running(home, 1) as (_, address, line):
        assert line == f"{address} serves tiny@1.0.0\n"
        answer = httpx.post(f"{address}/predict", json={"features": row}).json()
        assert answer["version"] == "1.0.0"
        assert answer["decision"] in ("Yes", "No")
        # The policy is that of the configuration which the split names.
        assert httpx.post(f"{address}/predict", json={"features": row | {"plan": "gold"}}).status_code == 422
