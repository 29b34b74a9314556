"""The routes: what is asked, and which answer or problem it gets."""

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainstay.scoring.reading import Problem
from mainstay.serving import metrics, schemas
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering
from mainstay.serving.arms import Arms, Live
from mainstay.serving.door import Door, with_security
from mainstay.serving.feedback import Feedback, add_feedback
from mainstay.serving.guard import BATCH_ROWS, batch_room, parse_json, read_body, single_room, trace_of
from mainstay.serving.info import add_info
from mainstay.serving.problems import Rejected, as_json, problem, problem_response
from mainstay.serving.rejections import A_SECOND, Rejections
from mainstay.serving.tally import Tally

BATCHES = 2
"""Batches worked on at a time, each on a thread of its own; others wait, so that single requests need not."""
CLOSED = 499
"""The status counted, and never sent, where the client left before its answer."""

log = logging.getLogger(__name__)


def create_app(
    arms: Arms,
    use_case: str,
    answering: Answering,
    access: Access,
    shared_metrics: Path | None = None,
    feedback: Feedback | None = None,
    tally: Tally | None = None,
) -> FastAPI:
    """The application that answers with these arms. `shared_metrics` is the directory that several workers count in.

    There is no route for feedback without `feedback`. `tally` is what the hot route counted and Prometheus was not told
    yet. It starts nothing: whoever serves it keeps the arms, and who has `access`, fresh, and the log sealed.
    """
    rejections = Rejections(answering.log, answering.clock)
    # No /docs: that page would load its scripts from elsewhere. No telemetry of FastAPI's: wherever OpenTelemetry is
    # installed it would log what was refused, values included.
    app = FastAPI(
        title=f"Mainstay: {use_case}",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        telemetry={"tracing": False, "metrics": False, "logs": False, "operation_spans": False},
        exception_handlers={Rejected: _rejecting(rejections), HTTPException: _unrouted},
    )
    app.add_middleware(Door, access=access)
    app.add_middleware(Witness)  # the last is the outermost: who is not let in is counted too
    _add_predictions(app, arms, answering, rejections)
    _add_health(app, arms)
    add_info(app, arms, use_case)
    if feedback is not None:
        add_feedback(app, arms, feedback)

    @app.get("/metrics", response_class=Response, summary="Metrics for Prometheus, in its text format")
    async def read_metrics() -> Response:
        arms.measure(time.monotonic())
        if tally is not None:
            tally.flush()  # here, on the thread that counts
        made = await asyncio.to_thread(metrics.exposition, shared_metrics)
        return Response(made, headers={"content-type": metrics.CONTENT_TYPE})

    def openapi() -> dict[str, Any]:
        made = get_openapi(title=app.title, version=arms.health().version or "none", routes=app.routes)
        with_security(made, schemas.problems(401, 403, 406, 429, 500, 503), access)
        return schemas.with_live(made, arms.live, answering.clock())

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _add_predictions(app: FastAPI, arms: Arms, answering: Answering, rejections: Rejections) -> None:
    batches = asyncio.Semaphore(BATCHES)
    single_bodies, batch_bodies = single_room(), batch_room()

    @app.post("/predict", summary="One prediction", openapi_extra=_body("PredictRequest"), **_answered(schemas.Answer))
    async def predict(request: Request) -> Response:
        _live(arms)
        async with read_body(request, single_bodies) as body:
            # Looked up again: whoever sends slowly is not answered by what was live when they began.
            state = request.state
            made = await answering.one(_live(arms), parse_json(body), state.trace_id, state.started)
        state.version = metrics.count_answers([made])
        return Response(as_json(made), media_type="application/json")

    @app.post(
        "/predict_batch",
        summary=f"Up to {BATCH_ROWS:,} predictions; a bad row does not spoil the others",
        openapi_extra=_body("BatchRequest"),
        **_answered(schemas.Answers),
    )
    async def predict_batch(request: Request) -> Response:
        _live(arms)
        state = request.state
        async with read_body(request, batch_bodies) as body, batches:
            made, version, refused = await asyncio.to_thread(
                _batch, answering, _live(arms), body, state.trace_id, state.started, state.charge
            )
            await answering.committed()
        for each in refused:
            rejections.note(each, getattr(state, "key", None))
        state.version = version
        return Response(made, media_type="application/json")


