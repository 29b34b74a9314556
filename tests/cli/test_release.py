"""`release` and its steps, as people read them and as scripts do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.xdist_group("mlflow")  # importing MLflow takes seconds: once is enough
Run = Callable[..., tuple[int, str, str]]
KEYS = {
    "use_case", "dataset", "run", "candidate", "version", "rollout", "outcome", "stopped_at", "checks", "to_pass",
    "cross_validated", "holdout", "error",
}  # fmt: skip
METRICS = {"roc_auc", "average_precision", "log_loss", "brier", "accuracy", "precision", "recall", "f1", "profit"}


def read(out: str) -> dict[str, Any]:
    """The one object of `release --json`: always all of its keys."""
    body: dict[str, Any] = json.loads(out)
    assert set(body) == KEYS
    return body


def rewrite(folder: Path, old: str, new: str) -> None:
    text = (folder / "mainstay.yaml").read_text()
    assert old in text
    (folder / "mainstay.yaml").write_text(text.replace(old, new))


def test_a_release_narrates_every_noun_and_says_what_is_live(released: Path) -> None:
    out = (released / "released.txt").read_text()
    for words in ("Verdict on churn: PASS", "dataset ds_", "2 trials", "logistic", "lightgbm", "Candidate cd_"):
        assert words in out
    assert "version churn@1.0.0, signed by key" in out
    assert out.splitlines()[-1] == "PASS: churn@1.0.0 is live; mainstay serve --open answers with it"


def test_a_release_in_json_has_scores_with_intervals(released_copy: Path, run: Run) -> None:
    code, out, err = run("release", "--json", "--seed", "8", "--why", "Another seed.")
    body = read(out)
    assert code == 0, err
    assert (body["outcome"], body["stopped_at"], body["error"]) == ("PASS", None, None)
    assert body["version"] in ("1.0.1", "1.1.0")
    assert body["cross_validated"].keys() >= METRICS
    assert body["holdout"].keys() >= METRICS
    for scores in (body["cross_validated"], body["holdout"]):
        assert {"value", "low", "high", "rows", "level"} <= scores["roc_auc"].keys()
    assert {made["name"] for made in body["checks"]} >= {"skill", "permuted_auc", "copied_rows", "parity", "size"}
    _, shown, _ = run("models", "list", "--json")
    states = {each["version"]: each["state"] for each in json.loads(shown)["versions"]}
    assert states == {"1.0.0": "answers 100%", body["version"]: "standby"}  # its rollout has begun, no step of it has
    _, shown, _ = run("rollout", "history", "--json")
    (rollout,) = json.loads(shown)["rollouts"]
    assert (rollout["id"], rollout["challenger"], rollout["reason"]) == (
        body["rollout"],
        body["version"],
        "Another seed.",
    )


def test_the_same_release_in_json_is_the_version_that_stands(released_copy: Path, run: Run) -> None:
    code, out, err = run("release", "--json")
    body = read(out)
    assert (code, body["version"], body["outcome"]) == (0, "1.0.0", "PASS")
    assert "skill" in {made["name"] for made in body["checks"]}
    assert "this is churn@1.0.0 already: nothing changes" in err


@pytest.mark.parametrize(
    ("old", "new", "code", "stage"),
    [
        ("schema: 1", "scheme: 1", 2, "read"),
        ("simulator://churn?", "gone.csv?", 2, "read"),
        ("at_least: 1000", "at_least: 4000", 1, "validate"),
    ],
)
def test_json_has_every_key_wherever_a_release_stops(
    old: str, new: str, code: int, stage: str, empty: Path, run: Run
) -> None:
    rewrite(empty, old, new)
    ended, out, err = run("release", "--json")
    body = read(out)
    assert (ended, body["stopped_at"], body["version"]) == (code, stage, None)
    assert body["outcome"] == ("FAIL" if code == 1 else "INCONCLUSIVE")
    assert (body["error"] is None) == (code == 1)
    assert bool(body["checks"]) == (code == 1)
    assert (body["dataset"], body["candidate"], body["holdout"]) == (None, None, None)
    assert err.splitlines()[0] == "use case churn from " + str(empty / "mainstay.yaml") or stage == "read"


def test_json_has_every_key_while_the_world_is_down(empty: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAINSTAY_MLFLOW", "http://127.0.0.1:1")
    code, out, err = run("release", "--json")
    body = read(out)
    assert (code, body["stopped_at"], body["outcome"]) == (3, "train", "INCONCLUSIVE")
    assert body["dataset"].startswith("ds_")
    assert (body["checks"], body["run"], body["candidate"]) == (None, None, None)
    assert body["error"]["kind"] == "Unavailable"
    assert err.splitlines()[-1] == "http://127.0.0.1:1: MLflow failed while starting a run: connection refused"


def test_what_stopped_a_release_is_its_last_line(empty: Path, run: Run) -> None:
    rewrite(empty, "at_least: 1000", "at_least: 4000")
    code, out, _ = run("release")
    assert code == 1
    assert out.splitlines()[-1] == (
        "FAIL: stopped at validate. the source has 3,000 rows, and must have at least 4,000"
    )


def test_step_by_step_each_id_leads_to_the_next(empty: Path, run: Run, first_release: Path) -> None:
    code, out, err = run("data", "freeze")
    assert code == 0
    assert "made a signing key (" in err
    dataset = out.splitlines()[-1]
    code, out, err = run("train", "--dataset", dataset[:9], "--nested", "--json", "--why", "To see.")
    assert "nested fold 2 of 2: " in err
    assert code == 0
    candidate = json.loads(out)
    assert candidate["dataset"] == dataset
    assert candidate["evidence"]["nested_roc_auc"]["value"] > 0.7
    code, out, err = run("register", candidate["id"][:9])
    assert (code, out) == (2, "")
    assert "it was not judged yet; `mainstay gate` judges it" in err
    code, out, _ = run("gate", candidate["id"][:9])
    assert code == 0
    assert out.splitlines()[-1].startswith("PASS: all ")
    code, out, _ = run("gate", candidate["id"][:9], "--json")
    assert (code, json.loads(out)["outcome"]) == (0, "PASS")
    code, out, _ = run("register", candidate["id"][:9], "--json")
    assert (code, json.loads(out)["version"]) == (0, "1.0.0")
    code, out, _ = run("register", candidate["id"][:9])
    assert code == 0
    assert ", is live; mainstay serve" in out
    assert json.loads((first_release / "released.json").read_text())["candidate"] == candidate["id"]


def test_a_candidate_that_did_not_pass_is_not_registered(released_copy: Path, run: Run) -> None:
    rewrite(released_copy, "skill: {at_least: 0.1}", "skill: {at_least: 0.9}")
    code, out, _ = run("release", "--seed", "8", "--json")
    body = read(out)
    assert (code, body["stopped_at"], body["outcome"], body["version"]) == (1, "gate", "FAIL", None)
    assert body["holdout"]
    assert {made["name"]: made["outcome"] for made in body["checks"]}["skill"] == "FAIL"
    candidate = body["candidate"]
    code, out, _ = run("gate", candidate)
    assert code == 1
    assert "FAIL: 1 of 10 blocking checks failed. To pass:" in out
    assert out.splitlines()[-1].startswith("  - skill: a better candidate, or `gates.skill` with at_least 0.")
    assert body["to_pass"] == [out.splitlines()[-1].removeprefix("  - ")]
    code, out, _ = run("gate", candidate, "--json")
    assert (code, json.loads(out)["to_pass"]) == (1, body["to_pass"])
    code, _, err = run("register", candidate)
    assert code == 2
    assert "its verdict is FAIL, and only what passed is registered" in err


@pytest.mark.parametrize(
    ("command", "words"),
    [
        (["gate", "cd_"], "is too short to name a candidate: give at least 4 digits"),
        (["gate", "cd_0000"], "there is no candidate `cd_0000` of churn (the last are: cd_"),
        (["register", "nothing"], "there is no candidate `nothing` of churn"),
        (["train", "--dataset", "ds_0000"], "there is no dataset `ds_0000` of churn (the last are: ds_"),
    ],
)
def test_an_id_that_names_nothing_is_told(released: Path, run: Run, command: list[str], words: str) -> None:
    code, out, err = run(*command, "--json")
    assert code == 2
    assert words in json.loads(out)["error"]["message"]
    assert words in err
