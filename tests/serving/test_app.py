"""Batches, health, metrics, OpenAPI, and every way to miss."""

import asyncio
import logging
import re
import threading
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.types import Message

from mainstay.nouns import Arm
from mainstay.serving import metrics
from mainstay.serving.answering import Answering
from mainstay.serving.arms import Arms

if TYPE_CHECKING:
    from tests.serving.conftest import Client, World

PROBLEM = {"type", "title", "status", "detail", "errors", "trace_id"}


def counted(client: "Client") -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def test_one_bad_row_does_not_spoil_the_others(client: "Client", row: dict[str, Any]) -> None:
    rows = [{"entity": "a", "features": row}, {"features": {}}, "nonsense", {"entity": "b", "features": row}]
    made = client.post("/predict_batch", json={"rows": rows}).json()["predictions"]
    assert [each.get("entity", each.get("status")) for each in made] == ["a", 422, 422, "b"]
    assert made[1]["instance"] == "#/rows/1"
    assert set(made[2]) == PROBLEM | {"instance"}
    batch, place = made[3]["prediction_id"].split(".")
    assert (place, made[0]["prediction_id"]) == ("3", f"{batch}.0")


def test_a_batch_answers_as_single_requests_do(
    world: "World", arms: Arms, client: "Client", row: dict[str, Any]
) -> None:
    world.goes_live(Arm("1.0.0", 0.5), Arm("1.1.0", 0.5))
    arms.refresh(1.0)
    rows = [{"entity": f"c{n}", "features": row | {"age": 18 + n}} for n in range(70)]
    batch = client.post("/predict_batch", json={"rows": rows}).json()["predictions"]
    for asked, answered in zip(rows, batch, strict=True):
        single = client.post("/predict", json=asked).json()
        assert single["version"] == answered["version"]
        assert single["probability"] == pytest.approx(answered["probability"], abs=1e-6)
    assert {each["version"] for each in batch} == {"1.0.0", "1.1.0"}


