"""Rollouts on running servers, over real HTTP, moved by real operators: each challenger ends where it should.

Seven use cases side by side, each with a server of two workers, customers who ask without a pause, and an operator in a
process of its own. Plans are short, and so is the operator's lag; the judge and its bounds are what they always are.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import turned
from rolled import shelved

from mainstay.adapters.signing import Signer
from mainstay.journeys.asked import Asked
from mainstay.journeys.evidence import observations_of
from mainstay.journeys.rollout import start
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import DECISIONS, ROLLOUTS, SPLITS
from mainstay.ledger.replicas import live
from mainstay.nouns import Arm, Phase, Split, Window
from mainstay.registry.configured import store_configuration
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.scorer import Scorer
from mainstay.settings import Settings
from mainstay.usecase_file import loads
from mainstay.wiring import Platform, platform

YAML = """
schema: 1
name: tiny
source: tiny.csv
label: {{column: left, positive: "Yes", horizon: 2s, grace: 4s, action_changes_outcome: false}}
contract:
  columns:
    age: {{type: integer}}
    left: {{type: category, values: ["No", "Yes"]}}
serving: {{unseen_category: refuse, challenger_budget: 400ms}}
plan: {{kind: canary, steps: [{steps}], deadline: {deadline}}}
"""
CLIMB = "{share: 0.3, hold: 4s, at_least: 30}, {share: 1, hold: 4s, at_least: 50}"
STAY = "{share: 0.5, hold: 2s, at_least: 100000}, {share: 1, hold: 2s}"
"""Its first step is left by harm, or at the deadline."""
AT_ONCE = 3
ASKED = Asked("user:ada", "It is better.", Path())


@dataclass(frozen=True)
class Case:
    """A challenger, and how its rollout should end: the phase, and words of the reason."""

    name: str
    phase: Phase
    why: str
    champion: Bundle
    challenger: Bundle
    endings: tuple[str, ...] = ("ok",)
    steps: str = STAY
    deadline: str = "4m"
    old: float = 0.3  # the share of customers who are 120, on whom hostile challengers turn
    told: bool = False  # whether labels come back
    traffic: bool = True


@dataclass
class Ended:
    """How a case ended, and every answer that its customers got."""

    phase: Phase
    reason: str
    split: Split
    answers: Counter[tuple[int, str]]
    lost: list[str]
    endings: Counter[str]
    seconds: float


@dataclass
class Customers:
    """Clients that ask one request after another, and, where they are to, tell what came true."""

    host: str
    old: float
    truth: Callable[[dict[str, Any]], str] | None
    answers: Counter[tuple[int, str]] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def asking(self, clients: int) -> Iterator[None]:
        threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(clients)]
        for each in threads:
            each.start()
        try:
            yield
        finally:
            self._stop.set()
            for each in threads:
                each.join()

    def _ask(self, client: int) -> None:
        random = np.random.default_rng(client)
        connection = HTTPConnection(self.host, timeout=20)
        labels: list[dict[str, str]] = []
        for n in count():
            if self._stop.wait(0.015):
                break
            age = 120 if random.random() < self.old else int(random.integers(18, 90))
            row = {"age": age, "spent": float(random.integers(0, 1000)), "plan": ("basic", "plus")[n % 2]}
            try:
                code, told = _post(connection, "/predict", {"entity": f"{client}-{n}", "features": row})
                self.answers[code, told.get("version", "")] += 1
                if code == 200 and self.truth is not None:
                    labels.append({"prediction_id": told["prediction_id"], "value": self.truth(row)})
                if len(labels) == 20:
                    code, _ = _post(connection, "/feedback", {"labels": labels})
                    labels = []
                    assert code == 202
            except OSError as error:
                self.lost.append(repr(error))
                connection.close()
        connection.close()


def _post(connection: HTTPConnection, route: str, body: Any) -> tuple[int, dict[str, Any]]:
    connection.request("POST", route, json.dumps(body), {"content-type": "application/json"})
    answer = connection.getresponse()
    return answer.status, json.loads(answer.read())


def truth_of(bundle: Bundle) -> Callable[[dict[str, Any]], str]:
    """What comes true: what this bundle thinks likelier."""
    scorer, lock = Scorer(bundle), threading.Lock()

    def told(row: dict[str, Any]) -> str:
        with lock:
            columns = {
                "age": np.array([row["age"]], dtype=np.float64),
                "spent": np.array([row["spent"]], dtype=np.float64),
                "plan": np.array([row["plan"]], dtype=object),
            }
            return "Yes" if scorer.score(columns).probability[0] > 0.5 else "No"

    return told


def opened_with(case: Case, place: Path, keys: Path, signer: Signer) -> Platform:
    """A home in which the case's champion is live, and its challenger registered."""
    place.mkdir()
    (place / "keys").symlink_to(keys)
    opened = platform(Settings(home=place, mlflow="http://127.0.0.1:1"))
    policy = store_configuration(loads(YAML.format(steps=case.steps, deadline=case.deadline)), opened.blobs)
    now = datetime.now(UTC)  # noqa: TID251
    shelved(opened, "1.0.0", case.champion, signer, now)
    shelved(opened, "1.1.0", case.challenger, signer, now)
    split = Split(1, "tiny", (Arm("1.0.0", 1.0),), policy, feature_service="tiny_v1", dataset_head="ds_0")
    opened.ledger.write("tiny", Entry(SPLITS, "tiny", split), at=now, actor="user:ada", reason="the first")
    return opened


