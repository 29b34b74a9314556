"""`models`: what stands on the shelf, and whether it is believed."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

pytestmark = pytest.mark.xdist_group("mlflow")  # they look at a release, which imports MLflow: once is enough
Run = Callable[..., tuple[int, str, str]]


def test_versions_are_listed_with_what_they_do_now(released: Path, run: Run) -> None:
    code, out, _ = run("models", "list")
    assert code == 0
    assert "churn@1.0.0" in out
    assert "answers 100%" in out
    code, out, _ = run("models", "list", "--json")
    (version,) = json.loads(out)["versions"]
    assert (version["version"], version["state"]) == ("1.0.0", "answers 100%")


@pytest.mark.parametrize("named", [[], ["1.0.0"], ["churn@1.0.0"]])
def test_the_manifest_is_shown_of_the_champion_or_the_one_named(released: Path, run: Run, named: list[str]) -> None:
    code, out, _ = run("models", "show", *named, "--json")
    body = json.loads(out)
    made = json.loads((released / "released.json").read_text())
    assert (code, body["version"], body["candidate"]) == (0, "1.0.0", made["candidate"])


def test_the_manifest_reads_without_brackets(released: Path, run: Run) -> None:
    code, out, _ = run("models", "show")
    assert code == 0
    assert "No, Yes" in out
    assert "name tenure, type integer, range 0.0, 120.0" in out
    assert "On the holdout" in out
    assert "{'" not in out


def test_verify_says_what_it_checked(released: Path, run: Run) -> None:
    code, out, _ = run("models", "verify")
    assert code == 0
    assert out.startswith("churn@1.0.0: signed by trusted key ")
    code, out, _ = run("models", "verify", "--json")
    body = json.loads(out)
    assert (code, body["ok"], body["version"]) == (0, True, "1.0.0")
    assert out.count("\n") == 1


@pytest.mark.parametrize("command", ["show", "verify"])
def test_a_version_that_is_not_there_is_told(released: Path, run: Run, command: str) -> None:
    code, _, err = run("models", command, "1.0.1")
    assert code == 2
    assert err.splitlines()[-1] == "there is no version churn@1.0.1; did you mean `1.0.0`?"


@pytest.mark.parametrize("command", ["show", "verify"])
def test_without_a_release_there_is_no_champion(empty: Path, run: Run, command: str) -> None:
    code, out, _ = run("models", command, "--json")
    assert code == 2
    assert json.loads(out)["error"]["message"] == "no version of churn is live yet; `mainstay release` makes one"


def test_what_was_changed_on_the_shelf_is_refused_with_the_reason(released_copy: Path, run: Run) -> None:
    model = released_copy / "home/blobs/versions/churn/1.0.0/model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    code, out, err = run("models", "verify", "--json")
    assert code == 2
    assert json.loads(out)["error"]["kind"] == "Refused"
    assert "model.onnx" in err.splitlines()[-1]
    (model.parent / "manifest.sig").unlink()
    code, _, err = run("models", "show")
    assert code == 2
    assert "manifest.sig" in err.splitlines()[-1] or "signature" in err.splitlines()[-1]
