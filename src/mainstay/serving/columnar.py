"""Tables of rows answered by the column: read, assigned, scored, written down and heard, without a step for each row.

Everything is decided as for rows one by one (`predict.Question`, `Answering.batch`); only the way there is another.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.errors import Unavailable
from mainstay.logged import micros
from mainstay.observed import Ending, Role
from mainstay.rollout.assign import Assignment
from mainstay.scoring.coded import CodedColumns, Codes
from mainstay.scoring.reading import Problem
from mainstay.scoring.table import TableRead, read_table
from mainstay.serving import challenge
from mainstay.serving.answering import CHUNK, Answering, defect, unwritten
from mainstay.serving.answers import Answered, no_texts, refuse
from mainstay.serving.arms import Live
from mainstay.serving.challenge import Attempt
from mainstay.serving.entities import stored_as_given
from mainstay.serving.predict import ANY_TEXT, is_text
from mainstay.serving.problems import Rejected
from mainstay.serving.recording import Asking
from mainstay.serving.rows import ArmRows
from mainstay.serving.table import Table
from mainstay.serving.tracing import Timeline

BLOCK = 8192
"""Rows scored at a time: what a batch takes up does not grow with its tensor."""

Places = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ScoredTable:
    """n scored rows: the positive class's probability (n,)."""

    probability: NDArray[np.float64]


def answer_table(
    answering: Answering, live: Live, table: Table, trace_id: str, started: float, timeline: Timeline | None = None
) -> Answered:
    """The answer to each row of a table, or why it gets none; for a thread that may wait.

    Rejected with 503, as a whole, where the log cannot take it.
    """
    return Batch(answering, live, table, trace_id, started, timeline).answered()


