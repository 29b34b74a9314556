"""`rollout plan`: what the plan in the file would do, from the command line."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mainstay.ledger.shipping import ship
from mainstay.logged import encode_header, encoded, prediction_row
from mainstay.observed import Ending, Prediction, Role, SegmentHeader
from mainstay.settings import read_settings
from mainstay.wiring import platform

Run = Callable[..., tuple[int, str, str]]


def edit(folder: Path, old: str, new: str) -> None:
    text = (folder / "mainstay.yaml").read_text()
    assert old in text
    (folder / "mainstay.yaml").write_text(text.replace(old, new))


def answer(requests: int, over: timedelta, errors: int = 0) -> None:
    """Requests that were answered, one after the other, from `over` ago until now."""
    opened = platform(read_settings())
    now = datetime.now(UTC)  # noqa: TID251
    header = SegmentHeader("churn", "prediction", "c1", "host-a", now, {})
    writer = opened.stream().write("churn", encode_header(header), now)
    for number in range(requests):
        name, at = f"p{number}", now - over * (1 - number / requests)
        ending = Ending.RAISED if number < errors else Ending.OK
        made = Prediction(
            name, name, "t", at, None, name, Role.ANSWERED, "1.0.0", "1.0.0", 1.0, 1, False, ending, {}, (0.5, 0.5),
            0.5, 0.5, "No", (), 20.0, 30.0,
        )  # fmt: skip
        writer.append(encoded(prediction_row(made, {})))
    writer.seal()
    ship(opened.stream(), opened.ledger, opened.blobs, "churn", now)


def test_a_plan_is_printed_with_its_steps_and_what_it_would_notice(empty: Path, run: Run) -> None:
    code, out, _ = run("rollout", "plan")
    assert code == 0
    assert "traffic: 2,000 requests a day (expected, by `plan.expected_traffic`)" in out
    assert "5,000 (at least 5,000)" in out
    assert "Errors that rise from 1 % to 2 % are noticed with probability 0.9" in out
    assert out.endswith("the plan can keep what it says\n")


def test_it_is_one_object_for_machines(empty: Path, run: Run) -> None:
    code, out, _ = run("rollout", "plan", "--json")
    told = json.loads(out)
    assert code == 0
    assert (told["kind"], told["refused"]) == ("canary", None)
    assert [step["share"] for step in told["steps"]] == [0.05, 0.5, 1.0]
    assert told["traffic"] == {"per_day": 2000.0, "found": "expected_traffic", "each": 0.0}
    assert told["promise"]["power"] >= 0.8


def test_a_plan_that_would_be_refused_ends_with_one_and_the_numbers(empty: Path, run: Run) -> None:
    edit(empty, "expected_traffic: 2000/day", "expected_traffic: 100/day")
    code, out, _ = run("rollout", "plan")
    assert code == 1
    assert "refused: step 1 (share 0.05) needs 100 requests of the challenger, which at an expected 100" in out


def test_a_winner_that_needs_labels_is_told_when_they_ripen(empty: Path, run: Run) -> None:
    edit(empty, "kind: canary", "kind: ab")
    code, out, _ = run("rollout", "plan")
    assert code == 1
    assert "labels are ripe 33d after the request, the first" in out
    assert "refused: labels are ripe after 33 days" in out


def test_without_any_traffic_nothing_is_promised(empty: Path, run: Run) -> None:
    edit(empty, "  expected_traffic: 2000/day\n", "")
    code, out, _ = run("rollout", "plan")
    assert code == 0
    assert "traffic: not known" in out
    assert "promises no power, and goes home to the champion at its deadline" in out


def test_without_a_plan_it_is_said_how_to_write_one(empty: Path, run: Run) -> None:
    text = (empty / "mainstay.yaml").read_text()
    start, end = text.index("plan:\n"), text.index("monitors:")
    (empty / "mainstay.yaml").write_text(text[:start] + text[end:])
    code, _, said = run("rollout", "plan")
    assert code == 2
    assert "write `plan: {kind: canary}`" in said


def test_an_emergency_needs_a_reason(empty: Path, run: Run) -> None:
    edit(empty, "kind: canary", "kind: immediate")
    text = (empty / "mainstay.yaml").read_text()
    start, end = text.index("  steps:"), text.index("  deadline:")
    (empty / "mainstay.yaml").write_text(text[:start] + text[end:])
    assert "needs a reason" in run("rollout", "plan")[1]
    assert run("rollout", "plan", "--why", "The champion leaks.")[0] == 0


def test_a_kill_switch_lets_no_rollout_start(empty: Path, run: Run) -> None:
    text = (empty / "mainstay.yaml").read_text()
    start, end = text.index("plan:\n"), text.index("monitors:")
    (empty / "mainstay.yaml").write_text(text[:start] + "plan: {kind: kill_switch}\n" + text[end:])
    code, out, _ = run("rollout", "plan")
    assert code == 1
    assert out.startswith("refused: the plan is a kill switch: the champion answers alone")
    assert json.loads(run("rollout", "plan", "--json")[1])["harms"] == []


@pytest.mark.usefixtures("released_copy")
def test_traffic_and_errors_that_were_observed_go_before_those_expected(run: Run) -> None:
    answer(1200, timedelta(hours=12), errors=36)
    _, out, _ = run("rollout", "plan")
    assert "traffic: 2,400 requests a day (observed)" in out
    assert "errors: 3 % (of the champion, observed)" in out


@pytest.mark.usefixtures("released_copy")
def test_a_few_minutes_tell_no_rate(run: Run) -> None:
    answer(20, timedelta(minutes=5))
    _, out, _ = run("rollout", "plan")
    assert "traffic: 2,000 requests a day (expected" in out
    assert "errors: 1 % (assumed: too little was observed to tell)" in out
