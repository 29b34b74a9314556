"""`make drill`: a game day on one machine: releases, rollouts, kills, an outage and ways back, under steady load.

Each act says what it proved and how long that took. The drill ends with 0 where every promise held, else with 1.
"""

import contextlib
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.resources import files
from pathlib import Path

from mainstay.cli import show
from mainstay.cli.drill_parts import (
    PATIENCE,
    Broken,
    Home,
    Load,
    address_of,
    children,
    ended,
    kill,
    register_one_that_errs,
)
from mainstay.errors import MainstayError
from mainstay.journeys.evidence import observations_of
from mainstay.ledger.kinds import DECISIONS, ROLLOUTS, SPLITS
from mainstay.ledger.replicas import vanished
from mainstay.nouns import Phase, Rollout, Split, Window
from mainstay.settings import Settings
from mainstay.wiring import Platform, platform

USE_CASE = "churn"
PLAN = """plan:
  kind: canary
  steps: [{share: 0.2, hold: 3s, at_least: 40}, {share: 1, hold: 3s, at_least: 40}]
  deadline: 4m

"""
RECIPE = "recipe: {estimators: [logistic], objective: log_loss, trials: 1, folds: 2, holdout: 0.2, seed: 7}\n"
FIRST = "simulator://churn?customers=6000&seed=7&until=2026-01-01"
SECOND = "simulator://churn?customers=7000&seed=7&until=2026-02-01"
LAG = "10s"
DOWN = 6.0
"""Seconds for which the ledger is away."""


@dataclass
class Drill:
    """The stage, and what was shown on it: a name, seconds, what it proved, whether it held."""

    home: Home
    opened: Platform
    without: frozenset[str]
    acts: list[tuple[str, float, str, bool]] = field(default_factory=list)

    def act(self, name: str, play: Callable[[], str]) -> None:
        """Play an act. Whatever breaks is its outcome, and the next one is played all the same."""
        began = time.monotonic()
        try:
            proved, held = play(), True
        except (Broken, MainstayError, OSError) as error:
            proved, held = str(error), False
        took = time.monotonic() - began
        self.acts.append((name, took, proved, held))
        show.line(f"{'held  ' if held else 'BROKEN'} {took:5.1f} s  {name}: {proved}")

    @property
    def code(self) -> int:
        return 0 if self.acts and all(held for *_, held in self.acts) else 1

    def split(self) -> Split:
        fact = self.opened.ledger.latest(USE_CASE, SPLITS, USE_CASE)
        if fact is None:
            raise Broken("nothing is live")
        return fact.body

    def ended(self, challenger: str, phase: Phase) -> str:
        """Wait until the rollout of a version ends; why it did. Broken where that is otherwise, or does not come."""
        until = time.monotonic() + PATIENCE
        while (rollout := self.rollout(challenger)).phase is Phase.RUNNING:
            if time.monotonic() > until:
                raise Broken(f"the rollout of {challenger} has not ended after {PATIENCE:.0f} s")
            time.sleep(0.25)
        fact = self.opened.ledger.latest(USE_CASE, DECISIONS, rollout.id)
        why = fact.body.reason if fact else ""
        if rollout.phase is not phase:
            raise Broken(f"{challenger} ended {rollout.phase}, not {phase}: {why}")
        return why

    def started(self, challenger: str) -> bool:
        facts = self.opened.ledger.latest_of_each(USE_CASE, ROLLOUTS)
        return any(fact.body.challenger == challenger for fact in facts)

    def rollout(self, challenger: str) -> Rollout:
        facts = self.opened.ledger.latest_of_each(USE_CASE, ROLLOUTS)
        found = [fact.body for fact in facts if fact.body.challenger == challenger]
        if not found:
            raise Broken(f"no rollout of {challenger} was started")
        return max(found, key=lambda each: each.started_at)


def wait_for(what: str, there: Callable[[], bool], patience: float = PATIENCE) -> float:
    """Seconds until something is so. Broken where it does not come."""
    began = time.monotonic()
    while not there():
        if time.monotonic() - began > patience:
            raise Broken(f"{what}: not within {patience:.0f} s")
        time.sleep(0.1)
    return time.monotonic() - began


def must(holds: bool, words: str) -> None:
    """Broken, in these words, unless it holds."""
    if not holds:
        raise Broken(words)


def use_case_text() -> str:
    """The churn that ships, with a recipe that takes seconds and a plan that takes a minute."""
    text = (files("mainstay.churn") / "mainstay.yaml").read_text()
    text = re.sub(r"^recipe:\n(?:  .*\n)+", RECIPE, text, flags=re.MULTILINE)
    return re.sub(r"^plan:\n(?:  .*\n)+\n", PLAN, text, flags=re.MULTILINE)


