"""From the JSON of a request to its answer. Pure: what is live, the ids and the trace are given."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mainstay.nouns import Value
from mainstay.scoring.reading import Problem
from mainstay.scoring.rowwise import ReadRow, ScoredRow
from mainstay.serving.arms import Live
from mainstay.serving.entities import Stored, as_given
from mainstay.serving.lookup import Found, Merged
from mainstay.serving.problems import Rejected
from mainstay.serving.rows import ArmRows
from mainstay.serving.shape import LONGEST
from mainstay.suggest import did_you_mean

Answer = dict[str, Any]
"""One answer, as it is sent: see `schemas.Answer`."""

FIELDS = ("entity", "features", "request_id")
NAMED = 3
"""Unknown fields that a problem names, of however many there are: looking for what was meant takes time."""
NOT_FINITE = "the model made no finite probability of this row"

_LARGEST = int("9" * LONGEST)
ANY_TEXT = f"a text of 1 to {LONGEST} characters, none of them a control character"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as read.

    `entity` is as it was given, `stored` as it is logged; `unit` is the text that chooses the arm: the entity as it is
    stored, else the client's request id, else the prediction's.
    """

    prediction_id: str
    entity: str | int | None
    stored: str | None
    request_id: str | None
    features: Mapping[str, Any]

    @property
    def unit(self) -> str:
        return self.stored or self.request_id or self.prediction_id


def read_request(given: Any, prediction_id: str, stored: Stored = as_given, lookups: bool = False) -> Asked:
    """The request in a JSON value. Rejected with 422 where it is no request, naming every field that is wrong.

    With `lookups` the features may be left out where there is an entity to look them up by.
    """
    if not isinstance(given, dict):
        raise Rejected(422, "a request is a JSON object", [Problem("", "is not an object", "an object")])
    entity, request_id, features = (given.get(name) for name in ("entity", "request_id", "features"))
    problems = []
    if not is_text(entity) and not (isinstance(entity, int) and not isinstance(entity, bool) and _short(entity)):
        problems.append(Problem("entity", "is not a text", f"{ANY_TEXT}, or an integer"))
    if not is_text(request_id):
        problems.append(Problem("request_id", "is not a text", ANY_TEXT))
    if features is None and not (lookups and "features" not in given and entity is not None):
        problems.append(Problem("features", "is missing", "an object with the features, by name"))
    elif features is not None and not isinstance(features, dict):
        problems.append(Problem("features", "is not an object", "an object with the features, by name"))
    unknown = [name for name in given if name not in FIELDS]
    problems += [
        Problem(name, f"unknown field{did_you_mean(name, FIELDS)}", "a field of a request")
        for name in (_named(each) for each in unknown[:NAMED])
    ]
    if problems:
        raise Rejected(422, _summary(problems, len(unknown)), problems)
    return Asked(prediction_id, entity, stored(entity), request_id, features or {})


def is_text(value: object) -> bool:
    """Whether it is a text that may stand in a log and in a ledger, or is not given."""
    return value is None or (isinstance(value, str) and 0 < len(value) <= LONGEST and not _CONTROL.search(value))


def _named(name: str) -> str:
    """A field's name as it is repeated to the client: not at any length."""
    return name if len(name) <= 64 else name[:64] + "…"


def _short(number: int) -> bool:
    return abs(number) <= _LARGEST


def _summary(problems: Sequence[Problem], unknown: int) -> str:
    first = problems[0]
    count = len(problems) + max(0, unknown - NAMED)
    more = f", and {count - 1} more" if count > 1 else ""
    return f"{first.field}: {first.reason}{more}"


