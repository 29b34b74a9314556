"""Every error over real HTTP: one shape, the field, what would be right, and nothing of what went wrong inside."""

import json
import re
import socket
import struct
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from mainstay.serving.door import free, needed
from mainstay.serving.problems import KINDS, MEDIA_TYPE
from mainstay.settings import Settings
from mainstay.wiring import platform

Running = Callable[..., AbstractContextManager[tuple[subprocess.Popen[str], str]]]

ROW = {"age": 40, "spent": 120.5, "plan": "basic"}
ALL = {"authorization": "Bearer all", "content-type": "application/json"}
GOOD = json.dumps({"features": ROW})


@dataclass(frozen=True)
class Case:
    """A request, the status that it gets, the field that is at fault, a word of what would be right, and a header."""

    status: int
    method: str = "POST"
    path: str = "/predict"
    headers: dict[str, str] = field(default_factory=dict)
    body: str | bytes = GOOD
    field: str | None = None
    right: str = ""
    tells: str | None = None


def features(**given: Any) -> str:
    return json.dumps({"features": {**ROW, **given}})


CASES = {
    "a body that is no JSON": Case(400, body="{", right="json"),
    "a field given twice": Case(400, body='{"features": {}, "features": {}}', right="features"),
    "NaN": Case(400, body='{"features": {"age": NaN}}', right="null"),
    "half a character": Case(400, body='{"entity": "\\ud800"}', right="surrogate"),
    "bytes that are no UTF-8": Case(400, body=b"\xff", right="UTF-8"),
    "no key": Case(401, headers={"authorization": ""}, right="Bearer", tells="www-authenticate"),
    "an unknown key": Case(401, headers={"authorization": "Bearer nobody"}, right="key", tells="www-authenticate"),
    "a key for something else": Case(403, headers={"authorization": "Bearer reads"}, right="predict"),
    "a route that is not there": Case(404, path="/predictions", right="/openapi.json"),
    "a method that is not taken": Case(405, method="PUT", right="POST", tells="allow"),
    "a method that a probe does not take": Case(405, path="/health", right="GET", tells="allow"),
    "an answer in another form": Case(406, headers={"accept": "text/html"}, right="application/json"),
    "a large body": Case(413, body=b" " * 1_000_001, right="1,000,000"),
    "a large batch": Case(
        413, path="/predict_batch", body=json.dumps({"rows": [1] * 10_001}), field="rows", right="10,000"
    ),
    "much feedback": Case(
        413, path="/feedback", body=json.dumps({"labels": [1] * 10_001}), field="labels", right="10,000"
    ),
    "a body of another kind": Case(415, headers={"content-type": "text/plain"}, right="application/json"),
    "another encoding": Case(415, headers={"content-type": "application/json; charset=utf-16"}, right="UTF-8"),
    "a compressed body": Case(415, headers={"content-encoding": "gzip"}, right="compressed"),
    "no object": Case(422, body="[]", field="", right="an object"),
    "no features": Case(422, body="{}", field="features", right="an object"),
    "an unknown field of a request": Case(422, body='{"feature": {}}', field="feature", right="a field of a request"),
    "a missing feature": Case(422, body='{"features": {"age": 40}}', field="plan", right="basic"),
    "a misspelt feature": Case(422, body=features(spnt=1), field="spnt", right=""),
    "a text for a number": Case(422, body=features(age="old"), field="age", right="an integer from 18 to 120"),
    "a fraction for an integer": Case(422, body=features(age=40.5), field="age", right="an integer from 18 to 120"),
    "an unseen category": Case(422, body=features(plan="gold"), field="plan", right="one of basic, plus"),
    "an entity that is a list": Case(422, body='{"entity": [], "features": {}}', field="entity", right="a text"),
    "a batch that is no batch": Case(422, path="/predict_batch", body="{}", field="rows", right="an array"),
    "feedback that says nothing": Case(422, path="/feedback", body="{}", field="labels", right="at least one"),
    "feedback of another kind": Case(422, path="/feedback", body='{"labels": 1}', field="labels", right="an array"),
    "a key that asks too often": Case(
        429, headers={"authorization": "Bearer spent"}, right="1 at", tells="retry-after"
    ),
    "a batch while the rate is used up": Case(
        429, path="/predict_batch", headers={"authorization": "Bearer spent"}, right="row", tells="retry-after"
    ),
    "headers without end": Case(431, headers={"x-much": "y" * 70_000}, right="65,536"),
    "a defect": Case(500, method="GET", path="/metrics", body="", right="trace"),
}


