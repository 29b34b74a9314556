"""Observations as they stand in a write-ahead segment: msgpack arrays in the order below, times in microseconds.

A segment is a run of frames (frames.py): its header as a map with its `schema`, then records of one kind. A field may
be added at the end of a kind; nothing else about it changes without a new schema of the header.
"""

import sys
from array import array
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import msgspec

from mainstay.errors import Refused
from mainstay.frames import Bytes
from mainstay.observed import (
    Action,
    Ending,
    FeaturesAt,
    Feed,
    Label,
    Origin,
    Prediction,
    Rejection,
    Role,
    SegmentHeader,
)
from mainstay.records import decode, encode, schema_of

Features = Mapping[str, str]
"""The kinds of the features by name (`number` or `category`), in the order in which records hold their values."""
Observed = Prediction | Rejection | Label | Action | Feed
Columns = dict[str, list[Any]]

PREDICTION = tuple(field.name for field in fields(Prediction))
REJECTION = tuple(field.name for field in fields(Rejection))
LABEL = tuple(field.name for field in fields(Label))
ACTION = tuple(field.name for field in fields(Action))
FEED = tuple(field.name for field in fields(Feed))

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)

encoded: Callable[[Any], bytes] = msgspec.msgpack.Encoder().encode
"""The payload of a record: a sequence in the order of its kind, values as msgpack has them. Threads may share it."""


def micros(at: datetime) -> int:
    """Microseconds since 1970-01-01T00:00:00Z."""
    return (at - _EPOCH) // _MICROSECOND


def instant(at: int) -> datetime:
    """The time so many microseconds after 1970-01-01T00:00:00Z."""
    return _EPOCH + timedelta(microseconds=at)


class PredictionRow(msgspec.Struct, array_like=True, frozen=True):
    """A prediction as it is logged: observed.Prediction with its features as a list in the header's order."""

    prediction_id: str
    request_id: str
    trace_id: str
    asked_at: int
    entity: str | None
    unit: str
    role: Literal["answered", "attempted", "listened"]
    version: str
    assigned: str
    share: float
    split: int
    pinned: bool
    outcome: Literal["ok", "raised", "late", "not_finite"]
    features: list[float | int | bool | str | None]
    scores: list[float]
    probability: float | None
    threshold: float
    decision: str | None
    flags: list[str]
    scoring_us: float
    before_log_us: float
    origins: dict[str, Literal["given", "looked_up", "missing"]] | None = None
    features_at: dict[str, tuple[int | None, int | None]] | None = None
    tensor: bytes | None = None


class BatchRows(msgspec.Struct, array_like=True, frozen=True):
    """The rows of a batch that one arm scored: what they share once, and columns with one entry per row.

    `places` are the rows' positions in the batch (int32); a row's id is the batch's, a dot and its position, and its
    request's id the same where `request_ids` is None. `shares`, `probabilities` (float64, NaN where there is none),
    `pinned` (uint8) and `scores` (float64, row after row, `classes` numbers each) are little-endian bytes. `features`
    are columns in the header's order: a number's is float64 bytes, NaN where missing; a category's, and `decisions`,
    are the distinct texts and int32 bytes of positions among them, -1 where missing. `flags`, `origins` and
    `features_at` are the rows that have any, by place within these columns.
    """

    batch_id: str
    trace_id: str
    asked_at: int
    role: Literal["answered", "attempted", "listened"]
    version: str
    assigned: str
    split: int
    outcome: Literal["ok", "raised", "late", "not_finite"]
    threshold: float
    scoring_us: float
    before_log_us: float
    classes: int
    places: bytes
    request_ids: list[str] | None
    entities: list[str | None] | None
    shares: bytes
    pinned: bytes
    features: list[bytes | tuple[list[str], bytes]]
    scores: bytes
    probabilities: bytes
    decisions: tuple[list[str], bytes]
    flags: dict[int, list[str]]
    origins: dict[int, dict[str, Literal["given", "looked_up", "missing"]]] | None = None
    features_at: dict[int, dict[str, tuple[int | None, int | None]]] | None = None


class RejectionRow(msgspec.Struct, array_like=True, frozen=True):
    at: int
    status: int
    field: str
    reason: str
    key: str | None = None


class LabelRow(msgspec.Struct, array_like=True, frozen=True):
    """A label; `horizon` is in microseconds."""

    value: str
    known_at: int
    source: str
    horizon: int
    entity: str | None = None
    prediction_id: str | None = None
    as_of: int | None = None
    true_at: int | None = None


class ActionRow(msgspec.Struct, array_like=True, frozen=True):
    kind: str
    at: int
    known_at: int
    probability: float
    cost: float
    source: str
    entity: str | None = None
    prediction_id: str | None = None


class FeedRow(msgspec.Struct, array_like=True, frozen=True):
    source: str
    complete_through: int
    known_at: int


