"""The hot route answers what it answers as the application does, byte for byte, and leaves the rest to it."""

import asyncio
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from mainstay.errors import Unavailable
from mainstay.nouns import ApiKey, Arm
from mainstay.observed import Ending, Prediction, Role
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering
from mainstay.serving.app import create_app
from mainstay.serving.arms import Arms
from mainstay.serving.guard import parse_json
from mainstay.serving.hot import ROUTE, Hot
from mainstay.serving.problems import Rejected
from mainstay.serving.tally import Tally
from mainstay.serving.usual import parsed

if TYPE_CHECKING:
    from tests.serving.conftest import Client, World, Written

NOW = datetime(2026, 1, 1, tzinfo=UTC)
JSON = [(b"content-type", b"application/json")]
TRACE = [(b"traceparent", b"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")]
Answered = tuple[int, list[tuple[bytes, bytes]], bytes]


class Door:
    """Asks the hot route and the application the same thing."""

    def __init__(self, arms: Arms, answering: Answering, runner: asyncio.Runner) -> None:
        self.passed_on = 0
        self.tally = Tally(ROUTE)
        self.keys: list[ApiKey] = []
        self.access = Access(lambda: self.keys, None, lambda: NOW, open_=True)
        self.app = create_app(arms, "tiny", answering, self.access, tally=self.tally)
        self.hot = Hot(self._app, arms, answering, self.access, self.tally)
        self._runner = runner

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.passed_on += 1
        await self.app(scope, receive, send)

    def ask(self, chunks: list[bytes], headers: list[tuple[bytes, bytes]] = JSON, late: float = 0.0) -> Answered:
        """What the hot route answers, and whether it asked the application, `passed_on` tells."""
        return self._runner.run(asked(self.hot, chunks, headers, late))

    def both(self, body: bytes, headers: list[tuple[bytes, bytes]] = JSON) -> tuple[Answered, Answered]:
        return self.ask([body], headers), self._runner.run(asked(self.app, [body], headers))


async def asked(app: Any, chunks: list[bytes], headers: list[tuple[bytes, bytes]], late: float = 0.0) -> Answered:
    left = [{"type": "http.request", "body": each, "more_body": n + 1 < len(chunks)} for n, each in enumerate(chunks)]
    sent: list[Message] = []

    async def receive() -> Message:
        if late:
            await asyncio.sleep(late)
        return left.pop(0) if left else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/predict",
        "raw_path": b"/predict",
        "query_string": b"",
        "root_path": "",
        "headers": headers,
    }
    await app(scope, receive, send)
    body = b"".join(each.get("body", b"") for each in sent[1:])
    return sent[0]["status"], sorted(sent[0]["headers"]), body


@pytest.fixture
def door(arms: Arms, answering: Answering) -> Iterator[Door]:
    with asyncio.Runner() as runner:
        yield Door(arms, answering, runner)


def alike(found: Answered) -> tuple[int, dict[bytes, bytes], Any]:
    """An answer but for what no two answers share: the ids, and the order of headers."""
    status, headers, body = found
    made = json.loads(body)
    for name in ("prediction_id", "trace_id"):
        if name in made:
            assert len(made.pop(name)) == 32
    return status, {name: value for name, value in headers if name != b"retry-after"}, list(made.items())


ROW = {"age": 40, "spent": 120.5, "plan": "basic"}
BODIES = [
    {"features": ROW},
    {"entity": "a", "features": ROW},
    {"entity": 7, "features": ROW, "request_id": "r"},
    {"entity": 'ü:\u00e9 " \\ \u2028', "features": ROW},
    {"entity": None, "request_id": None, "features": ROW},
    {"entity": "", "features": ROW},
    {"entity": "a\nb", "features": ROW},
    {"entity": True, "features": ROW},
    {"entity": 10**201, "features": ROW},
    {"entity": "x" * 201, "features": ROW},
    {"features": ROW | {"age": 40.0, "spent": None}},
    {"features": ROW | {"age": 40.5}},
    {"features": ROW | {"age": 121, "plan": "gold"}},
    {"features": ROW | {"plan": " basic "}},
    {"features": ROW | {"plan": "a:b"}},
    {"features": ROW | {"spend": 1}},
    {"features": {"age": 1}},
    {"features": {"age": {"a": 1}, "plan": []}},
    {"features": []},
    {"feature": ROW},
    {},
    [],
    "text",
    None,
]


