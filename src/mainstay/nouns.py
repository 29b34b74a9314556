"""What there is: every noun, frozen, with no behaviour beyond its invariants.

What traffic leaves behind (Prediction, Label, Action) is in `observed.py`; what a team writes (UseCase, Contract,
Recipe, Plan) is in `usecase.py`, and features as they were recorded in `defined.py`; Check and Verdict are in
`verdicts.py`, and alerts and incidents in `alerts.py`. Times are aware UTC datetimes:
`event_time` and `true_at` are when it was so in the world, `known_at` when it reached us, `at` when it was written
down. Shares are fractions of traffic in [0, 1].
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AfterValidator, BeforeValidator, PlainSerializer


def _aware(at: datetime) -> datetime:
    if at.tzinfo is None:
        raise ValueError("a time needs its zone, as in 2026-01-01T00:00:00Z")
    return at.astimezone(UTC)


def rfc3339(at: datetime) -> str:
    """UTC with microseconds and `Z`: how every time is written in JSON and in SQLite. ValueError without a zone."""
    return _aware(at).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Instant = Annotated[datetime, AfterValidator(_aware), PlainSerializer(rfc3339, str, "json")]
# JSON has no NaN: a number that could not be had is null there, and NaN here.
Real = Annotated[
    float,
    BeforeValidator(lambda value: math.nan if value is None else value),
    PlainSerializer(lambda value: value if math.isfinite(value) else None, float | None, "json"),
]
Value = float | int | bool | str | None


class Valid(StrEnum):
    """When an interval may be looked at."""

    ONE_LOOK = "at one look"
    PLANNED_LOOKS = "at planned looks"
    ANY_TIME = "at any time"


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of UTC time, start <= t < end, over which evidence is gathered."""

    start: Instant
    end: Instant

    def __post_init__(self) -> None:
        if not self.start < self.end:
            raise ValueError(f"a window must end after it starts: {self.start} .. {self.end}")


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, the two-sided interval it lies in, the rows behind it, and when the interval is valid."""

    value: Real
    low: Real
    high: Real
    rows: int
    level: float = 0.95
    method: str = ""
    valid: Valid = Valid.ONE_LOOK


@dataclass(frozen=True, slots=True)
class Evidence:
    """A sequential test as it stands: ln of its e-value, and the exposure behind it (units, and those it needs)."""

    log_value: Real
    rows: int
    rows_needed: int
    method: str = ""
    state: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Holdout:
    """Which rows are held out: by hash under `salt` below `share`, or from `cut` on where rows have a time."""

    salt: str
    share: float
    cut: Instant | None = None


@dataclass(frozen=True, slots=True)
class DatasetVersion:
    """An immutable snapshot of validated rows, named by the hash of its typed content.

    `watermark` is the latest instant that the rows themselves bear witness to; None for a snapshot without times.
    `quarantine` is the blob that holds the `quarantined` rows with their reasons; None where there are none.
    `views` are the histories that were read with the rows: the name of each view and the digest of its rows.
    """

    id: str
    use_case: str
    rows: int
    columns: tuple[str, ...]
    contract: str
    holdout: Holdout
    quarantined: int = 0
    parent: str | None = None
    pseudonym_key: str | None = None
    watermark: Instant | None = None
    quarantine: str | None = None
    views: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tag:
    """A name that a person gave to a dataset version. It may move; its history says where it was."""

    name: str
    dataset: str


@dataclass(frozen=True, slots=True)
class Run:
    """One tracked execution of a recipe on a dataset version, held out like `holdout`.

    `tracked` is MLflow's own id, a link. `examination` is the SHA-256 of the document that examines its candidate;
    None for a run that kept none.
    """

    id: str
    use_case: str
    dataset: str
    recipe: str
    seed: int
    estimator: str
    parameters: Mapping[str, Value]
    code: Mapping[str, str]
    tracked: str | None
    holdout: Holdout
    examination: str | None = None


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The digest and size of one file of a bundle."""

    sha256: str
    bytes: int


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a run offers for release, not yet believed: the files that decide an answer, and its scores.

    `cross_validated` are pooled out-of-fold scores on the training part, `holdout` those on the untouched part;
    `evidence` are the gates' other numbers (leakage, parity). Each maps a metric to its estimate.
    """

    id: str
    use_case: str
    run: str
    dataset: str
    files: Mapping[str, StoredFile]
    classes: tuple[str, ...]
    cross_validated: Mapping[str, Estimate]
    holdout: Mapping[str, Estimate]
    evidence: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Look:
    """One candidate's look at a holdout: the `number`th distinct one on the same salt and cut."""

    candidate: str
    salt: str
    cut: Instant | None
    number: int
    alpha: float


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A candidate that passed, numbered and signed. `manifest` is the SHA-256 of the signed bytes."""

    use_case: str
    version: str
    candidate: str
    dataset: str
    run: str
    manifest: str
    key_id: str
    metrics: Mapping[str, Estimate]


@dataclass(frozen=True, slots=True)
class Arm:
    """One live version: it answers a `share`, or listens to what it did not answer, or stands by, warm."""

    version: str
    share: float = 0.0
    listens: bool = False
    standby: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise ValueError(f"a share is a fraction of traffic, not {self.share}")
        if self.standby and (self.share or self.listens):
            raise ValueError(f"{self.version} stands by: it can neither answer nor listen")


@dataclass(frozen=True, slots=True)
class Pin:
    """An override: one entity, or those for whom `where` holds over served features, get `arm` until then."""

    arm: str
    reason: str
    entity: str | None = None
    where: str | None = None
    until: Instant | None = None

    def __post_init__(self) -> None:
        if (self.entity is None) == (self.where is None):
            raise ValueError("a pin names either an entity or a condition")


@dataclass(frozen=True, slots=True)
class Split:
    """What is live now: one fact restores the whole of it."""

    number: int
    salt: str
    arms: tuple[Arm, ...]
    configuration: str
    pins: tuple[Pin, ...] = ()
    feature_service: str | None = None
    dataset_head: str | None = None
    rollout: str | None = None

    def __post_init__(self) -> None:
        total = sum(arm.share for arm in self.arms)
        if not math.isclose(total, 1.0, abs_tol=1e-9):
            raise ValueError(f"the shares of the arms that answer add up to {total:g}, not to 1")
        if len(self.pins) > 1000:
            raise ValueError(f"a split holds at most 1,000 pins, not {len(self.pins)}")

    @property
    def champion(self) -> str:
        """The version that answers most, the first of equals."""
        return max(self.arms, key=lambda arm: arm.share).version

    @property
    def reigning(self) -> str:
        """The version that is champion until another is promoted: the first arm that does not stand by.

        While a rollout runs that is the one being challenged, though its challenger may answer most of the traffic.
        """
        return next(arm.version for arm in self.arms if not arm.standby)


@dataclass(frozen=True, slots=True)
class Dismissal:
    """A serving process that vanished without signing off, and that a person says will not come back as it was."""

    replica: str
    host: str
    seen_at: Instant


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """What was ingested in these spans is kept and not used: pushed events, and the `datasets` frozen then.

    It is so since the data was rolled back to `head`.
    """

    head: str
    spans: tuple[Window, ...]
    datasets: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Erasure:
    """The rows about one entity were removed from the observations, `rows` in all; which entity is nowhere kept.

    `datasets` are those that were frozen with rows of it: without the entity they cannot be rebuilt.
    """

    id: str
    rows: int
    files: int
    datasets: tuple[str, ...]


class Phase(StrEnum):
    RUNNING = "running"
    PROMOTED = "promoted"
    ROLLED_BACK = "rolled_back"
    WENT_HOME = "went_home"
    FROZEN = "frozen"


@dataclass(frozen=True, slots=True)
class Allocation:
    """The challenger's share as a bandit moved it last, in (0, 1); `number` counts the moves of its step, from 1."""

    share: float
    number: int
    at: Instant