def drill(without: frozenset[str] = frozenset()) -> int:
    """The whole game day; 0 if every promise held. `without` leaves parts away (`operator`), for which it must fail."""
    place = Path(tempfile.mkdtemp(prefix="mainstay-drill-"))
    began = time.monotonic()
    home = Home(place / "home", place / "mainstay.yaml")
    home.place.mkdir()
    home.use_case.write_text(use_case_text())
    day = Drill(home, platform(Settings(home=home.place)), without)
    try:
        day.act("a first release", lambda: _release(day, FIRST, "is live"))
        if day.code == 0:
            _served(day)
        _summary(day, time.monotonic() - began)
        return day.code
    finally:
        day.opened.ledger.close()
        shutil.rmtree(place, ignore_errors=True)


def _release(day: Drill, source: str, words: str) -> str:
    said = day.home.run("release", "--source", source)
    told = [line for line in said.splitlines() if words in line]
    must(bool(told), f"the release did not say that its version {words}")
    return told[-1]


def _served(day: Drill) -> None:
    """Everything that happens while customers ask."""
    server = day.home.begin("server", "serve", "--open", "--port", "0", "--workers", "2")
    try:
        load = Load(address_of(server))
        with load.asking(), _operators(day) as operators:
            _rollouts(day, load, operators)
            _kills(day, load, server.pid)
            _ways_back(day, load)
            time.sleep(1)
        server.send_signal(signal.SIGTERM)  # what was sealed last is shipped before it ends
        day.act("the server ends", lambda: _stopped(server.wait(PATIENCE)))
    finally:
        if server.poll() is None:
            server.kill()
        ended(server)
    day.act("no customer was failed", lambda: _nobody_failed(load))
    day.act("every acknowledged prediction is kept, once", lambda: _kept(day, load))
    day.act("the audit tells the story", lambda: _told(day))


def _stopped(code: int) -> str:
    must(code == 0, f"it ended with exit code {code}")
    return "exit code 0, requests in flight answered, the last segments shipped"


@dataclass
class _Operators:
    """The operator's process, started again by whoever kills it."""

    day: Drill
    running: list[int] = field(default_factory=list)

    def begin(self) -> None:
        if "operator" not in self.day.without:
            self._process = self.day.home.begin("operator", "operate", "--every", "1s", "--lag", LAG)

    def kill(self) -> int:
        must("operator" not in self.day.without, "no operator runs")
        kill(self._process.pid)
        ended(self._process)
        return self._process.pid

    def end(self) -> None:
        if "operator" not in self.day.without:
            self._process.send_signal(signal.SIGTERM)
            ended(self._process)


@contextlib.contextmanager
def _operators(day: Drill) -> Iterator[_Operators]:
    made = _Operators(day)
    made.begin()
    try:
        yield made
    finally:
        made.end()


def _rollouts(day: Drill, load: Load, operators: _Operators) -> None:
    day.act("a second release starts its canary", lambda: _release(day, SECOND, "is being rolled out"))

    def killed() -> str:
        if "operator" not in day.without:
            wait_for("the first step", lambda: day.split().arms[1].share > 0)
        process = operators.kill()
        time.sleep(2)
        operators.begin()
        return f"kill -9 of process {process} during step 1; another takes over"

    def promoted() -> str:
        why = day.ended("1.1.0", Phase.PROMOTED)
        must(day.split().champion == "1.1.0", "the split does not follow")
        day.home.run("rollout", "replay", day.rollout("1.1.0").id)
        return f"1.1.0 is promoted ({why}); its decisions, made again, come out the same"

    def harmful() -> str:
        version = register_one_that_errs(day.opened, USE_CASE, "1.1.0")
        if "operator" in day.without:
            raise Broken(f"nobody starts the rollout of {version}, whose turn it is")
        wait_for(f"the rollout of {version}, whose turn it is", lambda: day.started(version))
        load.turning = 0.3
        try:
            why = day.ended(version, Phase.ROLLED_BACK)
        finally:
            load.turning = 0.0
        must("errors" in why, f"it was rolled back for another reason: {why}")
        must(day.split().champion == "1.1.0", "the split does not follow")
        return f"{version} is rolled back: {why.split(';')[0]}"

    day.act("the operator is killed in mid-rollout", killed)
    day.act("a good challenger", promoted)
    day.act("a harmful challenger", harmful)


