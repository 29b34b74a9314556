"""The turn and the application behind it, asked over the real protocol and a transport in memory."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from mainstay.nouns import ApiKey
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering
from mainstay.serving.app import create_app
from mainstay.serving.arms import Arms
from mainstay.serving.connection import Connection
from mainstay.serving.hot import ROUTE, Hot
from mainstay.serving.tally import Tally

ROW = {"age": 40, "spent": 120.5, "plan": "basic"}
USUAL = json.dumps({"entity": "a", "features": ROW}).encode()
HEADERS = b"Host: here\r\nContent-Type: application/json\r\nAuthorization: Bearer secret\r\n"


def request(body: bytes, headers: bytes = HEADERS, first: bytes = b"POST /predict HTTP/1.1") -> bytes:
    return b"%b\r\n%bContent-Length: %d\r\n\r\n%b" % (first, headers, len(body), body)


class Wire(asyncio.Transport):
    """What was written to a client, each write by itself, and whether the connection is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.closed = False

    @property
    def written(self) -> bytes:
        return b"".join(self.writes)

    def write(self, data: Any) -> None:
        assert not self.closed
        self.writes.append(bytes(data))

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


@dataclass
class House:
    """A server with the turn in front (`hot`), and the same application without it (`app`)."""

    arms: Arms
    answering: Answering
    passed_on: int = 0
    keys: list[ApiKey] = field(default_factory=list)
    state: ServerState = field(default_factory=ServerState)
    keep_alive: Any = 5

    def __post_init__(self) -> None:
        self.access = Access(lambda: self.keys, None, self.answering.clock, open_=True)
        self.tally = Tally(ROUTE)
        self.app = create_app(self.arms, "tiny", self.answering, self.access, tally=self.tally)
        self.hot = Hot(self.app, self.arms, self.answering, self.access, self.tally)
        self.state.default_headers = [(b"date", b"Thu, 01 Jan 2026 00:00:00 GMT 100%")]

    def connect(self, turn: bool = True, wire: Wire | None = None) -> tuple[Connection, Wire]:
        """A fresh connection, through the turn or around it. To be called in a loop."""

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            self.passed_on += 1
            await (self.hot if turn else self.app)(scope, receive, send)

        config = uvicorn.Config(app, log_config=None, lifespan="off", ws="none", timeout_keep_alive=self.keep_alive)
        config.load()
        connection, wire = Connection(config, self.state, {}), wire or Wire()
        connection.turn = self.hot.turn if turn else None
        connection.connection_made(wire)
        return connection, wire

    async def warm(self) -> tuple[Connection, Wire]:
        """A connection whose next request like the usual one is the turn's."""
        connection, wire = self.connect()
        await given(connection, request(USUAL))
        assert b" 200 OK" in wire.written
        wire.writes.clear()
        self.passed_on = 0
        return connection, wire


async def given(connection: Connection, *data: bytes) -> None:
    for each in data:
        connection.data_received(each)
        await settled()


async def settled() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


def alike(found: bytes) -> tuple[list[bytes], Any]:
    """An answer but for what no two answers share: the ids."""
    head, _, body = found.partition(b"\r\n\r\n")
    made = json.loads(body)
    for name in ("prediction_id", "trace_id"):
        if name in made:
            assert len(made.pop(name)) == 32
    return head.split(b"\r\n"), list(made.items())
