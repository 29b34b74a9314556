"""What arrives in one turn of the event loop, answered together, and before the HTTP server hears of it.

A connection hands over a whole `POST /predict` that looks like its last one (`heads.py`). At the end of the turn all of
them are read, then scored, then written to the log in one write, then answered: each step finds the processor's caches
as the same step has left them, and the disk is asked once. What is not usual in every way goes to the HTTP server as it
came, and so to the hot route and the application, with nothing done for it here. All answer, and write, the same bytes.
"""

import asyncio
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import NamedTuple, Protocol

from mainstay.errors import Unavailable
from mainstay.logged import instant, micros
from mainstay.nouns import Value
from mainstay.observed import Ending, Role
from mainstay.rollout.assign import Assignment
from mainstay.serving.access import Access
from mainstay.serving.answering import Answering
from mainstay.serving.arms import Arms, Live
from mainstay.serving.lookup import Found, Lookup
from mainstay.serving.predict import Asked, Question
from mainstay.serving.problems import Rejected
from mainstay.serving.recording import SAMPLED, Asking, origins, prediction_record
from mainstay.serving.tally import Tally
from mainstay.serving.usual import asked_of, parsed

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
    """A request that was read, as the incumbent reads it: `stored` is its entity as it is logged.

    `question` is that of a request which something was looked up for.
    """

    waiting: Waiting
    prediction_id: str
    entity: str | int | None
    request_id: str | None
    stored: str | None
    assignment: Assignment
    values: list[Value]
    flags: tuple[str, ...]
    origins: Mapping[str, str] | None
    features_at: Mapping[str, tuple[int | None, int | None]] | None
    question: Question | None


class Lacking(NamedTuple):
    """A request that something is to be looked up for, by the entity `stored`; it was read when `live` was live."""

    waiting: Waiting
    asked: Asked
    stored: str
    live: Live


class Answered(NamedTuple):
    """A request and its answer, written down."""

    row: Row
    data: bytes
    decision: str
    probability: float
    asking: Asking


