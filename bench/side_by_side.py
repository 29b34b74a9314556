"""Single predictions over HTTP: Mainstay and what people use today, each beside a bare echo, on one core.

    python bench/side_by_side.py [--pairs 7] [--seconds 3] [PEER ...]

Every peer is installed into an environment of its own, is given the same model, and must answer the same customers with
the same probabilities before it is timed. One that cannot be installed or started is skipped, with the reason; with
MAINSTAY_REQUIRE_TOOLS=1 that ends the bench with 1.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from environments import NotInstalled, installed, versions
from pipeline import FEATURES, NEAR, pipeline_of
from report import record, table
from servers import CONNECTIONS, Measured, Running, Server, asked, echo, free_port, load, mainstay, needs, running
from work import ROW, released

ECHO, MAINSTAY = "bare echo", "Mainstay"
SILENT = {
    "DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "BENTOML_DO_NOT_TRACK": "True",
    "RAY_USAGE_STATS_ENABLED": "0",
}
"""No peer tells anybody that it ran."""
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Place:
    """Where a peer runs: the `bin` of its environment, a folder of its own, the model's path, and its port."""

    bin: Path
    own: Path
    code: Path
    model: Path
    port: int

    def environment(self) -> dict[str, str]:
        paths = {"PATH": f"{self.bin}:{os.environ['PATH']}", "PYTHONPATH": str(FEATURES)}  # noqa: TID251
        return {**SILENT, **paths, "CHURN_MODEL": str(self.model), "BENTOML_HOME": str(self.own)}


@dataclass(frozen=True)
class Peer:
    """How a peer is started and asked. `prepare` runs once before it, `read` finds the probability in an answer."""

    title: str
    packages: Sequence[str]
    path: str
    command: Callable[[Place], Sequence[str]]
    body: Callable[[Row], Any]
    read: Callable[[Any], float]
    prepare: Callable[[Place], None] = field(default=lambda place: None)


def _python(place: Place, *words: str) -> list[str]:
    return [str(place.bin / "python"), *words]


def _uvicorn(place: Place) -> list[str]:
    options = ["--port", str(place.port), "--no-access-log", "--log-level", "error"]
    return _python(place, "-m", "uvicorn", "--app-dir", str(place.code), "server:app", *options)


def _save_for_mlflow(place: Place) -> None:
    command = _python(place, str(place.code / "save.py"), str(place.own / "model"))
    environment = {**os.environ, **place.environment()}  # noqa: TID251
    found = subprocess.run(command, env=environment, cwd=place.own, capture_output=True, text=True, check=False)
    if found.returncode:
        raise RuntimeError(found.stderr[-2000:])


def _mlflow(place: Place) -> list[str]:
    options = ["--port", str(place.port), "--env-manager", "local", "--workers", "1"]
    return [str(place.bin / "mlflow"), "models", "serve", "--model-uri", str(place.own / "model"), *options]


def _settings_for_mlserver(place: Place) -> None:
    served = {"http_port": place.port, "grpc_port": free_port(), "metrics_port": free_port()}
    settings = {**served, "host": "127.0.0.1", "parallel_workers": 0, "logging_settings": None, "debug": False}
    model = {
        "name": "churn",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": str(place.model), "content_type": "pd"},
    }
    (place.own / "settings.json").write_text(json.dumps(settings))
    (place.own / "model-settings.json").write_text(json.dumps(model))


def _columns(row: Row) -> Any:
    """A row for the Open Inference Protocol, as MLServer makes a pandas frame of it."""
    inputs = [
        {"name": name, "shape": [1], "datatype": "BYTES", "parameters": {"content_type": "str"}, "data": [value]}
        if isinstance(value, str)
        else {"name": name, "shape": [1], "datatype": "INT64" if isinstance(value, int) else "FP64", "data": [value]}
        for name, value in row.items()
    ]
    return {"parameters": {"content_type": "pd"}, "inputs": inputs, "outputs": [{"name": "predict_proba"}]}


def _bentoml(place: Place) -> list[str]:
    options = ["--working-dir", str(place.code), "--host", "127.0.0.1", "--port", str(place.port)]
    return _python(place, "-m", "bentoml", "serve", "service:Churn", *options)