def _batch(
    answering: Answering,
    live: Live,
    body: bytearray,
    trace_id: str,
    started: float,
    charge: Callable[[int], None],
) -> tuple[bytes, str, list[Rejected]]:
    """The JSON that answers a batch, the version that answered it as it is counted, and some refused rows."""
    rows = _rows(parse_json(body))
    charge(len(rows))
    made = answering.batch(live, rows, trace_id, started)
    version = metrics.count_answers(each for each in made if not isinstance(each, Rejected))
    told = [
        problem(each, trace_id, instance=f"#/rows/{place}") if isinstance(each, Rejected) else each
        for place, each in enumerate(made)
    ]
    return as_json({"predictions": told}), version, [each for each in made if isinstance(each, Rejected)][:A_SECOND]


def _rows(given: Any) -> list[Any]:
    rows = given.get("rows") if isinstance(given, dict) else None
    unknown = [name for name in given if name != "rows"] if isinstance(given, dict) else []
    if not isinstance(rows, list) or unknown:
        reason = "is not an array" if not isinstance(rows, list) else "must be the only field"
        errors = [Problem("rows", reason, "an array of requests, and nothing beside it")]
        raise Rejected(422, 'a batch is {"rows": [request, …]}', errors)
    if len(rows) > BATCH_ROWS:
        detail = f"the batch has {len(rows):,} rows; at most {BATCH_ROWS:,} are taken: send several"
        raise Rejected(413, detail, [Problem("rows", "is too long", f"at most {BATCH_ROWS:,} rows")])
    return rows


def _live(arms: Arms) -> Live:
    if arms.live is None:
        reason = arms.health().reason
        raise Rejected(503, f"no version is ready to answer: {reason}", headers={"retry-after": "1"})
    return arms.live


def _body(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"requestBody": {"required": True, "content": content}}


def _answered(model: type[schemas.Shape]) -> dict[str, Any]:
    return {"response_model": model, "responses": schemas.problems(400, 408, 413, 415, 422, 500, 503)}


def _add_health(app: FastAPI, arms: Arms) -> None:
    def health() -> Response:
        found = arms.health()
        told = {"status": found.status, "ready": found.ready, "version": found.version, "split": found.split}
        if found.reason is not None:
            told["reason"] = found.reason
        status = HTTPStatus.OK if found.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(as_json(told), status, {"cache-control": "no-store"}, "application/json")

    @app.get("/health/live", response_model=schemas.Alive, summary="Whether the process runs")
    async def read_live() -> Response:
        return Response(b'{"status":"alive"}', media_type="application/json")

    told: dict[int | str, dict[str, Any]] = {503: {"model": schemas.Health, "description": "Not ready to answer"}}

    @app.get("/health", response_model=schemas.Health, responses=told, summary="How the process stands")
    async def read_health() -> Response:
        return health()

    @app.get("/health/ready", response_model=schemas.Health, responses=told, summary="Whether it can answer")
    async def read_ready() -> Response:
        return health()


def _rejecting(rejections: Rejections) -> Callable[[Request, Rejected], Coroutine[Any, Any, Response]]:
    async def rejected(request: Request, error: Rejected) -> Response:
        rejections.note(error, getattr(request.state, "key", None))
        return problem_response(error, request.state.trace_id)

    return rejected


async def _unrouted(request: Request, error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        rejected = Rejected(405, f"this route takes {headers.get('Allow', 'another method')}", headers=headers)
    else:  # the router raises these two, and nothing else raises any
        rejected = Rejected(404, "there is no such route; /openapi.json lists those there are")
    return problem_response(rejected, request.state.trace_id)


class Witness:
    """ASGI middleware: gives every request its trace id, counts and times it, and lets no exception out."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = scope.get("state", {}).get("started") or time.perf_counter()
        given = [value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"]
        state = scope.setdefault("state", {})
        state.setdefault("trace_id", trace_of(given))
        state["started"] = started
        status = 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnect:
            status = status or CLOSED
        except Exception:
            # The outermost door: what nobody foresaw is told to the log, and nothing of it to the client.
            log.exception("a defect while answering %s, trace %s", _route(scope), state["trace_id"])
            if status:
                raise  # half an answer is out: only closing the connection says that it is not whole
            rejected = Rejected(500, "the server failed; its log tells more under this trace id")
            await problem_response(rejected, state["trace_id"])(scope, receive, noted)
        finally:
            route = _route(scope)
            metrics.REQUESTS.labels(route, str(status), state.get("version", metrics.NONE)).inc()
            metrics.SECONDS.labels(route).observe(time.perf_counter() - started)


def _route(scope: Scope) -> str:
    """The route as it is documented; `none` for what no route matched."""
    return getattr(scope.get("route"), "path", metrics.NONE)
