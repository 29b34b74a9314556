"""Whatever a client sends, in whatever pieces: the turn and the server alone make the same requests of it."""

import asyncio
import json
import re
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from wired import HEADERS, ROW, USUAL, House, Wire, request

from mainstay.nouns import ApiKey
from mainstay.observed import Prediction
from mainstay.serving.connection import Connection

if TYPE_CHECKING:
    from tests.serving.conftest import Run, Written

PLAIN = request(USUAL)
"""What the turn answers once its connection has sent the like."""
INNER = request(request(json.dumps({"entity": "smuggled", "features": ROW}).encode()))
"""A request within the body of another: nobody may ever answer what is inside."""


def named(entity: Any) -> bytes:
    return request(json.dumps({"entity": entity, "features": ROW}).encode())


def lying(length: bytes) -> bytes:
    return PLAIN.replace(b"Content-Length: %d" % len(USUAL), b"Content-Length: " + length)


def beside(header: bytes) -> bytes:
    return request(USUAL, HEADERS + header + b"\r\n")


CHUNKED = request(b"", HEADERS + b"Transfer-Encoding: chunked\r\n").replace(b"Content-Length: 0\r\n", b"")
SIZE = len(USUAL)
REQUESTS = [
    PLAIN,
    PLAIN,
    PLAIN,
    named("b"),
    named("ü" * 99),
    named(True),
    INNER,
    request(b'{"features": {"age": 40, "\\u0061ge": 41, "spent": 1, "plan": "basic"}}'),
    request(b'{"features": {"age": NaN, "spent": 1e999, "plan": "basic"}}'),
    request(b"\xef\xbb\xbf" + USUAL),
    request(USUAL + b"\r\n"),
    request(b""),
    request(b"0"),
    lying(b"%d" % (SIZE - 1)),
    lying(b"%d" % (SIZE + 1)),
    lying(b"+%d" % SIZE),
    lying(b"-%d" % SIZE),
    lying(b"0%d" % SIZE),
    lying(b"00000000%d" % SIZE),
    lying(b"%d " % SIZE),
    lying(b" \t%d" % SIZE),
    lying(b"%d.0" % SIZE),
    lying(b"0x%x" % SIZE),
    lying(b"%d, %d" % (SIZE, SIZE)),
    lying(b"1844674407370955%d" % SIZE),
    lying(b"%d\r\nContent-Length: %d" % (SIZE, SIZE)),
    lying(b"%d\r\nContent-Length: 1" % SIZE),
    lying(b"%d\r\nTransfer-Encoding: chunked" % SIZE),
    lying(b"%d\r\nTransfer-Encoding : identity" % SIZE),
    lying(b"%d\r\n folded" % SIZE),
    lying(b"%d\n" % SIZE),
    lying(b"\r\n %d" % SIZE),
    lying("٤".encode()),
    beside(b"X: a\x00b"),
    beside(b"X: a\nY: b"),
    beside(b"X: Content-Length: 3"),
    beside(b"Content-Length : 3"),
    beside(b"Expect: 100-continue"),
    beside(b"Connection: close"),
    beside(b"Connection: Keep-Alive, Close"),
    beside(b"Proxy-Connection: close"),
    beside(b"Connection: upgrade\r\nUpgrade: h2c"),
    beside(b"Connection: upgrade"),
    beside(b"Authorization: Bearer other"),
    request(USUAL, HEADERS.replace(b"secret", b"others")),
    request(USUAL, HEADERS.replace(b"Authorization: Bearer secret\r\n", b"")),
    request(USUAL, first=b"POST /predict HTTP/1.0"),
    request(USUAL, HEADERS + b"Connection: keep-alive\r\n", first=b"POST /predict HTTP/1.0"),
    request(USUAL, first=b"POST /predict?reasons=1 HTTP/1.1"),
    request(USUAL, first=b"\r\nPOST /predict HTTP/1.1"),
    request(b"", first=b"GET /health/live HTTP/1.1"),
    PLAIN.replace(b"\r\n", b"\n"),
    PLAIN.replace(b"\r\n\r\n", b"\n\n"),
    PLAIN.replace(b"\r\n\r\n", b"\r\n\n"),
    CHUNKED + b"%x\r\n%b\r\n0\r\n\r\n" % (SIZE, USUAL),
    CHUNKED + b"%x\r\n%b\r\n0\r\nX: trailer\r\n\r\n" % (SIZE, USUAL),
    PLAIN[:-3],
    PLAIN[:40],
    b"\r\n",
    b"\x00",
]
ANSWER = re.compile(rb"HTTP/1\.1 (\d+) [^\r]*\r\n((?:[^\r]+\r\n)*)\r\n")