class Turn:
    """For one event loop."""

    def __init__(self, arms: Arms, answering: Answering, access: Access, tally: Tally) -> None:
        self._arms = arms
        self._answering = answering
        self._access = access
        self._tally = tally
        self._waiting: list[Waiting] = []
        self._lacking: list[Lacking] = []
        self._looking: asyncio.Task[None] | None = None
        self._said = -AGAIN
        self._headers: Headers | None = None
        self._count = 0
        self._head: bytes | None = None

    def take(self, asks: Asks, data: bytes, body: bytes, key: bytes | None) -> None:
        """Have a request answered at the end of this turn."""
        waiting = self._waiting
        waiting.append(Waiting(asks, data, body, key, time.perf_counter()))
        if len(waiting) == 1:
            asyncio.get_running_loop().call_soon(self.end)

    def end(self) -> None:
        """Answer what was taken, but for what has to be awaited."""
        taken, self._waiting = self._waiting, []
        for start in range(0, len(taken), TOGETHER):
            self._answer(taken[start : start + TOGETHER])

    def _answer(self, taken: list[Waiting]) -> None:
        live = self._arms.live
        answered: list[Answered] = []
        lacking: list[Lacking] = []
        if live is not None and self._head_of(taken[0]) is not None and self._answering.log.at_once:
            with self._alone():
                now = self._answering.clock()
                rows, lacking = self._read(live, taken, now)
                if lacking and live.lookup is not None and live.lookup.quick:
                    started, several, lacking = time.perf_counter(), lacking, []
                    found = live.lookup.tried(_entities(several), now)
                    rows += self._looked_up(live, live.lookup, several, found, now, time.perf_counter() - started)
                answered = self._written(live, rows, now)
        later = {id(each.waiting) for each in lacking}
        self._settle(live, [each for each in taken if id(each) not in later] if later else taken, answered)
        self._lacking += lacking
        if self._lacking and self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look_up())

    async def _look_up(self) -> None:
        """Answer what has to be awaited, all that has come meanwhile in one round trip."""
        while self._lacking:
            several, self._lacking = self._lacking[:TOGETHER], self._lacking[TOGETHER:]
            live = self._arms.live
            answered: list[Answered] = []
            if live is not None and live.lookup is not None and not live.lookup.troubled:
                same = [each for each in several if each.live is live]
                with self._alone():
                    started, now = time.perf_counter(), self._answering.clock()
                    found = await live.lookup.tried_soon(_entities(same), now) if same else []
                    rows = self._looked_up(live, live.lookup, same, found, now, time.perf_counter() - started)
                    answered = self._written(live, rows, now)
            self._settle(live, [each.waiting for each in several], answered)
        self._looking = None

    def _settle(self, live: Live | None, taken: Sequence[Waiting], answered: Sequence[Answered]) -> None:
        """Answer what was written down, and pass on what else was taken."""
        if live is not None and answered:
            tally, version = self._tally.answered, live.incumbent
            now = time.perf_counter()
            for row, data, decision, probability, _ in answered:
                row.waiting.asks.answered(data)
                tally(version, decision, probability, now - row.waiting.started)
        if len(answered) < len(taken):
            done = {id(each.row.waiting) for each in answered}
            for each in taken:
                if id(each) not in done:
                    each.asks.passed_on(each.data)
        if live is not None and live.listens and answered:
            with self._alone():
                for made in answered:
                    self._heard(live, made)

    def _heard(self, live: Live, made: Answered) -> None:
        row, answering = made.row, self._answering
        question = row.question
        if question is None:  # an arm that listens may read the row otherwise than the one that answered
            asked = asked_of(parsed(row.waiting.body), row.prediction_id, live)
            question = Question(live, asked, instant(made.asking.at))
        answering.heard(live, question, made.asking, live.incumbent)

    def _written(self, live: Live, rows: Sequence[Row], now: datetime) -> list[Answered]:
        """The answers to what is usual, once they are in the log. Whatever is raised, nothing was written."""
        arm, answering = live.rows[live.incumbent], self._answering
        head = self._head_of(rows[0].waiting) if rows else None
        if head is None:
            return []
        scored, before = [], time.perf_counter()
        for made in arm.score_each([row.values for row in rows]):
            after = time.perf_counter()
            scored.append((made, before, after))
            before = after
        at, number, threshold, trace = micros(now), live.split.number, arm.threshold, answering.ids.trace
        answered, records = [], []
        for row, (made, before, after) in zip(rows, scored, strict=True):
            if made is None or made.decision is None:
                continue
            waiting, prediction_id, entity, request_id, stored, assignment, values, flags, came, features_at, _ = row
            trace_id = trace()
            tensor = arm.tensor(values) if prediction_id.endswith(SAMPLED) else None
            records.append(
                prediction_record(
                    prediction_id, request_id, trace_id, at, stored, ANSWERED, arm.version, assignment, number,
                    OK, values, made, threshold, flags, (after - before) * 1e6, (after - waiting.started) * 1e6,
                    came, features_at, tensor,
                )
            )  # fmt: skip
            said = arm.said(prediction_id, entity, made, flags, trace_id)
            asking = Asking(at, waiting.started, trace_id, number)
            answered.append(Answered(row, head % len(said) + said, made.decision, made.probability, asking))
        if records:
            answering.log.append_all("prediction", arm.features, arm.contract, records)
        return answered

    def _read(self, live: Live, taken: Sequence[Waiting], now: datetime) -> tuple[list[Row], list[Lacking]]:
        """The requests that are usual, and that the incumbent answers; and those that lack something."""
        arm = live.rows[live.incumbent]
        shape, stored, knows, ids = arm.shape, live.stored, self._access.knows, self._answering.ids
        alone, version = live.assigner.alone, arm.version
        rows: list[Row] = []
        lacking: list[Lacking] = []
        if shape is None or live.assigner.by_features:
            return rows, lacking
        looks_up = live.lookup is not None  # then what an entity's request leaves out is not missing
        for each in taken:
            if not knows(each.key, "predict"):
                continue
            alone_named = looks_up and b'"features"' not in each.body
            shaped = None if alone_named else shape.read(each.body)
            if shaped is None or (looks_up and shaped.entity is not None and shaped.origins is not None):
                if looks_up and (lacks := self._lacks(live, each, now)) is not None:
                    lacking.append(lacks)
                continue
            prediction_id = ids.prediction(now)
            entity, request_id, values, origins = shaped
            kept = None if entity is None else stored(entity)
            assignment = alone or live.assign(kept or request_id or prediction_id, now=now, entity=kept)
            if assignment.version == version:
                rows.append(
                    Row(each, prediction_id, entity, request_id, kept, assignment, values, (), origins, None, None)
                )
        return rows, lacking

    def _lacks(self, live: Live, waiting: Waiting, now: datetime) -> Lacking | None:
        """A request that something is to be looked up for; None for any other, and while that cannot be."""
        lookup = live.lookup
        if lookup is None or lookup.troubled:
            return None
        try:
            asked = asked_of(parsed(waiting.body), self._answering.ids.prediction(now), live)
        except Rejected:
            return None
        if asked.stored is None or not lookup.lacks(asked.stored, asked.features):
            return None
        return Lacking(waiting, asked, asked.stored, live)

    @staticmethod
    def _looked_up(
        live: Live, lookup: Lookup, lacking: Sequence[Lacking], found: Sequence[Found], now: datetime, seconds: float
    ) -> list[Row]:
        """Those of the requests that the incumbent answers with what was found; what others find is theirs to count."""
        arm = live.rows[live.incumbent]
        of = dict(zip(_entities(lacking), found, strict=True))
        rows, used = [], []
        for waiting, asked, stored, _ in lacking:
            try:
                question = Question(live, asked, now, of[stored])
            except Rejected:
                continue
            if question.assignment.version != arm.version:
                continue
            row = question.row(arm.version)
            rows.append(
                Row(
                    waiting, asked.prediction_id, asked.entity, asked.request_id, stored, question.assignment,
                    row.values, row.flags, origins(question, arm), question.merged(arm.version).at, question,
                )
            )  # fmt: skip
            used.append(of[stored])
        if used:
            lookup.count(used, seconds)
        return rows

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Whatever is raised here, of requests that are answered together: each is answered alone."""
        try:
            yield
        except Unavailable:
            pass  # nothing was written; the application tries once more, and says so
        except Exception:  # noqa: BLE001  (it is told of)
            # Nor was it here; the application may fare better, and has words for what it cannot do.
            self._say(time.monotonic())

    def _say(self, now: float) -> None:
        """Tell the log of a defect, now and then: one that every turn meets must not fill a disk."""
        if now - self._said >= AGAIN:
            self._said = now
            words = "a defect while requests were answered together; each is answered alone, and none told of for %g s"
            log.exception(words, AGAIN)

    def _head_of(self, waiting: Waiting) -> bytes | None:
        """The head of the answer to a request but for its length; None where its connection is to end with it."""
        headers = waiting.asks.default_headers
        if headers is not self._headers or len(headers) != self._count:
            self._headers, self._count = headers, len(headers)
            ends = any(name.lower() == b"connection" for name, _ in headers)
            told = b"".join(b"%b: %b\r\n" % (name.lower(), value) for name, value in headers).replace(b"%", b"%%")
            last = b"content-length: %d\r\ncontent-type: application/json\r\n\r\n"
            self._head = None if ends else b"HTTP/1.1 200 OK\r\n" + told + last
        return self._head


def _entities(lacking: Sequence[Lacking]) -> list[str]:
    """The entities that are to be looked up, each once."""
    return list(dict.fromkeys(each.stored for each in lacking))