def _features(row: Row) -> Any:
    return {"features": dict(row)}


def _probability(answer: Any) -> float:
    return float(answer["probability"])


_MODEL = ("scikit-learn", "lightgbm", "pandas")
PEERS: Mapping[str, Peer] = {
    "fastapi": Peer(
        "FastAPI + scikit-learn + pandas", ("fastapi", "uvicorn"), "/predict", _uvicorn, dict, _probability
    ),
    "mlflow": Peer(
        "mlflow models serve",
        ("mlflow",),
        "/invocations",
        _mlflow,
        lambda row: {"dataframe_records": [dict(row)]},
        lambda answer: float(answer["predictions"][0][1]),
        _save_for_mlflow,
    ),
    "mlserver": Peer(
        "MLServer",
        ("mlserver", "mlserver-sklearn"),
        "/v2/models/churn/infer",
        lambda place: [str(place.bin / "mlserver"), "start", str(place.own)],
        _columns,
        lambda answer: float(answer["outputs"][0]["data"][1]),
        _settings_for_mlserver,
    ),
    "bentoml": Peer(
        "BentoML",
        ("bentoml",),
        "/predict",
        _bentoml,
        _features,
        _probability,
    ),
    "ray": Peer(
        "Ray Serve",
        ("ray",),
        "/predict",
        lambda place: _python(place, str(place.code / "server.py"), str(place.port), str(place.own)),
        _features,
        _probability,
    ),
}


@dataclass
class Found:
    """What was measured of one server: its runs and, one for one, those of the echo that ran between them."""

    runs: list[Measured]
    echo: list[Measured]
    megabytes: float
    processes: int
    startup: float
    versions: Mapping[str, str] = field(default_factory=dict)

    @property
    def ratio(self) -> float:
        """Of pairs: what slows the machine down for a while slows both."""
        return statistics.median(ours.rate / bare.rate for ours, bare in zip(self.runs, self.echo, strict=True))


def main() -> int:
    given = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    given.add_argument("--pairs", type=int, default=7)
    given.add_argument("--seconds", type=int, default=3)
    given.add_argument("peers", nargs="*", default=list(PEERS), metavar="PEER")
    asked_for = given.parse_args()
    if unknown := set(asked_for.peers) - set(PEERS):
        given.error(f"there is no peer {', '.join(sorted(unknown))}; there are {', '.join(PEERS)}")
    needs()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        return compare(Path(folder), asked_for.peers, asked_for.pairs, asked_for.seconds)


def compare(folder: Path, names: Sequence[str], pairs: int, seconds: int) -> int:
    version = released(folder / "home", "[lightgbm]")
    customers = pipeline_of(version, folder / "model.joblib")
    bare, ours = echo(), mainstay(folder / "home", version.key)
    found: dict[str, Found] = {}
    skipped: dict[str, str] = {}
    with running(bare) as limit:
        with running(ours) as started:
            expected = [_probability(asked(ours, _features(row))) for row in (ROW, *customers)]
            found[MAINSTAY] = measured(ours, started, bare, pairs, seconds)
        for name in names:
            try:
                found[PEERS[name].title] = peer_found(
                    name, folder, (ROW, *customers), expected, lambda a, b: measured(a, b, bare, pairs, seconds)
                )
            except (NotInstalled, RuntimeError) as error:
                skipped[PEERS[name].title] = str(error)
                sys.stderr.write(f"{PEERS[name].title} is skipped: {error}\n")
        found = {ECHO: of_echo(found, limit), **found}
    told(found, skipped, pairs)
    return int(bool(skipped) and os.environ.get("MAINSTAY_REQUIRE_TOOLS") == "1")  # noqa: TID251


