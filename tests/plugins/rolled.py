"""A use case with signed versions on its shelf and simulated customers, whose rollouts take no longer than a test."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from served import manifest_of

from mainstay.adapters.signing import Signer
from mainstay.digests import sha256, unit_interval
from mainstay.journeys.asked import Asked
from mainstay.journeys.operate import Ticked, operate, tick
from mainstay.journeys.rollout import start
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import DECISIONS, ROLLOUTS, SPLITS, VERSIONS
from mainstay.ledger.replicas import report
from mainstay.ledger.shipping import ship
from mainstay.logged import encode_header, encoded, label_row, prediction_row
from mainstay.nouns import Arm, ModelVersion, Rollout, Split
from mainstay.observed import Ending, Label, Prediction, Replica, Role, SegmentHeader
from mainstay.registry.configured import store_configuration
from mainstay.registry.manifest import MANIFEST, SIGNATURE, document
from mainstay.rollout.assign import Assigner
from mainstay.scoring.bundle import Bundle, candidate_id, to_files
from mainstay.settings import Settings
from mainstay.usecase_file import loads
from mainstay.wiring import Platform, platform

NOW = datetime.fromisoformat("2026-03-01T12:00:00+00:00")
CANARY = """kind: canary
  alpha: 0.05
  steps: [{share: 0.2, hold: 1d, at_least: 100}, {share: 0.5, hold: 1d, at_least: 300}, {share: 1, hold: 12h}]
  deadline: 8d"""
YAML = """
schema: 1
name: tiny
source: tiny.csv
entity: id
label: {{column: left, positive: "Yes", horizon: 1d, action_changes_outcome: false}}
contract:
  columns:
    id: {{type: identifier}}
    age: {{type: integer}}
    left: {{type: category, values: ["No", "Yes"]}}
plan:
  {plan}
