"""A folder with a use case, a home in which it was released, and the command line to ask about it."""

import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from mainstay.cli.main import main
from mainstay.usecase_file import CHURN

Ended = tuple[int, str, str]


def churn() -> str:
    """The churn use case that ships, with few customers and a budget of two trials."""
    text = CHURN.read_text().replace("customers=20000&seed=7", "customers=3000&seed=1")
    text = text.replace("splines, random_forest, gradient_boosting, lightgbm, xgboost, ensemble", "lightgbm")
    return text.replace("trials: 30, folds: 5", "trials: 2, folds: 2")


@pytest.fixture(scope="session")
def first_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `mainstay.yaml` and, in `home/`, a first release: what it said, and its manifest, lie beside."""
    folder = tmp_path_factory.mktemp("released")
    (folder / "mainstay.yaml").write_text(churn())
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("MAINSTAY_HOME", str(folder / "home"))
        with (folder / "released.txt").open("w") as out, redirect_stdout(out):
            assert main(["release", "--why", "The first one."]) == 0
        with (folder / "released.json").open("w") as out, redirect_stdout(out):
            assert main(["models", "show", "--json"]) == 0
    return folder


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Runs one command line; its exit code, stdout and stderr."""

    def made(*arguments: str) -> Ended:
        capsys.readouterr()
        code = main(arguments)
        said = capsys.readouterr()
        return code, said.out, said.err

    return made


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: the use case, and no home yet."""
    (tmp_path / "mainstay.yaml").write_text(churn())
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSTAY_HOME", str(tmp_path / "home"))
    return tmp_path


@pytest.fixture
def released(first_release: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: the first release, only to be looked at."""
    monkeypatch.chdir(first_release)
    monkeypatch.setenv("MAINSTAY_HOME", str(first_release / "home"))
    return first_release


@pytest.fixture
def released_copy(first_release: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: a copy of the first release, to do anything with."""
    folder = tmp_path / "copy"
    shutil.copytree(first_release, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("MAINSTAY_HOME", str(folder / "home"))
    return folder
