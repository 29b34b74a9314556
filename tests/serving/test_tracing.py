"""Traces, as a collector receives them over OTLP/HTTP from the real server."""

import gzip
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.errors import Misconfigured
from mainstay.serving.guard import Context
from mainstay.serving.tracing import Timeline, Traces, check_tracing, traceparent, traces_from
from mainstay.settings import Settings

export = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2", reason="the extra otlp")

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
START = """
import sys
from mainstay.serving.main import serve
from mainstay.settings import Settings
serve(Settings(), "tiny", "127.0.0.1", 0, int(sys.argv[1]), True, lambda words: None)
"""


class Collector:
    """Takes traces as an OpenTelemetry collector does, and keeps their spans as dictionaries."""

    def __init__(self) -> None:
        self.spans: list[dict[str, Any]] = []
        self.services: set[str] = set()
        kept = self

        class Taken(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                if self.headers.get("content-encoding") == "gzip":
                    body = gzip.decompress(body)
                assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
                kept.take(export.ExportTraceServiceRequest.FromString(body))
                self.send_response(200)
                self.end_headers()

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Taken)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def take(self, request: Any) -> None:
        for resource in request.resource_spans:
            told = {each.key: each.value.string_value for each in resource.resource.attributes}
            self.services.add(told["service.name"])
            for scope in resource.scope_spans:
                self.spans += [
                    {
                        "name": span.name,
                        "trace": span.trace_id.hex(),
                        "id": span.span_id.hex(),
                        "parent": span.parent_span_id.hex(),
                        "start": span.start_time_unix_nano,
                        "end": span.end_time_unix_nano,
                        "failed": span.status.code == 2,
                        **{each.key: each.value.string_value or each.value.int_value for each in span.attributes},
                    }
                    for span in scope.spans
                ]

    def of(self, trace: str) -> dict[str, dict[str, Any]]:
        return {span["name"]: span for span in self.spans if span["trace"] == trace}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    made = Collector()
    yield made
    made.close()


@contextmanager
def serving(home: Path, workers: int = 1, **settings: str) -> Iterator[tuple[str, list[str]]]:
    """The address of a server, and the lines of its log once it has ended, with 0."""
    told = {f"MAINSTAY_{name.upper()}": value for name, value in {"home": str(home), **settings}.items()}
    server = subprocess.Popen(
        [sys.executable, "-c", START, str(workers)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **told},  # noqa: TID251
    )
    assert server.stdout is not None
    lines: list[str] = []
    try:
        yield server.stdout.readline().split()[0], lines
    finally:
        server.send_signal(signal.SIGTERM)
        lines += server.communicate(timeout=20)[1].splitlines()
    assert server.returncode == 0, lines


def test_a_sampled_request_is_a_span_with_its_steps_below_it(
    home: Path, row: dict[str, Any], collector: Collector
) -> None:
    asked = {"traceparent": f"00-{TRACE}-{PARENT}-01"}
    others = ["a" * 32, "b" * 32, "c" * 32]
    with (
        serving(home, otlp_endpoint=collector.address, otlp_share="0") as (address, _),
        httpx.Client(base_url=address) as client,
    ):
        answer = client.post("/predict", json={"entity": "lovelace", "features": row}, headers=asked)
        slow = {"traceparent": f"00-{others[0]}-{PARENT}-01", "accept": "application/*"}
        general = client.post("/predict", json={"features": row}, headers=slow)
        batch = {"traceparent": f"00-{others[1]}-{PARENT}-01"}
        client.post("/predict_batch", json={"rows": [{"features": row}] * 3}, headers=batch)
        bad = {"traceparent": f"00-{others[2]}-{PARENT}-01"}
        assert client.post("/predict", json={"features": row | {"age": "?"}}, headers=bad).status_code == 422
        quiet = client.post("/predict", json={"features": row}, headers={"traceparent": f"00-{TRACE}-{PARENT}-00"})
        assert "traceparent" not in client.post("/predict", json={"features": row}).headers
    assert answer.json()["trace_id"] == TRACE
    spans = collector.of(TRACE)
    assert spans.keys() == {"POST /predict", "validate", "features", "score", "log"}
    whole = spans["POST /predict"]
    assert (whole["parent"], answer.headers["traceparent"]) == (PARENT, f"00-{TRACE}-{whole['id']}-01")
    assert whole["http.route"] == "/predict"
    assert whole["http.response.status_code"] == 200
    assert whole["mainstay.version"] == "1.0.0"
    assert whole["mainstay.prediction_id"] == answer.json()["prediction_id"]
    steps = [spans[name] for name in ("validate", "features", "score", "log")]
    assert {step["parent"] for step in steps} == {whole["id"]}
    moments = [moment for step in steps for moment in (step["start"], step["end"])]
    assert moments == sorted(moments)
    assert whole["start"] <= moments[0]
    assert moments[-1] <= whole["end"]
    assert abs(whole["end"] / 1e9 - datetime.now(UTC).timestamp()) < 60  # noqa: TID251
    # The application, too, where the hot route leaves a request to it; and batches.
    assert collector.of(others[0]).keys() == spans.keys()
    assert general.headers["traceparent"] == f"00-{others[0]}-{collector.of(others[0])['POST /predict']['id']}-01"
    assert collector.of(others[1]).keys() == {"POST /predict_batch", "validate", "features", "score", "log"}
    assert collector.of(others[2])["POST /predict"]["http.response.status_code"] == 422
    # What its caller did not want recorded is not, and is continued all the same.
    assert re.fullmatch(f"00-{TRACE}-(?!{PARENT})[0-9a-f]{{16}}-00", quiet.headers["traceparent"])
    assert len(collector.spans) == 17
    assert collector.services == {"mainstay-tiny"}
    assert not [private for private in ("lovelace", "basic", "120.5") if private in str(collector.spans)]


