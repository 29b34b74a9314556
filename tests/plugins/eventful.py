"""Processes that push events of customers and bring them online without end, for tests that kill them."""

import json
import time
from pathlib import Path
from typing import Any

from mainstay.journeys.materialize import head, materialize
from mainstay.journeys.push import push, take_up
from mainstay.settings import Settings
from mainstay.usecase_file import loads
from mainstay.wiring import platform

EVENTS = 25
TEXT = """
schema: 1
name: lines
source: lines.parquet
entity: id
event_time: {column: seen}
label: {column: left, positive: "Yes", horizon: 1d, absent_means: "No"}
contract:
  rows: {at_least: 2}
  columns:
    id: {type: identifier, personal: hash}
    seen: {type: timestamp}
    age: {type: integer}
    left: {type: category, values: ["No", "Yes"]}
features:
  views:
    - name: usage
      source: usage.parquet
      event_time: measured
      known_at: loaded
      columns:
        calls: {type: number}
"""


def pushing(home: Path, online: str, run: int, acknowledged: Any) -> None:
    """Push batches of events without end, each of lines of its own, and tell of each that returned."""
    use_case, opened = loads(TEXT), platform(Settings(home=home, online_url=online))
    for n in range(1_000_000):
        now = opened.settings.clock()
        names = [f"{run}.{n}.{each}" for each in range(EVENTS)]
        told = [
            {"view": "usage", "entity": name, "event_time": now.isoformat(), "values": {"calls": float(n)}}
            for name in names
        ]
        push(opened, use_case, map(json.dumps, told), "-", now)
        acknowledged.send((run, n))
        time.sleep(0.02)


def following(home: Path, online: str) -> None:
    """Bring online what waits, and materialise beside that, without end."""
    use_case, opened = loads(TEXT), platform(Settings(home=home, online_url=online))
    while True:
        take_up(opened, use_case, lambda noun: None)
        materialize(opened, use_case, head(opened, use_case), opened.settings.clock(), lambda noun: None)