@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_the_same_request_gets_the_same_answer(door: Door, body: Any) -> None:
    for ascii_ in (True, False):
        hot, app = door.both(json.dumps(body, ensure_ascii=ascii_).encode())
        assert alike(hot) == alike(app)


def test_what_is_usual_never_reaches_the_application(door: Door, written: "Written") -> None:
    for body in BODIES[:3]:
        assert door.ask([json.dumps(body).encode()], JSON + TRACE)[0] == 200
    assert door.passed_on == 0
    assert len(written.records) == 3


def test_both_write_the_same_record(door: Door, written: "Written") -> None:
    for body in BODIES[:4]:
        door.both(json.dumps(body).encode(), JSON + TRACE)
    records: list[Prediction] = written.observed()
    assert len(records) == 8
    for hot, app in zip(records[::2], records[1::2], strict=True):
        assert hot.prediction_id < app.prediction_id
        changing = ("prediction_id", "request_id", "unit", "scoring_us", "before_log_us")
        same = {name for name in Prediction.__slots__ if getattr(hot, name) == getattr(app, name)}
        assert set(Prediction.__slots__) - same <= set(changing)
        assert (hot.role, hot.outcome, hot.version) == (Role.ANSWERED, Ending.OK, "1.0.0")
        assert hot.trace_id == "4bf92f3577b34da6a3ce929d0e0e4736"
        assert hot.features == ROW
        assert 0 < hot.scoring_us < hot.before_log_us


@pytest.mark.parametrize(
    "body",
    [
        b'{"features": {"age": 40, "age": 41, "plan": "basic"}}',
        b'{"features": {"age": 40, "plan": "basic"}, "features": {"age": 41, "plan": "basic"}}',
        b'{"entity": "a", "entity": "b", "features": {"age": 40, "plan": "basic"}}',
        b'{"features": {"age": NaN, "plan": "basic"}}',
        b'{"features": {"age": Infinity, "plan": "basic"}}',
        b'{"features": {"age": 1e999, "plan": "basic"}}',
        b'{"entity": "\\ud800", "features": {"age": 40, "plan": "basic"}}',
        b'{"entity": "\xed\xa0\x80", "features": {"age": 40, "plan": "basic"}}',
        b'{"entity": "\xff", "features": {"age": 40, "plan": "basic"}}',
        b'\xef\xbb\xbf{"features": {"age": 40, "plan": "basic"}}',
        b'{"features": {"age": 40, "plan": "basic"}} x',
        b'{"features": {"age": 40, "plan": "basic",}}',
        b'{"features": {"age": 040, "plan": "basic"}}',
        b'{"features": {"age": ' + b"9" * 5000 + b', "plan": "basic"}}',
        b'{"features": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"features": ' + b'{"a":' * 2000 + b"1" + b"}" * 2000 + b"}",
        b"",
        b"null",
    ],
    ids=range(18),
)
def test_what_is_no_json_is_refused_in_the_same_words(door: Door, body: bytes) -> None:
    hot, app = door.both(body)
    assert hot[0] in (400, 422)
    assert alike(hot) == alike(app)


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"content-type", b"text/plain")],
        [(b"content-type", b"application/json; charset=latin-1")],
        [(b"content-type", b"application/json; charset=utf-8")],
        [*JSON, (b"content-encoding", b"gzip")],
        [*JSON, *JSON],
        [*JSON, *TRACE, *TRACE],
        [*JSON, (b"traceparent", b"nonsense")],
    ],
    ids=range(8),
)
def test_unusual_headers_get_the_same_answer(door: Door, headers: list[tuple[bytes, bytes]]) -> None:
    hot, app = door.both(json.dumps(BODIES[1]).encode(), headers)
    assert alike(hot) == alike(app)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=3),
    max_leaves=6,
)
pieces = st.sampled_from(
    [b'"a"', b":", b",", b"{", b"}", b"1", b'"features"', b"[", b"]", b" ", b"\\", b"-0.0", b"1E5"]
)


@settings(max_examples=500, deadline=None)
@given(
    st.one_of(
        st.dictionaries(st.sampled_from(["features", "entity", "x"]), values).map(
            lambda each: json.dumps(each).encode()
        ),
        st.lists(pieces, max_size=14).map(lambda each: b'{"features":{' + b"".join(each) + b"}}"),
        st.binary(max_size=30),
    ),
    st.integers(0, 40),
    st.binary(max_size=2),
)
def test_bodies_are_read_as_strictly_as_they_are_by_the_application(body: bytes, at: int, noise: bytes) -> None:
    body = body[:at] + noise + body[at:] if len(noise) == 2 else body
    assert read(parsed, body) == read(parse_json, body)


