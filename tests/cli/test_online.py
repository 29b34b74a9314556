"""Features online, from the command line: materialised, pushed, rolled back, and held to the log."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from mainstay.usecase_file import load

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module", autouse=True)
def imported() -> None:
    """Feast, and what it brings, as they come: that they warn is for them to mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import feast as _  # noqa: F401


def event(folder: Path, **changed: object) -> str:
    inputs = load(folder / "mainstay.yaml").inputs
    values = {name: column.values[0] if column.values else 5 for name, column in inputs.items()}
    told = {"view": "churn", "entity": "c1", "event_time": "2026-02-01T00:00:00Z", "values": values}
    return json.dumps({**told, **changed})


def test_a_release_has_its_features_online_and_says_how_far(released_copy: Path, run: Run) -> None:
    code, out, _ = run("features", "status", "--json")
    told = json.loads(out)
    (view,) = told["views"]
    assert (code, view["view"], view["written"], told["waiting"]["bytes"]) == (0, "churn", 3000, 0)
    code, out, _ = run("features", "materialize", "--json")
    assert (code, [each["written"] for each in json.loads(out)["views"]]) == (0, [0])
    assert json.loads(run("features", "list", "--json")[1])["services"][0]["name"] == "churn_v1"
    assert run("features", "materialize", "--until", "2999-01-01T00:00:00Z")[0] == 2
    assert run("features", "materialize", "--until", "yesterday")[0] == 2


def test_events_are_pushed_taken_up_and_refused_with_their_line(released_copy: Path, run: Run) -> None:
    (released_copy / "events.jsonl").write_text(event(released_copy) + "\n\n")
    assert run("features", "push", "events.jsonl")[:2] == (0, "1 event on disk\n")
    assert "bytes of pushed events wait" in run("features", "status")[1]
    assert run("features", "follow", "--once")[:2] == (0, "1 event brought online\n")
    assert run("features", "follow", "--once", "--json")[:2] == (0, '{"applied": 0}\n')
    code, out, _ = run("features", "push", "events.jsonl", "--now", "--json")
    assert (code, json.loads(out)) == (0, {"pushed": 1, "applied": 1})
    (released_copy / "events.jsonl").write_text(event(released_copy) + "\n" + event(released_copy, view="churns"))
    code, _, err = run("features", "push", "events.jsonl")
    assert code == 2
    assert "events.jsonl:2: view: there is no view 'churns'; did you mean `churn`?" in err
    assert run("features", "push", "nowhere.jsonl")[0] == 2
    (released_copy / "events.jsonl").write_bytes(b"\xff\xfe")
    assert run("features", "push", "events.jsonl")[0] == 2


def test_data_is_rolled_back_with_a_reason_and_only_where_it_can_be(released_copy: Path, run: Run) -> None:
    dataset = json.loads(run("data", "list", "--json")[1])["datasets"][0]["id"]
    code, _, err = run("data", "rollback", dataset)
    assert (code, "say why" in err) == (2, True)
    code, out, _ = run("data", "rollback", dataset, "--why", "Try it.", "--json")
    assert (code, json.loads(out)["changed"]) == (0, False)
    text = (released_copy / "mainstay.yaml").read_text()
    (released_copy / "mainstay.yaml").write_text(text.replace("seed=1", "seed=2"))
    assert run("data", "freeze")[0] == 0
    newer = json.loads(run("data", "list", "--json")[1])["datasets"][1]["id"]
    code, out, _ = run("data", "rollback", newer, "--why", "Forward.")
    assert code == 0
    assert "3,000 entities read back" in out
    code, out, _ = run("data", "rollback", dataset, "--why", "Bad data.")
    assert code == 0
    assert "its namespace was still there" in out
    assert f"withdrawn: {newer[:15]}" in out
    assert ", withdrawn" in run("data", "log")[1]


def test_skew_without_a_look_up_is_no_verdict(released_copy: Path, run: Run) -> None:
    code, out, _ = run("monitor", "skew", "--json")
    assert (code, json.loads(out)["outcome"], json.loads(out)["features"]) == (1, "INCONCLUSIVE", [])
    assert run("monitor", "skew", "--window", "soon")[0] == 2
