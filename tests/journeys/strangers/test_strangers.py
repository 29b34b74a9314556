"""Files that nobody prepared: `init`, then `release`, and nothing is edited in between."""

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from tests.journeys.strangers.files import LEAKS, PASSING, SMALL

from mainstay.cli.main import main
from mainstay.usecase_file import load

pytestmark = pytest.mark.xdist_group("mlflow")  # importing MLflow takes seconds: once is enough
Make = Callable[[Path], str]
LOST = ("Traceback", "defect")
TINY = (
    "three rows",
    "ten rows, one of a class",
    "twenty rows, one of a class",
    "two positives",
    "three positives",
    "two negatives",
)


def test_every_file_is_released_here(strangers: dict[str, Make]) -> None:
    assert set(strangers) == {*PASSING, *LEAKS, *SMALL, *TINY}


@pytest.fixture
def strange(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, and a home in it."""
    (tmp_path / "home").mkdir()
    shutil.copy(empty_store, tmp_path / "home" / "mlflow.db")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSTAY_HOME", str(tmp_path / "home"))
    return tmp_path


def released(capsys: pytest.CaptureFixture[str], folder: Path, made: Make) -> tuple[int, dict[str, Any]]:
    """What init and release make of a file: the exit code and what release says; nothing is lost on the way."""
    target = made(folder)
    [file] = (each for each in folder.iterdir() if each.is_file())
    assert main(["init", file.name, "--target", target]) == 0, capsys.readouterr()
    capsys.readouterr()
    code = main(["release", "--json"])
    said = capsys.readouterr()
    assert not any(word in said.err for word in LOST), said.err
    return code, json.loads(said.out)


def reasons(body: dict[str, Any]) -> Sequence[str]:
    return [each["reason"] for each in body["checks"] or () if each["outcome"] not in ("PASS", "QUIET")]


SLOW = ("fifty thousand", "two hundred columns")


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.long] if name in SLOW else []) for name in PASSING]
)
def test_a_strangers_file_is_released_untouched(
    name: str, strangers: dict[str, Make], strange: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, body = released(capsys, strange, strangers[name])
    assert code == 0, (body["stopped_at"], body["error"], reasons(body))
    assert body["holdout"]["roc_auc"]["value"] > 0.8


@pytest.mark.parametrize("name", LEAKS)
def test_a_planted_leak_is_refused_by_name(
    name: str, strangers: dict[str, Make], strange: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    column = LEAKS[name]
    code, body = released(capsys, strange, strangers[name])
    assert (code, body["outcome"], body["stopped_at"]) == (1, "FAIL", "gate")
    assert column in {each["subject"] for each in body["checks"] if each["outcome"] == "FAIL" and each["blocking"]}
    assert any(column in line and "leak" in line for line in (strange / "mainstay.yaml").read_text().splitlines())


@pytest.mark.parametrize("name", SMALL)
def test_too_few_rows_are_inconclusive_and_say_how_many_would_do(
    name: str, strangers: dict[str, Make], strange: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, body = released(capsys, strange, strangers[name])
    assert (code, body["outcome"], body["stopped_at"]) == (1, "INCONCLUSIVE", "gate")
    [skill] = (each for each in body["checks"] if each["name"] == "skill")
    assert skill["rows_needed"] > skill["estimate"]["rows"]
    assert f"{skill['rows_needed']:,} rows" in skill["reason"]


@pytest.mark.parametrize("name", TINY)
def test_too_few_of_a_class_to_begin_are_inconclusive_and_say_how_many_would_do(
    name: str, strangers: dict[str, Make], strange: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, body = released(capsys, strange, strangers[name])
    assert (code, body["outcome"], body["stopped_at"], body["run"]) == (1, "INCONCLUSIVE", "train", None)
    short = [each for each in body["checks"] if each["outcome"] == "INCONCLUSIVE"]
    assert short
    for each in short:
        assert f"about {each['rows_needed']:,} rows like these would be enough to tell" in each["reason"]


def test_the_step_alone_says_so_too(
    strangers: dict[str, Make], strange: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, body = released(capsys, strange, strangers["two positives"])
    assert code == 1
    assert main(["train", "--dataset", body["dataset"]]) == 1
    assert "INCONCLUSIVE: the holdout has" in capsys.readouterr().out
    assert main(["train", "--dataset", body["dataset"], "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["outcome"] == "INCONCLUSIVE"


def test_what_was_inferred_is_what_people_would_say(strangers: dict[str, Make], tmp_path: Path) -> None:
    files = {"german": "decimal commas", "american": "thousands", "truths": "truths", "people": "people"}
    use_cases = {}
    for name, made in files.items():
        (tmp_path / name).mkdir()
        target = strangers[made](tmp_path / name)
        [file] = (tmp_path / name).iterdir()
        assert main(["init", str(file), "--target", target, "--out", str(tmp_path / name)]) == 0
        use_cases[name] = load(tmp_path / name / "mainstay.yaml")
    german_columns = use_cases["german"].contract.columns
    assert use_cases["german"].entity == "Kundennr"
    assert (german_columns["Umsatz"].type, german_columns["Umsatz"].decimal, german_columns["Umsatz"].thousands) == (
        "number",
        ",",
        ".",
    )
    assert (german_columns["Punkte"].type, german_columns["Punkte"].thousands) == ("integer", ".")
    assert (german_columns["seit"].type, german_columns["seit"].format) == ("timestamp", "%d.%m.%Y")
    american_columns = use_cases["american"].contract.columns
    assert use_cases["american"].entity == "Account Number"
    assert (american_columns["revenue"].type, american_columns["revenue"].thousands) == ("number", ",")
    assert (american_columns["visits"].type, american_columns["visits"].thousands) == ("integer", ",")
    assert american_columns["signed"].format == "%m/%d/%Y"
    assert use_cases["truths"].classes == ("false", "true")
    assert use_cases["truths"].contract.columns["mixed"].values == ("false", "true")
    found = use_cases["people"].contract.columns
    assert {name for name, column in found.items() if column.personal} == {
        "Full Name",
        "kontakt",
        "Phone",
        "street_address",
    }
    assert (found["id"].type, found["zip"].type, use_cases["people"].entity) == ("identifier", "category", "id")
    assert use_cases["people"].protected == ("Gender", "religion")
    assert not found["remark"].feature
