"""The tracker and the mirror against a real MLflow server on this machine."""

import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.nouns import Estimate, ModelVersion
from mainstay.registry.mirror import Mirror
from mainstay.training.track import Tracker

pytestmark = pytest.mark.skipif(
    "1" not in (os.getenv("MAINSTAY_REQUIRE_TOOLS"), os.getenv("MAINSTAY_TEST_SERVERS")),
    reason="starts an MLflow server, which takes a while: set MAINSTAY_TEST_SERVERS=1",
)
START_SECONDS = 120


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server of our own, with its store and its artifacts in a fresh directory."""
    home = tmp_path_factory.mktemp("server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"http://127.0.0.1:{port}"
    store = ["--backend-store-uri", f"sqlite:///{home}/server.db", "--artifacts-destination", f"{home}/artifacts"]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    environment = {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.defpath}",
        "HOME": str(home),
        "DO_NOT_TRACK": "1",
        "MLFLOW_DISABLE_TELEMETRY": "true",
    }
    with (home / "log").open("wb") as log:
        process = subprocess.Popen([*command, *store], cwd=home, env=environment, stdout=log, stderr=log)
        try:
            _wait(address, process, home / "log")
            yield address
        finally:
            process.terminate()
            process.wait(timeout=30)


def _wait(address: str, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=2):
                return
        except OSError:
            time.sleep(0.5)
    pytest.fail(f"the MLflow server did not start:\n{log.read_text()[-2000:]}")


def test_a_run_and_its_version_reach_a_real_server(server: str, capfd: pytest.CaptureFixture[str]) -> None:
    tracker = Tracker(server, lambda: datetime(2026, 1, 1, tzinfo=UTC))
    metrics = {"log_loss": Estimate(0.41, 0.4, 0.42, 1409)}
    with tracker.start("run1", "churn", dataset="ds_" + "a" * 64, seed=7, code={}, parameters={"trials": 2}) as run:
        for number in range(2):
            run.log_trial(number, "logistic", {"C": 0.5}, {"log_loss": [0.4, 0.5]})
        run.finish({"C": 0.5}, metrics, {"bundle/model.onnx": b"graph", "plots/roc.png": b"\x89PNG"})
    version = ModelVersion("churn", "1.0.0", "cd_" + "b" * 64, "ds_" + "a" * 64, "run1", "c" * 64, "key1", metrics)
    unknown = ModelVersion("churn", "1.1.0", "cd_" + "d" * 64, "ds_" + "a" * 64, "run2", "c" * 64, "key1", metrics)
    mirror = Mirror(server, lambda each: f"file:///elsewhere/{each.candidate}")
    for _ in range(2):
        mirror.sync("churn", [version, unknown], {"champion": "1.0.0", "challenger": "1.1.0"})
    assert capfd.readouterr() == ("", "")

    from mlflow import MlflowClient

    client = MlflowClient(server, server)
    found = client.get_run(run.id)
    assert found.info.status == "FINISHED"
    assert found.data.metrics["log_loss_low"] == 0.4
    assert [each.path for each in client.list_artifacts(run.id, "bundle")] == ["bundle/model.onnx"]
    champion = client.get_model_version_by_alias("churn", "champion")
    assert (champion.run_id, champion.tags["mainstay.version"]) == (run.id, "1.0.0")
    assert client.get_model_version_by_alias("churn", "challenger").tags["mainstay.version"] == "1.1.0"
    assert len(client.search_model_versions("name = 'churn'")) == 2
    assert len(client.search_runs([found.info.experiment_id], f"tags.mlflow.parentRunId = '{run.id}'")) == 2
