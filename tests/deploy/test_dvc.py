"""What `init` scaffolds, used as a DVC project with the real DVC."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

DVC = os.getenv("MAINSTAY_DVC") or shutil.which("dvc")
if DVC is None and os.getenv("MAINSTAY_REQUIRE_TOOLS") == "1":
    pytest.fail("dvc is not here: put it on the PATH or name it in MAINSTAY_DVC", pytrace=False)
pytestmark = pytest.mark.skipif(DVC is None, reason="dvc is not here: put it on the PATH or name it in MAINSTAY_DVC")


class Project:
    """A folder in which commands are run as a person would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        places = [str(Path(sys.executable).parent), os.getenv("PATH", os.defpath)]
        self.environment = {
            "HOME": str(folder.parent),
            "PYTHONPATH": os.getenv("PYTHONPATH", ""),
            "PATH": os.pathsep.join(places),
            "MAINSTAY_HOME": str(folder / ".mainstay"),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(folder.parent / "site"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
        }

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def dvc(self, *arguments: str) -> str:
        assert DVC is not None
        return self.run(DVC, *arguments)

    def commit(self) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "A release")

    def released(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.folder / "reports" / "release.json").read_text())
        return found


def rows(count: int) -> str:
    """The first of a thousand customers who leave by a law that a model can learn."""
    import numpy as np

    random = np.random.default_rng(1)
    age, spent = random.integers(18, 80, 1000), random.gamma(2, 50, 1000).round(2)
    left = random.random(1000) < 1 / (1 + np.exp(-(0.12 * (age - 45) - 0.05 * (spent - 90))))
    lines = (f"c{n:04d},{age[n]},{spent[n]},{'Yes' if left[n] else 'No'}" for n in range(count))
    return "\n".join(["id,age,spent,left", *lines]) + "\n"


def test_dvc_reproduces_a_release_once_and_brings_an_older_one_back(tmp_path: Path) -> None:
    project = Project(tmp_path / "project")
    project.folder.mkdir()
    data = project.folder / "rows.csv"
    data.write_text(rows(900))
    project.run("mainstay", "init", "rows.csv", "--target", "left")
    use_case = project.folder / "mainstay.yaml"
    settled = yaml.safe_load(use_case.read_text())
    settled["recipe"] |= {"trials": 2, "folds": 2, "estimators": ["logistic"]}
    settled["gates"]["leakage"] = {"permuted_auc": {"at_most": 0.65}}  # so few rows, so wide an interval
    use_case.write_text(yaml.safe_dump(settled))
    project.run("git", "init", "--quiet")
    project.dvc("init", "--quiet")
    project.dvc("add", "--quiet", "rows.csv")

    project.dvc("repro")
    first = project.released()
    assert first["outcome"] == "PASS"
    assert "Data and pipelines are up to date." in project.dvc("repro")
    project.commit()
    project.dvc("remote", "add", "--default", "store", str(tmp_path / "store"))
    assert "pushed" in project.dvc("push")

    data.write_text(rows(1000))
    assert "rows.csv" in project.dvc("diff")
    project.dvc("add", "--quiet", "rows.csv")
    project.dvc("repro")
    second = project.released()
    assert (second["outcome"], second["candidate"] != first["candidate"]) == ("PASS", True)

    project.run("git", "checkout", "--quiet", "--", "rows.csv.dvc", "dvc.lock")
    project.dvc("checkout", "--force")
    assert data.read_text() == rows(900)
    assert project.released() == first
    assert "Data and pipelines are up to date." in project.dvc("repro")

    shutil.rmtree(project.folder / ".dvc" / "cache")
    data.unlink()
    project.dvc("pull", "--force")
    project.dvc("repro", "--force")
    assert project.released()["candidate"] == first["candidate"]