"""


def shelved(opened: Platform, version: str, bundle: Bundle, signer: Signer, after: datetime = NOW) -> None:
    """Register a version: signed, on the shelf, and in the ledger."""
    manifest = manifest_of(version, bundle, signer.key_id)
    data = document(manifest)
    files = to_files(bundle)
    for name, content in {**files, MANIFEST: data, SIGNATURE: signer.sign(data)}.items():
        opened.blobs.put(f"versions/tiny/{version}/{name}", content)
    opened.blobs.put(f"signed/tiny/{sha256(data)}/{MANIFEST}", data)
    made = ModelVersion("tiny", version, candidate_id(files), "ds_0", "run", sha256(data), signer.key_id, {})
    entry = Entry(VERSIONS, version, made)
    opened.ledger.write("tiny", entry, at=after, actor="user:ada", reason="It passed.")


@dataclass(frozen=True)
class Behaviour:
    """How often the challenger raises, is slow, scores NaN; and whether it knows less than the champion."""

    raises: float = 0.0
    slow: float = 0.0
    nan: float = 0.0
    blind: bool = False


@dataclass
class Trial:
    """A home in which 1.0.0 is live and 1.1.0 is on the shelf, with customers who ask at a steady pace."""

    opened: Platform
    behaviour: Behaviour = Behaviour()
    a_day: int = 1200
    at: datetime = NOW
    warm: tuple[str, ...] | None = ("1.0.0", "1.1.0", "1.2.0")
    random: np.random.Generator = field(default_factory=lambda: np.random.default_rng(7))
    asked: int = 0
    champion: Behaviour = Behaviour()

    def split(self) -> Split:
        fact = self.opened.ledger.latest("tiny", SPLITS, "tiny")
        assert fact is not None
        return fact.body

    def rollout(self, challenger: str = "1.1.0") -> Rollout:
        facts = self.opened.ledger.latest_of_each("tiny", ROLLOUTS)
        return [fact.body for fact in facts if fact.body.challenger == challenger][-1]

    def policy(self, plan: str = CANARY) -> str:
        return store_configuration(loads(YAML.format(plan=plan)), self.opened.blobs)

    def start(self, version: str = "1.1.0", plan: str = CANARY) -> Rollout:
        asked = Asked("user:ada", "It is better.", Path())
        return start(self.opened, "tiny", version, self.policy(plan), asked, now=self.at)

    def reports(self) -> None:
        """The server reports itself, where one runs."""
        if self.warm is not None:
            report(self.opened.ledger, Replica("r1", "host-a", "tiny", self.split().number, self.warm, self.at))

    def tick(self, holder: str = "operator", lease: float = 30.0) -> Ticked:
        """A look of the operator now, while the servers report themselves."""
        self.reports()
        return tick(self.opened, "tiny", self.at, holder, lease)

    def passes(self, hours: float, traffic: bool = True) -> None:
        """So many hours of customers, all shipped; those whose horizon ends within are labelled."""
        until = self.at + timedelta(hours=hours)
        if traffic and self.a_day:
            self._customers(until)
        self.at = until

    def runs(self, days: float, traffic: bool = True) -> Rollout:
        """Until the rollout ends, or so many days: half a day of customers, then a look."""
        self.tick()
        for _ in range(round(days * 2)):
            self.passes(12, traffic)
            self.tick()
            if self.rollout().phase != "running":
                break
        return self.rollout()

    def why(self, challenger: str = "1.1.0") -> str:
        """The reason of the last decision."""
        fact = self.opened.ledger.latest("tiny", DECISIONS, self.rollout(challenger).id)
        assert fact is not None
        return fact.body.reason

    def _customers(self, until: datetime) -> None:
        split = self.split()
        assigner, records, labels = Assigner(split), [], []
        gap = timedelta(days=1) / self.a_day
        at = self.at
        while at < until:
            entity = f"c{self.asked}"
            self.asked += 1
            records += self._request(split, assigner, entity, at)
            labels.append((entity, at))
            at += gap
        self._write("prediction", [encoded(prediction_row(each, {"age": "number"})) for each in records])
        told = [
            Label(_truth(entity), asked + timedelta(days=1), "crm", timedelta(days=1), entity=entity, as_of=asked)
            for entity, asked in labels
        ]
        self._write("label", [encoded(label_row(each)) for each in told])

    def _request(self, split: Split, assigner: Assigner, entity: str, at: datetime) -> list[Prediction]:
        given = assigner.of(entity, now=at)
        made = self._record(split, given.version, given.assigned, given.share, entity, at, Role.ANSWERED)
        records = [made]
        if made.outcome is not Ending.OK:
            first = split.arms[0].version
            records = [
                self._record(split, given.version, given.assigned, given.share, entity, at, Role.ATTEMPTED, made),
                self._record(split, first, given.assigned, given.share, entity, at, Role.ANSWERED),
            ]
        for arm in split.arms:
            if arm.listens and arm.version != given.version:
                records.append(self._record(split, arm.version, given.assigned, given.share, entity, at, Role.LISTENED))
        return records

    def _record(
        self, split: Split, version: str, assigned: str, share: float, entity: str, at: datetime, role: Role,
        failed: Prediction | None = None,
    ) -> Prediction:  # fmt: skip
        doing = self.champion if version == "1.0.0" else self.behaviour
        drawn = self.random.random(3)
        outcome = Ending.OK
        if failed is not None:
            outcome = failed.outcome
        elif drawn[0] < doing.raises:
            outcome = Ending.RAISED
        elif drawn[0] < doing.raises + doing.nan:
            outcome = Ending.NOT_FINITE
        knows = _truth(entity) == "Yes" and not (doing.blind and drawn[2] < 0.9)
        chance = float(np.clip((0.8 if knows else 0.1) + 0.05 * (drawn[1] - 0.5), 0, 1))
        ok = outcome is Ending.OK
        taken = 5000.0 if drawn[2] < doing.slow else 20 + 10 * drawn[1]
        return Prediction(
            f"p-{entity}", f"p-{entity}", "t", at, entity, entity, role, version, assigned, share, split.number, False,
            outcome, {"age": 40.0}, (1 - chance, chance) if ok else (), chance if ok else None, 0.5,
            ("Yes" if chance >= 0.5 else "No") if ok else None, (), float(taken), 30.0,
        )  # fmt: skip

    def _write(self, kind: str, rows: list[bytes]) -> None:
        header = SegmentHeader("tiny", kind, "c1", "host-a", self.at, {"age": "number"} if kind == "prediction" else {})
        writer = self.opened.stream().write("tiny", encode_header(header), self.at)
        for row in rows:
            writer.append(row)
        writer.seal()
        ship(self.opened.stream(), self.opened.ledger, self.opened.blobs, "tiny", self.at)


def _truth(entity: str) -> str:
    return "Yes" if unit_interval("holdout", "truth", entity) < 0.3 else "No"


@pytest.fixture
def trial(
    tmp_path: Path, tiny_keys: Path, tiny_signer: Signer, tiny_bundle: Bundle, tiny_other_bundle: Bundle
) -> Callable[..., Trial]:
    """Makes a home in which 1.0.0 is live under a plan, and 1.1.0 is registered."""

    def made(behaviour: Behaviour | None = None, plan: str = CANARY, a_day: int = 1200) -> Trial:
        opened = platform(Settings(home=tmp_path / "home", now=NOW))
        shutil.copytree(tiny_keys, opened.settings.keys)
        shelved(opened, "1.0.0", tiny_bundle, tiny_signer)
        here = Trial(opened, behaviour or Behaviour(), a_day)
        split = Split(
            1, "tiny", (Arm("1.0.0", 1.0),), here.policy(plan), feature_service="tiny_v1", dataset_head="ds_0"
        )
        opened.ledger.write("tiny", Entry(SPLITS, "tiny", split), at=NOW, actor="user:ada", reason="the first")
        shelved(opened, "1.1.0", tiny_other_bundle, tiny_signer)
        return here

    return made


def operates(home: Path, now: datetime, holder: str, ready: Connection) -> None:
    """An operator in a process of its own, at a time that stands still, until it is killed; it says when it begins."""
    opened = platform(Settings(home=home, now=now, mlflow="http://127.0.0.1:1"))
    ready.send("ready")
    operate(opened, lambda: ["tiny"], 0.01, holder, lambda seconds: False, lambda words: None)
