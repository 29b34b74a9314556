"""Requests answered in full: assigned, scored under a challenger's budget, written down, and heard by who listens."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.errors import Unavailable
from mainstay.logged import micros
from mainstay.observed import Ending, Role
from mainstay.scoring.reading import columns_of
from mainstay.scoring.rowwise import ScoredRow
from mainstay.scoring.scorer import Scored
from mainstay.serving import challenge
from mainstay.serving.arms import Arms, Live
from mainstay.serving.challenge import Attempt, Lanes
from mainstay.serving.ids import Ids
from mainstay.serving.listening import Listeners
from mainstay.serving.logs import about
from mainstay.serving.lookup import Found
from mainstay.serving.predict import NOT_FINITE, Answer, Asked, Question, read_request
from mainstay.serving.problems import Rejected
from mainstay.serving.recording import Appends, Asking, alike, batch_record, single_record
from mainstay.serving.rows import ArmRows
from mainstay.serving.tracing import Timeline

CHUNK = 32
"""Rows of a batch that a challenger has its budget for."""
Row = tuple[int, Question]
"""A row of a batch: its position, and what it asks."""
FULL = "predictions cannot be written down now, and none is answered that is not"


@dataclass(slots=True)
class Answering:
    """Answers what was asked of what is live. `clock` tells the time of the request."""

    log: Appends
    clock: Callable[[], datetime]
    ids: Ids = field(default_factory=Ids)
    lanes: Lanes = field(default_factory=Lanes)
    listeners: Listeners = field(default_factory=Listeners)

    async def one(
        self,
        live: Live,
        given: Any,
        trace_id: str,
        started: float,
        timeline: Timeline | None = None,
        beside: Callable[[Question, Answer], None] | None = None,
    ) -> Answer:
        """The answer to one request, once it is written down; `beside` may add to it then.

        Rejected with 422 where it cannot be read, with 500 where the model made nothing of it (the record of the
        attempt says what happened), with 503 where the log cannot take it.
        """
        now = self.clock()
        asking = Asking(micros(now), started, trace_id, live.split.number, timeline)
        asked = read_request(given, self.ids.prediction(now), live.stored, live.lookup is not None)
        about(trace_id, asked.prediction_id)
        if timeline is not None:
            timeline.prediction_id = asked.prediction_id
        asking.step("validate")
        question = await looked_up(live, asked, now)
        asking.step("features")
        attempts = await challenge.answer(
            self.lanes,
            live,
            question.assignment,
            lambda version: live.rows[version].score(question.values(version)),
            finite,
        )
        asking.step("score")
        last = attempts[-1]
        try:
            for attempt in attempts:
                answered = attempt is last and attempt.ending is Ending.OK
                self._write(asking, question, Role.ANSWERED if answered else Role.ATTEMPTED, attempt)
        except Unavailable as error:
            raise unwritten() from error
        await self.committed()
        asking.step("log")
        if last.ending is not Ending.OK or last.made is None:
            raise defect(last)
        self.heard(live, question, asking, last.version)
        answer = question.answer(last.version, last.made, trace_id)
        if beside is not None:
            beside(question, answer)
        return answer

    async def committed(self) -> None:
        """Wait until what was written is as durable as the settings promise. Rejected with 503 where it may not be."""
        try:
            await self.log.committed()
        except Unavailable as error:
            raise unwritten() from error

    def heard(self, live: Live, question: Question, asking: Asking, answered: str) -> None:
        """Have those who listen score what was answered, later."""
        for version in live.listening(answered):
            self.listeners.offer(
                version,
                _score_one(live.rows[version], question),
                finite,
                lambda attempt: self._write(asking, question, Role.LISTENED, attempt),
            )

    def batch(
        self, live: Live, given: Sequence[Any], trace_id: str, started: float, timeline: Timeline | None = None
    ) -> list[Answer | Rejected]:
        """The answer to each request of a batch, or why it gets none, in order; for a thread that may wait.

        Rows that one arm answers are scored together. Rejected with 503, as a whole, where the log cannot take it.
        """
        now = self.clock()
        batch_id = self.ids.prediction(now)
        asking = Asking(micros(now), started, trace_id, live.split.number, timeline)
        about(trace_id, batch_id)
        if timeline is not None:
            timeline.prediction_id = batch_id
        made: dict[int, Answer | Rejected] = {}
        groups: dict[tuple[str, str], list[tuple[int, Question]]] = {}
        rows: dict[int, Asked] = {}
        for place, each in enumerate(given):
            try:
                rows[place] = read_request(each, f"{batch_id}.{place}", live.stored, live.lookup is not None)
            except Rejected as rejected:
                made[place] = rejected
        found = _found(live, rows, now)
        for place, asked in rows.items():
            try:
                question = Question(live, asked, now, found.get(place))
                groups.setdefault(alike(question.assignment), []).append((place, question))
            except Rejected as rejected:
                made[place] = rejected
        asking.step("features")  # whether a row is valid is known once it is read
        for (version, _), group in groups.items():
            try:
                made |= self._group(live, asking, batch_id, version, group)
            except Unavailable as error:
                raise unwritten() from error
        return [made[place] for place in range(len(given))]

    def _group(
        self, live: Live, asking: Asking, batch_id: str, version: str, rows: Sequence[Row]
    ) -> dict[int, Answer | Rejected]:
        """The answers to rows that one arm was given; the incumbent answers what a challenger makes nothing of."""
        made: dict[int, Answer | Rejected] = {}
        left = list(rows)
        if version != live.incumbent:
            budget = live.policies.challenger_budget.total_seconds() * math.ceil(len(rows) / CHUNK)
            scores = _score_many(live.rows[version], left)
            attempt = self.lanes.attempt_here(version, scores, all_finite, budget)
            asking.step("score")
            left = self._settle(live, asking, batch_id, left, attempt, made)
            asking.step("log")
        if left:
            incumbent = live.rows[live.incumbent]
            attempt = challenge.scored(incumbent.version, _score_many(incumbent, left), all_finite)
            asking.step("score")
            left = self._settle(live, asking, batch_id, left, attempt, made)
            asking.step("log")
            made |= {place: defect(attempt) for place, _ in left}
        return made

    def _settle(
        self,
        live: Live,
        asking: Asking,
        batch_id: str,
        rows: Sequence[Row],
        attempt: Attempt[Scored],
        made: dict[int, Answer | Rejected],
    ) -> list[Row]:
        """Write down how each row ended, add the answers to `made`, and offer those to who listens; the other rows."""
        fine, bad = _parted(rows, attempt)
        if bad is not None:
            self._write_rows(live, asking, batch_id, Role.ATTEMPTED, *bad)
        if fine is not None:
            answered, scored = fine
            self._write_rows(live, asking, batch_id, Role.ANSWERED, answered, scored)
            self._heard_rows(live, asking, batch_id, attempt.version, answered)
            if scored.made is not None:
                single = live.rows[attempt.version].rows_of(scored.made)
                for (place, question), each in zip(answered, single, strict=True):
                    made[place] = question.answer(attempt.version, each, asking.trace_id)
        return [] if bad is None else list(bad[0])

    def _heard_rows(self, live: Live, asking: Asking, batch_id: str, answered: str, rows: Sequence[Row]) -> None:
        def write(attempt: Attempt[Scored]) -> None:
            for part in _parted(rows, attempt):
                if part is not None:
                    self._write_rows(live, asking, batch_id, Role.LISTENED, *part)

        for version in live.listening(answered):
            scores = _score_many(live.rows[version], rows)
            self.listeners.offer(version, scores, all_finite, write, len(rows))

    def _write_rows(
        self, live: Live, asking: Asking, batch_id: str, role: Role, rows: Sequence[Row], attempt: Attempt[Scored]
    ) -> None:
        arm = live.rows[attempt.version]
        elapsed = (time.perf_counter() - asking.started) * 1e6
        places, questions = [place for place, _ in rows], [question for _, question in rows]
        record = batch_record(asking, batch_id, places, questions, role, attempt, elapsed)
        self.log.append("batch", arm.features, arm.contract, record)

    def _write(self, asking: Asking, question: Question, role: Role, attempt: Attempt[ScoredRow]) -> None:
        arm = question.live.rows[attempt.version]
        elapsed = (time.perf_counter() - asking.started) * 1e6
        self.log.append(
            "prediction", arm.features, arm.contract, single_record(asking, question, role, attempt, elapsed)
        )


def live_of(arms: Arms) -> Live:
    """What is live. Rejected with 503 where nothing is."""
    if arms.live is None:
        reason = arms.health().reason
        raise Rejected(503, f"no version is ready to answer: {reason}", headers={"retry-after": "1"})
    return arms.live


async def looked_up(live: Live, asked: Asked, now: datetime) -> Question:
    """A request with what it leaves out looked up, if it may be. Rejected as `Question`."""
    lookup = live.lookup
    if lookup is None or asked.stored is None or not lookup.lacks(asked.stored, asked.features):
        return Question(live, asked, now)
    return Question(live, asked, now, await lookup.found_soon(asked.stored, now))


def _found(live: Live, rows: Mapping[int, Asked], now: datetime) -> Mapping[int, Found]:
    """What was looked up for those rows that leave something out, all at once."""
    lookup = live.lookup
    if lookup is None:
        return {}
    places = {
        place: asked.stored
        for place, asked in rows.items()
        if asked.stored is not None and lookup.lacks(asked.stored, asked.features)
    }
    if not places:
        return {}
    entities = list(dict.fromkeys(places.values()))
    found = dict(zip(entities, lookup.found_all(entities, now), strict=True))
    return {place: found[entity] for place, entity in places.items()}


def finite(made: ScoredRow) -> bool:
    """Whether a row has a probability."""
    return math.isfinite(made.probability)


def all_finite(made: Scored) -> bool:
    """Whether every row has a probability."""
    return bool(np.isfinite(made.probability).all())


def unwritten() -> Rejected:
    """The log is full or broken."""
    return Rejected(503, FULL, headers={"retry-after": "5"})


def defect(attempt: Attempt[Any]) -> Rejected:
    """Why a model that failed gives no answer; what it raised is told to nobody here."""
    words = NOT_FINITE if attempt.ending is Ending.NOT_FINITE else "the model failed on this row"
    return Rejected(500, words, version=attempt.version)


def _score_one(arm: ArmRows, question: Question) -> Callable[[], ScoredRow]:
    return lambda: arm.score(question.values(arm.version))


def _parted(
    rows: Sequence[Row], attempt: Attempt[Scored]
) -> tuple[tuple[Sequence[Row], Attempt[Scored]] | None, tuple[Sequence[Row], Attempt[Scored]] | None]:
    """The rows that have a probability and the others, each with their part of the attempt; None where there are none.

    A row without a number is that row's own trouble: the others of its batch are no errors of the arm.
    """
    made = attempt.made
    if made is None or attempt.ending is Ending.OK:
        return ((rows, attempt), None) if attempt.ending is Ending.OK else (None, (rows, attempt))
    kept = np.isfinite(made.probability)

    def part(which: NDArray[np.bool_], ending: Ending) -> tuple[Sequence[Row], Attempt[Scored]] | None:
        chosen = [row for row, each in zip(rows, which, strict=True) if each]
        scored = Scored(made.tensor[which], made.scores[which], made.probability[which])
        share = len(chosen) / len(rows)
        return (chosen, Attempt(attempt.version, ending, attempt.scoring_us * share, scored)) if chosen else None

    return part(kept, Ending.OK), part(~kept, Ending.NOT_FINITE)


def _score_many(arm: ArmRows, asked: Sequence[Row]) -> Callable[[], Scored]:
    def score() -> Scored:
        rows = [arm.served(question.values(arm.version)) for _, question in asked]
        return arm.scorer.score(columns_of(rows, arm.scorer.bundle.encoder.inputs))

    return score