Row = PredictionRow | BatchRows | RejectionRow | LabelRow | ActionRow | FeedRow

KINDS: Mapping[str, type[Row]] = {
    "prediction": PredictionRow,
    "batch": BatchRows,
    "rejection": RejectionRow,
    "label": LabelRow,
    "action": ActionRow,
    "feed": FeedRow,
}
"""Every kind of segment, and the rows in it."""
_DECODERS = {kind: msgspec.msgpack.Decoder(row) for kind, row in KINDS.items()}


def encode_header(header: SegmentHeader) -> bytes:
    """A header as the payload of a segment's first frame."""
    return encoded({"schema": schema_of(SegmentHeader), **encode(header)})


def decode_header(payload: Bytes) -> SegmentHeader:
    """The header in a segment's first frame. Refused if it is none, of an unknown kind or of a later release."""
    try:
        body = msgspec.msgpack.decode(payload, type=dict[str, Any])
        schema = body.pop("schema")
    except (msgspec.DecodeError, KeyError) as error:
        raise Refused("a segment begins with its header, a map with its `schema`; this is none") from error
    header = decode(SegmentHeader, body, schema)
    if header.kind not in KINDS:
        raise Refused(f"records of kind `{header.kind}` are unknown here: upgrade Mainstay", "SegmentHeader.kind")
    return header


def decode_row(header: SegmentHeader, payload: Bytes) -> Row:
    """The record in a frame behind this header. Refused where it is none of its kind, or lacks a feature."""
    try:
        row: Row = _DECODERS[header.kind].decode(payload)
    except msgspec.DecodeError as error:
        raise Refused(f"not a record as it is logged: {error}", header.kind) from error
    if isinstance(row, (PredictionRow, BatchRows)) and len(row.features) != len(header.features):
        told = f"{len(row.features)} features where the header names {len(header.features)}"
        raise Refused(f"not a record as it is logged: {told}", header.kind)
    return row


def observed(header: SegmentHeader, payload: Bytes) -> list[Observed]:
    """The observations in a frame: one, or one for each row of a batch. Refused as `decode_row`."""
    match decode_row(header, payload):
        case BatchRows() as batch:
            return [_prediction(header, row) for row in rows_of(header, batch)]
        case PredictionRow() as row:
            return [_prediction(header, row)]
        case RejectionRow() as row:
            return [Rejection(instant(row.at), row.status, row.field, row.reason, row.key)]
        case LabelRow() as row:
            horizon = timedelta(microseconds=row.horizon)
            times = (_maybe(row.as_of), _maybe(row.true_at))
            return [Label(row.value, instant(row.known_at), row.source, horizon, row.entity, row.prediction_id, *times)]
        case ActionRow() as row:
            about = {"entity": row.entity, "prediction_id": row.prediction_id}
            at, known_at = instant(row.at), instant(row.known_at)
            return [Action(row.kind, at, known_at, row.probability, row.cost, row.source, **about)]
        case FeedRow() as row:
            return [Feed(row.source, instant(row.complete_through), instant(row.known_at))]


def columns(header: SegmentHeader, payloads: Iterable[Bytes]) -> tuple[Columns, int]:
    """The records behind a header as columns, and how many frames hold none and were left out.

    Times stay integers of microseconds. Of predictions and batches, which give the same columns, each feature is one
    (`f.NAME`, numbers as they were served, None where missing) and `origins` and `features_at` are maps or None.
    """
    rows: list[Any] = []
    refused = 0
    batches = header.kind == "batch"
    for payload in payloads:
        try:
            row = decode_row(header, payload)
            rows.append(_batch_columns(header, row) if isinstance(row, BatchRows) else row)
        except Refused:
            refused += 1
    names = PredictionRow.__struct_fields__ if batches else KINDS[header.kind].__struct_fields__
    if batches:
        features = [f"f.{name}" for name in header.features]
        kept = [name for name in names if name != "features"]
        return {name: [value for each in rows for value in each[name]] for name in [*kept, *features]}, refused
    made: Columns = {name: [getattr(row, name) for row in rows] for name in names}
    if header.kind == "prediction":
        served = made.pop("features")
        values = zip(*served, strict=True) if served else ([] for _ in header.features)
        made |= {f"f.{name}": list(column) for name, column in zip(header.features, values, strict=True)}
    return made, refused


def rows_of(header: SegmentHeader, batch: BatchRows) -> list[PredictionRow]:
    """The rows of a batch, each as if it had been asked for alone. Refused where its columns differ in length."""
    made = _batch_columns(header, batch)
    features = [made.pop(f"f.{name}") for name in header.features]
    served = [list(row) for row in zip(*features, strict=True)] if features else [[] for _ in made["unit"]]
    made["features"] = served
    return [PredictionRow(*row) for row in zip(*(made[name] for name in PredictionRow.__struct_fields__), strict=True)]