class Batch:
    """A table being answered."""

    def __init__(
        self,
        answering: Answering,
        live: Live,
        table: Table,
        trace_id: str,
        started: float,
        timeline: Timeline | None = None,
    ) -> None:
        now = answering.clock()
        rows = table.rows
        self._answering, self._live, self._table, self._now = answering, live, table, now
        self._id = answering.ids.prediction(now)
        self._asking = Asking(micros(now), started, trace_id, live.split.number, timeline)
        self._read: dict[str, TableRead] = {}
        if timeline is not None:
            timeline.prediction_id = self._id
        none = no_texts(rows), no_texts(rows), no_texts(rows)
        self.made = Answered(rows, self._id, trace_id, table.entities, np.full(rows, np.nan), *none)
        self._stored: Sequence[str | None] | None = None
        for row, problem in table.broken.items():
            self.made.rejected[row] = Rejected(422, f"the row {problem.reason}", [problem])
        self._check_names()
        self.groups = self._groups()
        """How rows are assigned, and which; in `made` it is told which are refused. Nothing is scored yet."""

    def answered(self) -> Answered:
        """Have all rows scored and written down."""
        made = self.made
        self._asking.step("features")
        for group in self.groups:
            try:
                self._score(*group)
            except Unavailable as error:
                raise unwritten() from error
        for version, read in self._read.items():
            if version in made.version.values:
                answering = made.version.codes == made.version.values.index(version)
                for odd in read.flagged:
                    for row in np.flatnonzero(odd.rows & answering).tolist():
                        made.flags.setdefault(row, []).append(odd.flag or "")
        return made

    def read(self, version: str) -> TableRead:
        """The rows as an arm reads them."""
        if version not in self._read:
            policies, encoder = self._live.policies, self._live.arms[version].bundle.encoder
            self._read[version] = read_table(
                self._table.rows,
                self._table.columns,
                encoder.inputs,
                policies.unseen_category,
                policies.out_of_range,
                encoder.learned,
            )
        return self._read[version]

    def _check_names(self) -> None:
        """Refuse the rows whose entity or request id is no name; store the others'."""
        table, bad = self._table, self.made.rejected
        for name, given, expected in (
            ("entity", table.entities, f"{ANY_TEXT}, or an integer"),
            ("request_id", table.request_ids, ANY_TEXT),
        ):
            if given is None or _plain(given):
                continue
            wrong = np.array([not (is_text(each) or _integer(each)) for each in given], dtype=np.bool_)
            if wrong.any():
                refuse(self.made, wrong, Problem(name, "is not a text", expected))
        entities, store = table.entities, self._live.stored
        if entities is None:
            return
        if _plain(entities) and stored_as_given(store, entities):  # type: ignore[arg-type]  # plain ones are texts
            self._stored = entities  # type: ignore[assignment]
        else:
            self._stored = [None if each is None or n in bad else store(each) for n, each in enumerate(entities)]

    def _groups(self) -> list[tuple[Assignment, Places]]:
        """The rows that are answered, by how they are assigned; those that nobody can read are refused."""
        live, rows = self._live, self._table.rows
        open_ = np.ones(rows, dtype=np.bool_)
        open_[list(self.made.rejected)] = False
        if live.assigner.alone is not None:
            assigned = {live.assigner.alone: np.flatnonzero(open_)}
        else:
            assigned = self._assigned(np.flatnonzero(open_))
        groups: list[tuple[Assignment, Places]] = []
        incumbent = live.incumbent
        for assignment, places in assigned.items():
            read = self.read(assignment.version)
            if not read.bad.any():
                groups.append((assignment, places))
                continue
            bad = read.bad[places]
            helped = np.zeros_like(bad) if assignment.version == incumbent else bad & ~self.read(incumbent).bad[places]
            groups += [(assignment, part) for part in (places[~bad], places[helped])]
            lost = np.zeros(rows, dtype=np.bool_)
            lost[places[bad & ~helped]] = True
            for odd in read.refused:
                refuse(self.made, odd.rows & lost, odd.problem)
        return [group for group in groups if len(group[1])]

    def _assigned(self, places: Places) -> dict[Assignment, Places]:
        live, table = self._live, self._table
        champion = live.rows[live.split.champion]
        columns = self.read(champion.version).columns if live.assigner.by_features else {}
        served = _rows(columns, places) if columns else [{}] * len(places)
        found: dict[Assignment, list[int]] = {}
        for row, features in zip(places.tolist(), served, strict=True):
            entity = None if self._stored is None else self._stored[row]
            request = None if table.request_ids is None else table.request_ids[row]
            unit = entity or request or f"{self._id}.{row}"
            assignment = live.assign(unit, now=self._now, entity=entity, features=features)
            found.setdefault(assignment, []).append(row)
        return {assignment: np.array(rows, dtype=np.int64) for assignment, rows in found.items()}

    def _score(self, assignment: Assignment, places: Places) -> None:
        """Have rows scored that were assigned alike, as `Answering._group`."""
        live, answering = self._live, self._answering
        left = places
        if assignment.version != live.incumbent:
            budget = live.policies.challenger_budget.total_seconds() * math.ceil(len(places) / CHUNK)
            score = self._scores(live.rows[assignment.version], places)
            attempt = answering.lanes.attempt_here(assignment.version, score, _finite, budget)
            left = self._settle(attempt, assignment, left)
        if len(left):
            incumbent = live.rows[live.incumbent]
            attempt = challenge.scored(incumbent.version, self._scores(incumbent, left), _finite)
            left = self._settle(attempt, assignment, left)
            self.made.rejected |= {row: defect(attempt) for row in left.tolist()}

    def _settle(self, attempt: Attempt[ScoredTable], assignment: Assignment, places: Places) -> Places:
        """Write down how each row ended, and take the answers; the rows that have none."""
        self._asking.step("score")
        live = self._live
        fine, bad = _parted(places, attempt)
        if bad is not None:
            self._write(Role.ATTEMPTED, bad[1], assignment, bad[0])
        if fine is not None:
            self._write(Role.ANSWERED, fine[1], assignment, fine[0])
        self._asking.step("log")
        if fine is not None and fine[1].made is not None:
            rule = live.arms[attempt.version].bundle.decide
            self.made.decide(fine[0], fine[1].made.probability, attempt.version, rule)
            for listening in live.listening(attempt.version):
                self._offer(listening, assignment, fine[0])
        return places[:0] if bad is None else bad[0]

    def _offer(self, version: str, assignment: Assignment, places: Places) -> None:
        def write(attempt: Attempt[ScoredTable]) -> None:
            for part in _parted(places, attempt):
                if part is not None:
                    self._write(Role.LISTENED, part[1], assignment, part[0])

        score = self._scores(self._live.rows[version], places)
        self._answering.listeners.offer(version, score, _finite, write, len(places))

    def _scores(self, arm: ArmRows, places: Places) -> Callable[[], ScoredTable]:
        def score() -> ScoredTable:
            read = self.read(arm.version)
            if read.bad[places].any():
                raise ValueError(f"{arm.version} cannot read every row: {read.refused[0].problem.reason}")
            columns = read.columns
            parts = [
                arm.batch.probability(_taken(columns, places[at : at + BLOCK])) for at in range(0, len(places), BLOCK)
            ]
            return ScoredTable(np.concatenate(parts))

        return score

    def _write(self, role: Role, attempt: Attempt[ScoredTable], assignment: Assignment, places: Places) -> None:
        arm = self._live.rows[attempt.version]
        elapsed = (time.perf_counter() - self._asking.started) * 1e6
        read = self.read(arm.version)
        table = self._table
        requests, stored = table.request_ids, self._stored
        texts = None
        if requests is not None:
            texts = [requests[row] or f"{self._id}.{row}" for row in places.tolist()]
        record = table_record(
            self._asking,
            self._id,
            arm,
            assignment,
            role,
            attempt,
            elapsed,
            places,
            texts,
            None if stored is None else [stored[row] for row in places.tolist()],
            _taken(read.columns, places),
            _flags(read, places),
            {name: "missing" for name in arm.features if name not in table.columns},
        )
        self._answering.log.append("batch", arm.features, arm.contract, record)