@dataclass(frozen=True, slots=True)
class Apart:
    """How a version's scores differ from a champion's on its holdout (as `registry.manifest.Against`)."""

    champion: str
    flipped_share: Estimate
    score_shift: Estimate
    disagreement: Estimate


@dataclass(frozen=True, slots=True)
class Rollout:
    """One challenger's progress through a plan (kept by its configuration's digest), against the champion.

    `allocation` is None until a bandit moved its shares. `measured` is what was measured against this champion when the
    rollout began; None where the version's manifest names this champion itself, or it could not be measured.
    """

    id: str
    champion: str
    challenger: str
    configuration: str
    step: int
    started_at: Instant
    entered_at: Instant
    deadline: Instant
    phase: Phase = Phase.RUNNING
    tests: Mapping[str, Evidence] = field(default_factory=dict)
    allocation: Allocation | None = None
    measured: Apart | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """Work handed to a runner: what was asked, and how it stands."""

    id: str
    command: tuple[str, ...]
    reason: str
    state: str
    submitted_at: Instant | None = None
    ended_at: Instant | None = None


Scope = Literal["predict", "feedback", "read", "operate"]


@dataclass(frozen=True, slots=True)
class ApiKey:
    """Who may ask a server of a use case. The secret is nowhere: only its SHA-256, as 64 hex digits, is kept.

    It is believed before `expires` and until `revoked`; None is never. `rate` is the requests a second that each
    replica grants, `burst` how many of them at once; both None for as many as come.
    """

    id: str
    name: str
    sha256: str
    scopes: tuple[Scope, ...]
    created: Instant
    expires: Instant | None = None
    revoked: Instant | None = None
    rate: float | None = None
    burst: int | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch("[0-9a-f]{64}", self.sha256):
            raise ValueError("the digest of a secret is 64 hex digits")
        if not self.scopes:
            raise ValueError("a key needs a scope, or it could do nothing")
        if (self.rate is None) != (self.burst is None):
            raise ValueError("a rate needs a burst, and a burst a rate")
        if self.rate is not None and self.burst is not None and not (0 < self.rate < math.inf and self.burst >= 1):
            raise ValueError("a rate is above 0, and a burst at least 1")
