"""What `init` scaffolds, used as a DVC project with the real DVC: on one machine, and on a second that has nothing."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

DVC = os.getenv("MAINSTAY_DVC") or shutil.which("dvc")
if DVC is None and os.getenv("MAINSTAY_REQUIRE_TOOLS") == "1":
    pytest.fail("dvc is not here: put it on the PATH or name it in MAINSTAY_DVC", pytrace=False)
pytestmark = [
    pytest.mark.skipif(DVC is None, reason="dvc is not here: put it on the PATH or name it in MAINSTAY_DVC"),
    pytest.mark.xdist_group("dvc"),  # the history is made once
]


class Project:
    """A folder on a machine of its own, in which commands are run as a person would."""

    def __init__(self, folder: Path, **more: str) -> None:
        self.folder = folder
        machine = folder.parent / f"{folder.name}-machine"
        machine.mkdir(exist_ok=True)
        places = [str(Path(sys.executable).parent), os.getenv("PATH", os.defpath)]
        self.environment = {
            "HOME": str(machine),
            "PYTHONPATH": os.getenv("PYTHONPATH", ""),
            "PATH": os.pathsep.join(places),
            "MAINSTAY_HOME": str(folder / ".mainstay"),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(machine / "site"),
            "GIT_CONFIG_GLOBAL": os.devnull,
            **{f"GIT_{who}_{what}": "ada@example.org" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            **more,
        }

    def run(self, *command: str) -> str:
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == 0, f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr

    def dvc(self, *arguments: str) -> str:
        assert DVC is not None
        return self.run(DVC, *arguments)

    def commit(self, tag: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", "A release")
        self.run("git", "tag", tag)

    def take(self, revision: str) -> None:
        """What DVC is to have: data and report of a revision. The settings, remotes among them, stay as they are."""
        self.run("git", "checkout", "--quiet", revision, "--", "rows.csv.dvc", "dvc.lock")

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


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A project with two releases, of 900 rows and of 1000: its folder, and what each release said, by its Git tag."""
    folder = tmp_path_factory.mktemp("dvc") / "project"
    folder.mkdir()
    project = Project(folder)
    data = folder / "rows.csv"
    data.write_text(rows(900))
    project.run("mainstay", "init", "rows.csv", "--target", "left")
    use_case = folder / "mainstay.yaml"
    settled = yaml.safe_load(use_case.read_text())
    settled["recipe"] |= {"trials": 2, "folds": 2, "estimators": ["logistic"]}
    settled["gates"]["leakage"] = {"permuted_auc": {"at_most": 0.65}}  # so few rows, so wide an interval
    use_case.write_text(yaml.safe_dump(settled))
    project.run("git", "init", "--quiet")
    project.dvc("init", "--quiet")
    project.dvc("add", "--quiet", "rows.csv")
    project.dvc("repro")
    first = project.released()
    project.commit("older")
    data.write_text(rows(1000))
    project.dvc("add", "--quiet", "rows.csv")
    project.dvc("repro")
    second = project.released()
    project.commit("newer")
    return {"folder": folder, "older": first, "newer": second}


@pytest.fixture
def project(history: dict[str, Any], tmp_path: Path) -> Project:
    """A copy of that project, its cache and its home, to do anything with; it stands at the newer release."""
    shutil.copytree(history["folder"], tmp_path / "project")
    return Project(tmp_path / "project")


def test_repro_does_nothing_twice_and_an_older_release_comes_back(project: Project, history: dict[str, Any]) -> None:
    older, newer = history["older"], history["newer"]
    assert (older["outcome"], newer["outcome"]) == ("PASS", "PASS")
    assert older["candidate"] != newer["candidate"]
    assert "Data and pipelines are up to date." in project.dvc("repro")
    told = json.loads(project.dvc("diff", "older", "newer", "--json"))
    assert {each["path"] for each in told["modified"]} == {"rows.csv", "reports/release.json"}
    project.take("older")
    project.dvc("checkout", "--force")
    assert (project.folder / "rows.csv").read_text() == rows(900)
    assert project.released() == older
    assert "Data and pipelines are up to date." in project.dvc("repro")
    (project.folder / "rows.csv").write_text(rows(901))
    assert "rows.csv" in project.dvc("diff")


@pytest.mark.parametrize(("remote", "revision"), [("a folder", "older"), ("s3", "newer")])
def test_a_second_machine_pulls_a_release_and_makes_it_again(
    project: Project,
    history: dict[str, Any],
    tmp_path: Path,
    remote: str,
    revision: str,
    request: pytest.FixtureRequest,
) -> None:
    address, world = str(tmp_path / "store"), {}
    if remote == "s3":
        if "s3" not in project.dvc("version").partition("Supports:")[2].partition("Config:")[0]:
            missing = "dvc-s3 is not installed beside dvc"
            pytest.fail(missing) if os.getenv("MAINSTAY_REQUIRE_TOOLS") == "1" else pytest.skip(missing)
        server = request.getfixturevalue("object_store")
        address = f"s3://{server.bucket()}/data"
        world = {"AWS_ENDPOINT_URL": server.address, "AWS_ACCESS_KEY_ID": "mainstay", "AWS_REGION": "us-east-1"}
        world["AWS_SECRET_ACCESS_KEY"] = "of-the-tests"
    project.environment |= world
    project.dvc("remote", "add", "--default", "store", address)
    project.commit("shared")
    for each in ("older", "newer"):
        project.take(each)
        assert "2 files pushed" in project.dvc("push")

    project.run("git", "clone", "--quiet", str(project.folder), str(tmp_path / "second"))
    second = Project(tmp_path / "second", **world)
    second.take(revision)
    assert not (second.folder / "rows.csv").exists()
    second.dvc("pull")
    assert second.released() == history[revision]
    assert "Data and pipelines are up to date." in second.dvc("repro")
    second.dvc("repro", "--force")
    made = second.released()
    assert (made["candidate"], made["dataset"]) == (history[revision]["candidate"], history[revision]["dataset"])
