"""What is logged of an answer, in the order of `logged.PredictionRow` and `logged.BatchRows`."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from mainstay.nouns import Value
from mainstay.observed import Ending, Role
from mainstay.rollout.assign import Assignment
from mainstay.scoring.rowwise import ScoredRow
from mainstay.scoring.scorer import Scored
from mainstay.serving.challenge import Attempt
from mainstay.serving.predict import Question
from mainstay.serving.rows import ArmRows
from mainstay.serving.tracing import Timeline

SAMPLED = "00"
"""The tensor is kept of single requests whose prediction id ends so: as ids count up, of one in 256."""


class Appends(Protocol):
    """Where records go (serving/log.py)."""

    def append(self, kind: str, features: Mapping[str, str] | None, contract: str, record: Sequence[Any]) -> None:
        """Write a record down. Unavailable where it cannot be; then nothing was written."""
        ...

    def append_all(
        self, kind: str, features: Mapping[str, str] | None, contract: str, records: Iterable[Sequence[Any]]
    ) -> None:
        """Write records down, all or none. Unavailable where they cannot be; then nothing was written."""
        ...

    @property
    def at_once(self) -> bool:
        """Whether `committed` never waits."""
        ...

    async def committed(self) -> None:
        """Return once what was appended is as durable as the settings promise. Unavailable where it may not be."""
        ...


@dataclass(slots=True)  # frozen, each would cost half a microsecond more
class Asking:
    """When a request came (microseconds since the epoch, and by `perf_counter`), under which trace and split.

    `timeline` is that of a request that is traced.
    """

    at: int
    started: float
    trace_id: str
    split: int
    timeline: Timeline | None = None

    def step(self, name: str) -> None:
        """Note what has been done, where that is traced."""
        if self.timeline is not None:
            self.timeline.step(name)


def prediction_record(
    prediction_id: str,
    request_id: str | None,
    trace_id: str,
    at: int,
    stored: str | None,
    role: str,
    version: str,
    assignment: Assignment,
    split: int,
    ending: str,
    values: Sequence[Value],
    made: ScoredRow | None,
    threshold: float,
    flags: Sequence[str],
    scoring_us: float,
    before_log_us: float,
    origins: Mapping[str, str] | None,
    features_at: Mapping[str, tuple[int | None, int | None]] | None,
    tensor: bytes | None,
) -> tuple[Any, ...]:
    """A record in the order of `logged.PredictionRow`."""
    return (
        prediction_id,
        request_id or prediction_id,
        trace_id,
        at,
        stored,
        stored or request_id or prediction_id,
        role,
        version,
        assignment.assigned,
        assignment.share,
        split,
        assignment.pinned,
        ending,
        values,
        [] if made is None else made.scores,
        None if made is None else made.probability,
        threshold,
        None if made is None else made.decision,
        flags,
        scoring_us,
        before_log_us,
        origins,
        features_at,
        tensor,
    )


def single_record(
    asking: Asking, question: Question, role: Role, attempt: Attempt[ScoredRow], before_log_us: float
) -> tuple[Any, ...]:
    """One arm's record of one request; the tensor is kept of attempts that did not answer, and of a sample."""
    arm = question.live.rows[attempt.version]
    asked = question.asked
    made = attempt.made if attempt.ending is Ending.OK else None
    row = question.row(attempt.version)
    kept = role is Role.ATTEMPTED or asked.prediction_id.endswith(SAMPLED)
    return prediction_record(
        asked.prediction_id,
        asked.request_id,
        asking.trace_id,
        asking.at,
        asked.stored,
        role.value,
        attempt.version,
        question.assignment,
        asking.split,
        attempt.ending.value,
        row.values,
        made,
        arm.threshold,
        row.flags,
        attempt.scoring_us,
        before_log_us,
        origins(question, arm),
        question.merged(attempt.version).at,
        arm.tensor(row.values) if kept and not row.problems else None,
    )


def batch_record(
    asking: Asking,
    batch_id: str,
    places: Sequence[int],
    questions: Sequence[Question],
    role: Role,
    attempt: Attempt[Scored],
    before_log_us: float,
) -> tuple[Any, ...]:
    """One arm's record of the rows of a batch that were assigned alike. Times are a row's share of the whole."""
    arm = questions[0].live.rows[attempt.version]
    count = len(questions)
    made = attempt.made if attempt.ending is Ending.OK else None
    rows = [question.row(attempt.version) for question in questions]
    asked = [question.asked for question in questions]
    assignments = [question.assignment for question in questions]
    named = any(each.request_id for each in asked)
    entities = [each.stored for each in asked]
    nothing = np.full(count, np.nan)
    probability = nothing if made is None else made.probability
    decisions: list[Value] = [None] * count if made is None else arm.decisions(probability)
    return (
        batch_id,
        asking.trace_id,
        asking.at,
        role.value,
        attempt.version,
        assignments[0].assigned,
        asking.split,
        attempt.ending.value,
        arm.threshold,
        attempt.scoring_us / count,
        before_log_us,
        0 if made is None else made.scores.shape[1],
        _bytes(places, "<i4"),
        [each.request_id or each.prediction_id for each in asked] if named else None,
        entities if any(each is not None for each in entities) else None,
        _bytes([each.share for each in assignments], "<f8"),
        bytes(each.pinned for each in assignments),
        [_column([row.values[n] for row in rows], kind == "number") for n, kind in enumerate(arm.features.values())],
        b"" if made is None else _bytes(made.scores, "<f8"),
        _bytes(probability, "<f8"),
        _texts(decisions),
        {n: list(row.flags) for n, row in enumerate(rows) if row.flags},
        {n: found for n, question in enumerate(questions) if (found := origins(question, arm))} or None,
        {n: at for n, question in enumerate(questions) if (at := question.merged(attempt.version).at)} or None,
    )


def alike(assignment: Assignment) -> tuple[str, str]:
    """What the rows of one record of a batch have in common."""
    return assignment.version, assignment.assigned


def origins(question: Question, arm: ArmRows) -> dict[str, str] | None:
    """Where features come from that the request does not hold; None where it holds them all.

    Of all features, where any was looked up.
    """
    looked_up = question.merged(arm.version).origins
    if looked_up is not None:
        if looked_up.keys() == arm.features.keys():
            return looked_up
        return {name: looked_up.get(name, "missing") for name in arm.features}
    given = question.asked.features
    if len(given) == len(arm.features) and not question.row(arm.version).problems:
        return None  # as many as there are, and none that nobody asked for
    return {name: "missing" for name in arm.features if name not in given} or None


def _column(values: list[Value], number: bool) -> bytes | tuple[list[str], bytes]:
    return _bytes([np.nan if value is None else value for value in values], "<f8") if number else _texts(values)


def _texts(values: list[Value]) -> tuple[list[str], bytes]:
    codes: dict[Value, int] = {}
    placed = [-1 if value is None else codes.setdefault(value, len(codes)) for value in values]
    return [str(value) for value in codes], _bytes(placed, "<i4")


def _bytes(values: Sequence[Any] | NDArray[Any], kind: str) -> bytes:
    return np.asarray(values, dtype=kind).tobytes()
