"""The routes: what is asked, and which answer or problem it gets."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from prometheus_client.registry import Collector
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from mainstay.serving import metrics, schemas
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering, live_of
from mainstay.serving.arms import Arms
from mainstay.serving.described import with_tables
from mainstay.serving.door import Door, with_security
from mainstay.serving.explain import REASONS, add_explain, reasons_of, wanted_reasons
from mainstay.serving.feedback import Feedback, add_feedback
from mainstay.serving.formats import TABLES, Batched, answer_batch, wanted
from mainstay.serving.guard import BATCH_ROWS, batch_room, check_media_type, parse_json, read_body, single_room
from mainstay.serving.info import add_info
from mainstay.serving.parquet import Parquet
from mainstay.serving.predict import Answer, Question
from mainstay.serving.problems import Rejected, as_json, problem_response
from mainstay.serving.rejections import Rejections
from mainstay.serving.tally import Tally
from mainstay.serving.tracing import Traces
from mainstay.serving.v2 import add_v2
from mainstay.serving.witness import Witness

BATCHES = 2
"""Batches worked on at a time, each on a thread of its own; others wait, so that single requests need not."""


def create_app(
    arms: Arms,
    use_case: str,
    answering: Answering,
    access: Access,
    shared_metrics: Path | None = None,
    feedback: Feedback | None = None,
    tally: Tally | None = None,
    beside: Sequence[Collector] = (),
    traces: Traces | None = None,
) -> FastAPI:
    """The application that answers with these arms. `shared_metrics` is the directory that several workers count in.

    There is no route for feedback without `feedback`. `tally` is what the hot route counted and Prometheus was not told
    yet, `beside` what other processes of the home left for it, and sampled requests are traced to `traces`. It starts
    nothing: whoever serves it keeps the arms, and who has `access`, fresh, and the log sealed.
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
    app.add_middleware(Witness, traces=traces)  # the last is the outermost: who is not let in is counted too
    _add_predictions(app, arms, use_case, answering, rejections)
    _add_health(app, arms)
    add_info(app, arms, use_case)
    if feedback is not None:
        add_feedback(app, arms, feedback)

    @app.get("/metrics", response_class=Response, summary="Metrics for Prometheus, in its text format")
    async def read_metrics() -> Response:
        arms.measure(time.monotonic())
        if tally is not None:
            tally.flush()  # here, on the thread that counts
        made = await asyncio.to_thread(metrics.exposition, shared_metrics, *beside)
        return Response(made, headers={"content-type": metrics.CONTENT_TYPE})

    def openapi() -> dict[str, Any]:
        made = get_openapi(title=app.title, version=arms.health().version or "none", routes=app.routes)
        with_security(made, schemas.problems(401, 403, 406, 429, 500, 503), access)
        live = arms.live
        return with_tables(schemas.with_live(made, live, answering.clock()), live, use_case)

    app.openapi = openapi  # type: ignore[method-assign]
    return app


def _add_predictions(app: FastAPI, arms: Arms, use_case: str, answering: Answering, rejections: Rejections) -> None:
    batches, parquet = asyncio.Semaphore(BATCHES), Parquet()
    single_bodies, batch_bodies = single_room(), batch_room()
    add_explain(app, arms, answering, single_bodies)
    add_v2(app, arms, use_case, answering, batch_bodies, batches)

    @app.post(
        "/predict",
        summary="One prediction, with reasons if asked for",
        openapi_extra=_body("PredictRequest") | {"parameters": [REASONS]},
        **_answered(schemas.Reasoned, 404, 409),
    )
    async def predict(request: Request) -> Response:
        live_of(arms)
        most = wanted_reasons(request)
        async with read_body(request, single_bodies) as body:
            # Looked up again: whoever sends slowly is not answered by what was live when they began.
            state = request.state
            timeline = getattr(state, "timeline", None)
            if timeline is not None:
                timeline.skip()
            live, given = live_of(arms), parse_json(body)

            def reason(question: Question, answer: Answer) -> None:
                answer["reasons"] = reasons_of(question, answer["version"], most or 0)

            beside = None if most is None else reason
            made = await answering.one(live, given, state.trace_id, state.started, timeline, beside)
        state.version = metrics.count_answers([made])
        return Response(as_json(made), media_type="application/json")

    @app.post(
        "/predict_batch",
        summary=f"Up to {BATCH_ROWS:,} predictions; a bad row does not spoil the others",
        openapi_extra=_body("BatchRequest"),
        **_answered(schemas.Answers),
    )
    async def predict_batch(request: Request) -> Response:
        live_of(arms)
        state = request.state
        given = check_media_type(request, TABLES)
        asked = wanted(request.headers.getlist("accept"), given)
        async with read_body(request, batch_bodies, TABLES) as body, batches:
            timeline = getattr(state, "timeline", None)
            what = Batched(body, given, asked, state.trace_id, state.started, state.charge, timeline)
            made = await asyncio.to_thread(answer_batch, answering, live_of(arms), what, parquet)
            await answering.committed()
        rejections.note_rows(made.refused, getattr(state, "key", None))
        state.version = made.version
        return Response(made.body, headers={"content-type": asked})


def _body(schema: str) -> dict[str, Any]:
    content = {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}
    return {"requestBody": {"required": True, "content": content}}


def _answered(model: type[schemas.Shape], *more: int) -> dict[str, Any]:
    return {"response_model": model, "responses": schemas.problems(*more, 400, 408, 413, 415, 422, 500, 503)}


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
        if error.version is not None:
            request.state.version = error.version
        return problem_response(error, request.state.trace_id, request.url.path)

    return rejected


async def _unrouted(request: Request, error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    if error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        rejected = Rejected(405, f"this route takes {headers.get('Allow', 'another method')}", headers=headers)
    else:  # the router raises these two, and nothing else raises any
        rejected = Rejected(404, "there is no such route; /openapi.json lists those there are")
    return problem_response(rejected, request.state.trace_id, request.url.path)
