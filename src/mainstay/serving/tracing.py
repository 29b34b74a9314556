"""Traces of sampled requests, for OpenTelemetry: what was done of each, in spans, over OTLP/HTTP.

Spans are made after the answer has left, from times that were noted on the way; a request that is not sampled costs one
look at its trace id, and without an endpoint nothing at all. OpenTelemetry is imported where it is wanted, and nowhere
else: it takes as much memory as the model. No span holds an entity, a feature or a key.
"""

import importlib.util
import logging
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Protocol
from urllib.parse import urlsplit

from mainstay.errors import Misconfigured
from mainstay.serving.guard import Context
from mainstay.settings import Settings

PATH = "/v1/traces"
"""Where a collector takes traces, below an endpoint that names no path."""
TIMEOUT = 5.0
"""Seconds that the collector is given for one delivery, and all that is left at the end of the process."""

log = logging.getLogger(__name__)


class Timeline:
    """What happened to one sampled request, and when. Steps follow one another; one thread at a time."""

    __slots__ = ("_last", "context", "prediction_id", "span_id", "started", "steps")

    def __init__(self, context: Context, started: float) -> None:
        """`started` is a time of `perf_counter`, as all here are."""
        self.context = context
        self.span_id = secrets.token_hex(8)
        self.started = self._last = started
        self.steps: list[tuple[str, float, float]] = []
        self.prediction_id: str | None = None

    def step(self, name: str) -> None:
        """What has been done since the last step, or since `skip`, was this."""
        now = time.perf_counter()
        self.steps.append((name, self._last, now))
        self._last = now

    def skip(self) -> None:
        """What has been done since the last step is none: it was waited."""
        self._last = time.perf_counter()

    def restart(self) -> None:
        """Forget the steps: what was begun is done again, elsewhere."""
        self.steps.clear()
        self.skip()


class Processor(Protocol):
    """Where spans are collected and sent on (OpenTelemetry's BatchSpanProcessor)."""

    def on_end(self, span: Any) -> None:
        """Take a span. Returns at once; where too many wait, the oldest is dropped."""
        ...

    def shutdown(self) -> None:
        """Send what is left."""
        ...


class Traces:
    """Chooses which requests are traced, and sends what they were."""

    def __init__(
        self, processor: Processor, share: float, resource: Mapping[str, str], clock: Callable[[], datetime]
    ) -> None:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._processor = processor
        # As OpenTelemetry's TraceIdRatioBased, so that every service of a trace chooses alike.
        self._bound = round(share * 2**64)
        self._resource = Resource(dict(resource))
        self._scope = InstrumentationScope("mainstay")
        self._clock = clock

    def begin(self, context: Context, started: float) -> Timeline | None:
        """The timeline of a request that is sampled: its caller's choice where it made one, else the share of all."""
        sampled = context.sampled
        if sampled is None:
            sampled = int(context.trace_id[16:], 16) < self._bound
        return Timeline(context, started) if sampled else None

    def end(self, timeline: Timeline, method: str, route: str, status: int, version: str) -> None:
        """Send a request's spans, and say a line about it."""
        ended = time.perf_counter()
        now = int(self._clock().timestamp() * 1e9)
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": route,
            "http.response.status_code": status,
            "mainstay.version": version,
        }
        if timeline.prediction_id is not None:
            attributes["mainstay.prediction_id"] = timeline.prediction_id
        for span in self._spans(timeline, f"{method} {route}", attributes, ended, now):
            self._processor.on_end(span)
        milliseconds = (ended - timeline.started) * 1000
        log.info("%s %s: %d by %s in %.2f ms", method, route, status, version, milliseconds)

    def _spans(
        self, timeline: Timeline, name: str, attributes: Mapping[str, str | int], ended: float, now: int
    ) -> list[Any]:
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.trace import SpanContext, SpanKind, Status, StatusCode, TraceFlags

        trace = int(timeline.context.trace_id, 16)
        parent = timeline.context.parent

        def at(moment: float) -> int:
            return now - int((ended - moment) * 1e9)

        def known(span_id: str, remote: bool = False) -> SpanContext:
            return SpanContext(trace, int(span_id, 16), remote, TraceFlags(TraceFlags.SAMPLED))

        failed = int(attributes["http.response.status_code"]) >= 500
        whole = ReadableSpan(
            name,
            known(timeline.span_id),
            None if parent is None else known(parent, remote=True),
            self._resource,
            attributes,
            kind=SpanKind.SERVER,
            status=Status(StatusCode.ERROR if failed else StatusCode.UNSET),
            start_time=at(timeline.started),
            end_time=now,
            instrumentation_scope=self._scope,
        )
        steps = [
            ReadableSpan(
                step,
                known(secrets.token_hex(8)),
                whole.context,
                self._resource,
                start_time=at(began),
                end_time=at(over),
                instrumentation_scope=self._scope,
            )
            for step, began, over in timeline.steps
        ]
        return [*steps, whole]

    def close(self) -> None:
        """Send what is left; a collector that does not answer is waited for no longer than `TIMEOUT`."""
        sending = threading.Thread(target=self._processor.shutdown, name="last traces", daemon=True)
        sending.start()
        sending.join(TIMEOUT)


def traceparent(context: Context, timeline: Timeline | None) -> bytes | None:
    """The header by which an answer tells its span; None where the request named no trace, and is not sampled."""
    if timeline is not None:
        return f"00-{context.trace_id}-{timeline.span_id}-01".encode()
    if context.parent is not None:
        return f"00-{context.trace_id}-{secrets.token_hex(8)}-00".encode()
    return None


def check_tracing(settings: Settings) -> None:
    """Misconfigured where the endpoint is no address, or what traces need is not installed."""
    if not settings.otlp_endpoint:
        return
    found = urlsplit(settings.otlp_endpoint)
    if found.scheme not in ("http", "https") or not found.hostname:
        raise Misconfigured("name the address of a collector, as in http://localhost:4318", "MAINSTAY_OTLP_ENDPOINT")
    if not all(importlib.util.find_spec(name) for name in ("opentelemetry", "google.protobuf", "requests")):
        raise Misconfigured("traces need pip install 'mainstay[otlp]'", "MAINSTAY_OTLP_ENDPOINT")


def traces_from(settings: Settings, use_case: str) -> Traces | None:
    """What traces requests as the settings say; None where they name no endpoint. Raises as `check_tracing`."""
    if not settings.otlp_endpoint:
        return None
    check_tracing(settings)
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    found = urlsplit(settings.otlp_endpoint)
    address = found._replace(path=PATH if found.path in ("", "/") else found.path).geturl()
    processor = BatchSpanProcessor(
        OTLPSpanExporter(address, timeout=TIMEOUT),
        max_queue_size=4096,
        schedule_delay_millis=2000,
        max_export_batch_size=512,
    )
    instance = f"{socket.gethostname()}:{os.getpid()}"
    resource = {"service.name": f"mainstay-{use_case}", "service.instance.id": instance}
    return Traces(processor, settings.otlp_share, resource, settings.clock)
