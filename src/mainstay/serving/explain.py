"""`POST /explain`, and `?reasons=N` of `/predict`: reason codes, by what each feature changes when it is as usual.

For every feature the row is scored once more with the feature's reference value in its place (the median, or the most
frequent category, of the training rows), all in one batch. What is told is a difference of two scores of the model that
answers, one feature at a time: with features that act together the changes do not add up to anything, and a change is
no statement about causes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi import FastAPI
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from mainstay.nouns import Value
from mainstay.scoring.profile import reference
from mainstay.scoring.reading import Problem, columns_of
from mainstay.scoring.session import CHUNK
from mainstay.serving.answering import Answering, live_of, looked_up
from mainstay.serving.arms import Arms, Live
from mainstay.serving.guard import Room, parse_json, read_body
from mainstay.serving.predict import NOT_FINITE, Question, read_request
from mainstay.serving.problems import Rejected, as_json
from mainstay.serving.rows import ArmRows
from mainstay.serving.schemas import ReasonCode, Shape, problems

Reason = dict[str, Any]

MOST = 1000
"""Reasons that may be asked for; there are never more than features."""


class Explanation(Shape):
    """Which features make this row's probability what it is, the largest change first."""

    entity: str | int | None = Field(description="as it was given")
    probability: float = Field(ge=0, le=1)
    version: str = Field(description="the version that would answer this request")
    reasons: list[ReasonCode]
    trace_id: str


def reasons(arm: ArmRows, values: Sequence[Value]) -> tuple[float, list[Reason]]:
    """The probability of a row that the arm read, and what each feature changes, by size (ties as in the contract).

    Every chunk that the graph is given begins with the row itself and is full, so that a feature which the model
    ignores changes exactly nothing.
    """
    inputs = arm.scorer.bundle.encoder.inputs
    usual = reference(arm.scorer.bundle.profile, inputs)
    row = arm.served(values)
    rows: list[Mapping[str, Value]] = []
    for at in range(0, len(inputs), CHUNK - 1):
        part = [{**row, each.name: usual[each.name]} for each in inputs[at : at + CHUNK - 1]]
        rows += [row, *part, *[row] * (CHUNK - 1 - len(part))]
    probability = arm.scorer.score(columns_of(rows, inputs)).probability
    made = []
    for n, each in enumerate(inputs):
        chunk, place = divmod(n, CHUNK - 1)
        change = float(probability[chunk * CHUNK + 1 + place] - probability[chunk * CHUNK])
        told = {"value": row[each.name], "reference": usual[each.name], "change": change}
        made.append({"feature": each.name, **told})
    return float(probability[0]), sorted(made, key=lambda reason: -abs(reason["change"]))


def wanted_reasons(request: Request) -> int | None:
    """How many reasons a request asks for; None where it asks for none. Rejected with 422 for what is no number."""
    given = request.query_params.getlist("reasons")
    if not given:
        return None
    if len(given) > 1 or not (given[0].isascii() and given[0].isdecimal() and int(given[0][:9]) <= MOST):
        problem = Problem("reasons", "is not a number of reasons", f"an integer from 0 to {MOST}, once")
        raise Rejected(422, "reasons: is not a number of reasons", [problem])
    return int(given[0][:9])


def reasons_of(question: Question, version: str, most: int) -> list[Reason] | None:
    """The reasons beside an answer that a version gave; None where the model, which answered, fails at them."""
    try:
        _, found = reasons(question.live.rows[version], question.values(version))
    except Exception:  # noqa: BLE001
        # The prediction is made and written down: what goes wrong beside it must not take it away.
        return None
    return [each for each in found if each["change"] == each["change"]][:most]


async def explain(answering: Answering, live: Live, given: Any, trace_id: str, most: int | None) -> dict[str, Any]:
    """The explanation of a request, by the arm that would answer it. Nothing is written down: nobody was answered.

    Rejected with 422 where it cannot be read, with 500 where the model made nothing of it.
    """
    now = answering.clock()
    asked = read_request(given, answering.ids.prediction(now), live.stored, live.lookup is not None)
    question = await looked_up(live, asked, now)
    version = question.assignment.version
    if question.row(version).problems:  # a challenger that cannot read it: the incumbent would answer
        version = live.incumbent
    try:
        probability, found = reasons(live.rows[version], question.values(version))
        finite = probability == probability
    except Exception as error:
        # An arm is somebody's model: whatever it raises is its failure, and is told to nobody here.
        raise Rejected(500, "the model failed on this row") from error
    if not finite:
        raise Rejected(500, NOT_FINITE)
    found = [each for each in found if each["change"] == each["change"]]
    return {
        "entity": asked.entity,
        "probability": probability,
        "version": version,
        "reasons": found if most is None else found[:most],
        "trace_id": trace_id,
    }


def add_explain(app: FastAPI, arms: Arms, answering: Answering, bodies: Room) -> None:
    """Add the route to an application."""

    @app.post(
        "/explain",
        summary="What each feature changes in a prediction when it takes its reference value",
        response_model=Explanation,
        responses=problems(400, 404, 408, 409, 413, 415, 422, 500, 503),
        openapi_extra={
            "parameters": [REASONS],
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": {"$ref": "#/components/schemas/PredictRequest"}}},
            },
        },
    )
    async def explain_one(request: Request) -> Response:
        live_of(arms)
        most = wanted_reasons(request)
        async with read_body(request, bodies) as body:
            live = live_of(arms)
            made = await explain(answering, live, parse_json(body), request.state.trace_id, most)
        request.state.version = made["version"]
        return Response(as_json(made), media_type="application/json")


REASONS = {
    "name": "reasons",
    "in": "query",
    "required": False,
    "description": "how many reasons to give, the largest first",
    "schema": {"type": "integer", "minimum": 0, "maximum": MOST},
}