_Part = tuple[Places, Attempt[ScoredTable]] | None


def _parted(places: Places, attempt: Attempt[ScoredTable]) -> tuple[_Part, _Part]:
    """The rows that have a probability and the others, each with their part of the attempt; None where none are."""
    made = attempt.made
    if attempt.ending is Ending.OK:
        return (places, attempt), None
    if made is None:
        return None, (places, attempt)
    kept = np.isfinite(made.probability)

    def part(which: NDArray[np.bool_], ending: Ending) -> _Part:
        chosen = places[which]
        spent = attempt.scoring_us * len(chosen) / len(places)
        scored = ScoredTable(made.probability[which])
        return (chosen, Attempt(attempt.version, ending, spent, scored)) if len(chosen) else None

    return part(kept, Ending.OK), part(~kept, Ending.NOT_FINITE)


def table_record(
    asking: Asking,
    batch_id: str,
    arm: ArmRows,
    assignment: Assignment,
    role: Role,
    attempt: Attempt[ScoredTable],
    before_log_us: float,
    places: Places,
    request_ids: list[str] | None,
    entities: list[str | None] | None,
    columns: CodedColumns,
    flags: dict[int, list[str]],
    origins: dict[str, str],
) -> tuple[Any, ...]:
    """One arm's record of rows that were assigned alike, as `recording.batch_record`, of packed arrays.

    `origins` are those of every row: a table lacks a column for all of them.
    """
    count = len(places)
    made = attempt.made if attempt.ending is Ending.OK else None
    rule = arm.scorer.bundle.decide
    probability = np.full(count, np.nan) if made is None else made.probability
    yes = probability >= rule.threshold
    other = next(name for name in rule.classes if name != rule.positive)
    decided = np.where(np.isfinite(probability), yes, -1).astype("<i4")
    scores = np.empty((count, 2))
    scores[:, rule.place], scores[:, 1 - rule.place] = probability, 1.0 - probability
    return (
        batch_id,
        asking.trace_id,
        asking.at,
        role.value,
        attempt.version,
        assignment.assigned,
        asking.split,
        attempt.ending.value,
        arm.threshold,
        attempt.scoring_us / count,
        before_log_us,
        0 if made is None else 2,
        places.astype("<i4").tobytes(),
        request_ids,
        entities,
        np.full(count, assignment.share, dtype="<f8").tobytes(),
        bytes([assignment.pinned]) * count,
        [_packed(columns[name]) for name in arm.features],
        b"" if made is None else scores.astype("<f8").tobytes(),
        probability.astype("<f8").tobytes(),
        ([other, rule.positive], decided.tobytes()),
        flags,
        dict.fromkeys(range(count), origins) if origins else None,
    )


def _packed(column: NDArray[np.float64] | Codes) -> bytes | tuple[list[str], bytes]:
    if isinstance(column, Codes):
        return list(column.values), column.codes.astype("<i4").tobytes()
    return column.astype("<f8").tobytes()


def _flags(read: TableRead, places: Places) -> dict[int, list[str]]:
    """The flags of rows that have any, by place among these."""
    found: dict[int, list[str]] = {}
    for odd in read.flagged:
        for at in np.flatnonzero(odd.rows[places]).tolist():
            found.setdefault(at, []).append(odd.flag or "")
    return found


def _taken(columns: CodedColumns, places: Places) -> CodedColumns:
    return {
        name: Codes(column.codes[places], column.values) if isinstance(column, Codes) else column[places]
        for name, column in columns.items()
    }


def _rows(columns: CodedColumns, places: Places) -> list[dict[str, Any]]:
    """Rows by name, as conditions of pins read them."""
    listed = []
    for column in _taken(columns, places).values():
        if isinstance(column, Codes):
            listed.append(column.texts.tolist())
        else:
            listed.append([None if each != each else each for each in column.tolist()])
    return [dict(zip(columns, values, strict=True)) for values in zip(*listed, strict=True)]


def _finite(made: ScoredTable) -> bool:
    return bool(np.isfinite(made.probability).all())


def _plain(given: Sequence[Any]) -> bool:
    """Whether all are texts, and short ones without anything that is not printed."""
    try:
        return max(map(len, given), default=0) <= 200 and "".join(given).isprintable()
    except TypeError:  # not all are texts
        return False


def _integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
