"""From the JSON of a request to its answer. Pure: what is live, the ids and the trace are given."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mainstay.scoring.decide import decision, risk
from mainstay.scoring.reading import Problem, Row, columns_of, read_row
from mainstay.scoring.scorer import Scorer
from mainstay.serving.arms import Live
from mainstay.serving.entities import Stored, as_given
from mainstay.serving.problems import Rejected
from mainstay.suggest import did_you_mean

Answer = dict[str, Any]
"""One answer, as it is sent: see `schemas.Answer`."""

FIELDS = ("entity", "features", "request_id")
LONGEST = 200
"""Characters of an entity or of a request id."""
NAMED = 3
"""Unknown fields that a problem names, of however many there are: looking for what was meant takes time."""

_LARGEST = int("9" * LONGEST)
_ANY_TEXT = f"a text of 1 to {LONGEST} characters, none of them a control character"
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as read. `entity` is as it was given, `unit` the text that chooses the arm."""

    entity: str | int | None
    unit: str
    features: Mapping[str, Any]


def read_request(given: Any, prediction_id: str, stored: Stored = as_given) -> Asked:
    """The request in a JSON value. Rejected with 422 where it is no request, naming every field that is wrong.

    The unit is the entity as it is `stored`, else the client's request id, else the prediction's.
    """
    if not isinstance(given, dict):
        raise Rejected(422, "a request is a JSON object", [Problem("", "is not an object", "an object")])
    entity, request_id, features = (given.get(name) for name in ("entity", "request_id", "features"))
    problems = []
    if not _is_text(entity) and not (isinstance(entity, int) and not isinstance(entity, bool) and _short(entity)):
        problems.append(Problem("entity", "is not a text", f"{_ANY_TEXT}, or an integer"))
    if not _is_text(request_id):
        problems.append(Problem("request_id", "is not a text", _ANY_TEXT))
    if features is None:
        problems.append(Problem("features", "is missing", "an object with the features, by name"))
    elif not isinstance(features, dict):
        problems.append(Problem("features", "is not an object", "an object with the features, by name"))
    unknown = [name for name in given if name not in FIELDS]
    problems += [
        Problem(name, f"unknown field{did_you_mean(name, FIELDS)}", "a field of a request")
        for name in (_named(each) for each in unknown[:NAMED])
    ]
    if problems:
        raise Rejected(422, _summary(problems, len(unknown)), problems)
    unit = stored(entity) or request_id or prediction_id
    return Asked(entity, unit, features or {})


def _is_text(value: object) -> bool:
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


def read_features(given: Mapping[str, Any], scorer: Scorer, live: Live) -> Row:
    """The features as the arm's inputs. Rejected with 422 where they break the contract or a policy refuses them."""
    encoder = scorer.bundle.encoder
    inputs = encoder.inputs
    names = {each.name for each in inputs}
    unknown = [name for name in given if name not in names]
    if unknown:
        kept = {name: value for name, value in given.items() if name in names}
        given = dict.fromkeys(map(_named, unknown[:NAMED])) | kept
    row = read_row(given, inputs, live.policies.unseen_category, live.policies.out_of_range, encoder.learned)
    if row.problems:
        raise Rejected(422, _summary(row.problems, len(unknown)), row.problems)
    return row


def answers(live: Live, given: Sequence[Any], ids: Sequence[str], trace_id: str) -> list[Answer | Rejected]:
    """The answer to each request, or why it gets none, in order. Rows of one arm are scored together.

    Rejected with 500 is a row for which the model made no finite probability.
    """
    made: dict[int, Answer | Rejected] = {}
    asked: dict[str, list[tuple[int, Asked, Row]]] = {}
    for place, (each, prediction_id) in enumerate(zip(given, ids, strict=True)):
        try:
            request = read_request(each, prediction_id, live.stored)
            version = live.answers_with(request.unit)
            row = read_features(request.features, live.arms[version], live)
            asked.setdefault(version, []).append((place, request, row))
        except Rejected as rejected:
            made[place] = rejected
    for version, rows in asked.items():
        scorer = live.arms[version]
        scored = scorer.score(columns_of([row.values for _, _, row in rows], scorer.bundle.encoder.inputs))
        numbers = zip(scored.probability.tolist(), scored.scores.tolist(), strict=True)
        for (place, request, row), (probability, scores) in zip(rows, numbers, strict=True):
            if math.isfinite(probability):
                about = (version, ids[place], trace_id)
                made[place] = _answer(scorer, request, row, probability, scores, about)
            else:
                made[place] = Rejected(500, "the model made no finite probability of this row")
    return [made[place] for place in range(len(given))]


def _answer(
    scorer: Scorer, asked: Asked, row: Row, probability: float, scores: list[float], about: tuple[str, str, str]
) -> Answer:
    version, prediction_id, trace_id = about
    rule = scorer.bundle.decide
    return {
        "prediction_id": prediction_id,
        "entity": asked.entity,
        "probability": probability,
        "decision": decision(rule, probability),
        "risk": risk(rule, probability),
        "threshold": rule.threshold,
        "classes": list(rule.classes),
        "scores": scores,
        "version": version,
        "flags": list(row.flags),
        "trace_id": trace_id,
    }