def _batch_columns(header: SegmentHeader, batch: BatchRows) -> Columns:
    places = _numbers("i", batch.places)
    count = len(places)
    ids = [f"{batch.batch_id}.{place}" for place in places]
    scores = _numbers("d", batch.scores).tolist()
    asked = ids if batch.request_ids is None else batch.request_ids
    entities = [None] * count if batch.entities is None else batch.entities
    if len(scores) != count * batch.classes or not len(asked) == len(entities) == count:
        raise Refused("the columns of a batch differ in length", header.kind)
    made: Columns = {
        "prediction_id": ids,
        "request_id": asked,
        "entity": entities,
        "unit": [request if entity is None else entity for request, entity in zip(asked, entities, strict=True)],
        "share": _numbers("d", batch.shares).tolist(),
        "pinned": [bool(each) for each in batch.pinned],
        "scores": [scores[at : at + batch.classes] for at in range(0, len(scores), batch.classes or 1)] or [[]] * count,
        "probability": _column(batch.probabilities),
        "decision": _column(batch.decisions),
        "flags": [batch.flags.get(at, []) for at in range(count)],
    }
    made |= {f"f.{name}": _column(each) for name, each in zip(header.features, batch.features, strict=True)}
    if any(len(each) != count for each in made.values()):
        raise Refused("the columns of a batch differ in length", header.kind)
    shared = ("trace_id", "asked_at", "role", "version", "assigned", "split", "outcome", "threshold")
    made |= {name: [getattr(batch, name)] * count for name in (*shared, "scoring_us", "before_log_us")}
    origins, times = batch.origins or {}, batch.features_at or {}
    return made | {
        "origins": [origins.get(at) for at in range(count)],
        "features_at": [times.get(at) for at in range(count)],
        "tensor": [None] * count,
    }


def prediction_row(record: Prediction, features: Features) -> tuple[Any, ...]:
    """A prediction as it is logged."""
    times = {name: (_micros(at.event_time), _micros(at.watermark)) for name, at in record.features_at.items()}
    values: dict[str, Any] = {name: getattr(record, name) for name in PREDICTION}
    values |= {
        "asked_at": micros(record.asked_at),
        "features": [record.features.get(name) for name in features],
        "origins": dict(record.origins) or None,
        "features_at": times or None,
    }
    return tuple(values.values())


def label_row(record: Label) -> tuple[Any, ...]:
    """A label as it is logged."""
    return (
        record.value,
        micros(record.known_at),
        record.source,
        record.horizon // _MICROSECOND,
        record.entity,
        record.prediction_id,
        _micros(record.as_of),
        _micros(record.true_at),
    )


def action_row(record: Action) -> tuple[Any, ...]:
    """An action as it is logged."""
    times = (micros(record.at), micros(record.known_at))
    rest = (record.probability, record.cost, record.source, record.entity, record.prediction_id)
    return (record.kind, *times, *rest)


def rejection_row(record: Rejection) -> tuple[Any, ...]:
    """A rejection as it is logged."""
    return (micros(record.at), record.status, record.field, record.reason, record.key)


def feed_row(record: Feed) -> tuple[Any, ...]:
    """How far a feed is complete, as it is logged."""
    return (record.source, micros(record.complete_through), micros(record.known_at))


def _prediction(header: SegmentHeader, row: PredictionRow) -> Prediction:
    values = {name: getattr(row, name) for name in PREDICTION}
    times = {} if row.features_at is None else row.features_at
    return Prediction(
        **values
        | {
            "asked_at": instant(row.asked_at),
            "role": Role(row.role),
            "outcome": Ending(row.outcome),
            "features": dict(zip(header.features, row.features, strict=True)),
            "scores": tuple(row.scores),
            "flags": tuple(row.flags),
            "origins": {name: Origin(each) for name, each in (row.origins or {}).items()},
            "features_at": {name: FeaturesAt(*map(_maybe, each)) for name, each in times.items()},
        }
    )


def _column(given: bytes | tuple[list[str], bytes]) -> list[Any]:
    if isinstance(given, bytes):
        return [None if value != value else value for value in _numbers("d", given)]
    texts, codes = given
    try:
        return [None if code < 0 else texts[code] for code in _numbers("i", codes)]
    except IndexError as error:
        raise Refused(f"a column of a batch names text {len(texts)} or above of {len(texts)}", "batch") from error


def _numbers(kind: str, given: bytes) -> "array[Any]":
    made = array(kind)
    made.frombytes(given[: len(given) // made.itemsize * made.itemsize])
    if sys.byteorder == "big":
        made.byteswap()
    return made


def _maybe(at: int | None) -> datetime | None:
    return None if at is None else instant(at)


def _micros(at: datetime | None) -> int | None:
    return None if at is None else micros(at)