def read(reader: Callable[[bytes], Any], body: bytes) -> str:
    try:
        return repr(reader(body))
    except Rejected as rejected:
        return f"{rejected.status}: {rejected.detail}"


def test_a_body_in_pieces_or_late_is_answered_all_the_same(door: Door) -> None:
    body = json.dumps(BODIES[1]).encode()
    assert door.ask([body[:9], body[9:]])[0] == 200
    assert door.passed_on == 1
    assert door.ask([body], late=0.01)[0] == 200
    assert door.ask([body[:9], body[9:30], body[30:]], late=0.01)[0] == 200
    assert door.passed_on == 3


def test_who_leaves_before_the_body_gets_nothing_written(door: Door, written: "Written") -> None:
    with pytest.raises(IndexError):  # nothing was sent
        door.ask([])
    assert not written.records


def test_a_full_log_answers_nobody_and_recovers(door: Door, written: "Written") -> None:
    body = json.dumps(BODIES[1]).encode()
    written.full = Unavailable("no space left on device")
    for answer in door.both(body):
        assert answer[0] == 503
        assert (b"retry-after", b"5") in answer[1]
        assert b"device" not in answer[2]
    written.full = None
    assert [answer[0] for answer in door.both(body)] == [200, 200]


def test_what_may_not_be_durable_is_not_answered_and_written_once(door: Door, written: "Written") -> None:
    written.lost = Unavailable("input/output error")
    assert door.ask([json.dumps(BODIES[1]).encode()])[0] == 503
    assert len(written.records) == 1


def test_what_a_challenger_is_to_answer_goes_the_longer_way(
    world: "World", arms: Arms, door: Door, written: "Written"
) -> None:
    world.goes_live(Arm("1.0.0", 0.5, listens=True), Arm("1.1.0", 0.5, listens=True))
    arms.refresh(1.0)
    for n in range(20):
        hot, app = door.both(json.dumps({"entity": f"c{n}", "features": ROW}).encode())
        assert alike(hot) == alike(app)
    assert 0 < door.passed_on < 20
    assert door.hot._answering.listeners.close(5.0)
    records = written.observed()
    assert sum(each.role is Role.LISTENED for each in records) == 40
    assert sum(each.role is Role.ANSWERED for each in records) == 40
    for each in records:
        assert (each.version == each.assigned) is (each.role is Role.ANSWERED)


def test_a_key_is_asked_for_once_and_refused_by_the_application(door: Door, written: "Written") -> None:
    door.access.open = False
    door.keys = [
        ApiKey("k1", "mine", sha256(b"secret").hexdigest(), ("predict",), NOW, rate=0.001, burst=3),
        ApiKey("k2", "yours", sha256(b"other").hexdigest(), ("read",), NOW),
    ]
    door.access.refresh()
    body = json.dumps(BODIES[1]).encode()
    key = [(b"authorization", b"Bearer secret")]
    assert door.ask([body], JSON + key)[0] == 200
    assert door.ask([body[:5], body[5:]], JSON + key)[0] == 200  # the application answers, and spends nothing more
    assert door.ask([body], JSON + key)[0] == 200
    assert len(written.records) == 3
    for headers, status in ((key, 429), ([], 401), ([(b"authorization", b"Bearer other")], 403)):
        for answer in door.both(body, JSON + headers):
            assert answer[0] == status
    assert len(written.records) == 3


def test_what_it_answers_is_counted(door: Door, client: "Client") -> None:
    client.app = door.app
    before = counted(client)
    for _ in range(3):
        door.ask([json.dumps(BODIES[1]).encode()])
    after = counted(client)

    def more(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert more('mainstay_requests_total{route="/predict",status="200",version="1.0.0"}') == 3
    assert more('mainstay_request_seconds_count{route="/predict",version="1.0.0"}') == 3
    assert more('mainstay_request_seconds_bucket{le="10.0",route="/predict",version="1.0.0"}') == 3
    assert more('mainstay_probability_count{version="1.0.0"}') == 3
    assert more('mainstay_probability_bucket{le="1.0",version="1.0.0"}') == 3
    assert 0 < more('mainstay_probability_sum{version="1.0.0"}') < 3
    assert 0 < more('mainstay_request_seconds_sum{route="/predict",version="1.0.0"}') < 1


def counted(client: "Client") -> dict[str, float]:
    lines = client.get("/metrics").text.splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}
