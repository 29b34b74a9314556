"""`MLproject` is one that MLflow itself reads and runs; what it starts is asked by a stand-in for `mainstay`."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters.tracking import quiet

pytestmark = pytest.mark.xdist_group("mlflow")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project() -> Any:
    with quiet():
        from mlflow.projects import _project_spec

        return _project_spec.load_project(str(ROOT))


@pytest.fixture
def stand_in(tmp_path: Path) -> dict[str, str]:
    """An environment in which `mainstay` writes down what it was asked, one argument a line."""
    program = tmp_path / "bin" / "mainstay"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > "{tmp_path}/asked"\n')
    program.chmod(0o755)
    path = f"{program.parent}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{os.defpath}"
    return {
        "PATH": path,
        "HOME": str(tmp_path),
        "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path}/tracking.db",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "1",
        "GIT_PYTHON_REFRESH": "quiet",
    }


def asked(project: Any, entry: str, given: dict[str, str], environment: dict[str, str]) -> list[str]:
    command = project.get_entry_point(entry).compute_command(given, None)
    subprocess.run(["bash", "-c", command], env=environment, check=True, cwd=environment["HOME"])
    return Path(environment["HOME"], "asked").read_text().splitlines()


def test_what_is_not_given_is_not_passed_on(project: Any, stand_in: dict[str, str]) -> None:
    for entry in ("main", "release"):
        assert asked(project, entry, {}, stand_in) == ["release", "--why", "run as an MLflow project"]


def test_what_is_given_arrives_as_it_is(project: Any, stand_in: dict[str, str]) -> None:
    given = {"source": "my rows; rm -rf '$HOME'.csv", "seed": "7", "use_case": "a b.yaml", "why": 'They "asked".'}
    assert asked(project, "main", given, stand_in) == [
        *("release", "--why", given["why"], "--use-case", given["use_case"]),
        *("--source", given["source"], "--seed", "7"),
    ]


def test_training_names_its_dataset(project: Any, stand_in: dict[str, str]) -> None:
    assert asked(project, "train", {"dataset": "ds_1f0c", "why": "x"}, stand_in) == [
        *("train", "--dataset", "ds_1f0c", "--why", "x")
    ]
    with pytest.raises(Exception, match="dataset"), quiet():
        project.get_entry_point("train").compute_command({}, None)


def test_mlflow_runs_it(stand_in: dict[str, str], tmp_path: Path) -> None:
    mlflow = shutil.which("mlflow", path=stand_in["PATH"])
    if mlflow is None:
        pytest.skip("the mlflow command is not installed")
    (tmp_path / "project").mkdir()
    shutil.copy(ROOT / "MLproject", tmp_path / "project")
    command = [mlflow, "run", str(tmp_path / "project"), "--env-manager=local", "-P", "source=rows.csv", "-P", "seed=3"]
    ended = subprocess.run(command, env=stand_in, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stderr
    said = (tmp_path / "asked").read_text().splitlines()
    assert said == ["release", "--why", "run as an MLflow project", "--source", "rows.csv", "--seed", "3"]