@pytest.mark.parametrize("body", [[], {}, {"rows": {}}, {"rows": None}, {"rows": [], "more": 1}, "rows"])
def test_what_is_no_batch_is_told_so(client: "Client", body: Any) -> None:
    answer = client.post("/predict_batch", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "rows"


def test_an_empty_batch_has_no_answers(client: "Client") -> None:
    assert client.post("/predict_batch", json={"rows": []}).json() == {"predictions": []}


def test_health_tells_what_is_live(client: "Client", arms: Arms) -> None:
    for path in ("/health", "/health/ready"):
        assert client.get(path).json() == {"status": "ok", "ready": True, "version": "1.0.0", "split": 1}
    arms.drain()
    for path in ("/health", "/health/ready"):
        assert client.get(path).status_code == 503
    assert client.get("/health/live").json() == {"status": "alive"}


def test_before_anything_is_live_the_server_is_alive_and_not_ready(
    world: "World", arms: Arms, client: "Client", row: dict[str, Any]
) -> None:
    arms.live = None
    world.split = None
    arms.refresh(1.0)
    health = client.get("/health")
    assert health.status_code == 503
    assert health.json()["ready"] is False
    assert "release one first" in health.json()["reason"]
    assert client.get("/health/live").status_code == 200
    for path, body in (("/predict", {"features": row}), ("/predict_batch", {"rows": []})):
        answer = client.post(path, json=body)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert set(answer.json()) == PROBLEM
    assert client.get("/openapi.json").json()["components"]["schemas"]["Features"]["type"] == "object"


@pytest.mark.parametrize("path", ["/", "/predict/", "/docs", "/redoc", "/nowhere?x=1"])
def test_a_route_that_is_not_there_is_a_problem(client: "Client", path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 404
    assert set(answer.json()) == PROBLEM


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/predict", "POST"), ("PUT", "/predict_batch", "POST"), ("POST", "/health", "GET")],
)
def test_a_method_that_is_not_taken_is_a_problem(client: "Client", method: str, path: str, allowed: str) -> None:
    answer = client.request(method, path)
    assert answer.status_code == 405
    assert answer.headers["allow"] == allowed
    assert set(answer.json()) == PROBLEM


def test_a_defect_tells_the_client_nothing_and_the_log_everything(
    client: "Client", answering: Answering, row: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    def broken() -> datetime:
        raise RuntimeError("the password is swordfish")

    answering.clock = broken
    with caplog.at_level(logging.ERROR):
        answer = client.post("/predict", json={"features": row})
    assert answer.status_code == 500
    assert set(answer.json()) == PROBLEM
    assert "swordfish" not in answer.text
    assert "RuntimeError" not in answer.text
    assert answer.json()["trace_id"] in caplog.text


def test_what_was_answered_is_counted_by_the_version_that_answered(
    world: "World", arms: Arms, client: "Client", row: dict[str, Any]
) -> None:
    world.goes_live(Arm("1.0.0", 0.5), Arm("1.1.0", 0.5))
    arms.refresh(1.0)
    before = counted(client)
    client.post("/predict_batch", json={"rows": [{"entity": f"c{n}", "features": row} for n in range(40)]})
    client.post("/predict", json={})
    client.get("/nowhere/at/all")
    after = counted(client)

    def more(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert more('mainstay_requests_total{route="/predict_batch",status="200",version="several"}') == 1
    assert more('mainstay_requests_total{route="/predict",status="422",version="none"}') == 1
    assert more('mainstay_requests_total{route="none",status="404",version="none"}') == 1
    made = [more(f'mainstay_predictions_total{{decision="{decision}",version="{version}"}}')
            for decision, version in (("Yes", "1.0.0"), ("No", "1.1.0"))]  # fmt: skip
    assert sum(made) == 40
    assert all(made)
    assert more('mainstay_probability_count{version="1.0.0"}') == made[0]
    assert more('mainstay_request_seconds_count{route="/predict",version="none"}') == 1
    assert more('mainstay_request_seconds_count{route="/predict_batch",version="several"}') == 1
    assert more('mainstay_errors_total{kind="invalid-request",route="/predict",version="none"}') == 1
    assert more('mainstay_errors_total{kind="not-found",route="none",version="none"}') == 1
    assert more('mainstay_rejections_total{kind="invalid-request"}') == 1
    assert after["mainstay_split_number"] == 2
    assert after["mainstay_split_age_seconds"] >= 0


def test_every_metric_says_what_it_is(client: "Client") -> None:
    assert client.get("/metrics").headers["content-type"].startswith("text/plain; version=0.0.4")
    text = client.get("/metrics").text
    told = set(re.findall(r"^# HELP (\S+) .{20,}$", text, re.MULTILINE))
    named = {
        family.name + ("_total" if family.type == "counter" else "")
        for each in metrics.METRICS
        for family in each.collect()
    }
    assert told == named


def test_openapi_tells_of_the_use_cases_own_fields_with_an_example_that_works(client: "Client") -> None:
    document = client.get("/openapi.json").json()
    assert document["info"] == {"title": "Mainstay: tiny", "version": "1.0.0"}
    features = document["components"]["schemas"]["Features"]
    assert features["required"] == ["age", "plan"]
    assert features["properties"]["age"]["type"] == "integer"
    assert features["properties"]["age"]["anyOf"][0] == {"minimum": 18, "maximum": 120}  # the rest is flagged
    assert features["properties"]["spent"]["type"] == ["number", "null"]
    assert features["properties"]["plan"]["anyOf"][0]["enum"] == ["basic", "plus"]
    for path in ("/predict", "/predict_batch"):
        operation = document["paths"][path]["post"]
        content = operation["requestBody"]["content"]["application/json"]
        answer = client.post(path, json=content["example"])
        assert answer.status_code == 200
        assert set(answer.json()) == set(operation["responses"]["200"]["content"]["application/json"]["example"])
        assert {"400", "413", "415", "422", "503"} <= set(operation["responses"])


def test_every_reference_in_openapi_leads_somewhere(client: "Client") -> None:
    answer = client.get("/openapi.json")
    schemas = answer.json()["components"]["schemas"]
    assert set(re.findall(r"#/components/schemas/(\w+)", answer.text)) <= set(schemas)
    assert set(client.post("/predict", json={}).json()) <= set(schemas["ProblemDocument"]["properties"])


def test_a_swap_spoils_no_request(world: "World", arms: Arms, client: "Client", row: dict[str, Any]) -> None:
    done = threading.Event()

    def swap() -> None:
        while not done.wait(0.001):
            world.goes_live(Arm("1.0.0" if arms.health().version == "1.1.0" else "1.1.0", 1.0))
            arms.refresh(0.0)

    swapping = threading.Thread(target=swap)
    swapping.start()

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://tiny") as asking:
            rows = {"rows": [{"features": row}] * 40}
            asked = [asking.post("/predict", json={"features": row}) for _ in range(150)]
            return await asyncio.gather(*asked, *(asking.post("/predict_batch", json=rows) for _ in range(10)))

    try:
        answers = asyncio.run(ask())
    finally:
        done.set()
        swapping.join()
    assert {answer.status_code for answer in answers} == {200}
    found: dict[str, set[float]] = {}
    for answer in answers[:150]:
        found.setdefault(answer.json()["version"], set()).add(answer.json()["probability"])
    assert all(len(probabilities) == 1 for probabilities in found.values())  # each version gave its own number
    for answer in answers[150:]:
        assert len({each["version"] for each in answer.json()["predictions"]}) == 1


def test_a_client_that_leaves_while_it_sends_is_only_counted(client: "Client") -> None:
    sent: list[Message] = []

    async def leave() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-type", b"application/json")]
    scope = {"type": "http", "method": "POST", "path": "/predict", "headers": headers, "query_string": b""}
    asyncio.run(client.app(scope, leave, send))
    assert not sent
    assert counted(client)['mainstay_requests_total{route="/predict",status="499",version="none"}'] >= 1


def test_the_app_lives_under_any_asgi_server(client: "Client") -> None:
    asked = iter(("lifespan.startup", "lifespan.shutdown"))
    sent: list[str] = []

    async def receive() -> Message:
        return {"type": next(asked)}

    async def send(message: Message) -> None:
        sent.append(message["type"])

    asyncio.run(client.app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
