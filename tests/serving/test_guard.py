"""What may come in."""

import gzip
import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest

from mainstay.errors import Refused
from mainstay.serving.guard import check_access

if TYPE_CHECKING:
    from tests.serving.conftest import Client

JSON = {"content-type": "application/json"}
WHOLE = '{"features": {"age": 40, "plan": "basic", "spent": %s}}'


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("", "not JSON"),
        ("{", "not JSON"),
        ("{'features': {}}", "not JSON"),
        ('{"features": {}} x', "extra data"),
        (WHOLE % "NaN", "NaN is no number"),
        (WHOLE % "-Infinity", "-Infinity is no number"),
        (WHOLE % ("1" * 5000), "too many digits"),
        ('{"features": {"age": 40, "age": 41}}', "'age' twice"),
        ('{"features": {}, "features": {}}', "'features' twice"),
        ("[" * 100_000, "nested too deeply"),
        ('{"features":' * 50_000, "nested too deeply"),
        ('{"entity": "\\ud800", "features": {}}', "half a character"),
        ('{"\\udfff": 1}', "half a character"),
        ('{"features": {}}'.encode("utf-16"), "not UTF-8"),
        ('{"entity": "Zoë"}'.encode("latin-1"), "not UTF-8"),
        ("\ufeff{}", "not JSON"),
        (b"\0" * 20, "not JSON"),
    ],
)
def test_a_body_that_is_not_json_is_told_why(client: "Client", body: str | bytes, said: str) -> None:
    answer = client.post("/predict", content=body, headers=JSON)
    assert answer.status_code == 400
    assert said in answer.json()["detail"]
    assert answer.json()["type"] == "urn:mainstay:problem:unreadable-body"


@pytest.mark.parametrize("number", ["1e400", "-1e400", "1e39", "9" * 4000])
def test_a_number_too_large_to_score_breaks_the_contract(client: "Client", number: str) -> None:
    answer = client.post("/predict", content=WHOLE % number, headers=JSON)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["reason"] == "is not a finite number"


def test_characters_written_as_escapes_are_read(client: "Client") -> None:
    body = '{"entity": "\\ud83d\\ude00 \\u00e9", "features": {"age": 40, "plan": "basic"}}'
    assert client.post("/predict", content=body, headers=JSON).json()["entity"] == "😀 é"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-type": "Application/JSON;charset=UTF-8"}, 200),
        ({"content-type": "application/vnd.tiny+json"}, 200),
        ({"content-type": "application/json; charset=latin-1"}, 415),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({}, 415),
    ],
)
def test_a_body_must_be_declared_as_json(client: "Client", headers: dict[str, str], status: int) -> None:
    assert client.post("/predict", content=WHOLE % "1", headers=headers).status_code == status


def test_a_compressed_body_is_not_read(client: "Client") -> None:
    body = gzip.compress((WHOLE % "1").encode())
    assert client.post("/predict", content=body, headers=JSON | {"content-encoding": "gzip"}).status_code == 415


@pytest.mark.parametrize(("path", "limit"), [("/predict", 1_000_000), ("/predict_batch", 32_000_000)])
def test_a_body_is_read_up_to_the_limit_however_it_is_sent(client: "Client", path: str, limit: int) -> None:
    sent = 0

    async def chunks(size: int) -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(size // 100_000):
            sent += 100_000
            yield b" " * 100_000

    assert client.post(path, content=chunks(limit), headers=JSON).status_code == 400
    sent = 0
    answer = client.post(path, content=chunks(2 * limit), headers=JSON)
    assert answer.status_code == 413
    assert f"{limit:,} bytes" in answer.json()["detail"]
    assert sent <= limit + 200_000
    declared = client.post(path, content=b"{}", headers=JSON | {"content-length": str(limit + 1)})
    assert declared.status_code == 413


def test_a_batch_has_at_most_10000_rows(client: "Client", row: dict[str, Any]) -> None:
    body = json.dumps({"rows": [{}] * 10_001})
    answer = client.post("/predict_batch", content=body, headers=JSON)
    assert answer.status_code == 413
    assert "10,001 rows" in answer.json()["detail"]


def test_without_keys_a_server_starts_only_where_it_is_told_to_be_open() -> None:
    said: list[str] = []
    with pytest.raises(Refused, match="there are no API keys; start with --open"):
        check_access(False, "127.0.0.1", said.append)
    assert not said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_open_to_this_machine_is_warned_of_once(host: str) -> None:
    said: list[str] = []
    check_access(True, host, said.append)
    assert len(said) == 1
    assert said[0].startswith("WARNING")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "example.org"])
def test_open_to_the_network_is_warned_of_twice(host: str) -> None:
    said: list[str] = []
    check_access(True, host, said.append)
    assert len(said) == 2
    assert host in said[1]