class Deaf(Wire):
    """As a socket's: what is written once it is closed is dropped without a word."""

    def write(self, data: Any) -> None:
        if not self.closed:
            super().write(data)


def answers(written: bytes) -> list[tuple[int, bool, Any]]:
    """What a client reads: the status of each answer, whether the connection ends with it, and what it says."""
    made = []
    while written:
        head = ANSWER.match(written)
        assert head is not None, written
        length = re.search(rb"content-length: (\d+)\r\n", head[2])
        end = head.end() + (int(length[1]) if length else 0)
        body = json.loads(written[head.end() : end]) if length else None
        for name in ("prediction_id", "trace_id"):
            if body and name in body:
                assert len(body.pop(name)) == 32
        made.append((int(head[1]), b"connection: close" in head[2], body))
        written = written[end:]
    return made


@st.composite
def sendings(draw: st.DrawFn) -> list[tuple[bytes, bool]]:
    """Pieces of what a client sends, and whether it gives the server time after each."""
    asked = draw(st.lists(st.sampled_from(REQUESTS), min_size=1, max_size=6))
    pieces: list[bytes] = []
    for each in asked:
        how = draw(st.sampled_from(["whole", "whole", "head", "cut", "joined"]))
        at = len(each)
        if how == "head" and b"\r\n\r\n" in each:
            at = each.index(b"\r\n\r\n") + 4
        elif how == "cut":
            at = draw(st.integers(0, len(each)))
        elif how == "joined" and pieces:
            pieces[-1] += each
            continue
        pieces += [piece for piece in (each[:at], each[at:]) if piece]
    return [(each, draw(st.booleans())) for each in pieces]


async def sent(connection: Connection, wire: Wire, pieces: list[tuple[bytes, bool]]) -> list[tuple[int, bool, Any]]:
    for piece, waits in pieces:
        if wire.closed:
            break
        connection.data_received(piece)
        for _ in range(60 * waits):
            await asyncio.sleep(0)
    for _ in range(300):
        await asyncio.sleep(0)
    connection.release()
    for _ in range(100):
        await asyncio.sleep(0)
    return answers(wire.written)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sendings(), st.booleans())
@example([(PLAIN, True), (INNER, True), (PLAIN, True)], True)
@example([(PLAIN, True), (lying(b"%d" % (SIZE - 1)), False), (PLAIN, True)], True)
def test_the_turn_makes_the_requests_of_what_is_sent_that_the_server_makes(
    house: House, written: "Written", run: "Run", pieces: list[tuple[bytes, bool]], open_: bool
) -> None:
    house.access.open = open_
    house.keys = [ApiKey("k", "mine", sha256(b"secret").hexdigest(), ("predict",), house.answering.clock())]
    house.access.refresh()

    async def ask() -> None:
        found = []
        for turn in (True, False):
            written.records.clear()
            connection, wire = house.connect(turn, Deaf())
            told = await sent(connection, wire, [(PLAIN, True), *pieces])
            noted = [(each.entity, each.features) for each in written.observed() if isinstance(each, Prediction)]
            found.append((told, wire.closed, noted))
            connection.connection_lost(None)
            for each in asyncio.all_tasks() - {asyncio.current_task()}:
                each.cancel()
        (told, closed, noted), (around, closed_around, noted_around) = found
        assert closed is closed_around
        if closed:  # the server lets go of an answer that is under way where nonsense follows; the turn has sent it
            told, noted = told[: len(around)], noted[: len(noted_around)]
        assert (told, noted) == (around, noted_around)
        assert "smuggled" not in {entity for entity, _ in noted}

    run(ask())
