"""Rollback and the kill switch on a running server with two workers, under load, over real HTTP."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from mainstay.journeys import flags
from mainstay.journeys.asked import Asked
from mainstay.journeys.replay import observations_of
from mainstay.journeys.rollback import Waits, roll_back, splits
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import PROOFS, SPLITS
from mainstay.ledger.replicas import live
from mainstay.nouns import Arm, Split, Window
from mainstay.settings import Settings
from mainstay.verdicts import Outcome
from mainstay.wiring import Platform, platform

Served = Callable[..., AbstractContextManager[str]]
ASKED = Asked("user:ada", "scores jumped", Path())


@dataclass
class Load:
    """Clients that ask about one entity after another without a pause: when each answer came, by which version."""

    host: str
    answers: list[tuple[float, str]] = field(default_factory=list)
    failed: list[Any] = field(default_factory=list)
    _stop: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> "Load":
        self._threads = [threading.Thread(target=self._ask, args=(n,)) for n in range(3)]
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._stop.set()
        for each in self._threads:
            each.join()

    def _ask(self, client: int) -> None:
        connection = HTTPConnection(self.host, timeout=10)
        for n in count():
            if self._stop.wait(0.002):
                break
            row = {"age": 18 + n % 70, "spent": None if n % 9 == 0 else n % 1000 / 7, "plan": ("basic", "plus")[n % 2]}
            try:
                body = json.dumps({"entity": f"{client}-{n}", "features": row})
                connection.request("POST", "/predict", body, {"content-type": "application/json"})
                answer = connection.getresponse()
                told = json.loads(answer.read())
                if answer.status == 200:
                    self.answers.append((time.monotonic(), told["version"]))
                else:
                    self.failed.append(told)
            except OSError as error:
                self.failed.append(error)
        connection.close()

    def versions(self, since: float) -> set[str]:
        return {version for at, version in list(self.answers) if at > since}


@pytest.fixture
def opened(strict_home: Path) -> Iterator[Platform]:
    made = platform(Settings(home=strict_home))
    with made.ledger:
        yield made


def goes_live(opened: Platform, *arms: Arm) -> Split:
    standing = splits(opened, "tiny")[-1]
    made = Split(standing.body.number + 1, "tiny", arms, standing.body.configuration)
    entry = Entry(SPLITS, "tiny", made, after=standing.number)
    opened.ledger.write("tiny", entry, at=datetime.now(UTC), actor="operator", reason="a test")  # noqa: TID251
    until = time.monotonic() + 5
    while {each.split for each in live(opened.ledger, "tiny")} != {made.number}:
        assert time.monotonic() < until
        time.sleep(0.05)
    return made


def readable(opened: Platform) -> int:
    """How many predictions of the first split can be read."""
    now = datetime.now(UTC)  # noqa: TID251
    window = Window(now - timedelta(minutes=5), now + timedelta(minutes=5))
    found: list[int] = observations_of(opened, "tiny").predictions(window, features=())["split"].to_pylist()
    return found.count(1)


@pytest.mark.parametrize(
    ("waits", "stability"),
    [
        # Shortly after, and on a busy machine, nothing of the window may be readable yet.
        pytest.param(Waits(watch=1.0), {Outcome.PASS, Outcome.INCONCLUSIVE}, id="shortly", marks=pytest.mark.long),
        pytest.param(Waits(watch=5.0, lag=25.0), {Outcome.PASS}, id="patiently", marks=pytest.mark.long),
    ],
)
def test_under_load_all_replicas_are_back_within_five_seconds_and_the_proof_holds(
    strict_home: Path, opened: Platform, served: Served, waits: Waits, stability: set[Outcome]
) -> None:
    with served(strict_home, workers=2, open_=True) as address, Load(address.removeprefix("http://")) as load:
        time.sleep(1.5)
        goes_live(opened, Arm("1.1.0", 1.0), Arm("1.0.0", standby=True))
        until = time.monotonic() + 60
        while readable(opened) < 100:  # what 1.0.0 answered is shipped by a process of its own, which yields to others
            assert time.monotonic() < until
            time.sleep(0.5)
        started = time.monotonic()
        assert load.versions(started - 1) == {"1.1.0"}
        done = roll_back(opened, "tiny", None, ASKED, lambda words: None, waits)
        assert load.versions(started + 5) == {"1.0.0"}
    assert load.failed == []
    assert done.proof is not None
    checks = {each.name: each for each in done.proof.verdict.checks}
    assert [checks[name].outcome for name in ("replay", "replicas")] == [Outcome.PASS] * 2, checks
    assert checks["stability"].outcome in stability, checks["stability"]
    assert done.proof.replayed >= 100
    assert f"{done.proof.replayed:,} to the bit ({done.proof.replayed:,} had to be" in checks["replay"].reason
    assert "all 2 live replicas report split 3" in checks["replicas"].reason
    assert float(checks["replicas"].reason.split(" s after")[0].rsplit(" ", 1)[1]) < 5
    fact = opened.ledger.latest("tiny", PROOFS, "3")
    assert fact is not None
    assert fact.body == done.proof
    assert (fact.actor, splits(opened, "tiny")[-1].reason) == ("user:ada", "scores jumped")


def test_an_older_version_is_made_to_stand_by_and_warm_on_every_replica_before_it_answers(
    strict_home: Path, opened: Platform, served: Served
) -> None:
    with served(strict_home, workers=2, open_=True):
        goes_live(opened, Arm("1.1.0", 1.0))
        done = roll_back(opened, "tiny", "1.0.0", ASKED, lambda words: None, Waits(watch=0.0))
        assert {each.split for each in live(opened.ledger, "tiny")} == {4}
    history = [fact.body for fact in splits(opened, "tiny")]
    assert history[2].arms == (Arm("1.1.0", 1.0), Arm("1.0.0", standby=True))
    assert history[3].arms == (Arm("1.0.0", 1.0), Arm("1.1.0", standby=True))
    assert done.proof is not None
    assert done.proof.verdict.outcome is Outcome.PASS
    assert "golden rows" in done.proof.verdict.checks[0].reason


def test_the_kill_switch_takes_the_challenger_off_every_replica_within_three_seconds(
    strict_home: Path, opened: Platform, served: Served
) -> None:
    with served(strict_home, workers=2, open_=True) as address, Load(address.removeprefix("http://")) as load:
        goes_live(opened, Arm("1.0.0", 0.5), Arm("1.1.0", 0.5))
        time.sleep(1)
        started = time.monotonic()
        assert load.versions(started - 0.9) == {"1.0.0", "1.1.0"}
        split, _, reach = flags.kill(opened, "tiny", ASKED)
        assert reach is not None
        assert {each.split for each in reach.live} == {split.number}
        assert reach.seconds < 3
        time.sleep(max(0.0, started + 4 - time.monotonic()))
        assert load.versions(started + 3) == {"1.0.0"}
        assert flags.kill(opened, "tiny", ASKED)[2] is None
    assert load.failed == []
