"""A use case of lines with a view of their usage, in a home whose clock and rows are the test's own."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from mainstay.adapters.online import Wanted, online_from
from mainstay.adapters.signing import pseudonym_key
from mainstay.defined import project_of
from mainstay.digests import pseudonym
from mainstay.journeys import progress
from mainstay.journeys.asked import Asked
from mainstay.journeys.materialize import head, materialize
from mainstay.journeys.push import push, take_up
from mainstay.journeys.release import ingest
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import DATASETS, SPLITS
from mainstay.nouns import Arm, DatasetVersion, Split
from mainstay.settings import Settings
from mainstay.usecase import UseCase
from mainstay.wiring import Platform, platform

NOW = datetime(2026, 9, 1, tzinfo=UTC)
LINES = """
schema: 1
name: lines
source: lines.parquet
entity: id
event_time: {column: seen, optional: true}
label: {column: left, positive: "Yes", horizon: 30d, absent_means: "No"}
contract:
  rows: {at_least: 2}
  columns:
    id: {type: identifier, personal: hash}
    seen: {type: timestamp}
    age: {type: integer, range: [0, 90]}
    left: {type: category, values: ["No", "Yes"], nullable: true}
features:
  service: lines_v1
  views:
    - name: usage
      source: usage.parquet
      event_time: measured
      known_at: loaded
      ttl: 45d
      columns:
        calls: {type: number, range: [0, 1000], unit: calls, nullable: true}
        plan: {type: category, values: [a, b], nullable: true}
"""


def day(number: float) -> datetime:
    return NOW - timedelta(days=100) + timedelta(days=number)


class Home:
    """A home whose clock and rows are ours, with a split that a test writes instead of a training."""

    def __init__(self, folder: Path, use_case: UseCase) -> None:
        self.folder, self.use_case = folder, use_case
        self.heard: list[Any] = []

    def at(self, now: datetime) -> Platform:
        return platform(Settings(home=self.folder / "home", now=now, mlflow="http://127.0.0.1:1"))

    def freeze(
        self, now: datetime, ages: dict[str, int], calls: Sequence[tuple[str, float, float, float]]
    ) -> DatasetVersion:
        """Rows seen on day 50, and calls: line, day measured, day loaded, calls."""
        instant = pa.timestamp("us", "UTC")
        seen = pa.array([day(50)] * len(ages), instant)
        rows = {"id": list(ages), "seen": seen, "age": list(ages.values()), "left": ["No", "Yes"]}
        pq.write_table(pa.table(rows), self.folder / "lines.parquet")
        usage = {
            "id": [each[0] for each in calls],
            "measured": pa.array([day(each[1]) for each in calls], instant),
            "loaded": pa.array([day(each[2]) for each in calls], instant),
            "calls": [each[3] for each in calls],
            "plan": ["a"] * len(calls),
        }
        pq.write_table(pa.table(usage), self.folder / "usage.parquet")
        home = self.at(now)
        made = ingest(home, self.use_case, self.asked, progress.Release(self.use_case.name), self.heard.append)
        assert made is not None, [c.reason for v in self.heard if hasattr(v, "checks") for c in v.checks if not c.met]
        return made

    @property
    def asked(self) -> Asked:
        return Asked("user:ada", "It was asked for.", self.folder)

    def live(self, now: datetime, dataset: str, service: str = "lines_v1") -> None:
        """Make a dataset version the head, as a release does: filled first."""
        home = self.at(now)
        fact = home.ledger.latest("lines", DATASETS, dataset)
        assert fact is not None
        materialize(home, self.use_case, fact, now, self.heard.append)
        before = home.ledger.latest("lines", SPLITS, "lines")
        number = before.number if before else 0
        split = Split(number + 1, "salt", (Arm("1.0.0", 1.0),), "c" * 64, feature_service=service, dataset_head=dataset)
        home.ledger.write("lines", Entry(SPLITS, "lines", split, number), at=now, actor="ada", reason="Released.")

    def online(self, line: str, dataset: str | None = None) -> dict[str, Any]:
        """What is looked up of a line now, in the head or another dataset version."""
        home = self.at(NOW)
        stored = pseudonym(line, pseudonym_key(home.settings.keys)[1])
        project = project_of("lines", dataset or head(home, self.use_case).body.id)
        wanted = [Wanted("lines", ("age",)), Wanted("usage", ("calls", "plan"))]
        (row,) = online_from(home.settings.online).read(project, "id", wanted, [stored]).rows
        return {name: value for seen in row.values() for name, value in seen.values.items()}

    def push(self, now: datetime, *events: dict[str, Any]) -> int:
        home = self.at(now)
        push(home, self.use_case, [json.dumps(each) for each in events], "-", now)
        return take_up(home, self.use_case, self.heard.append)


def usage(line: str, at: float, calls: float | None, plan: str | None = "b") -> dict[str, Any]:
    return {
        "view": "usage",
        "entity": line,
        "event_time": day(at).isoformat(),
        "values": {"calls": calls, "plan": plan},
    }


def first(home: Home) -> DatasetVersion:
    made = home.freeze(day(60), {"x": 30, "y": 40}, [("x", 40, 41, 10.0), ("y", 40, 41, 20.0)])
    home.live(day(61), made.id)
    return made


def service(home: Home) -> Any:
    from mainstay.journeys.features import described

    return described(home.use_case)
