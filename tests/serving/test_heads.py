"""Which requests the turn may answer: those that look like the one before, and no others."""

import asyncio
from hashlib import sha256
from typing import TYPE_CHECKING

import pytest
from wired import HEADERS, USUAL, House, given, request, settled

from mainstay.nouns import ApiKey
from mainstay.serving.connection import Sweep

if TYPE_CHECKING:
    from tests.serving.conftest import Run, Written


@pytest.mark.parametrize(
    ("headers", "like"),
    [
        (HEADERS, True),
        (HEADERS + b"Accept: */*\r\nConnection: keep-alive\r\nUser-Agent: x: y\r\n", True),
        (HEADERS + b"Connection: close\r\n", False),
        (HEADERS + b"Accept: text/html\r\n", False),
        (HEADERS + b"Accept: */*\r\nAccept: */*\r\n", False),
        (HEADERS + b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n", False),
        (HEADERS + b"Expect: 100-continue\r\n", False),
        (HEADERS + b"Upgrade: websocket\r\nConnection: upgrade\r\n", False),
        (HEADERS + b"Content-Encoding: gzip\r\n", False),
        (HEADERS.replace(b"application/json", b"application/json; charset=utf-8"), False),
        (HEADERS.replace(b"application/json", b"text/plain"), False),
        (HEADERS.replace(b"Content-Type: application/json\r\n", b""), False),
        (HEADERS + b"X: %b\r\n" % (b"y" * 4096), False),
    ],
    ids=range(13),
)
def test_only_plain_heads_are_answered_by_the_turn(house: House, run: "Run", headers: bytes, like: bool) -> None:
    async def ask() -> None:
        connection, wire = house.connect()
        other, around = house.connect(turn=False)
        for _ in range(2):
            for each in (connection, other):
                if not each.transport.is_closing():
                    await given(each, request(USUAL, headers))
        assert (connection.head is not None) is like
        assert [each[:12] for each in wire.written.split(b"HTTP/1.1")] == [
            each[:12] for each in around.written.split(b"HTTP/1.1")
        ]
        assert wire.closed is around.closed

    run(ask())


@pytest.mark.parametrize(
    "other",
    [
        request(USUAL, first=b"POST /predict?reasons=3 HTTP/1.1"),
        request(USUAL, first=b"POST /predict HTTP/1.0"),
        request(USUAL, first=b"GET /health HTTP/1.1"),
        request(USUAL, HEADERS + b"X: 1\r\n"),
        request(USUAL, HEADERS.replace(b"secret", b"other!")),
        request(USUAL).replace(b"Length: ", b"Length: +"),
        request(USUAL).replace(b"Length: ", b"Length: 0x"),
        request(USUAL).replace(b"Length: ", b"Length: 9"),
        request(USUAL) + b"x",
        request(USUAL)[:-1],
        request(b""),
        b"\r\n" + request(USUAL),
        request(USUAL) * 2,
    ],
    ids=range(13),
)
def test_what_differs_from_the_request_before_is_the_servers(house: House, run: "Run", other: bytes) -> None:
    async def ask() -> None:
        connection, wire = await house.warm()
        plain, around = house.connect(turn=False)
        await given(plain, request(USUAL))
        around.writes.clear()
        house.passed_on = 0
        await given(connection, other)
        answered = house.passed_on
        await given(plain, other)
        assert answered == house.passed_on - answered
        assert [each[:12] for each in wire.written.split(b"HTTP/1.1")] == [
            each[:12] for each in around.written.split(b"HTTP/1.1")
        ]
        assert wire.closed is around.closed
        for each in asyncio.all_tasks() - {asyncio.current_task()}:
            each.cancel()

    run(ask())


def test_a_head_and_a_body_that_come_apart_are_one_request(house: House, run: "Run") -> None:
    data = request(USUAL)
    at = data.index(b"{")

    async def ask() -> None:
        connection, wire = house.connect()
        for _ in range(3):
            await given(connection, data[:at], data[at:])
        assert house.passed_on == 1
        await given(connection, data[:at], data[at : at + 9], data[at + 9 :])  # in three pieces it is the server's
        await given(connection, data[:9], data[9:])
        assert house.passed_on == 3
        await given(connection, data, data)
        assert wire.written.count(b" 200 OK") == 7
        assert house.passed_on == 4

    run(ask())


def test_the_body_of_a_request_that_was_refused_before_it_came_is_no_request(
    house: House, written: "Written", run: "Run"
) -> None:
    house.access.open = False
    house.keys = [ApiKey("k", "mine", sha256(b"secret").hexdigest(), ("predict",), house.answering.clock())]
    house.access.refresh()
    inner = request(USUAL)

    async def ask() -> None:
        connection, wire = await house.warm()
        house.keys = []
        house.access.refresh()
        head = request(inner).removesuffix(inner)
        await given(connection, head)
        assert wire.writes == []
        Sweep().look([connection], 0.0)  # the body does not come: the server hears of the head
        await settled()
        assert b" 401 " in wire.written
        house.access.open = True
        await given(connection, inner)  # the body, at last
        assert wire.written.count(b"HTTP/1.1 ") == 1
        await given(connection, request(USUAL))
        assert wire.written.count(b" 200 OK") == 1

    run(ask())
    assert len(written.records) == 2
