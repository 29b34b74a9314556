"""A connection that cannot be held by saying little: uvicorn's own waits for headers for ever, however many they are.

Two sides of one rule: what a connection sends before a request begins is bounded in bytes, here, as it arrives; and in
seconds, by `Sweep`, which looks at every connection once a second and so costs a request nothing.
"""

import asyncio
import secrets
import time
from collections.abc import Iterable
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from mainstay.serving import metrics
from mainstay.serving.heads import Head, head_of
from mainstay.serving.hot import Hot
from mainstay.serving.problems import KINDS, MEDIA_TYPE, Rejected, as_json, problem
from mainstay.serving.turn import Turn

HEAD_BYTES = 65_536
"""The most bytes of a request's first line and headers."""
UNREAD_BYTES = 64_000_000
"""The most bytes of a body that are swallowed after it was answered without being read."""
HEAD_SECONDS = 10.0
"""Seconds for a request's first line and headers to arrive, counted from the connection, or from the last answer."""

PHRASES = {400: b"Bad Request", 408: b"Request Timeout", 431: b"Request Header Fields Too Large"}


class Connection(HttpToolsProtocol):
    """One connection. What is not HTTP is answered with a problem document, like everything else."""

    unread = 0
    seen_after: Any = None
    seen_at: float | None = None
    """The request after which, and the time at which, `Sweep` first saw that this connection waits."""

    head: Head | None = None
    """That of the last request, where it was plain and came alone: the next like it is answered by `turn`."""
    between = True
    """Whether every request that was begun came to its end, and none is begun."""
    begun = b""
    """The head of the request that the server reads now, where it came alone and before its body."""
    held = b""
    """A head like the last one, whose body has still to come."""
    pending = False
    """Whether the turn has a request of this connection."""
    behind = b""
    """What came behind that request, while the turn waits for what it looks up."""
    leaves = False
    """Whether the connection is to end with the answer that it waits for."""
    rested = 0.0
    """When such a request last came, by `perf_counter`."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.turn: Turn | None = self.app.turn if isinstance(self.app, Hot) else None

    def data_received(self, data: bytes) -> None:
        turn = self.turn
        if turn is None:
            self.received(data)
            return
        if self.pending:
            turn.end()  # answers leave in the order in which they were asked for
            if self.pending:
                self.behind += data
                self.flow.pause_reading()
                return
        if self.held:
            data, self.held = self.held + data, b""
        head = self.head
        if head is not None and self.between and self.cycle.response_complete and not self.flow.write_paused:
            body = head.body(data)
            if body is not None:
                self.seen_at = None
                self.rested = time.perf_counter()
                if body:
                    self.pending = True
                    turn.take(self, data, body, head.key)
                else:
                    self.held = data
                return
        self._learn(data)

    def _learn(self, data: bytes) -> None:
        """Have the HTTP server read what came, and keep its head where that is plain."""
        alone, before, begun = self.between, self.cycle, self.begun
        self.head, self.begun = None, b""
        self.received(data)
        cycle = self.cycle
        begins = cycle is not None and cycle is not before
        if cycle is None or not cycle.keep_alive or alone is not begins:
            return  # it was no part of one request alone
        if not self.between:
            self.begun = data if begins and data.endswith(b"\r\n\r\n") else b""
        elif begins or begun:
            self.head = head_of(begun + data, self.headers)

    def release(self) -> None:
        """Have the HTTP server read a head whose body does not come, and answer what the turn still has."""
        if self.pending and self.turn is not None:
            self.turn.end()
        if self.held:
            data, self.held = self.held, b""
            self.passed_on(data)

    def answered(self, data: bytes) -> None:
        """Send an answer that the turn made."""
        self.pending = False
        self.server_state.total_requests += 1
        if not self.transport.is_closing():
            self.transport.write(data)
        if self.behind or self.leaves:
            self._go_on()

    def passed_on(self, data: bytes) -> None:
        """Have the HTTP server read what the turn does not answer."""
        self.pending = False
        if self.parser is not None:  # else the client has left meanwhile
            self.received(data)
        if self.behind or self.leaves:
            self._go_on()

    def _go_on(self) -> None:
        """Take what came behind a request that the turn has done with, and leave where that is to be."""
        data, self.behind = self.behind, b""
        if self.parser is None or self.transport.is_closing():
            return
        self.flow.resume_reading()
        if data:
            self.data_received(data)
        if self.leaves and not self.pending:
            self.leaves = False
            self.release()
            super().shutdown()

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        """The headers that every answer carries now."""
        return self.server_state.default_headers

    def on_message_begin(self) -> None:
        self.between = False
        super().on_message_begin()

    def on_message_complete(self) -> None:
        self.between = True
        super().on_message_complete()

    def eof_received(self) -> bool:  # type: ignore[override]  # true: it is not to be closed yet
        self.release()
        self.leaves = self.pending
        return self.pending and self.scheme == "http"  # who speaks TLS cannot leave by halves

    def shutdown(self) -> None:
        self.release()
        if self.pending:
            self.leaves = True
        else:
            super().shutdown()

    def timeout_keep_alive_handler(self) -> None:
        # The turn leaves the alarm alone, which costs more than its answers: it is set anew where it comes too soon.
        left = self.timeout_keep_alive - (time.perf_counter() - self.rested)
        if left > 0:
            self.timeout_keep_alive_task = self.loop.call_later(left, self.timeout_keep_alive_handler)
        else:
            super().timeout_keep_alive_handler()

    def received(self, data: bytes) -> None:
        """Have the HTTP server read what came."""
        if self.unread + len(data) > HEAD_BYTES and self._head_is_too_large(data):
            self._refuse_head()
            return
        super().data_received(data)
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            self.unread = 0
            return
        self.unread += len(data)
        if self.unread > (UNREAD_BYTES if cycle is not None and cycle.more_body else HEAD_BYTES):
            self._refuse_head()

    def _head_is_too_large(self, data: bytes) -> bool:
        """Whether the headers alone are, of what came in one piece with a body."""
        if not self.waits or (self.cycle is not None and self.cycle.more_body):
            return False
        end = data.find(b"\r\n\r\n")
        return self.unread + (len(data) if end < 0 else end) > HEAD_BYTES

    def _refuse_head(self) -> None:
        self.refuse(Rejected(431, f"the headers are larger than {HEAD_BYTES:,} bytes, the most that is read here"))

    @property
    def waits(self) -> bool:
        """Whether no request is being answered."""
        return self.cycle is None or self.cycle.response_complete

    def send_400_response(self, msg: str) -> None:
        self.refuse(Rejected(400, "this is not HTTP/1.1 as RFC 9112 has it"))

    def refuse(self, rejected: Rejected) -> None:
        """Say why, where no answer is half out, and close."""
        if self.transport.is_closing():
            return
        if self.waits:
            metrics.REQUESTS.labels(metrics.NONE, str(rejected.status), metrics.NONE).inc()
            metrics.ERRORS.labels(metrics.NONE, KINDS[rejected.status][0], metrics.NONE).inc()
            body = as_json(problem(rejected, secrets.token_hex(16)))
            head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d\r\nconnection: close\r\n\r\n"
            self.transport.write(
                head % (rejected.status, PHRASES[rejected.status], MEDIA_TYPE.encode(), len(body)) + body
            )
        self.transport.close()


class Sweep:
    """Closes the connections that waited longer than `seconds` for the headers of a request to be whole."""

    def __init__(self, seconds: float = HEAD_SECONDS) -> None:
        self._seconds = seconds

    def look(self, connections: Iterable[Any], now: float) -> None:
        """Look at every connection once; `now` is monotonic. Each is given up to one look more than its time."""
        for each in list(connections):
            if not isinstance(each, Connection) or not each.waits:
                continue
            each.release()
            if each.seen_after is not each.cycle or each.seen_at is None:
                each.seen_after, each.seen_at = each.cycle, now
            elif now - each.seen_at > self._seconds:
                each.refuse(Rejected(408, f"no whole request came within {self._seconds:g} seconds"))

    async def follow(self, connections: Iterable[Any], every: float = 1.0) -> None:
        """Look again and again, until cancelled."""
        clock = asyncio.get_running_loop().time
        while True:
            self.look(connections, clock())
            await asyncio.sleep(every)
