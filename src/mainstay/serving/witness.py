"""The outermost door of the application: every request is timed, counted, traced, and ends in an answer."""

import logging
import time

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from mainstay.serving import metrics
from mainstay.serving.guard import context_of
from mainstay.serving.logs import about
from mainstay.serving.problems import KINDS, MEDIA_TYPE, Rejected, problem_response
from mainstay.serving.tracing import Traces, traceparent

CLOSED = 499
"""The status counted, and never sent, where the client left before its answer."""
AGAIN = 10.0
"""Seconds in which a status of trouble (500 and above) is told of once: a flood of it fills no disk."""
UNTRACED = "/health"
"""Probes come every few seconds, and nobody looks at them."""

_PROBLEM = (b"content-type", MEDIA_TYPE.encode())

log = logging.getLogger(__name__)


class Witness:
    """ASGI middleware: gives every request its trace id, counts and times it, and lets no exception out.

    What the hot route began already (`started`, `trace_id`, `timeline`, `traceparent` in the state) goes on.
    """

    def __init__(self, app: ASGIApp, traces: Traces | None = None) -> None:
        self._app = app
        self._traces = traces
        self._told: dict[int, float] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        state = scope.setdefault("state", {})
        started = state.setdefault("started", time.perf_counter())
        if "trace_id" not in state:
            self._begin(scope, started)
        trace_id, timeline = state["trace_id"], state.get("timeline")
        back = state.get("traceparent")
        if timeline is not None:
            timeline.restart()
        about(trace_id)
        status, problem = 0, False

        async def noted(message: Message) -> None:
            nonlocal status, problem
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = list(message.get("headers", ()))
                problem = _PROBLEM in headers
                if back is not None:
                    message = {**message, "headers": [*headers, (b"traceparent", back)]}
            await send(message)

        try:
            await self._app(scope, receive, noted)
        except ClientDisconnect:
            status = status or CLOSED
        except Exception:
            # What nobody foresaw is told to the log, and nothing of it to the client.
            log.exception("a defect while answering %s, trace %s", _route(scope), trace_id)
            if status:
                raise  # half an answer is out: only closing the connection says that it is not whole
            rejected = Rejected(500, "the server failed; its log tells more under this trace id")
            await problem_response(rejected, trace_id, scope["path"])(scope, receive, noted)
        finally:
            route, version = _route(scope), state.get("version", metrics.NONE)
            count(route, status, version, time.perf_counter() - started, problem)
            if problem and status >= 500:
                self._tell(route, status)
            if timeline is not None and self._traces is not None:
                self._traces.end(timeline, scope["method"], route, status, version)

    def _begin(self, scope: Scope, started: float) -> None:
        state = scope["state"]
        context = context_of([value.decode("latin-1") for name, value in scope["headers"] if name == b"traceparent"])
        state["trace_id"] = context.trace_id
        if self._traces is not None and not scope["path"].startswith(UNTRACED):
            state["timeline"] = self._traces.begin(context, started)
        state["traceparent"] = traceparent(context, state.get("timeline"))

    def _tell(self, route: str, status: int) -> None:
        now = time.monotonic()
        if now - self._told.get(status, -AGAIN) >= AGAIN:
            self._told[status] = now
            log.warning("%s was answered with %d; not told again for %g s", route, status, AGAIN)


def count(route: str, status: int, version: str, seconds: float, problem: bool) -> None:
    """Count a request that was answered, or left; and what kind of problem it got, if any."""
    metrics.REQUESTS.labels(route, str(status), version).inc()
    metrics.SECONDS.labels(route, version).observe(seconds)
    if status == CLOSED:
        metrics.ERRORS.labels(route, "disconnected", version).inc()
    elif problem:
        metrics.ERRORS.labels(route, KINDS[status][0], version).inc()


def _route(scope: Scope) -> str:
    """The route as it is documented; `none` for what no route matched."""
    return getattr(scope.get("route"), "path", metrics.NONE)
