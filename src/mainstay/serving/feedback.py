"""`POST /feedback`: what turned out to be true, what was done about it, and how far a source of labels is complete.

All of it is in the log before it is answered. The ledger then only counts what had been told before: where it cannot
be reached, the feedback is taken all the same, and those counts are null.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from fastapi import FastAPI
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from mainstay.errors import MainstayError, Unavailable
from mainstay.observed import Counted, Told
from mainstay.serving import schemas
from mainstay.serving.arms import Arms, Live
from mainstay.serving.guard import batch_room, parse_json, read_body
from mainstay.serving.log import Log
from mainstay.serving.problems import Rejected, as_json
from mainstay.serving.told import ITEMS, SHOWN, Read, read_feedback

AT_ONCE = 2
"""Requests worked on at a time, each on a thread of its own."""
REST = 5.0
"""Seconds for which a ledger that could not count is not asked again: nobody waits for its time-out in turn."""

log = logging.getLogger(__name__)


class Taken(schemas.Shape):
    """What became of the feedback; `accepted` is in the log, and will be found in the observations."""

    accepted: int = Field(description="written down; the repeated and contradicted ones are among them")
    repeated: int | None = Field(description="told just so before; null where the ledger could not be asked")
    contradicted: int | None = Field(description="told otherwise before, both are kept; null as above")
    rejected: int = Field(description="not written down: send them again, corrected")
    errors: list[schemas.Wrong] = Field(description=f"why, with the place in the request; at most {SHOWN}")


@dataclass(frozen=True, slots=True)
class Feedback:
    """What the route works with.

    `horizon` gives the label's horizon under a configuration's digest, and `note` counts what was told before; both
    may raise MainstayError, and nothing else.
    """

    log: Log
    horizon: Callable[[str], timedelta]
    note: Callable[[Sequence[Told], datetime], Counted]
    clock: Callable[[], datetime]


def add_feedback(app: FastAPI, arms: Arms, feedback: Feedback) -> None:
    """Add the route to an application."""
    bodies, at_once = batch_room(), asyncio.Semaphore(AT_ONCE)
    ask_again = 0.0
    horizon = lru_cache(maxsize=8)(feedback.horizon)

    @app.post(
        "/feedback",
        status_code=202,
        summary="Labels of earlier predictions, actions taken, and how far a source of labels is complete",
        response_model=Taken,
        responses=schemas.problems(400, 408, 413, 415, 422, 500, 503),
        openapi_extra={"requestBody": {"required": True, "content": {"application/json": {"schema": SCHEMA}}}},
    )
    async def take_feedback(request: Request) -> Response:
        if arms.live is None:
            detail = "no version is live, so no class is known: send it again later"
            raise Rejected(503, detail, headers={"retry-after": "1"})
        nonlocal ask_again
        async with read_body(request, bodies) as body, at_once:
            live, charge = arms.live, request.state.charge
            made = await asyncio.to_thread(lambda: _write(live, parse_json(body), feedback, horizon, charge))
        try:
            await feedback.log.committed()
        except Unavailable as error:
            raise _unwritten(error) from error
        counted = None
        async with at_once:
            if time.monotonic() >= ask_again:
                counted = await asyncio.to_thread(_count, made, feedback)
                ask_again = time.monotonic() + REST if counted is None else 0.0
        return Response(as_json(_answer(made, counted)), 202, media_type="application/json")


def _write(
    live: Live, given: Any, feedback: Feedback, horizon: Callable[[str], timedelta], charge: Callable[[int], None]
) -> Read:
    now = feedback.clock()
    try:
        made = read_feedback(given, live, horizon(live.split.configuration), now)
    except MainstayError as error:
        log.warning("feedback was turned away: %s", error)
        detail = "the configuration that says how far labels look ahead cannot be read: send it again later"
        raise Rejected(503, detail, headers={"retry-after": "5"}) from error
    charge(len(made.rows) + made.rejected)
    for kind, row in made.rows:
        try:
            feedback.log.append(kind, None, "", row)
        except Unavailable as error:
            raise _unwritten(error) from error
    return made


def _unwritten(error: Unavailable) -> Rejected:
    log.error("feedback could not be written down: %s", error)
    detail = "the log cannot be written: send all of it again later, what was told twice is the same as once"
    return Rejected(503, detail, headers={"retry-after": "5"})


def _count(made: Read, feedback: Feedback) -> Counted | None:
    try:
        return feedback.note(made.told, feedback.clock()) if made.told else Counted(0, 0)
    except MainstayError as error:
        log.warning("feedback was taken, and not counted: %s", error)
        return None


def _answer(made: Read, counted: Counted | None) -> dict[str, Any]:
    return {
        "accepted": len(made.rows),
        "repeated": None if counted is None else counted.repeated,
        "contradicted": None if counted is None else counted.contradicted,
        "rejected": made.rejected,
        "errors": [
            {"field": each.field, "reason": each.reason, "expected": each.expected} for each in made.problems[:SHOWN]
        ],
    }


_TEXT_OR_NULL = {"type": ["string", "null"], "minLength": 1, "maxLength": 200, "pattern": schemas.PRINTED}
_TIME_OR_NULL = {"type": ["string", "null"], "format": "date-time"}
_ABOUT = {"prediction_id": _TEXT_OR_NULL, "entity": {**_TEXT_OR_NULL, "type": ["string", "integer", "null"]}}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "description": "At least one of labels, actions and complete_through. Doing it twice is the same as once.",
    "anyOf": [
        {"required": ["labels"]},
        {"required": ["actions"]},
        {"required": ["complete_through"], "properties": {"complete_through": {"type": "string"}}},
    ],
    "properties": {
        "labels": {
            "type": "array",
            "maxItems": ITEMS,
            "items": {
                "type": "object",
                "description": "About a prediction_id, or about an entity as_of a time",
                "additionalProperties": False,
                "required": ["value"],
                "properties": {
                    **_ABOUT,
                    "as_of": {**_TIME_OR_NULL, "description": "with an entity: from when on the horizon counts"},
                    "value": {"type": ["string", "integer"], "description": "one of the classes"},
                    "true_at": {
                        **_TIME_OR_NULL,
                        "description": "when it was so; when it is told, where it is not given",
                    },
                    "source": _TEXT_OR_NULL,
                },
            },
        },
        "actions": {
            "type": "array",
            "maxItems": ITEMS,
            "items": {
                "type": "object",
                "description": "What was done about a prediction_id or an entity",
                "additionalProperties": False,
                "required": ["kind", "at", "probability"],
                "properties": {
                    **_ABOUT,
                    "kind": {**_TEXT_OR_NULL, "type": "string", "examples": ["offer"]},
                    "at": {**_TIME_OR_NULL, "type": "string"},
                    "probability": {"type": "number", "minimum": 0, "maximum": 1, "description": "of acting"},
                    "cost": {"type": ["number", "null"], "minimum": 0, "default": 0},
                    "source": _TEXT_OR_NULL,
                },
            },
        },
        "complete_through": {**_TIME_OR_NULL, "description": "every label that was true before it has been told"},
        "source": {**_TEXT_OR_NULL, "default": "feedback", "description": "who tells, where an item does not say"},
    },
}