class Question:
    """A request, whom it is for, and its row as each arm reads it."""

    __slots__ = ("_merged", "_read", "asked", "assignment", "found", "live")

    def __init__(self, live: Live, asked: Asked, now: datetime, found: Found | None = None) -> None:
        """Rejected with 422 where neither the arm that is to answer nor the incumbent can read the row.

        `found` is what was looked up; Rejected with 503 where something should have been. With 404, 409 or 503 where
        the policies, or the state of the store, allow no answer to the arm. What a challenger alone refuses is the
        challenger's failure: the incumbent answers.
        """
        self.live = live
        self.asked = asked
        self.found = found
        self._read: dict[str, ReadRow] = {}
        self._merged: dict[str, Merged] = {}
        if found is None and live.lookup is not None and live.lookup.lacks(asked.stored, asked.features):
            raise Rejected(503, "features were not looked up")
        if live.assigner.alone is not None:
            self.assignment = live.assigner.alone
        else:
            champion = live.rows[live.split.champion]
            served = champion.served(self.row(champion.version).values)
            self.assignment = live.assign(asked.unit, now=now, entity=asked.stored, features=served)
        row = self.row(self.assignment.version)
        if row.problems and (self.assignment.version == live.incumbent or self.row(live.incumbent).problems):
            refusal = self.merged(self.assignment.version).refusal
            if refusal is not None:
                raise _refused(*refusal)
            names = live.rows[self.assignment.version].features
            unknown = sum(name not in names for name in asked.features)
            raise Rejected(422, _summary(row.problems, unknown), row.problems)

    def row(self, version: str) -> ReadRow:
        """The row as an arm reads it."""
        read = self._read.get(version)
        if read is None:
            arm, merged = self.live.rows[version], self.merged(version)
            read = arm.reader.read(merged.features)
            if read.problems:
                read = arm.reader.read(_shortened(merged.features, arm))
            if merged.origins is not None or merged.refusal is not None:
                read = _excused(read, merged)
            self._read[version] = read
        return read

    def merged(self, version: str) -> Merged:
        """What was given, and for the rest what was looked up for an arm."""
        if self.found is None:
            return Merged(self.asked.features)
        merged = self._merged.get(version)
        if merged is None:
            merged = self._merged[version] = self.found.merged(version, self.asked.features)
        return merged

    def values(self, version: str) -> list[Value]:
        """What an arm scores. ValueError where its contract, another than the assigned arm's, refuses the row."""
        row = self.row(version)
        if row.problems:
            raise ValueError(f"{version} cannot read the row: {row.problems[0].reason}")
        return row.values

    def answer(self, version: str, scored: ScoredRow, trace_id: str) -> Answer:
        """The answer that an arm gives."""
        rule = self.live.arms[version].bundle.decide
        return {
            "prediction_id": self.asked.prediction_id,
            "entity": self.asked.entity,
            "probability": scored.probability,
            "decision": scored.decision,
            "risk": scored.risk,
            "threshold": rule.threshold,
            "classes": list(rule.classes),
            "scores": scored.scores,
            "version": version,
            "flags": list(self.row(version).flags),
            "trace_id": trace_id,
        }


def _excused(read: ReadRow, merged: Merged) -> ReadRow:
    """A row that was looked up, as the policies see it: what may be missing then is no problem, a refusal is."""
    if merged.refusal is not None:
        return read._replace(problems=(merged.refusal[1],))
    left = tuple(each for each in read.problems if each.field not in merged.excused)
    return ReadRow(read.values, (*read.flags, *merged.flags), left)


def _refused(status: int, problem: Problem) -> Rejected:
    """Why an entity's features, as they are found or not, get no answer."""
    headers = {"retry-after": "1"} if status == 503 else {}
    return Rejected(status, f"{problem.field}: {problem.reason}", [problem], headers)


def _shortened(given: Mapping[str, Any], arm: ArmRows) -> Mapping[str, Any]:
    """The features, with the first few unknown names as they may be repeated and without the others."""
    if given.keys() <= arm.features.keys():
        return given
    unknown = [name for name in given if name not in arm.features]
    return dict.fromkeys(map(_named, unknown[:NAMED])) | {
        name: value for name, value in given.items() if name in arm.features
    }


def answers(
    live: Live, given: Sequence[Any], ids: Sequence[str], trace_id: str, now: datetime
) -> list[Answer | Rejected]:
    """What each request would be answered at a time, or why it would get none, in order. Nothing of it is kept."""
    made: list[Answer | Rejected] = []
    for each, prediction_id in zip(given, ids, strict=True):
        try:
            question = Question(live, read_request(each, prediction_id, live.stored), now)
        except Rejected as rejected:
            made.append(rejected)
            continue
        version = question.assignment.version
        scored = live.rows[version].score(question.values(version))
        found = math.isfinite(scored.probability)
        made.append(question.answer(version, scored, trace_id) if found else Rejected(500, NOT_FINITE))
    return made