@contextmanager
def operator(home: Path) -> Iterator[None]:
    """`mainstay operate` in a process of its own."""
    environment = {**os.environ, "MAINSTAY_HOME": str(home), "MAINSTAY_MLFLOW": "http://127.0.0.1:1"}  # noqa: TID251
    command = [sys.executable, "-m", "mainstay.cli.main", "operate", "--all", "--every", "1s", "--lag", "10s"]
    said = home / "operator.log"
    with said.open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield
            assert process.poll() is None, said.read_text()
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    assert process.returncode == 0, said.read_text()


def rolled_out(case: Case, opened: Platform, running: Any) -> Ended:
    """Run a case to its end."""
    home, began = opened.settings.home, time.monotonic()
    truth = truth_of(case.champion if case.phase is Phase.ROLLED_BACK else case.challenger) if case.told else None
    with running(home, workers=2) as (_, line):
        customers = Customers(line.split()[0].removeprefix("http://"), case.old, truth)
        with customers.asking(2 if case.traffic else 0):
            configuration = opened.ledger.history("tiny", SPLITS, "tiny")[0].body.configuration
            made = start(opened, "tiny", "1.1.0", configuration, ASKED)
            with operator(home):
                until = time.monotonic() + 300
                while (fact := opened.ledger.latest("tiny", ROLLOUTS, made.id)) and fact.body.phase is Phase.RUNNING:
                    assert time.monotonic() < until, (case.name, opened.ledger.latest("tiny", DECISIONS, made.id))
                    time.sleep(0.25)
            standing = opened.ledger.latest("tiny", SPLITS, "tiny")
            assert fact is not None
            assert standing is not None
            while {each.split for each in live(opened.ledger, "tiny")} != {standing.body.number}:
                assert time.monotonic() < until
                time.sleep(0.1)
            time.sleep(1)
    last = opened.ledger.latest("tiny", DECISIONS, made.id)
    assert last is not None
    return Ended(
        fact.body.phase,
        last.body.reason,
        standing.body,
        customers.answers,
        customers.lost,
        _endings(opened),
        time.monotonic() - began,
    )


def _endings(opened: Platform) -> Counter[str]:
    """How the challenger's scorings ended, of all that was written down."""
    now = datetime.now(UTC)  # noqa: TID251
    window = Window(now - timedelta(hours=1), now + timedelta(minutes=1))
    rows = observations_of(opened, "tiny").predictions(window, features=())
    pairs = zip(rows["version"].to_pylist(), rows["outcome"].to_pylist(), strict=True)
    return Counter(outcome for version, outcome in pairs if version == "1.1.0")


def cases(bundle: Bundle, other: Bundle) -> list[Case]:
    back, home = Phase.ROLLED_BACK, Phase.WENT_HOME
    errors = "errors crossed"
    return [
        Case("good", Phase.PROMOTED, "all 2 steps reached what they need", other, bundle, steps=CLIMB, told=True),
        Case("throws", back, errors, bundle, turned(other, "raises"), ("raised",)),
        Case("hangs", back, errors, bundle, turned(other, "hangs"), ("late",)),
        Case("not a number", back, errors, bundle, turned(other, "not a number"), ("not_finite",)),
        Case("slow", back, "slow, challenger minus champion, is", bundle, turned(other, "slow", 50_000), old=0.6),
        Case("worse", back, "log_loss, challenger minus champion, is", bundle, other, told=True),
        Case("nobody asks", home, "no data", bundle, other, (), deadline="20s", traffic=False),
    ]


@pytest.mark.long
def test_each_challenger_ends_where_it_should_and_no_customer_gets_an_error(
    tmp_path: Path, tiny_keys: Path, tiny_signer: Signer, tiny_bundle: Bundle, tiny_other_bundle: Bundle, running: Any
) -> None:
    made = cases(tiny_bundle, tiny_other_bundle)
    homes = [opened_with(case, tmp_path / case.name.replace(" ", "-"), tiny_keys, tiny_signer) for case in made]
    with ThreadPoolExecutor(AT_ONCE) as crowd:
        found = list(crowd.map(lambda case, home: rolled_out(case, home, running), made, homes))
    for case, ended in zip(made, found, strict=True):
        assert ended.phase is case.phase, (case.name, ended)
        assert case.why in ended.reason, (case.name, ended)
        assert ended.lost == [], case.name
        assert {code for code, _ in ended.answers} == ({200} if case.traffic else set()), (case.name, ended.answers)
        assert ended.split.champion == ("1.1.0" if case.phase is Phase.PROMOTED else "1.0.0")
        for ending in case.endings:
            assert ended.endings[ending] > 0, (case.name, ended.endings)