@pytest.fixture
def broken(strict_home: Path, running: Running, give_key: Callable[..., None]) -> Iterator[str]:
    """The address of a server with keys, whose metrics are so spoilt that to read them is a defect."""
    give_key(strict_home, "all", scopes=("predict", "feedback", "read", "operate"))
    give_key(strict_home, "reads", scopes=("read",))
    give_key(strict_home, "spent", rate=0.0001, burst=1)
    with running(strict_home, workers=2, open_=False) as (_, line):
        (directory,) = (strict_home / "metrics").iterdir()
        (directory / "counter_1.db").write_bytes(struct.pack("iii", 64, 0, 1000) + bytes(100))
        yield line.split()[0]
        (directory / "counter_1.db").unlink()


def test_every_error_is_of_one_shape_and_says_what_would_be_right(broken: str) -> None:
    host, _, port = broken.partition("//")[2].partition(":")
    with (
        socket.create_connection((host, int(port)), timeout=20) as slow,
        httpx.Client(base_url=broken, timeout=10) as client,
    ):
        slow.sendall(b"POST /predict HTTP/1.1\r\nHost: here\r\n")
        document = client.get("/openapi.json", headers=ALL).json()
        for _ in range(40):  # both workers grant the rate once
            httpx.post(f"{broken}/predict", content=GOOD, headers={**ALL, "authorization": "Bearer spent"})
        for name, case in CASES.items():
            headers = {key: value for key, value in {**ALL, **case.headers}.items() if value}
            answer = httpx.request(case.method, broken + case.path, content=case.body, headers=headers)
            assert answer.status_code == case.status, f"{name}: {answer.text}"
            assert answer.headers["content-type"] == MEDIA_TYPE, name
            check(answer.json(), case, name)
            if case.tells is not None:
                assert answer.headers[case.tells], name
            told = document["paths"].get(case.path, {}).get(case.method.lower())
            if told is not None and case.status != 431:  # the connection says that, before there is a route
                assert str(case.status) in told["responses"], name
        answered = b"".join(iter(lambda: slow.recv(65_536), b""))
    assert answered.startswith(b"HTTP/1.1 408 ")
    check(json.loads(answered.partition(b"\r\n\r\n")[2]), Case(408, right="10 seconds"), "slow")
    assert {case.status for case in CASES.values()} | {408, 409, 503} == KINDS.keys()


def check(told: dict[str, Any], case: Case, name: str) -> None:
    """Whether a problem document is one, and of this case."""
    kind, title = KINDS[case.status]
    assert set(told) - {"instance"} == {"type", "title", "status", "detail", "errors", "trace_id"}, name
    assert (told["type"], told["title"]) == (f"urn:mainstay:problem:{kind}", title), name
    assert told["status"] == case.status, name
    assert re.fullmatch("[0-9a-f]{32}", told["trace_id"]), name
    assert bool(told["errors"]) == (case.field is not None), name
    if case.field is not None:
        (found,) = (each for each in told["errors"] if each["field"] == case.field)
        assert set(found) == {"field", "reason", "expected"}, name
        assert found["reason"], name
        assert found["expected"], name
        assert case.right in found["expected"], f"{name}: {found}"
    assert case.right.lower() in json.dumps(told).lower(), f"{name}: {told}"
    assert not re.search(r"Traceback|Error\b|Exception|\.py\b|/site-packages/|0x[0-9a-f]{6}", json.dumps(told)), name


def test_what_is_not_ready_says_so_in_the_same_shape(tmp_path: Path, running: Running) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with platform(Settings(home=empty)).ledger, running(empty) as (_, line):
        for path, body in (("/predict", GOOD), ("/predict_batch", '{"rows": []}'), ("/feedback", '{"labels": []}')):
            answer = httpx.post(line.split()[0] + path, content=body, headers=ALL)
            assert answer.status_code == 503
            assert answer.headers["retry-after"]
            check(answer.json(), Case(503, right="no version is"), path)


def test_every_route_asks_for_the_scope_that_its_document_names(broken: str) -> None:
    """Who has no key hears 401 on every route but the probes, and who has all scopes but one hears 403 there."""
    paths = httpx.get(f"{broken}/openapi.json", headers=ALL).json()["paths"]
    asked = {(path, method): operation for path, methods in paths.items() for method, operation in methods.items()}
    assert len(asked) >= 8
    for (path, method), operation in asked.items():
        url = broken + re.sub(r"\{\w+\}", "x", path)
        unknown, reading = (
            httpx.request(method, url, headers={**ALL, "authorization": f"Bearer {key}"}).status_code
            for key in ("nobody", "reads")
        )
        if free(path):
            assert "security" not in operation
            assert unknown == 200
            continue
        assert unknown == 401, path
        assert operation["security"] == [{"key": [needed(path)]}]
        assert (reading == 403) == (needed(path) != "read"), path
