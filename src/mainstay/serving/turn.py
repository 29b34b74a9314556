"""What arrives in one turn of the event loop, answered together, and before the HTTP server hears of it.

A connection hands over a whole `POST /predict` that looks like its last one (`heads.py`). At the end of the turn all of
them are read, then scored, then written to the log in one write, then answered: each step finds the processor's caches
as the same step has left them, and the disk is asked once. What is not usual in every way goes to the HTTP server as it
came, and so to the hot route and the application, with nothing done for it here. All answer, and write, the same bytes.
"""

import asyncio
import logging
import time
from datetime import datetime
from typing import NamedTuple, Protocol

from mainstay.errors import Unavailable
from mainstay.logged import micros
from mainstay.observed import Ending, Role
from mainstay.rollout.assign import Assignment
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering
from mainstay.serving.arms import Arms, Live
from mainstay.serving.recording import SAMPLED, prediction_record
from mainstay.serving.rows import ArmRows
from mainstay.serving.shape import Shaped
from mainstay.serving.tally import Tally

ANSWERED, OK = Role.ANSWERED.value, Ending.OK.value
Headers = list[tuple[bytes, bytes]]

log = logging.getLogger(__name__)


TOGETHER = 32
"""Requests that are answered together at most: those behind them wait, but so few that nobody notices."""

AGAIN = 10.0
"""Seconds before the log is told of a defect again."""


class Asks(Protocol):
    """A connection that waits for an answer."""

    def answered(self, data: bytes) -> None:
        """Send these bytes: an answer, with its head."""

    def passed_on(self, data: bytes) -> None:
        """Have the HTTP server read these bytes: a request, as it came."""

    @property
    def default_headers(self) -> Headers:
        """The headers that every answer carries now."""


class Waiting(NamedTuple):
    """A request: its bytes, those of its body, the digest of its key, and when it came."""

    asks: Asks
    data: bytes
    body: bytes
    key: bytes | None
    started: float


class Row(NamedTuple):
    """A request that was read: `stored` is its entity as it is logged."""

    waiting: Waiting
    prediction_id: str
    shaped: Shaped
    stored: str | None
    assignment: Assignment


class Answered(NamedTuple):
    """A request and its answer, written down."""

    waiting: Waiting
    data: bytes
    decision: str
    probability: float


class Turn:
    """For one event loop."""

    def __init__(self, arms: Arms, answering: Answering, access: Access, tally: Tally) -> None:
        self._arms = arms
        self._answering = answering
        self._access = access
        self._tally = tally
        self._waiting: list[Waiting] = []
        self._headers: Headers | None = None
        self._count = 0
        self._head: bytes | None = None
        self._said = -AGAIN

    def take(self, asks: Asks, data: bytes, body: bytes, key: bytes | None) -> None:
        """Have a request answered at the end of this turn."""
        waiting = self._waiting
        waiting.append(Waiting(asks, data, body, key, time.perf_counter()))
        if len(waiting) == 1:
            asyncio.get_running_loop().call_soon(self.end)

    def end(self) -> None:
        """Answer what was taken."""
        taken, self._waiting = self._waiting, []
        for start in range(0, len(taken), TOGETHER):
            self._answer(taken[start : start + TOGETHER])

    def _answer(self, taken: list[Waiting]) -> None:
        live = self._arms.live
        head = self._told(taken[0].asks.default_headers)
        answered: list[Answered] = []
        if live is not None and head is not None and not live.listens and self._answering.log.at_once:
            try:
                answered = self._written(live, head, taken)
            except Unavailable:
                pass  # nothing was written; the application tries once more, and says so
            except Exception:  # noqa: BLE001  (it is told of)
                # Nor was it here; the application may fare better, and has words for what it cannot do.
                self._say(time.monotonic())
        if answered:
            tally, version = self._tally.answered, live.incumbent  # type: ignore[union-attr]  # it answered
            now = time.perf_counter()
            for waiting, data, decision, probability in answered:
                waiting.asks.answered(data)
                tally(version, decision, probability, now - waiting.started)
            if len(answered) == len(taken):
                return
        done = {id(each.waiting) for each in answered}
        for each in taken:
            if id(each) not in done:
                each.asks.passed_on(each.data)

    def _written(self, live: Live, head: bytes, taken: list[Waiting]) -> list[Answered]:
        """The answers to what is usual, once they are in the log. Whatever is raised, nothing was written."""
        arm, answering = live.rows[live.incumbent], self._answering
        now = answering.clock()
        rows = self._read(live, arm, taken, now)
        scored, before = [], time.perf_counter()
        for made in arm.score_each([row.shaped.values for row in rows]):
            after = time.perf_counter()
            scored.append((made, before, after))
            before = after
        at, number, threshold, trace = micros(now), live.split.number, arm.threshold, answering.ids.trace
        answered, records = [], []
        for (waiting, prediction_id, shaped, stored, assignment), (made, before, after) in zip(
            rows, scored, strict=True
        ):
            if made is None or made.decision is None:
                continue
            trace_id = trace()
            tensor = arm.tensor(shaped.values) if prediction_id.endswith(SAMPLED) else None
            records.append(
                prediction_record(
                    prediction_id, shaped.request_id, trace_id, at, stored, ANSWERED, arm.version, assignment, number,
                    OK, shaped.values, made, threshold, (), (after - before) * 1e6, (after - waiting.started) * 1e6,
                    shaped.origins, None, tensor,
                )
            )  # fmt: skip
            said = arm.said(prediction_id, shaped.entity, made, (), trace_id)
            answered.append(Answered(waiting, head % len(said) + said, made.decision, made.probability))
        if records:
            answering.log.append_all("prediction", arm.features, arm.contract, records)
        return answered

    def _read(self, live: Live, arm: ArmRows, taken: list[Waiting], now: datetime) -> list[Row]:
        """The requests that are usual, and that the arm answers."""
        shape, stored, knows, ids = arm.shape, live.stored, self._access.knows, self._answering.ids
        alone, version = live.assigner.alone, arm.version
        rows: list[Row] = []
        looks_up = live.lookup is not None  # then what an entity's request leaves out is not missing
        if shape is None or live.assigner.by_features:
            return rows
        for each in taken:
            shaped = shape.read(each.body) if knows(each.key, "predict") else None
            if shaped is None or (looks_up and shaped.entity is not None and shaped.origins is not None):
                continue
            prediction_id = ids.prediction(now)
            entity = shaped.entity
            kept = None if entity is None else stored(entity)
            assignment = alone or live.assign(kept or shaped.request_id or prediction_id, now=now, entity=kept)
            if assignment.version == version:
                rows.append(Row(each, prediction_id, shaped, kept, assignment))
        return rows

    def _say(self, now: float) -> None:
        """Tell the log of a defect, now and then: one that every turn meets must not fill a disk."""
        if now - self._said >= AGAIN:
            self._said = now
            words = "a defect while requests were answered together; each is answered alone, and none told of for %g s"
            log.exception(words, AGAIN)

    def _told(self, headers: Headers) -> bytes | None:
        """The head of an answer but for its length; None where its connection is to end with it."""
        if headers is not self._headers or len(headers) != self._count:
            self._headers, self._count = headers, len(headers)
            ends = any(name.lower() == b"connection" for name, _ in headers)
            told = b"".join(b"%b: %b\r\n" % (name.lower(), value) for name, value in headers).replace(b"%", b"%%")
            last = b"content-length: %d\r\ncontent-type: application/json\r\n\r\n"
            self._head = None if ends else b"HTTP/1.1 200 OK\r\n" + told + last
        return self._head
