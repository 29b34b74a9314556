"""Servers in processes of their own, pinned to a core, and the load (wrk) on another."""

import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from work import ROW

CONNECTIONS = 16
PATIENCE = 120  # seconds until a server must have answered
_MARK = "MAINSTAY_BENCHED"
"""In the environment of every process that a server starts: by it they are counted, and ended."""

_SEVERAL = """
local bodies, at = {}, 0
for line in io.lines("%s") do bodies[#bodies + 1] = line end
request = function()
  at = (at + 7919) %% #bodies
  return wrk.format(nil, nil, nil, bodies[at + 1])
end
"""


@dataclass(frozen=True)
class Server:
    """How a server is started on `port`, and asked. `environment` is added to this process's own.

    Where there are `bodies`, the load asks with them all, far apart from one to the next.
    """

    command: Sequence[str]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    key: str = "none"
    body: Any = field(default_factory=lambda: {"entity": "7590-VHVEG", "features": ROW})
    path: str = "/predict"
    bodies: Sequence[Any] = ()

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    def headers(self) -> dict[str, str]:
        return {"content-type": "application/json", "authorization": f"Bearer {self.key}"}


@dataclass(frozen=True)
class Running:
    """A server that answers: its first process, the seconds until it did, and the mark of its processes."""

    process: "subprocess.Popen[bytes]"
    startup: float
    mark: str

    def worker(self) -> float:
        """Resident megabytes of the process that answers: ours is started by a supervisor, others are it themselves."""
        ours = [pid for pid in _marked(self.mark) if b"mainstay.serving.worker" in _command(pid)]
        return max(map(_resident, ours), default=_resident(self.process.pid))

    def whole(self) -> tuple[float, int]:
        """Resident megabytes of every process that it has, and how many they are."""
        pids = _marked(self.mark)
        return sum(map(_resident, pids)), len(pids)


@dataclass
class Measured:
    """One run of wrk: requests a second, milliseconds at the median and the 99th percentile."""

    rate: float
    median: float
    late: float


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


def echo() -> Server:
    """The limit: what the HTTP server itself can do."""
    port = free_port()
    folder = str(Path(__file__).parent / "peers")
    options = [
        "--loop",
        "uvloop",
        "--http",
        "httptools",
        "--no-access-log",
        "--lifespan",
        "off",
        "--log-level",
        "error",
    ]
    return Server(
        [sys.executable, "-m", "uvicorn", "--app-dir", folder, "echo:app", "--port", str(port), *options], port
    )


def mainstay(home: Path, key: str) -> Server:
    """What is live in a home, served as anybody serves it, with everything on."""
    port = free_port()
    command = [sys.executable, "-m", "mainstay.cli.main", "serve", "--port", str(port)]
    return Server(command, port, {"MAINSTAY_HOME": str(home)}, key)


def needs() -> None:
    """End here, saying what is missing, where there is no wrk and none can be installed, or only one core."""
    if not hasattr(os, "sched_getaffinity") or shutil.which("taskset") is None:
        sys.exit("the bench pins servers to cores: it needs Linux, and taskset (util-linux)")
    if len(os.sched_getaffinity(0)) < 2:
        sys.exit("the bench needs two cores: one for the server, one for the load")
    if shutil.which("wrk"):
        return
    if os.geteuid() == 0 and shutil.which("apt-get"):
        sys.stderr.write("installing wrk, which makes the load\n")
        for words in (["update"], ["install", "--yes", "wrk"]):
            subprocess.run(["apt-get", "--quiet", *words], stdout=subprocess.DEVNULL, check=False)
    if shutil.which("wrk") is None:
        sys.exit("the bench needs wrk, which makes the load: `apt-get install wrk`, or https://github.com/wg/wrk")


def core(place: int) -> str:
    """The core for servers (0), or for the load (1), of those that this process may use."""
    return str(sorted(os.sched_getaffinity(0))[place])


@contextmanager
def running(server: Server, cores: str | None = None) -> Iterator[Running]:
    """A server, once it has answered 200. RuntimeError with the end of its output where it does not come up."""
    mark = secrets.token_hex(8)
    environment = {**os.environ, **server.environment, _MARK: mark}  # noqa: TID251
    began = time.perf_counter()
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            ["taskset", "-c", cores or core(0), *server.command], env=environment, stdout=said, stderr=said
        )
        try:
            while asked(server) is None:
                if process.poll() is not None or time.perf_counter() - began > PATIENCE:
                    said.seek(0)
                    end = said.read()[-2000:].decode(errors="replace").strip()
                    raise RuntimeError(f"it does not answer: {end or 'it said nothing'}")
                time.sleep(0.02)
            yield Running(process, time.perf_counter() - began, mark)
        finally:
            _end(process, mark)


def _end(process: "subprocess.Popen[bytes]", mark: str) -> None:
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(20)
    for pid in _marked(mark):  # what it has left behind
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait(10)


def asked(server: Server, body: Any = None) -> Any:
    """What a server answers to a body (its own unless given); None where it is not up, or refuses."""
    data = json.dumps(server.body if body is None else body).encode()
    request = urllib.request.Request(server.address, data, server.headers())
    try:
        with urllib.request.urlopen(request, timeout=10) as found:
            return json.load(found)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return None


def load(server: Server, seconds: int, connections: int = CONNECTIONS) -> Measured:
    """What wrk finds. RuntimeError where an answer was no 200."""
    with (
        tempfile.NamedTemporaryFile("w", suffix=".lua") as script,
        tempfile.NamedTemporaryFile("w", suffix=".jsonl") as bodies,
    ):
        headers = "".join(f'wrk.headers["{name}"] = "{value}"\n' for name, value in server.headers().items())
        script.write(f'wrk.method = "POST"\nwrk.body = [==[{json.dumps(server.body)}]==]\n{headers}')
        if server.bodies:
            bodies.write("\n".join(map(json.dumps, server.bodies)))
            script.write(_SEVERAL % bodies.name)
        bodies.flush()
        script.flush()
        options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "--latency", "-s", script.name]
        found = subprocess.run(
            ["taskset", "-c", core(1), "wrk", *options, server.address], capture_output=True, text=True, check=True
        )
    if "Non-2xx" in found.stdout or "Socket errors" in found.stdout:
        raise RuntimeError(found.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", found.stdout)
    late = {percent: _milliseconds(percent, found.stdout) for percent in ("50%", "99%")}
    return Measured(float(rate[1]) if rate else 0.0, late["50%"], late["99%"])


def _milliseconds(percent: str, text: str) -> float:
    found = re.search(rf"{percent}\s+([\d.]+)(us|ms|s)\b", text)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]] if found else 0.0


def _marked(mark: str) -> list[int]:
    """Every process that inherited the mark."""
    wanted, found = f"{_MARK}={mark}".encode(), []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if wanted in (place / "environ").read_bytes().split(b"\0"):
                found.append(int(place.name))
        except OSError:  # it has ended, or is somebody else's
            continue
    return found


def _resident(pid: int) -> float:
    """Megabytes; 0 of a process that has ended."""
    try:
        found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    except OSError:
        return 0.0
    return int(found[1]) / 1000 if found else 0.0


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
