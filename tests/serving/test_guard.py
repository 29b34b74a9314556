"""What may come in."""

import asyncio
import gzip
import json
import selectors
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from mainstay.errors import Refused
from mainstay.nouns import Arm
from mainstay.serving.arms import Arms
from mainstay.serving.exposure import check_access

if TYPE_CHECKING:
    from tests.serving.conftest import Client, World

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


SPEED = 40.0


class Hurried(asyncio.SelectorEventLoop):
    """An event loop whose seconds pass many times as fast, so that a long wait takes little time of the tests."""

    def __init__(self) -> None:
        class Selector(selectors.DefaultSelector):
            def select(self, timeout: float | None = None) -> Any:
                return super().select(timeout and timeout / SPEED)

        super().__init__(Selector())

    def time(self) -> float:
        return super().time() * SPEED


Post = Callable[..., Coroutine[Any, Any, httpx.Response]]


def hurried(client: "Client", asking: Callable[[Post], Awaitable[None]]) -> None:
    """Run clients of the app side by side, in an event loop that hurries."""

    async def run() -> None:
        transport = httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://tiny", headers=JSON) as many:
            await asking(many.post)

    with asyncio.Runner(loop_factory=Hurried) as runner:
        runner.run(run())


async def slowly(begun: bytes, pause: float) -> AsyncIterator[bytes]:
    """A body that begins, and of which then a byte comes after every pause (in seconds), for two minutes."""
    yield begun
    for _ in range(int(120 / pause)):
        await asyncio.sleep(pause)
        yield b" "


def test_clients_that_never_send_their_batch_keep_nobody_waiting(client: "Client", row: dict[str, Any]) -> None:
    async def asking(post: Post) -> None:
        slow = [asyncio.create_task(post("/predict_batch", content=slowly(b"{", 119))) for _ in range(50)]
        await asyncio.sleep(1)
        answer = await post("/predict_batch", json={"rows": [{"features": row}]})
        assert answer.status_code == 200
        assert not any(each.done() for each in slow)
        assert {each.status_code for each in await asyncio.gather(*slow)} == {408}

    hurried(client, asking)


@pytest.mark.parametrize(("path", "seconds"), [("/predict", 10), ("/predict_batch", 20)])
@pytest.mark.parametrize("pause", [119, 1.5])
def test_a_body_that_takes_too_long_is_a_problem(client: "Client", path: str, seconds: int, pause: float) -> None:
    async def asking(post: Post) -> None:
        begun = asyncio.get_running_loop().time()
        answer = await post(path, content=slowly(b"{", pause))
        assert seconds <= asyncio.get_running_loop().time() - begun < 60
        assert answer.status_code == 408
        assert answer.json()["type"] == "urn:mainstay:problem:too-slow"
        assert f"longer than {seconds} seconds" in answer.json()["detail"]
        assert answer.headers["connection"] == "close"  # what is still under way is not read as the next request

    hurried(client, asking)


def test_what_is_live_when_a_slow_body_has_arrived_answers_it(
    world: "World", arms: Arms, client: "Client", row: dict[str, Any]
) -> None:
    async def body(text: str) -> AsyncIterator[bytes]:
        yield text[:10].encode()
        world.goes_live(Arm("1.1.0", 1.0))
        arms.refresh(1.0)
        yield text[10:].encode()

    async def asking(post: Post) -> None:
        single = await post("/predict", content=body(json.dumps({"features": row})))
        assert single.json()["version"] == "1.1.0"
        world.goes_live(Arm("1.0.0", 1.0))
        arms.refresh(1.0)
        batch = await post("/predict_batch", content=body(json.dumps({"rows": [{"features": row}]})))
        assert batch.json()["predictions"][0]["version"] == "1.1.0"

    hurried(client, asking)


@pytest.mark.parametrize(("path", "size", "most"), [("/predict", 1_000_000, 64), ("/predict_batch", 32_000_000, 4)])
def test_bodies_that_wait_are_held_up_to_a_limit(
    client: "Client", row: dict[str, Any], path: str, size: int, most: int
) -> None:
    whole = {"features": row} if path == "/predict" else {"rows": [{"features": row}]}
    other = "/predict" if path == "/predict_batch" else "/predict_batch"

    async def asking(post: Post) -> None:
        full = b" " * size
        slow = [asyncio.create_task(post(path, content=slowly(full, 119))) for _ in range(most + 1)]
        done, waiting = await asyncio.wait(slow, return_when=asyncio.FIRST_COMPLETED)
        (refused,) = [each.result() for each in done]
        assert refused.status_code == 503
        assert refused.headers["retry-after"] == "5"
        assert refused.json()["title"] == "Not ready to answer"
        assert (await post(path, json=whole)).status_code == 503
        assert (await post(other, content=b"{")).status_code == 400  # the other route has room of its own
        assert {each.status_code for each in await asyncio.gather(*waiting)} == {408}
        assert (await post(path, json=whole)).status_code == 200

    hurried(client, asking)


def test_without_keys_a_server_starts_only_where_it_is_told_to_be_open() -> None:
    said: list[str] = []
    with pytest.raises(Refused, match="there are no API keys: make one with `mainstay api-keys create NAME`, or start"):
        check_access(False, False, False, "127.0.0.1", said.append)
    assert not said


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_open_to_this_machine_is_warned_of_once(host: str) -> None:
    said: list[str] = []
    check_access(True, False, False, host, said.append)
    assert len(said) == 1
    assert said[0].startswith("WARNING")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "example.org"])
def test_open_to_the_network_is_warned_of_twice(host: str) -> None:
    said: list[str] = []
    check_access(True, False, False, host, said.append)
    assert len(said) == 2
    assert host in said[1]
