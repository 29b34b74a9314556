"""What goes over the wire, and how OpenAPI tells of it: with the fields, ranges and categories that are live."""

from datetime import datetime
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from mainstay.nouns import Value
from mainstay.scoring.encode import LARGEST_INTEGER, LARGEST_NUMBER, Input
from mainstay.scoring.reading import expectation
from mainstay.serving.arms import Live
from mainstay.serving.guard import BATCH_ROWS
from mainstay.serving.predict import answers
from mainstay.serving.problems import MEDIA_TYPE, Rejected
from mainstay.serving.shape import LONGEST

Schema = dict[str, Any]

PRINTED = r"^[^\u0000-\u001f\u007f]+$"
"""Texts without a control character."""


class Shape(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Answer(Shape):
    """One prediction."""

    prediction_id: str = Field(description="sorts by time; in a batch the batch's own id, a dot and the row's place")
    entity: str | int | None = Field(description="as it was given")
    probability: float = Field(ge=0, le=1, description="of the positive class")
    decision: str = Field(description="one of the classes: the positive one at or above the threshold")
    risk: str = Field(description="the band that the probability lies in")
    threshold: float = Field(ge=0, le=1)
    classes: list[str] = Field(description="in the order of the scores")
    scores: list[float] = Field(description="one probability per class")
    version: str = Field(description="the version that answered")
    flags: list[str] = Field(
        description="what was odd: `unseen_category:NAME`, `out_of_range:NAME`, `unknown_entity`, `stale:VIEW`"
    )
    trace_id: str = Field(description="of the `traceparent` header where there was one")


class ReasonCode(Shape):
    """What one feature changes."""

    feature: str
    value: float | str | None = Field(description="as it was scored")
    reference: float | str | None = Field(description="the median, or the most frequent category, of the training rows")
    change: float = Field(description="the probability with the reference value minus the row's own")


class Reasoned(Answer):
    """One prediction, with reasons where they were asked for."""

    reasons: list[ReasonCode] | None = Field(
        None, description="where `reasons` was asked for: the largest changes first; null if the model failed at them"
    )


class Wrong(Shape):
    """One thing that is wrong with a request, never with the value that was sent."""

    field: str
    reason: str
    expected: str


class ProblemDocument(Shape):
    """Why there is no answer (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = Field(None, description="the part of the request it is about, where it is not the whole")
    errors: list[Wrong]
    trace_id: str


class Answers(Shape):
    """For every row of a batch, in order, its answer or why it has none."""

    predictions: list[Answer | ProblemDocument]


class Health(Shape):
    """How this process stands; `reason` is there where something is wrong."""

    status: Literal["ok", "degraded", "not ready", "draining"]
    ready: bool
    version: str | None = Field(description="the version that answers most; null where none is live")
    split: int | None = Field(description="the number of the split that is applied")
    reason: str | None = None


class Alive(Shape):
    """The process runs."""

    status: Literal["alive"]


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The problem documents that a route may answer with, as FastAPI wants them told."""
    return {status: {"description": "A problem", "content": {MEDIA_TYPE: {"schema": _PROBLEM}}} for status in statuses}


_PROBLEM = {"$ref": "#/components/schemas/ProblemDocument"}


def with_live(document: Schema, live: Live | None, now: datetime) -> Schema:
    """The OpenAPI document with the requests that are taken now; any object for features where nothing is live."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    schemas["ProblemDocument"] = ProblemDocument.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= schemas["ProblemDocument"].pop("$defs")
    schemas["Features"] = {"type": "object", "description": "By name; which ones is known once a version is live"}
    request: Schema = {}
    if live is not None:
        scorer = live.arms[live.split.champion]
        inputs = scorer.bundle.encoder.inputs
        schemas["Features"] = features_schema(inputs, live)
        request = {"entity": "customer-1", "features": example(inputs, scorer.bundle.golden.rows)}
        made = answers(live, [request], ["0" * 32], "1" * 32, now)[0]
        if not isinstance(made, Rejected):
            _give_example(document, "/predict", request, made)
            _give_example(document, "/predict_batch", {"rows": [request]}, {"predictions": [made]})
            document["paths"]["/explain"]["post"]["requestBody"]["content"]["application/json"]["example"] = request
    identifier = {"type": ["string", "null"], "minLength": 1, "maxLength": LONGEST, "pattern": PRINTED}
    schemas["PredictRequest"] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["features"],
        "properties": {
            "entity": identifier | {"type": ["string", "integer", "null"], "description": "chooses the arm; echoed"},
            "features": {"$ref": "#/components/schemas/Features"},
            "request_id": identifier | {"description": "chooses the arm where there is no entity"},
        },
    }
    if live is not None and live.lookup is not None:
        schemas["SomeFeatures"] = {name: told for name, told in schemas["Features"].items() if name != "required"}
        schemas["PredictRequest"] |= _LOOKED_UP
        del schemas["PredictRequest"]["required"]
        schemas["PredictRequest"]["properties"]["features"] = {"$ref": "#/components/schemas/SomeFeatures"}
    row = {"$ref": "#/components/schemas/PredictRequest"}
    schemas["BatchRequest"] = {
        "type": "object",
        "additionalProperties": False,
        "required": ["rows"],
        "properties": {"rows": {"type": "array", "items": row, "maxItems": BATCH_ROWS}},
    }
    return document


_LOOKED_UP: Schema = {
    "description": "All features; or an entity, whose features are looked up where the request leaves any out.",
    "anyOf": [
        {"required": ["features"], "properties": {"features": {"$ref": "#/components/schemas/Features"}}},
        {"required": ["entity"], "properties": {"entity": {"type": ["string", "integer"]}}},
    ],
}


def features_schema(inputs: tuple[Input, ...], live: Live) -> Schema:
    """The JSON Schema of the features, by name; those that must not be null are required."""
    flagged = {
        "category": live.policies.unseen_category == "flag",
        "number": live.policies.out_of_range == "flag",
    }
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [each.name for each in inputs if not each.nullable],
        "properties": {each.name: _input_schema(each, flagged[each.kind], _listed(each, live)) for each in inputs},
    }


def _listed(given: Input, live: Live) -> tuple[str, ...] | None:
    """The categories that are known of an input, whether its contract lists them or training saw them."""
    if given.kind != "category" or given.values is not None:
        return given.values
    return tuple(sorted(live.arms[live.split.champion].bundle.encoder.learned[given.name]))


def _input_schema(given: Input, flagged: bool, listed: tuple[str, ...] | None) -> Schema:
    """What a feature may be. Where more is taken and flagged, `anyOf` has both: what is usual, and what is taken."""
    kinds: list[str] = ["string"] if given.kind == "category" else [given.type]
    taken: Schema = {}
    if given.kind == "number":
        most = LARGEST_INTEGER if given.type == "integer" else LARGEST_NUMBER
        taken = {"minimum": -most, "maximum": most}
    elif flagged:  # a number or a truth is a category as it is spelt, and a blank is none
        kinds, taken = ["string", "number", "boolean"], {"pattern": r"[^\s\u001c-\u001f\u0085]"}
    if given.nullable:
        kinds.append("null")
    taken["type"] = kinds if len(kinds) > 1 else kinds[0]
    usual: Schema = {}
    if given.range is not None:
        usual = {"minimum": given.range[0], "maximum": given.range[1]}
    if listed is not None:
        usual = {"enum": [*listed, *([None] if given.nullable else [])]}
    described = expectation(given)
    if given.kind == "category" and given.values is None:
        described += ", one that training saw"
    if flagged and usual:
        described += "; anything else is scored all the same, and flagged"
        return taken | {"description": described, "anyOf": [usual, taken]}
    return taken | {"description": described} | usual


def example(inputs: tuple[Input, ...], rows: tuple[Any, ...]) -> dict[str, Value]:
    """A row that could be asked: the fullest of these (drawn from the profile, of no customer), in round numbers."""
    if not rows:
        return {}
    row = min(rows, key=lambda each: sum(each[given.name] is None for given in inputs))
    return {given.name: _rounded(row[given.name], given) for given in inputs}


def _rounded(value: Value, given: Input) -> Value:
    if given.type == "category" or value is None:
        return value
    return int(float(value)) if given.type == "integer" else float(f"{float(value):.4g}")


def _give_example(document: Schema, route: str, request: Schema, answer: Schema) -> None:
    operation = document["paths"][route]["post"]
    operation["requestBody"]["content"]["application/json"]["example"] = request
    operation["responses"]["200"]["content"]["application/json"]["example"] = answer
