"""`mainstay rollout` and `mainstay operate`, as people and scripts use them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rolled import CANARY, YAML, Trial

from mainstay.decided import Move
from mainstay.journeys.asked import Asked
from mainstay.journeys.rollout import decide, needed_since

Ended = tuple[int, str, str]
Run = Callable[..., Ended]


@pytest.fixture
def here(trial: Callable[..., Trial], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    """The current folder, with a use case whose 1.0.0 is live and whose 1.1.0 is on the shelf."""
    made = trial()
    (tmp_path / "mainstay.yaml").write_text(YAML.format(plan=CANARY))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MAINSTAY_HOME", str(made.opened.settings.home))
    monkeypatch.setenv("MAINSTAY_NOW", "2026-03-01T12:00:00Z")
    monkeypatch.setenv("MAINSTAY_MLFLOW", "http://127.0.0.1:1")
    return made


def said(ended: Ended, code: int = 0) -> dict[str, Any]:
    assert ended[0] == code, ended
    made: dict[str, Any] = json.loads(ended[1])
    return made


def test_a_rollout_is_started_looked_at_and_aborted(here: Trial, run: Run) -> None:
    assert "1.1.0 against 1.0.0" in run("rollout", "start", "1.1.0", "--why", "It is better.")[1]
    told = run("rollout", "status")[1]
    assert "before the first of 3: 1.1.0 stands by" in told
    here.tick()
    made = said(run("rollout", "status", "--json"))
    assert (made["step"], made["share"], made["begun"], made["hold_left_seconds"]) == (0, 0.2, True, 86_400)
    here.passes(12)
    here.tick()
    told = run("rollout", "status")[1]
    assert "1 of 3, share 0.2" in told
    assert "waits for its hold" in told
    assert "sample_ratio" in told
    assert said(run("rollout", "abort", "--why", "Not today.", "--json"))["phase"] == "went_home"
    assert run("rollout", "watch")[0] == 1
    code, told, _ = run("rollout", "history")
    assert code == 0
    assert "went_home" in told
    assert "Not today." in told


def test_what_was_promoted_ends_the_watch_with_0(here: Trial, run: Run) -> None:
    here.start()
    here.tick()
    assert "promoted" in run("rollout", "promote", "--why", "It has to be.")[1]
    code, told, _ = run("rollout", "watch")
    assert code == 0
    assert "promote: It has to be." in told
    (row,) = said(run("rollout", "history", "--json"))["rollouts"]
    assert (row["phase"], row["reason"]) == ("promoted", "It has to be.")


def test_decisions_are_replayed_and_a_changed_configuration_is_told(here: Trial, run: Run) -> None:
    made = here.start()
    here.tick()
    here.passes(12)
    here.tick()
    assert "all 2 decisions come out the same" in run("rollout", "replay", made.id)[1]
    place = next(here.opened.settings.home.rglob(f"{made.configuration}.json"))
    place.write_bytes(place.read_bytes().replace(b'"alpha":0.05', b'"alpha":0.04'))
    code, _, trouble = run("rollout", "replay", made.id)
    assert (code, "it was changed after it went live" in trouble) == (2, True)


def test_another_policy_is_read_from_a_file(
    here: Trial, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = here.start()
    here.runs(1)
    monkeypatch.setenv("MAINSTAY_NOW", here.at.isoformat())
    (tmp_path / "other.yaml").write_text("kind: canary\nsteps: [{share: 1, hold: 1h}]\ndeadline: 2h\n")
    told = said(run("rollout", "what-if", made.id, "--policy", "other.yaml", "--json"))
    assert told["phase"] in ("promoted", "went_home")
    (tmp_path / "wrong.yaml").write_text("kind: canari\n")
    code, _, trouble = run("rollout", "what-if", made.id, "--policy", "wrong.yaml")
    assert (code, "wrong.yaml:1 kind" in trouble) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("status",), "there was no rollout yet"),
        (("abort", "--why", "x"), "no rollout is running"),
        (("start", "9.9.9", "--why", "x"), "there is no version `9.9.9`"),
        (("start", "1.0.0", "--why", "x"), "it answers already"),
        (("start", "1.1.0", "--why", " "), "say why"),
        (("replay", "nothing"), "there is no rollout `nothing`"),
    ],
)
def test_what_cannot_be_is_refused_with_words(here: Trial, run: Run, arguments: tuple[str, ...], words: str) -> None:
    code, _, trouble = run("rollout", *arguments)
    assert (code, words in trouble) == (2, True), trouble


def test_the_operator_looks_once(here: Trial, run: Run) -> None:
    here.start()
    code, _, told = run("operate", "--once", "--every", "1s")
    assert code == 0
    assert "no server of this use case is running" in told
    assert run("operate", "--every", "soon")[0] == 2


def test_the_operator_goes_on_until_sigterm_and_ends_well(here: Trial) -> None:
    here.start()
    here.opened.ledger.close()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}  # noqa: TID251  (for the process it starts)
    command = [sys.executable, "-m", "mainstay.cli.main", "operate", "--every", "100ms"]
    operator = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    assert operator.stderr is not None
    lines: list[str] = []
    while not any("no server of this use case" in line for line in lines):
        lines.append(operator.stderr.readline())
        assert lines[-1], lines
    operator.send_signal(signal.SIGTERM)
    with operator:
        assert operator.wait(60) == 0
    assert here.tick("another").acts
    decide(here.opened, "tiny", Move.GO_HOME, Asked("user:ada", "Enough.", Path()))


def test_what_a_running_rollout_is_judged_by_is_not_dropped(here: Trial, run: Run) -> None:
    here.start()
    here.tick()
    here.passes(30)
    since = here.rollout().started_at
    assert needed_since(here.opened.ledger, "tiny", here.at) == since
    assert needed_since(here.opened.ledger, "tiny", since - timedelta(days=1)) == since - timedelta(days=1)
    decide(here.opened, "tiny", Move.GO_HOME, Asked("user:ada", "Enough.", Path()))
    assert needed_since(here.opened.ledger, "tiny", here.at) == here.at
