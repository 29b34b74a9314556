"""Single predictions over HTTP, beside a bare echo on the same server: each on core 0, the load (wrk) on core 1.

    python bench/serving.py [--pairs 7] [--seconds 5] [--least 0.4]

Ends with 1 where Mainstay answers less than `--least` times as many requests a second as the echo, all on: validation,
routing, the log, metrics, a key for every request. The servers of a round are measured one after the other, so that
what else the machine does meets all of them; what counts is the median. Another peer is another entry of `servers`.
"""

import argparse
import json
import os
import re
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from report import record, table

from mainstay.journeys import release
from mainstay.journeys.asked import Asked
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import API_KEYS
from mainstay.nouns import ApiKey
from mainstay.settings import Settings
from mainstay.training import estimators
from mainstay.usecase_file import CHURN, loads
from mainstay.wiring import platform

ROW = {
    "gender": "Female",
    "SeniorCitizen": 0,
    "Partner": "Yes",
    "Dependents": "No",
    "tenure": 1,
    "PhoneService": "No",
    "MultipleLines": "No phone service",
    "InternetService": "DSL",
    "OnlineSecurity": "No",
    "OnlineBackup": "Yes",
    "DeviceProtection": "No",
    "TechSupport": "No",
    "StreamingTV": "No",
    "StreamingMovies": "No",
    "Contract": "Month-to-month",
    "PaperlessBilling": "Yes",
    "PaymentMethod": "Electronic check",
    "MonthlyCharges": 29.85,
    "TotalCharges": 29.85,
}
"""The first customer of IBM's Telco data."""
ECHO, MAINSTAY, ENSEMBLE = "bare echo", "Mainstay", "Mainstay, ensemble of 3"
CONNECTIONS = 16
SERVER, LOAD = "0", "1"  # the cores


@dataclass(frozen=True)
class Server:
    """How a server is started on `port`, and asked."""

    command: Sequence[str]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict)
    key: str = "none"
    body: Any = field(default_factory=lambda: {"entity": "7590-VHVEG", "features": ROW})


@dataclass
class Measured:
    """One run of wrk: requests a second, milliseconds at the median and the 99th percentile."""

    rate: float
    median: float
    late: float


def main() -> int:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--pairs", type=int, default=7)
    asked.add_argument("--seconds", type=int, default=5)
    asked.add_argument("--least", type=float, default=0.4)
    given = asked.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return compare(servers(Path(folder)), given.pairs, given.seconds, given.least)


def servers(folder: Path) -> dict[str, Server]:
    """Every server that is measured, by name."""
    python = sys.executable
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
    peers = str(Path(__file__).parent / "peers")
    made = {ECHO: Server([python, "-m", "uvicorn", "--app-dir", peers, "echo:app", "--port", "8730", *options], 8730)}
    recipes = {MAINSTAY: "[lightgbm]", ENSEMBLE: "[logistic, random_forest, lightgbm, ensemble]"}
    for port, (name, recipe) in enumerate(recipes.items(), 8731):
        home = folder / str(port)
        key = released(home, recipe)
        command = [python, "-m", "mainstay.cli.main", "serve", "--port", str(port)]
        made[name] = Server(command, port, {"MAINSTAY_HOME": str(home)}, key)
    return made


def released(home: Path, recipe: str) -> str:
    """Release a version of the churn use case to a new home; the secret of a key that may ask for it."""
    table_of = dict(estimators.ESTIMATORS)
    lightgbm = table_of["lightgbm"]
    table_of["lightgbm"] = replace(lightgbm, build=_seven_leaves)
    estimators.ESTIMATORS.update(table_of)  # type: ignore[attr-defined]  # the work is fixed here, not by a search
    text = CHURN.read_text().replace("customers=20000", "customers=6000")
    text = re.sub(r"estimators: \[[^]]*\]", f"estimators: {recipe}", text)
    trials = 1 if "ensemble" not in recipe else 3
    use_case = loads(text.replace("trials: 30, folds: 5", f"trials: {trials}, folds: 2"))
    opened = platform(Settings(home=home))
    found = release.Release(use_case.name)
    release.release(opened, use_case, Asked("bench", "to be measured", home), found, lambda noun: None)
    secret, now = secrets.token_urlsafe(24), datetime.now(UTC)  # noqa: TID251  (a door)
    key = ApiKey("bench", "bench", sha256(secret.encode()).hexdigest(), ("predict",), now)
    with opened.ledger as ledger:
        ledger.write(use_case.name, Entry(API_KEYS, key.id, key), at=now, actor="bench", reason="to be measured")
    return secret


def _seven_leaves(parameters: Mapping[str, Any], seed: int) -> Any:
    from lightgbm import LGBMClassifier

    shape = {"n_estimators": 300, "num_leaves": 7, "max_depth": -1}
    return LGBMClassifier(**{**parameters, **shape}, random_state=seed, deterministic=True, num_threads=1, verbosity=-1)


def compare(made: Mapping[str, Server], pairs: int, seconds: int, least: float) -> int:
    runs: dict[str, list[Measured]] = {name: [] for name in made}
    with ExitStack() as stack:
        started = {name: stack.enter_context(running(each)) for name, each in made.items()}
        for _ in range(pairs):
            for name, server in made.items():
                load(server, 1, CONNECTIONS)
                runs[name].append(load(server, seconds, CONNECTIONS))
        memory = {name: resident(process.pid) for name, (process, _) in started.items()}
        growth = {count: load(made[MAINSTAY], seconds, count) for count in (1, 4, 16, 64, 256)}
    workers = {count: many(made[MAINSTAY], count, seconds) for count in (1, 2)}
    startup = {name: seconds_up for name, (_, seconds_up) in started.items()}
    return told(runs, memory, startup, growth, workers, least)


