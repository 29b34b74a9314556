"""A SQLite store as Feast lays it out, of the two views of a tiny feature service."""

import sqlite3
import struct
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from mainstay.adapters.feast_format import entity_key, key_prefix
from mainstay.defined import FeatureColumn, FeatureService, FeatureView, project_of
from mainstay.nouns import rfc3339

NOW = datetime(2026, 1, 1, tzinfo=UTC)
HEAD = "ds_0123456789abcdef"
YESTERDAY, HOUR = NOW - timedelta(days=1), timedelta(hours=1)
OWN = FeatureView("tiny", "id", (FeatureColumn("age", "integer"), FeatureColumn("plan", "category")),
                  None, None, None, "tiny.csv")  # fmt: skip
USAGE = FeatureView("usage", "id", (FeatureColumn("spent", "number"),), "measured", None, "5d", "usage.csv")
SERVICE = FeatureService("tiny_v1", "0" * 64, (OWN, USAGE))
FULL = {"age": 40, "spent": 120.5, "plan": "basic"}


class Stored:
    """A SQLite store, written as Feast writes it."""

    def __init__(self, path: Path, head: str | None = None) -> None:
        self.path = path
        self.project = project_of("tiny", head)
        self._run("CREATE TABLE IF NOT EXISTS mainstay_watermarks (project, view, watermark)")
        for view in SERVICE.views:
            self._run(
                f'CREATE TABLE "{self.project}_{view.name}" (entity_key BLOB, feature_name TEXT, value BLOB,'
                " event_ts timestamp, PRIMARY KEY(entity_key, feature_name))"
            )
            watermark = rfc3339(NOW - HOUR)
            self._run("INSERT INTO mainstay_watermarks VALUES (?, ?, ?)", (self.project, view.name, watermark))

    def put(self, entity: str, view: str, at: datetime = YESTERDAY, **values: Any) -> None:
        for name, value in values.items():
            text = value.encode() if isinstance(value, str) else b""
            number = b"\x29" + struct.pack("<d", value) if isinstance(value, (int, float)) else b""
            data = b"\x12" + bytes([len(text)]) + text if text else number
            key = entity_key(key_prefix("id"), entity)
            row = (key, name, data, int(at.timestamp()))
            self._run(f'INSERT OR REPLACE INTO "{self.project}_{view}" VALUES (?, ?, ?, ?)', row)

    def _run(self, statement: str, given: tuple[Any, ...] = ()) -> None:
        with closing(sqlite3.connect(self.path)) as opened, opened:
            opened.execute(statement, given)
