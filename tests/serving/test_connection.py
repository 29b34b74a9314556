"""Connections that say little, too much or nonsense, each over the real protocol and a transport in memory."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from mainstay.serving.connection import HEAD_BYTES, Connection, Sweep

HEAD = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n"


class Wire(asyncio.Transport):
    """What was written to a client, and whether the connection is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...

    def problem(self) -> dict[str, Any]:
        head, _, body = self.written.rpartition(b"\r\n\r\n")
        assert b"content-type: application/problem+json\r\n" in head
        assert b"connection: close" in head
        made: dict[str, Any] = json.loads(body)
        return made


async def answers(scope: Any, receive: Any, send: Any) -> None:
    """Answers at once, whatever is still to be read."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b""})


async def half(scope: Any, receive: Any, send: Any) -> None:
    """Begins an answer and never ends it."""
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"a", "more_body": True})
    await asyncio.sleep(60)


@pytest.fixture
def runner() -> Iterator[asyncio.Runner]:
    with asyncio.Runner() as made:
        yield made


def connected(app: Any = answers) -> tuple[Connection, Wire]:
    """A fresh connection. To be called in a loop."""
    config = uvicorn.Config(app, log_config=None, lifespan="off")
    config.load()
    connection, wire = Connection(config, ServerState(), {}), Wire()
    connection.connection_made(wire)
    return connection, wire


async def given(connection: Connection, *data: bytes) -> None:
    for each in data:
        connection.data_received(each)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def test_what_is_not_http_is_told_so_and_cut_off(runner: asyncio.Runner) -> None:
    async def run() -> Wire:
        connection, wire = connected()
        await given(connection, b"\x16\x03\x01\x02\x00")
        return wire

    wire = runner.run(run())
    assert wire.written.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert wire.problem()["type"] == "urn:mainstay:problem:unreadable-body"
    assert wire.closed


def test_headers_without_end_are_bounded_over_all_that_arrives(runner: asyncio.Runner) -> None:
    async def run() -> tuple[int, Wire]:
        connection, wire = connected()
        await given(connection, b"GET / HTTP/1.1\r\n")
        sent = 0
        while not wire.closed and sent < 10 * HEAD_BYTES:
            await given(connection, b"X: %s\r\n" % (b"y" * 1000))
            sent += 1006
        return sent, wire

    sent, wire = runner.run(run())
    assert sent <= HEAD_BYTES + 1006
    assert wire.problem()["status"] == 431


def test_headers_that_come_in_one_piece_are_bounded_too_and_a_body_beside_them_is_not(runner: asyncio.Runner) -> None:
    async def run(length: int, body: bytes) -> Wire:
        connection, wire = connected()
        head = HEAD % len(body)
        await given(connection, head[:-2] + b"X: %s\r\n\r\n" % (b"y" * length) + body)
        return wire

    assert runner.run(run(HEAD_BYTES, b"")).problem()["status"] == 431
    assert runner.run(run(10, b"z" * 2 * HEAD_BYTES)).written.startswith(b"HTTP/1.1 204")


def test_each_request_of_a_connection_has_the_room_of_its_own(runner: asyncio.Runner) -> None:
    async def run() -> Wire:
        connection, wire = connected()
        large = b"X: %s\r\n" % (b"y" * (HEAD_BYTES - 1000))
        for _ in range(5):
            await given(connection, b"GET / HTTP/1.1\r\nHost: here\r\n" + large + b"\r\n")
        return wire

    wire = runner.run(run())
    assert wire.written.count(b"HTTP/1.1 204") == 5
    assert not wire.closed


def test_the_rest_of_a_body_that_was_answered_unread_is_swallowed(runner: asyncio.Runner) -> None:
    async def run() -> Wire:
        connection, wire = connected()
        await given(connection, HEAD % 1_000_000, *[b"x" * 100_000] * 10, HEAD % 0)
        return wire

    wire = runner.run(run())
    assert wire.written.count(b"HTTP/1.1 204") == 2
    assert not wire.closed


def test_a_connection_is_given_its_time_and_then_told(runner: asyncio.Runner) -> None:
    async def run() -> tuple[Connection, Wire]:
        connection, wire = connected()
        await given(connection, b"GET / HT")
        sweep = Sweep(10.0)
        for now in (100.0, 109.0, 110.0):
            sweep.look([connection, object()], now)
            assert not wire.closed
        sweep.look([connection], 110.1)
        sweep.look([connection], 121.0)  # it is told once
        return connection, wire

    _, wire = runner.run(run())
    assert wire.written.count(b"HTTP/1.1 ") == 1
    assert wire.problem()["status"] == 408


def test_an_answer_starts_the_time_anew_and_nobody_is_cut_off_while_one_is_made(runner: asyncio.Runner) -> None:
    async def run() -> tuple[Wire, Wire]:
        sweep = Sweep(10.0)
        idle, wire = connected()
        sweep.look([idle], 0.0)
        await given(idle, HEAD % 0)
        sweep.look([idle], 11.0)
        assert not wire.closed
        sweep.look([idle], 20.0)
        assert not wire.closed
        busy, other = connected(half)
        await given(busy, HEAD % 0)
        for now in (0.0, 20.0, 40.0):
            sweep.look([busy], now)
        assert not busy.waits
        assert not other.closed
        # Nothing but the end can be said where half an answer is out.
        before = other.written
        busy.send_400_response("")
        assert (other.written, other.closed) == (before, True)
        busy.cycle.disconnected = True
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        return wire, other

    runner.run(run())


def test_connections_are_looked_at_again_and_again(runner: asyncio.Runner) -> None:
    async def run() -> Wire:
        connection, wire = connected()
        following = asyncio.ensure_future(Sweep(0.02).follow([connection], 0.01))
        for _ in range(200):
            await asyncio.sleep(0.01)
            if wire.closed:
                break
        following.cancel()
        return wire

    assert runner.run(run()).problem()["status"] == 408