def _kills(day: Drill, load: Load, server: int) -> None:
    def worker() -> str:
        before = children(server, "mainstay.serving.worker")
        must(len(before) == 2, f"there are {len(before)} workers, not 2")
        lost = load.again
        kill(before[0])
        new = wait_for("another worker", lambda: len(set(children(server, "mainstay.serving.worker")) - {*before}) == 1)
        return f"another took its place after {new:.1f} s; {load.again - lost} requests were asked again, and answered"

    def shipper() -> str:
        (before,) = children(server, "observations")
        kill(before)
        new = wait_for("another shipper", lambda: bool(set(children(server, "observations")) - {before}))
        return f"another took its place after {new:.1f} s; segments waited on disk"

    def outage() -> str:
        ledger = day.home.place / "ledger.db"
        asked = len(load.acknowledged)
        with contextlib.closing(sqlite3.connect(ledger, isolation_level=None, timeout=30)) as other:
            other.execute("BEGIN EXCLUSIVE")
            time.sleep(DOWN)
            other.execute("ROLLBACK")
        answered = len(load.acknowledged) - asked
        must(answered > 0, "nothing was answered meanwhile")
        return f"locked for {DOWN:.0f} s: {answered} requests were answered meanwhile"

    day.act("kill -9 of a worker", worker)
    day.act("kill -9 of the shipper", shipper)
    day.act("the ledger is away", outage)


def _ways_back(day: Drill, load: Load) -> None:
    def tampered() -> str:
        standing = day.split()
        model = day.home.place / "blobs" / "versions" / USE_CASE / "1.0.0" / "model.onnx"
        good = model.read_bytes()
        model.chmod(0o644)
        model.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
        try:
            said = day.home.run("rollback", "--to", "1.0.0", "--why", "A drill.", code=2)
        finally:
            model.write_bytes(good)
        must(day.split() == standing, "the split moved onto it")
        return f"refused, and nothing moved: {said.strip().splitlines()[-1][:140]}"

    def data() -> str:
        first = day.home.told("data", "list")["datasets"][0]["id"]
        day.home.run("data", "rollback", first, "--why", "A drill.")
        must(day.split().dataset_head == first, "the split does not follow")
        return f"dataset {first[:15]} is looked up again; what came after it is withdrawn"

    def model() -> str:
        for gone in vanished(
            day.opened.ledger, USE_CASE
        ):  # the worker that was killed: its supervisor has no word of it
            day.home.run("replicas", "dismiss", gone.id, "--why", "A drill: it was killed.")
        began = time.monotonic()
        said = day.home.told("rollback", "--watch", "3s", "--why", "A drill.")
        must(said.get("moved") is True, f"nothing moved: {said}")
        checks = {each["name"]: each for each in said["proof"]["verdict"]["checks"]}
        for name in ("replay", "replicas"):
            must(checks[name]["outcome"] == "PASS", f"{name}: {checks[name]['reason']}")
        must(checks["stability"]["outcome"] != "FAIL", checks["stability"]["reason"])
        must(load.since(began + 8) == {said["version"]}, "another version still answers")
        return f"{said['version']} is back: {checks['replay']['reason']}; {checks['replicas']['reason']}"

    day.act("a bundle is tampered with", tampered)
    day.act("data rollback", data)
    day.act("rollback, with its proof", model)


def _nobody_failed(load: Load) -> str:
    count = len(load.acknowledged)
    must(not load.failed, f"{len(load.failed)} of {count + len(load.failed)} requests failed, {load.failed[:2]} first")
    must(count > 500, f"only {count} requests were asked")
    return f"{count:,} requests, every one answered; {load.again} of them asked twice, for a killed worker had them"


def _kept(day: Drill, load: Load) -> str:
    now = day.opened.settings.clock()
    window = Window(now - timedelta(hours=1), now + timedelta(minutes=1))
    rows = observations_of(day.opened, USE_CASE).predictions(window, features=())
    pairs = zip(rows["prediction_id"].to_pylist(), rows["role"].to_pylist(), strict=True)
    answered = Counter(name for name, role in pairs if role == "answered")
    lost = [name for name in load.acknowledged if answered[name] != 1]
    must(not lost, f"{len(lost)} of {len(load.acknowledged)} acknowledged predictions are not there exactly once")
    return f"{len(load.acknowledged):,} of {len(load.acknowledged):,}"


def _told(day: Drill) -> str:
    said = day.home.run("audit", "--champion")
    for words in ("1.0.0", "1.1.0", "A drill."):
        must(words in said, f"it does not tell of {words}")
    history = day.home.told("rollout", "history")["rollouts"]
    phases = [each["phase"] for each in history]
    must(phases == ["promoted", "rolled_back"], f"the rollouts ended {phases}")
    return "champions 1.0.0, 1.1.0 and 1.0.0 again, each with who and why; rollouts promoted, rolled back"


def _summary(day: Drill, seconds: float) -> None:
    show.line("")
    show.pairs_table(
        f"the drill took {seconds:.0f} s", [(name, "held" if held else "BROKEN") for name, *_, held in day.acts]
    )
    broken = sum(not held for *_, held in day.acts)
    show.line(f"{len(day.acts) - broken} of {len(day.acts)} promises held")


if __name__ == "__main__":
    sys.exit(drill(frozenset(each.removeprefix("--without=") for each in sys.argv[1:])))