def test_the_share_of_requests_is_sampled_in_every_worker(
    home: Path, row: dict[str, Any], collector: Collector
) -> None:
    with serving(home, 2, otlp_endpoint=collector.address, otlp_share="0.5") as (address, _):
        told = [httpx.post(f"{address}/predict", json={"features": row}) for _ in range(40)]
        httpx.get(f"{address}/health/ready")
    sampled = {each.headers["traceparent"].split("-")[1] for each in told if "traceparent" in each.headers}
    assert 8 < len(sampled) < 32
    assert {span["trace"] for span in collector.spans} == sampled
    assert sampled <= {each.json()["trace_id"] for each in told}


def test_without_an_endpoint_nothing_is_traced_and_a_trace_goes_on_all_the_same(
    home: Path, row: dict[str, Any]
) -> None:
    with serving(home) as (address, _):
        answer = httpx.post(
            f"{address}/predict", json={"features": row}, headers={"traceparent": f"00-{TRACE}-{PARENT}-01"}
        )
        assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-00", answer.headers["traceparent"])
        assert answer.json()["trace_id"] == TRACE
        assert "traceparent" not in httpx.post(f"{address}/predict", json={"features": row}).headers


def test_a_collector_that_is_away_costs_spans_and_nothing_else(home: Path, row: dict[str, Any]) -> None:
    with serving(home, otlp_endpoint="http://127.0.0.1:9", otlp_share="1") as (address, lines):
        assert httpx.post(f"{address}/predict", json={"features": row}).status_code == 200
    assert not [line for line in lines if "Traceback" in line]


def test_logs_are_json_with_ids_and_without_anybody_in_them(home: Path, row: dict[str, Any]) -> None:
    secret = {"authorization": "Bearer mst_sesame-opens"}
    settings = {"logs": "json", "otlp_endpoint": "http://127.0.0.1:9", "otlp_share": "1"}
    with serving(home, 2, **settings) as (address, lines), httpx.Client(base_url=address, headers=secret) as client:
        answer = client.post("/predict", json={"entity": "ada-lovelace", "features": row | {"spent": 123.25}}).json()
        client.post("/predict", json={"entity": "ada-lovelace", "features": row | {"plan": "platinum"}})
        client.post("/predict_batch", json={"rows": [{"entity": "ada-lovelace", "features": {"age": "forty-one"}}]})
        client.post("/feedback", json={"labels": [{"entity": "ada-lovelace", "as_of": "yesterday", "value": "No"}]})
        client.post("/ada-lovelace", content=b"{ada-lovelace")
    records = [json.loads(line) for line in lines]
    assert all(record.keys() >= {"at", "level", "process", "logger", "message"} for record in records)
    (said,) = [each for each in records if each.get("prediction_id") == answer["prediction_id"]]
    assert said["trace_id"] == answer["trace_id"]
    assert said["message"].startswith("POST /predict: 200 by 1.0.0 in ")
    for private in ("ada-lovelace", "123.25", "platinum", "forty-one", "sesame", "yesterday"):
        assert private not in "\n".join(lines)


class Kept:
    """Takes spans, and does nothing with them."""

    def __init__(self) -> None:
        self.spans: list[Any] = []

    def on_end(self, span: Any) -> None:
        self.spans.append(span)

    def shutdown(self) -> None:
        pass


def test_who_is_sampled_is_the_callers_choice_and_else_the_trace_ids() -> None:
    clock = Settings().clock
    none, half, every = (Traces(Kept(), share, {}, clock) for share in (0, 0.5, 1))
    low, high = Context("f" * 16 + "0" * 15 + "1"), Context("0" * 16 + "f" * 16)
    assert [each.begin(low, 0.0) is not None for each in (none, half, every)] == [False, True, True]
    assert [each.begin(high, 0.0) is not None for each in (none, half, every)] == [False, False, True]
    assert none.begin(Context(TRACE, PARENT, True), 0.0) is not None
    assert every.begin(Context(TRACE, PARENT, False), 0.0) is None


def test_a_request_that_failed_is_a_failed_span() -> None:
    kept = Kept()
    traces = Traces(kept, 1, {}, Settings().clock)
    for status in (422, 500):
        traces.end(Timeline(Context(TRACE), 0.0), "POST", "/predict", status, "none")
    assert [span.status.is_ok for span in kept.spans] == [True, False]


def test_the_header_of_an_answer_names_our_span_where_there_is_one_to_name() -> None:
    timeline = Timeline(Context(TRACE), 0.0)
    assert traceparent(timeline.context, timeline) == f"00-{TRACE}-{timeline.span_id}-01".encode()
    assert traceparent(Context(TRACE), None) is None


@pytest.mark.parametrize("endpoint", ["localhost:4318", "grpc://localhost:4317", "http://"])
def test_an_endpoint_that_is_no_address_is_misconfigured(endpoint: str) -> None:
    with pytest.raises(Misconfigured, match="as in http://localhost:4318"):
        check_tracing(Settings(otlp_endpoint=endpoint))
    assert traces_from(Settings(), "tiny") is None