@contextmanager
def running(server: Server, cores: str = SERVER) -> Iterator[tuple["subprocess.Popen[bytes]", float]]:
    """The process, pinned to `cores`, and the seconds until it answered 200."""
    began = time.perf_counter()
    environment = {**os.environ, **server.environment}  # noqa: TID251
    process = subprocess.Popen(
        ["taskset", "-c", cores, *server.command], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    try:
        while not answers(server):
            if process.poll() is not None or time.perf_counter() - began > 120:
                raise RuntimeError(
                    f"{server.command} does not answer: {process.stderr.read() if process.stderr else ''!r}"
                )
            time.sleep(0.02)
        yield process, time.perf_counter() - began
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(30)


def answers(server: Server) -> bool:
    headers = {"content-type": "application/json", "authorization": f"Bearer {server.key}"}
    asked = urllib.request.Request(_address(server), json.dumps(server.body).encode(), headers)
    try:
        with urllib.request.urlopen(asked, timeout=5) as found:
            return bool(found.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def _address(server: Server) -> str:
    return f"http://127.0.0.1:{server.port}/predict"


def load(server: Server, seconds: int, connections: int) -> Measured:
    """What wrk finds. RuntimeError where an answer was no 200."""
    with tempfile.NamedTemporaryFile("w", suffix=".lua") as script:
        body = json.dumps(server.body)
        script.write(
            f'wrk.method = "POST"\nwrk.body = [[{body}]]\nwrk.headers["content-type"] = "application/json"\n'
            f'wrk.headers["authorization"] = "Bearer {server.key}"\n'
        )
        script.flush()
        command = ["taskset", "-c", LOAD, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", script.name]
        found = subprocess.run([*command, "--latency", _address(server)], capture_output=True, text=True, check=True)
    if "Non-2xx" in found.stdout or "Socket errors" in found.stdout:
        raise RuntimeError(found.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", found.stdout)
    late = {percent: _milliseconds(percent, found.stdout) for percent in ("50%", "99%")}
    return Measured(float(rate[1]) if rate else 0.0, late["50%"], late["99%"])


def _milliseconds(percent: str, text: str) -> float:
    found = re.search(rf"{percent}\s+([\d.]+)(us|ms|s)\b", text)
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]] if found else 0.0


def resident(pid: int) -> float:
    """Megabytes."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    return int(found[1]) / 1000 if found else 0.0


def many(server: Server, workers: int, seconds: int) -> Measured:
    """With so many workers on all cores, which the load shares."""
    several = replace(server, command=[*server.command, "--workers", str(workers)])
    with running(several, f"0-{(os.cpu_count() or 2) - 1}"):
        load(several, 1, CONNECTIONS)
        return load(several, seconds, CONNECTIONS)


def told(
    runs: Mapping[str, Sequence[Measured]],
    memory: Mapping[str, float],
    startup: Mapping[str, float],
    growth: Mapping[int, Measured],
    workers: Mapping[int, Measured],
    least: float,
) -> int:
    rate = {name: statistics.median(each.rate for each in found) for name, found in runs.items()}
    late = {name: statistics.median(each.late for each in found) for name, found in runs.items()}
    # Of pairs: what slows the machine down for a while slows both.
    ratio = {
        name: statistics.median(each.rate / echo.rate for each, echo in zip(found, runs[ECHO], strict=True))
        for name, found in runs.items()
    }
    columns = ["what", "requests a second", "of the echo", "p50 ms", "p99 ms", "MB resident", "s to first answer"]
    shown = [
        [
            name,
            f"{rate[name]:,.0f}",
            f"{ratio[name]:.2f}",
            f"{statistics.median(each.median for each in found):.2f}",
            f"{late[name]:.2f}",
            f"{memory[name]:.0f}",
            f"{startup[name]:.1f}",
        ]
        for name, found in runs.items()
    ]
    shown += [[f"Mainstay, {n} connections", f"{m.rate:,.0f}", "", f"{m.median:.2f}", f"{m.late:.2f}", "", ""]
              for n, m in growth.items()]  # fmt: skip
    shown += [[f"Mainstay, {n} workers, all cores", f"{m.rate:,.0f}", "", f"{m.median:.2f}", f"{m.late:.2f}", "", ""]
              for n, m in workers.items()]  # fmt: skip
    slower = late[MAINSTAY] / late[ECHO]
    found = (
        f"Mainstay answers {ratio[MAINSTAY]:.2f} as many requests as the bare echo; it must be {least:g}. Its p99 is "
        f"{slower:.1f} times the echo's, and one worker takes {memory[MAINSTAY]:.0f} MB."
    )
    sys.stdout.write(f"{table(columns, shown)}\n\n{found}\n")
    record(
        "serving",
        {
            "title": "Single predictions over HTTP",
            "question": "How many requests a second does one core answer, one row each?",
            "how": "A LightGBM of 300 trees with 7 leaves on the Telco row, 16 connections kept open, the server on "
            "one core and wrk on another. Mainstay checks the key and every value, assigns an arm, writes the record "
            "to its log and counts; the echo sends back what it was sent, on the same server (uvicorn, uvloop and "
            "httptools). "
            f"Medians of {len(runs[ECHO])} interleaved rounds; the ratio is the median of the rounds' own.",
            "columns": columns,
            "rows": shown,
            "found": found,
            "ratio_to_bare": ratio,
            "p99_to_bare": slower,
            "megabytes": memory,
            "startup_seconds": startup,
            "runs": {name: [vars(each) for each in found] for name, found in runs.items()},
            "least": least,
        },
    )
    return 0 if ratio[MAINSTAY] >= least else 1


if __name__ == "__main__":
    sys.exit(main())
