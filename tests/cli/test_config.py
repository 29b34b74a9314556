"""`config`: what the file would change, made live, and what was live before."""

import json
from collections.abc import Callable
from pathlib import Path

Run = Callable[..., tuple[int, str, str]]


def edit(folder: Path, old: str, new: str) -> None:
    text = (folder / "mainstay.yaml").read_text()
    assert old in text
    (folder / "mainstay.yaml").write_text(text.replace(old, new))


def test_what_differs_is_shown_applied_and_kept(released_copy: Path, run: Run) -> None:
    assert "nothing differs from what is live" in run("config", "diff")[1]
    edit(released_copy, "unseen_category: flag", "unseen_category: refuse")
    edit(released_copy, "share: 1, hold: 1d", "share: 1, hold: 2d")
    code, out, _ = run("config", "diff")
    assert code == 0
    assert "would change 2 keys" in out
    assert "serving.unseen_category" in out
    assert "plan.steps.2.hold" in out
    code, out, _ = run("config", "apply", "--why", "Unknown plans are mistakes.")
    assert code == 0
    assert "is live, by split 2: 2 keys changed" in out
    assert "nothing to do" in run("config", "apply")[1]
    code, out, _ = run("config", "history")
    assert "Unknown plans are mistakes." in out
    assert "serving.unseen_category: flag -> refuse" in out


def test_an_earlier_one_comes_back_and_machines_are_told(released_copy: Path, run: Run) -> None:
    first = json.loads(run("config", "diff", "--json")[1])["live"]
    edit(released_copy, "window: 1d", "window: 2d")
    told = json.loads(run("config", "apply", "--json")[1])
    assert told["changes"] == [{"path": "monitors.window", "before": "1d", "after": "2d"}]
    assert (told["split"], told["running"]) == (2, None)
    back = json.loads(run("config", "apply", "--to", first[:10], "--why", "Too slow.", "--json")[1])
    assert (back["configuration"], back["split"]) == (first, 3)
    found = json.loads(run("config", "history", "--json")[1])["configurations"]
    assert [each["configuration"] for each in found] == [first, told["configuration"], first]
    assert [each["reason"] for each in found][-1] == "Too slow."


def test_a_plan_that_would_be_refused_is_said_when_it_goes_live(released_copy: Path, run: Run) -> None:
    edit(released_copy, "expected_traffic: 2000/day", "expected_traffic: 20/day")
    code, _, said = run("config", "apply")
    assert code == 0
    assert "a rollout by this plan would be refused: step 1 (share 0.05) needs 100 requests" in said


def test_before_a_release_nothing_is_live(empty: Path, run: Run) -> None:
    for command in ("diff", "apply"):
        code, _, said = run("config", command)
        assert code == 2
        assert "the first release makes its configuration live" in said
    assert "nothing of churn was ever live" in run("config", "history")[1]