def peer_found(
    name: str,
    folder: Path,
    customers: Sequence[Row],
    expected: Sequence[float],
    measure: Callable[[Server, Running], Found],
) -> Found:
    """Install a peer, start it, see that it says what Mainstay says, and measure it.

    RuntimeError where it does not come up, or says something else.
    """
    peer, bin_ = PEERS[name], installed(name)
    own = folder / name
    own.mkdir()
    place = Place(bin_, own, Path(__file__).parent / "peers" / name, folder / "model.joblib", free_port())
    peer.prepare(place)
    server = Server(peer.command(place), place.port, place.environment(), body=peer.body(ROW), path=peer.path)
    with running(server) as started:
        for row, probability in zip(customers, expected, strict=True):
            answer = asked(server, peer.body(row))
            if answer is None or not abs(peer.read(answer) - probability) <= NEAR:
                raise RuntimeError(f"it answers {answer}, and Mainstay {probability:.6f}, to {dict(row)}")
        made = measure(server, started)
    made.versions = versions(bin_, [*peer.packages, *_MODEL])
    return made


def measured(server: Server, started: Running, bare: Server, pairs: int, seconds: int) -> Found:
    """Runs of a server and of the echo, one after the other, after one that warms up both."""
    load(bare, 1)
    load(server, 1)
    runs: list[Measured] = []
    echoes: list[Measured] = []
    for _ in range(pairs):
        echoes.append(load(bare, seconds))
        runs.append(load(server, seconds))
    megabytes, processes = started.whole()
    return Found(runs, echoes, megabytes, processes, started.startup)


def of_echo(found: Mapping[str, Found], limit: Running) -> Found:
    runs = [each for made in found.values() for each in made.echo]
    megabytes, processes = limit.whole()
    return Found(runs, runs, megabytes, processes, limit.startup)


def told(found: Mapping[str, Found], skipped: Mapping[str, str], pairs: int) -> None:
    columns = ["what", "requests a second", "of the echo", "p50 ms", "p99 ms", "MB, all processes", "processes",
               "s to first answer", "versions"]  # fmt: skip
    shown = []
    for name, each in found.items():
        rate, middle, late = (
            statistics.median(getattr(run, what) for run in each.runs) for what in ("rate", "median", "late")
        )
        numbers = [f"{rate:,.0f}", f"{each.ratio:.4f}", f"{middle:.2f}", f"{late:.2f}", f"{each.megabytes:.0f}"]
        used = ", ".join(f"{package} {version}" for package, version in each.versions.items() if package not in _MODEL)
        shown.append([name, *numbers, each.processes, f"{each.startup:.1f}", used])
    for name, reason in skipped.items():
        shown.append([name, "skipped", *[""] * 6, reason.splitlines()[-1][:200].replace("|", "/")])
    ratio = {name: each.ratio for name, each in found.items()}
    peers = [name for name in found if name not in (ECHO, MAINSTAY)]
    words = "No peer was measured."
    if peers:
        best = max(peers, key=lambda name: ratio[name])
        words = (
            f"Mainstay answers {ratio[MAINSTAY] / ratio[best]:.0f} times as many requests as the fastest peer, {best}."
        )
    sys.stdout.write(f"{table(columns, shown)}\n\n{words}\n")
    record(
        "side by side",
        {
            "title": "Single predictions, side by side",
            "question": "How many requests a second does one core answer, one row each, with what people use today?",
            "how": "All hold the same LightGBM of 300 trees with 7 leaves, and were seen to answer the same customers "
            f"with the same probabilities (to {NEAR:g}) before they were timed. Each has one worker on one core, with "
            f"{CONNECTIONS} connections kept open by wrk on another. Mainstay checks the key and every value, writes "
            "the record to its log and counts (its second process ships the log); the peers do none of that. The echo "
            f"sends back what it was sent, on Mainstay's HTTP server. Medians of {pairs} runs, each beside a run of "
            "the echo; the ratio is the median of the pairs'.",
            "columns": columns,
            "rows": shown,
            "found": words,
            "ratio_to_bare": ratio,
            "megabytes": {name: each.megabytes for name, each in found.items()},
            "versions": {name: each.versions for name, each in found.items() if each.versions},
            "skipped": dict(skipped),
            "runs": {name: [vars(run) for run in each.runs] for name, each in found.items()},
            "echo": {name: [vars(run) for run in each.echo] for name, each in found.items()},
        },
    )


if __name__ == "__main__":
    sys.exit(main())
