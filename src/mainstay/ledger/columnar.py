"""Observations as Arrow tables and Parquet files: one typed column per field and per feature.

`f.NAME` is a feature as served (double, or a dictionary of texts), `o.NAME` its origin and only there where it was not
given in every row. Times are microseconds in UTC. Files of several contracts are read together by name.
"""

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mainstay.logged import Columns, instant
from mainstay.observed import SegmentHeader

TIME = pa.timestamp("us", tz="UTC")
TEXT = pa.string()
WORD = pa.dictionary(pa.int32(), pa.string())
_SEEN = pa.map_(TEXT, pa.struct([("event_time", TIME), ("watermark", TIME)]))

SCHEMAS: Mapping[str, pa.Schema] = {
    "prediction": pa.schema(
        [
            ("prediction_id", TEXT),
            ("request_id", TEXT),
            ("trace_id", TEXT),
            ("asked_at", TIME),
            ("entity", TEXT),
            ("unit", TEXT),
            ("role", WORD),
            ("version", WORD),
            ("assigned", WORD),
            ("share", pa.float64()),
            ("split", pa.int64()),
            ("pinned", pa.bool_()),
            ("outcome", WORD),
            ("scores", pa.list_(pa.float64())),
            ("probability", pa.float64()),
            ("threshold", pa.float64()),
            ("decision", WORD),
            ("flags", pa.list_(TEXT)),
            ("scoring_us", pa.float64()),
            ("before_log_us", pa.float64()),
            ("features_at", _SEEN),
            ("tensor", pa.binary()),
            ("contract", WORD),
            ("cpu", WORD),
        ]
    ),
    "rejection": pa.schema([("at", TIME), ("status", pa.int64()), ("field", TEXT), ("reason", TEXT), ("key", TEXT)]),
    "label": pa.schema(
        [
            ("value", TEXT),
            ("known_at", TIME),
            ("source", TEXT),
            ("horizon", pa.int64()),  # microseconds
            ("entity", TEXT),
            ("prediction_id", TEXT),
            ("as_of", TIME),
            ("true_at", TIME),
        ]
    ),
    "action": pa.schema(
        [
            ("kind", TEXT),
            ("at", TIME),
            ("known_at", TIME),
            ("probability", pa.float64()),
            ("cost", pa.float64()),
            ("source", TEXT),
            ("entity", TEXT),
            ("prediction_id", TEXT),
        ]
    ),
    "feed": pa.schema([("source", TEXT), ("complete_through", TIME), ("known_at", TIME)]),
}
"""The columns that every file of a kind has; those of predictions have their features besides."""

ORDER = {"prediction": "asked_at", "rejection": "at", "label": "known_at", "action": "known_at", "feed": "known_at"}
"""The time that a kind's hours go by."""


def table_of(header: SegmentHeader, columns: Columns) -> pa.Table:
    """The records behind a header, as `logged.columns` gives them; batches are predictions."""
    kind = kind_of(header)
    count = len(columns[ORDER[kind]])
    given = dict(columns)
    if kind == "prediction":
        given["features_at"] = [None if each is None else list(_seen(each)) for each in columns["features_at"]]
        given["contract"] = [header.contract] * count
        given["cpu"] = [header.cpu] * count
    made = {field.name: pa.array(given[field.name], field.type) for field in SCHEMAS[kind]}
    if kind == "prediction":
        made |= {f"f.{name}": _feature(columns[f"f.{name}"], what) for name, what in header.features.items()}
        made |= _origins(columns["origins"], header.features)
    return pa.table(made)


def kind_of(header: SegmentHeader) -> str:
    """Which kind of observations a segment's records become."""
    return "prediction" if header.kind == "batch" else header.kind


def by_hour(table: pa.Table, kind: str) -> dict[datetime, pa.Table]:
    """The rows of each UTC hour, in the order of their times."""
    ordered = table.sort_by(ORDER[kind])
    hours = pc.floor_temporal(ordered[ORDER[kind]], unit="hour")
    found = sorted({hour.astimezone(UTC) for hour in pc.unique(hours).to_pylist()})
    if len(found) == 1:
        return {found[0]: ordered}
    return {hour: ordered.filter(pc.equal(hours, pa.scalar(hour, TIME))) for hour in found}


def parquet(table: pa.Table) -> bytes:
    """A table as the bytes of a Parquet file."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", row_group_size=131_072)
    made: bytes = sink.getvalue().to_pybytes()
    return made


def bounds(table: pa.Table, kind: str) -> tuple[datetime, datetime]:
    """The first and last time in a table that is not empty."""
    found = pc.min_max(table[ORDER[kind]]).as_py()
    return found["min"].astimezone(UTC), found["max"].astimezone(UTC)


def digest_of(*parts: str) -> str:
    """The name of a file made from others, whoever makes it: SHA-256 of what it was made from."""
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()


def _feature(values: Iterable[Any], what: str) -> pa.Array:
    if what == "number":
        return pa.array([None if value is None else float(value) for value in values], pa.float64())
    return pa.array([None if value is None else str(value) for value in values], TEXT).dictionary_encode()


def _origins(origins: Iterable[Mapping[str, str] | None], features: Iterable[str]) -> dict[str, pa.Array]:
    rows = [each or {} for each in origins]
    told = {name for each in rows for name, origin in each.items() if origin != "given"}
    return {
        f"o.{name}": pa.array([each.get(name, "given") for each in rows], WORD) for name in features if name in told
    }


def _seen(views: Mapping[str, tuple[int | None, int | None]]) -> Iterable[tuple[str, dict[str, datetime | None]]]:
    for name, (event_time, watermark) in views.items():
        yield name, {"event_time": _at(event_time), "watermark": _at(watermark)}


def _at(micros: int | None) -> datetime | None:
    return None if micros is None else instant(micros)
