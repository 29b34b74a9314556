"""What was observed: the records of traffic. Large, append-only, and kept apart from the ledger's facts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Literal

from pydantic import Base64Bytes

from mainstay.nouns import Instant, Real, Value


class Role(StrEnum):
    ANSWERED = "answered"
    ATTEMPTED = "attempted"
    LISTENED = "listened"


class Ending(StrEnum):
    """How an arm's scoring ended."""

    OK = "ok"
    RAISED = "raised"
    LATE = "late"
    NOT_FINITE = "not_finite"


class Origin(StrEnum):
    GIVEN = "given"
    LOOKED_UP = "looked_up"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class FeaturesAt:
    """One view's own time at a look-up, and how far it had been materialised."""

    event_time: Instant | None
    watermark: Instant | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """One arm's record of one request, as served.

    `unit` is what was hashed to choose the arm: the entity, else the request id. `share` is the probability of
    the assignment. `scores` has one number per class, in manifest order; `tensor` is float32 bytes, kept for
    attempted records and a stated sample. `scoring_us` and `before_log_us` are microseconds.
    """

    prediction_id: str
    request_id: str
    trace_id: str
    asked_at: Instant
    entity: str | None
    unit: str
    role: Role
    version: str
    assigned: str
    share: float
    split: int
    pinned: bool
    outcome: Ending
    features: Mapping[str, Value]
    scores: tuple[Real, ...]
    probability: float | None
    threshold: float
    decision: str | None
    flags: tuple[str, ...]
    scoring_us: float
    before_log_us: float
    origins: Mapping[str, Origin] = field(default_factory=dict)
    features_at: Mapping[str, FeaturesAt] = field(default_factory=dict)
    tensor: Base64Bytes | None = None


@dataclass(frozen=True, slots=True)
class Rejection:
    """A request refused before scoring: why, and never with its values."""

    at: Instant
    status: int
    field: str
    reason: str
    key: str | None = None


@dataclass(frozen=True, slots=True)
class Label:
    """What turned out to be true for an entity within a horizon, or for one prediction."""

    value: str
    known_at: Instant
    source: str
    horizon: timedelta
    entity: str | None = None
    prediction_id: str | None = None
    as_of: Instant | None = None
    true_at: Instant | None = None

    def __post_init__(self) -> None:
        if (self.entity is None) == (self.prediction_id is None):
            raise ValueError("a label names either an entity or a prediction")


HELD_BACK = "none"
"""The kind of an action that chance did not take: its probability is that with which it would have been."""


@dataclass(frozen=True, slots=True)
class Action:
    """What was done about a prediction (an offer sent), with the probability of acting; or `HELD_BACK`."""

    kind: str
    at: Instant
    known_at: Instant
    probability: float
    cost: float
    source: str
    entity: str | None = None
    prediction_id: str | None = None


@dataclass(frozen=True, slots=True)
class Feed:
    """How far a source of labels is complete: whatever was true before `complete_through` has been told."""

    source: str
    complete_through: Instant
    known_at: Instant


@dataclass(frozen=True, slots=True)
class Told:
    """One thing that was told: the digests of what it is about, and of what was said of it."""

    anchor: str
    value: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Of what was told now: how much had been told just so before, and how much otherwise."""

    repeated: int
    contradicted: int


@dataclass(frozen=True, slots=True)
class Replica:
    """A serving process as it last reported itself: its split and the versions it holds warm."""

    id: str
    host: str
    use_case: str
    split: int
    warm: tuple[str, ...]
    at: Instant


@dataclass(frozen=True, slots=True)
class ObservationFile:
    """A delta to the live observation files: one `add` or `remove`, or `collected` once the blob is gone.

    `hour` is a UTC hour.
    """

    op: str
    digest: str
    kind: str
    hour: Instant
    rows: int
    bytes: int
    first_at: Instant
    last_at: Instant


@dataclass(frozen=True, slots=True)
class SegmentHeader:
    """The first frame of a write-ahead segment: which records follow, under which contract.

    `features` are the kinds of the features by name, in the order in which the records hold their values. `cpu` is the
    kind of processor that scored them; None in segments from before it was noted.
    """

    use_case: str
    kind: str
    contract: str
    host: str
    opened_at: Instant
    features: Mapping[str, Literal["number", "category"]]
    cpu: str | None = None
