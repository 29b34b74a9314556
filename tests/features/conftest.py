"""The online stores that promises are tested on: a file, and a real Redis server where there is one."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def redis_server() -> Iterator[int]:
    """The port of a Redis server of our own; what it holds is nobody else's."""
    program = shutil.which("redis-server")
    if program is None:
        missing = "needs the program redis-server"
        if os.environ.get("MAINSTAY_REQUIRE_TOOLS") == "1":  # noqa: TID251  (a setting of the tests alone)
            pytest.fail(missing)
        pytest.skip(missing)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    with tempfile.TemporaryDirectory(prefix="mainstay-redis-") as home:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        server = subprocess.Popen([*command, "--dir", home], stdout=subprocess.DEVNULL)
        try:
            for _ in range(200):
                with socket.socket() as tried:
                    if tried.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.02)
            yield port
        finally:
            server.terminate()
            server.wait(10)


@pytest.fixture(params=["sqlite", "redis"])
def online_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The address of an online store with nothing in it."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'feast' / 'online.db'}"
    import redis

    port = request.getfixturevalue("redis_server")
    with redis.Redis(port=port) as client:
        client.flushall()
    return f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="session")
def imported_feast() -> None:
    """Feast, and what it brings, as they come: that they warn is for them to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import feast as _  # noqa: F401
