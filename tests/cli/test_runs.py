"""`runs`: what was trained, from the ledger alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("mlflow")
Run = Callable[..., tuple[int, str, str]]


def test_runs_are_listed_with_what_they_made(released: Path, run: Run) -> None:
    made = json.loads((released / "released.json").read_text())
    code, out, _ = run("runs", "list")
    assert code == 0
    assert made["run"][:12] in out
    assert "1.0.0" in out
    code, out, _ = run("runs", "list", "--json")
    (only,) = json.loads(out)["runs"]
    assert (code, only["id"], only["candidate"], only["version"]) == (0, made["run"], made["candidate"], "1.0.0")
    assert only["holdout_scores"]["roc_auc"] == made["metrics"]["roc_auc"]
    assert only["tracked"]


def test_runs_are_told_without_mlflow(released_copy: Path, run: Run) -> None:
    (released_copy / "home" / "mlflow.db").unlink()
    code, out, _ = run("runs", "list", "--json")
    assert (code, len(json.loads(out)["runs"])) == (0, 1)


def test_before_the_first_run_it_says_what_makes_one(empty: Path, run: Run) -> None:
    code, out, _ = run("runs", "list")
    assert code == 0
    assert "`mainstay train` makes one" in out


def test_runs_are_compared_by_what_was_not_the_same(released_copy: Path, run: Run) -> None:
    made = json.loads((released_copy / "released.json").read_text())
    assert run("train", "--dataset", made["dataset"][:10], "--seed", "11", "--json")[0] == 0
    names = [each["id"] for each in json.loads(run("runs", "list", "--json")[1])["runs"]]
    code, out, _ = run("runs", "compare", *names)
    assert code == 0
    assert "What was not the same" in out
    assert "On the holdout" in out
    code, out, _ = run("runs", "compare", *names, "--json")
    body = json.loads(out)
    assert (code, body["differing"]["seed"]) == (0, [7, 11])
    assert "dataset" not in body["differing"]
    assert [each["id"] for each in body["runs"]] == names


def test_one_run_alone_is_not_compared(released: Path, run: Run) -> None:
    made = json.loads((released / "released.json").read_text())
    for named in ([made["run"]], [made["run"], made["run"][:20]]):
        code, _, err = run("runs", "compare", *named)
        assert code == 2
        assert "name two or more" in err.splitlines()[-1]


def test_a_run_that_is_not_there_is_told(released: Path, run: Run) -> None:
    code, _, err = run("runs", "compare", "ffffff", "eeeeee")
    assert code == 2
    assert "there is no run `ffffff`" in err.splitlines()[-1]
