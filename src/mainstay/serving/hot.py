"""The hot route: `POST /predict` as it is nearly always asked, answered before the application hears of it.

It answers what is usual and sound: one chunk of plain JSON, for the arm that answers without a budget, on a row that
the contract takes. Everything else, and everything that is wrong, goes to the application with nothing consumed: the
application alone knows what is wrong and how to say it. Both answer with the same bytes and write the same record.
"""

import time
from collections.abc import Callable, Generator, Mapping
from types import coroutine
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainstay.errors import Unavailable
from mainstay.logged import micros
from mainstay.observed import Ending, Role
from mainstay.serving import metrics
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering, finite, unwritten
from mainstay.serving.arms import Arms, Live
from mainstay.serving.challenge import scored as attempted
from mainstay.serving.guard import Context, context_of
from mainstay.serving.logs import about
from mainstay.serving.predict import Question
from mainstay.serving.problems import Rejected, problem_response
from mainstay.serving.recording import Asking, single_record
from mainstay.serving.tally import Tally
from mainstay.serving.tracing import Timeline, Traces, traceparent
from mainstay.serving.turn import Turn
from mainstay.serving.usual import asked_of, parsed
from mainstay.serving.witness import count

ROUTE = "/predict"


class Hot:
    """ASGI middleware, outermost. For one event loop."""

    def __init__(
        self,
        app: ASGIApp,
        arms: Arms,
        answering: Answering,
        access: Access,
        tally: Tally,
        traces: Traces | None = None,
    ) -> None:
        self._app = app
        self._arms = arms
        self._answering = answering
        self._tally = tally
        self._access = access
        self._traces = traces
        self.turn = Turn(arms, answering, access, tally) if traces is None else None
        """What answers a connection's requests before they get here; None where they are traced, step by step."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != ROUTE or scope["method"] != "POST":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        headers = dict(scope["headers"])
        live = self._arms.live
        state = scope["state"] = {**scope.get("state", {}), "started": started}
        if live is None or scope["query_string"] or not _plain(headers, len(scope["headers"])):
            await self._app(scope, receive, send)
            return
        try:
            state["key"] = self._access.check(scope["headers"], "predict")
        except Rejected:
            await self._app(scope, receive, send)  # it refuses in the same words
            return
        # One step of `await receive()`: a body that is here already needs no patience, and one that is not gets the
        # application's, which is not endless.
        waiting = receive().__await__()
        try:
            pending = next(waiting)
        except StopIteration as done:
            message: Message = done.value
        else:
            await self._app(scope, _Rest(receive, lambda: _resumed(waiting, pending)), send)
            return
        timeline = back = None
        given = headers.get(b"traceparent")
        if given is None and self._traces is None:
            trace_id = state["trace_id"] = self._answering.ids.trace()
        else:
            timeline, back = self._begin(given, state, started)
            trace_id = state["trace_id"]
        body = message.get("body", b"")
        found = None if message.get("more_body") else self._answer(live, body, trace_id, started, timeline)
        if found is None:
            await self._app(scope, _Rest(receive, lambda: _known(message)), send)
            return
        answer, question, asking, attempt = found
        try:
            await self._answering.log.committed()
        except Unavailable:
            # Not for the application: it would write the same prediction down again.
            await problem_response(unwritten(), trace_id)(scope, receive, send)
            count(ROUTE, 503, metrics.NONE, time.perf_counter() - started, problem=True)
            return
        if timeline is not None:
            timeline.step("log")
        told = [(b"content-length", b"%d" % len(answer)), (b"content-type", b"application/json")]
        if back is not None:
            told.append((b"traceparent", back))
        await send({"type": "http.response.start", "status": 200, "headers": told})
        await send({"type": "http.response.body", "body": answer})
        made = attempt.made
        self._tally.answered(attempt.version, made.decision, made.probability, time.perf_counter() - started)
        if question.live.listens:
            self._answering.heard(question.live, question, asking, attempt.version)
        if timeline is not None and self._traces is not None:
            self._traces.end(timeline, "POST", ROUTE, 200, attempt.version)

    def _begin(
        self, given: bytes | None, state: dict[str, Any], started: float
    ) -> tuple[Timeline | None, bytes | None]:
        """Choose the request's trace, and whether it is sampled; and its answer's `traceparent`, if any."""
        context = Context(self._answering.ids.trace()) if given is None else context_of([given.decode("latin-1")])
        timeline = None if self._traces is None else self._traces.begin(context, started)
        back = traceparent(context, timeline)
        state["trace_id"], state["timeline"], state["traceparent"] = context.trace_id, timeline, back
        return timeline, back

    def _answer(self, live: Live, body: bytes, trace_id: str, started: float, timeline: Timeline | None) -> Any:
        """The answer, once it is in the log, and what it was made of; None where this is for the application."""
        answering = self._answering
        now = answering.clock()
        try:
            given = parsed(body)
            asked = asked_of(given, answering.ids.prediction(now), live)
            about(trace_id, asked.prediction_id)
            if timeline is not None:
                timeline.prediction_id = asked.prediction_id
                timeline.step("validate")
            question = Question(live, asked, now)
        except Rejected:
            return None
        if timeline is not None:
            timeline.step("features")
        version = question.assignment.version
        if version != live.incumbent:
            return None
        arm = live.rows[version]
        row = question.row(version)
        attempt = attempted(version, lambda: arm.score(row.values), finite)
        if attempt.ending is not Ending.OK or attempt.made is None:
            return None
        if timeline is not None:
            timeline.step("score")
        asking = Asking(micros(now), started, trace_id, live.split.number)
        before_log_us = (time.perf_counter() - started) * 1e6
        record = single_record(asking, question, Role.ANSWERED, attempt, before_log_us)
        try:
            answering.log.append("prediction", arm.features, arm.contract, record)
        except Unavailable:
            return None  # nothing was written; the application tries once more, and says so
        answer = arm.said(asked.prediction_id, asked.entity, attempt.made, row.flags, trace_id)
        return answer, question, asking, attempt


def _plain(headers: Mapping[bytes, bytes], count: int) -> bool:
    """Whether the headers ask for nothing but JSON for JSON, each once."""
    return (
        len(headers) == count
        and headers.get(b"content-type") == b"application/json"
        and b"content-encoding" not in headers
        and headers.get(b"accept", b"*/*") in (b"*/*", b"application/json")
    )


class _Rest:
    """What is left to receive: first what was begun already, then whatever the server has."""

    def __init__(self, receive: Receive, begun: Callable[[], Any]) -> None:
        self._receive = receive
        self._begun: Callable[[], Any] | None = begun

    async def __call__(self) -> Message:
        if self._begun is not None:
            begun, self._begun = self._begun, None
            message: Message = await begun()
            return message
        return await self._receive()


@coroutine
def _resumed(waiting: Generator[Any, Any, Message], pending: Any) -> Generator[Any, Any, Message]:
    """What `await` would have gone on with, from the first thing that it waited for."""
    try:
        while True:
            try:
                sent = yield pending
            except BaseException as error:  # noqa: BLE001  (cancelled by a timeout: it is for whoever waits inside)
                pending = waiting.throw(error)
            else:
                pending = waiting.send(sent)
    except StopIteration as done:
        message: Message = done.value
        return message


async def _known(message: Message) -> Message:
    return message
