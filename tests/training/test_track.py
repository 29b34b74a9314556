"""Runs, on a real embedded store."""

import math
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

import pytest

from mainstay.adapters.tracking import Connection
from mainstay.errors import Unavailable
from mainstay.nouns import Estimate
from mainstay.training.track import TrackedRun, Tracker, code_version

pytestmark = pytest.mark.xdist_group("mlflow")  # importing MLflow takes seconds: once is enough
NOW = datetime(2026, 1, 1, tzinfo=UTC)
DATASET = "ds_" + "ab" * 32
CODE = {"version": "0.1.0", "commit": "c0ffee"}
Answer = TypeVar("Answer")


@pytest.fixture(scope="session")
def new_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without a run, made once: its tables take a second."""
    database = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    read(database, lambda client: client.search_experiments())
    return database


@pytest.fixture
def database(new_store: Path, tmp_path: Path) -> Path:
    return Path(shutil.copy(new_store, tmp_path / "mlflow.db"))


def load() -> Any:
    import mlflow
    import mlflow.store.db.utils

    return mlflow


def read(database: Path, ask: Callable[[Any], Answer]) -> Answer:
    with Connection(f"sqlite:///{database}", load).asking("reading") as client:
        return ask(client)


def start(database: Path | str, run: str = "run1") -> TrackedRun:
    url = database if isinstance(database, str) else f"sqlite:///{database}"
    tracker = Tracker(url, lambda: NOW)
    return tracker.start(run, "churn", dataset=DATASET, seed=7, code=CODE, parameters={"trials": 30, "folds": 5})


def test_importing_the_tracker_imports_neither_mlflow_nor_matplotlib() -> None:
    program = (
        "import sys, mainstay.training.track, mainstay.training.plots, mainstay.registry.mirror\n"
        "print(sorted({'mlflow', 'matplotlib', 'pandas', 'alembic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout == "[]\n"


def test_a_run_says_what_it_came_from(database: Path) -> None:
    with start(database) as run:
        found = read(database, lambda client: client.get_run(run.id))
        experiment = read(database, lambda client: client.get_experiment(found.info.experiment_id))
        run.finish({}, {}, {})
    assert experiment.name == "churn"
    assert found.info.start_time == NOW.timestamp() * 1000
    assert found.data.params == {"seed": "7", "trials": "30", "folds": "5"}
    assert found.data.tags["mainstay.run"] == "run1"
    assert found.data.tags["mainstay.dataset"] == DATASET
    assert found.data.tags["mainstay.code.version"] == "0.1.0"
    assert found.data.tags["mlflow.source.git.commit"] == "c0ffee"
    assert [(each.dataset.name, each.dataset.source) for each in found.inputs.dataset_inputs] == [("churn", DATASET)]


def test_code_without_a_commit_is_fine(database: Path) -> None:
    tracker = Tracker(f"sqlite:///{database}", lambda: NOW)
    with tracker.start("run1", "churn", dataset=DATASET, seed=7, code={"version": "0.1.0"}, parameters={}) as run:
        run.finish({}, {}, {})
    tags = read(database, lambda client: client.get_run(run.id)).data.tags
    assert "mlflow.source.git.commit" not in tags


def test_a_finished_run_holds_metrics_with_their_intervals_and_its_artifacts(database: Path) -> None:
    estimates = {
        "holdout.log_loss": Estimate(0.41, 0.40, 0.42, 1409),
        "holdout.profit": Estimate(math.nan, math.nan, math.nan, 0),
    }
    artifacts = {"plots/roc.png": b"\x89PNG", "bundle/model.onnx": b"graph", "importance.json": b"{}"}
    with start(database) as run:
        run.finish({"estimator": "lightgbm", "num_leaves": 15}, estimates, artifacts)
    found = read(database, lambda client: client.get_run(run.id))
    assert found.info.status == "FINISHED"
    assert found.data.params["num_leaves"] == "15"
    assert found.data.metrics["holdout.log_loss"] == 0.41
    assert found.data.metrics["holdout.log_loss_low"] == 0.40
    assert found.data.metrics["holdout.log_loss_high"] == 0.42
    assert found.data.metrics["holdout.log_loss_rows"] == 1409
    assert math.isnan(found.data.metrics["holdout.profit"])
    stored = database.parent / "mlartifacts" / "churn" / run.id / "artifacts"
    assert (stored / "bundle" / "model.onnx").read_bytes() == b"graph"
    assert (stored / "plots" / "roc.png").read_bytes() == b"\x89PNG"


def test_each_trial_is_a_child_with_its_parameters_and_every_fold(database: Path) -> None:
    with start(database) as run:
        run.log_trial(3, "logistic", {"C": 0.5}, {"log_loss": [0.4, 0.5, 0.6], "roc_auc": [0.8, 0.8, 0.8]})
        run.finish({}, {}, {})
    parent = read(database, lambda client: client.get_run(run.id))
    experiments = [parent.info.experiment_id]
    (child,) = read(database, lambda client: client.search_runs(experiments, f"tags.mlflow.parentRunId = '{run.id}'"))
    assert child.info.status == "FINISHED"
    assert child.info.run_name == "trial 3 logistic"
    assert child.data.params == {"estimator": "logistic", "C": "0.5"}
    assert child.data.metrics["log_loss"] == pytest.approx(0.5)
    folds = read(database, lambda client: client.get_metric_history(child.info.run_id, "log_loss_by_fold"))
    assert [(each.step, each.value) for each in folds] == [(1, 0.4), (2, 0.5), (3, 0.6)]


def test_a_trial_that_was_stopped_has_its_folds_and_no_mean(database: Path) -> None:
    with start(database) as run:
        run.log_trial(3, "logistic", {"C": 0.5}, {"log_loss": [0.4, 0.5]}, stopped=True)
        run.finish({}, {}, {})
    parent = read(database, lambda client: client.get_run(run.id))
    experiments = [parent.info.experiment_id]
    (child,) = read(database, lambda client: client.search_runs(experiments, f"tags.mlflow.parentRunId = '{run.id}'"))
    assert child.info.status == "KILLED"
    assert "log_loss" not in child.data.metrics
    assert child.data.metrics["log_loss_by_fold"] == 0.5


def test_a_run_that_crashes_is_failed_with_its_reason_and_the_crash_is_told(database: Path) -> None:
    with pytest.raises(ZeroDivisionError), start(database) as run:
        raise ZeroDivisionError("a fold without rows")
    found = read(database, lambda client: client.get_run(run.id))
    assert found.info.status == "FAILED"
    assert found.data.tags["mainstay.reason"] == "ZeroDivisionError: a fold without rows"


def test_a_run_that_ends_without_a_result_is_failed(database: Path) -> None:
    with start(database) as run:
        pass
    found = read(database, lambda client: client.get_run(run.id))
    assert found.info.status == "FAILED"
    assert found.data.tags["mainstay.reason"] == "it ended before its result was logged"


def test_a_failure_that_was_said_stays_as_it_was_said(database: Path) -> None:
    with start(database) as run:
        run.fail("the label has one class")
    tags = read(database, lambda client: client.get_run(run.id)).data.tags
    assert tags["mainstay.reason"] == "the label has one class"


def test_a_full_disk_is_unavailable_and_the_run_is_failed(database: Path) -> None:
    usual = resource.getrlimit(resource.RLIMIT_FSIZE)
    with pytest.raises(Unavailable, match="while finishing a run: file too large"), start(database) as run:  # noqa: PT012
        resource.setrlimit(resource.RLIMIT_FSIZE, (2**22, usual[1]))
        try:
            run.finish({}, {}, {"bundle/model.onnx": bytes(2**23)})
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, usual)
    assert read(database, lambda client: client.get_run(run.id)).info.status == "FAILED"
    assert not list(database.parent.rglob("*.onnx"))


def test_a_store_that_vanishes_while_training_does_not_hide_the_crash(database: Path) -> None:
    with pytest.raises(ZeroDivisionError), start(database):  # noqa: PT012
        database.write_bytes(b"")
        raise ZeroDivisionError
    assert not list(database.parent.rglob("*.onnx"))


def test_a_dead_server_is_unavailable_soon() -> None:
    load()
    began = time.monotonic()
    with pytest.raises(Unavailable) as raised:
        start("http://127.0.0.1:9")
    assert str(raised.value) == "http://127.0.0.1:9: MLflow failed while starting a run: connection refused"
    assert time.monotonic() - began < 10


def test_a_home_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(Unavailable, match="while starting a run"):
        start(tmp_path / "file" / "mlflow.db")


def test_an_experiment_that_somebody_deleted_comes_back(database: Path) -> None:
    with start(database) as run:
        run.finish({}, {}, {})
    experiment = read(database, lambda client: client.get_run(run.id)).info.experiment_id
    read(database, lambda client: client.delete_experiment(experiment))
    with start(database, "run2") as again:
        again.finish({}, {}, {})
    assert read(database, lambda client: client.get_run(again.id)).info.experiment_id == experiment


def test_a_copied_home_writes_nothing_into_the_first_one(database: Path, tmp_path: Path) -> None:
    with start(database) as run:
        run.finish({}, {}, {"bundle/model.onnx": b"first"})
    (tmp_path / "copy").mkdir()
    copy = Path(shutil.copy(database, tmp_path / "copy" / "mlflow.db"))
    with start(copy, "run2") as again:
        again.finish({}, {}, {"bundle/model.onnx": b"second"})
    first = database.parent / "mlartifacts"
    assert [each.read_bytes() for each in first.rglob("*.onnx")] == [b"first"]
    assert [each.read_bytes() for each in (copy.parent / "mlartifacts").rglob("*.onnx")] == [b"second"]


def test_nothing_is_said_on_stdout_or_stderr_and_nothing_leaves(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with start(tmp_path / "new home" / "mlflow.db") as run:
        run.log_trial(0, "logistic", {}, {"log_loss": [0.4]})
        run.finish({}, {}, {"importance.json": b"{}"})
    assert capfd.readouterr() == ("", "")
    from mlflow.telemetry import get_telemetry_client

    assert get_telemetry_client() is None
    assert {path.name for path in (tmp_path / "new home").iterdir()} == {"mlflow.db", "mlartifacts"}


def test_thirty_trials_cost_seconds_and_not_minutes(database: Path) -> None:
    with start(database) as run:
        began = time.monotonic()
        for number in range(30):
            run.log_trial(number, "lightgbm", {f"p{n}": n for n in range(8)}, {"log_loss": [0.4] * 5})
        took = time.monotonic() - began
        run.finish({}, {}, {})
    assert took < 10


def git(directory: Path, *arguments: str) -> str:
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "init.defaultBranch=main"]
    done = subprocess.run(["git", *who, *arguments], cwd=directory, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def test_the_code_is_known_by_version_and_commit_and_says_when_it_was_changed(tmp_path: Path) -> None:
    git(tmp_path, "init")
    (tmp_path / "a.py").write_text("1")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "one")
    commit = git(tmp_path, "rev-parse", "HEAD")
    code = code_version(tmp_path)
    assert code["commit"] == commit
    assert re.fullmatch(r"\d+\.\d+\.\d+.*", code["version"])
    (tmp_path / "a.py").write_text("2")
    assert code_version(tmp_path)["commit"] == f"{commit}-dirty"


def test_code_outside_a_repository_or_in_one_without_commits_has_no_commit(tmp_path: Path) -> None:
    assert set(code_version(tmp_path)) == {"version"}
    assert set(code_version(tmp_path / "absent")) == {"version"}
    git(tmp_path, "init")
    assert set(code_version(tmp_path)) == {"version"}


def test_code_on_a_machine_without_git_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert set(code_version(Path(__file__).parent)) == {"version"}
