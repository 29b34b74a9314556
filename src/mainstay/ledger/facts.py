"""What happened: an append-only book of facts in SQL.

The latest fact about a subject is its state; the facts before it are its history. Nothing is ever updated or deleted,
and the database itself refuses to. Writers take one lock per use case, so that within a use case the order of `seq`
is the order of commits, and a reader who asks for what came after a `seq` misses nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from sqlalchemy import Connection, Row, Select, func, select

from mainstay.digests import canonical_json
from mainstay.errors import Conflict, Refused
from mainstay.ledger.database import FACTS, Database
from mainstay.ledger.kinds import KINDS, Kind
from mainstay.records import decode, encode, schema_of

T = TypeVar("T")

NAME_BYTES = 512  # of a use case, subject or actor: a row of PostgreSQL's index holds 2,704 bytes


@dataclass(frozen=True, slots=True)
class Fact(Generic[T]):
    """One thing that happened. `number` counts a subject's facts from 1; `seq` orders all facts of a use case.

    `seq` has gaps. `at` is when it was written down, by the writer's clock, and orders nothing.
    """

    seq: int
    use_case: str
    kind: str
    subject: str
    number: int
    at: datetime
    actor: str
    reason: str
    body: T


@dataclass(frozen=True, slots=True)
class Entry(Generic[T]):
    """A fact about to be written as number `after` + 1; 0 says that the subject has none yet."""

    kind: Kind[T]
    subject: str
    body: T
    after: int = 0


class Ledger:
    """The book of facts at `sqlite:///FILE` or `postgresql://USER:PASSWORD@HOST/DATABASE`.

    Making one touches nothing: the tables are made on first use. Threads may share it; processes may not (make one
    after a fork). Misconfigured for any other address. Every method raises Unavailable while the database cannot be
    used, and works again once it can; Refused where a later release made the tables or wrote the fact.
    `patience` is how many seconds to wait for another writer, or for a server that does not answer.
    """

    def __init__(self, url: str, patience: float = 10.0) -> None:
        self.database = Database(url, patience)  # of the tables beside the facts too: replicas, files

    @property
    def place(self) -> str:
        """The ledger's address as people may see it, without its password."""
        return self.database.place

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every connection. A later call opens new ones."""
        self.database.close()

    def write(self, use_case: str, *entries: Entry[Any], at: datetime, actor: str, reason: str) -> list[Fact[Any]]:
        """Write every entry or none, in order, and return them as facts. No entries write nothing.

        `actor` is a person's key, `operator`, or a job; `reason` is a sentence. Conflict if a subject is no longer
        where its entry says, naming all that moved. Refused for an empty reason or actor, or a body that JSON cannot
        hold. After Unavailable nothing was written, unless the connection broke during the commit itself: write
        again, and a Conflict says that it stood.
        """
        if at.tzinfo is None:
            raise ValueError("the time of a fact needs its zone, as in 2026-01-01T00:00:00Z")
        at = at.astimezone(UTC)
        common = {"use_case": _stated("use case", use_case), "at": at, "actor": _stated("actor", actor)}
        common["reason"] = _stated("reason", reason, longest=None)
        rows = [common | _row(entry) for entry in entries]
        if not rows:
            return []
        with self.database.writing(use_case) as connection:
            if moved := _moved(connection, use_case, entries):
                raise Conflict(f"somebody else moved first, read it again: {'; '.join(moved)}", self.place)
            # One by one: only so do both databases promise the order of seq.
            keys = [connection.execute(FACTS.insert().returning(FACTS.c.seq), row).scalar_one() for row in rows]
        return [
            Fact(seq, use_case, entry.kind.name, entry.subject, entry.after + 1, at, actor, reason, entry.body)
            for seq, entry in zip(keys, entries, strict=True)
        ]

    def latest(self, use_case: str, kind: Kind[T], subject: str) -> Fact[T] | None:
        """The state of one subject; None if nothing was ever written about it."""
        found = self._read(_about(use_case, kind, subject).order_by(FACTS.c.number.desc()).limit(1))
        return _fact(kind, found[0]) if found else None

    def history(self, use_case: str, kind: Kind[T], subject: str) -> list[Fact[T]]:
        """Every fact about one subject, the first first."""
        return [_fact(kind, row) for row in self._read(_about(use_case, kind, subject).order_by(FACTS.c.number))]

    def latest_of_each(self, use_case: str, kind: Kind[T]) -> list[Fact[T]]:
        """The state of every subject of a kind, in the order in which they were written."""
        ours = (FACTS.c.use_case == use_case, FACTS.c.kind == kind.name)
        numbers = select(FACTS.c.subject, func.max(FACTS.c.number).label("number")).where(*ours)
        last = numbers.group_by(FACTS.c.subject).subquery()
        both = (FACTS.c.subject == last.c.subject) & (FACTS.c.number == last.c.number)
        rows = self._read(select(FACTS).join(last, both).where(*ours).order_by(FACTS.c.seq))
        return [_fact(kind, row) for row in rows]

    def all_of(self, use_case: str, kind: Kind[T]) -> list[Fact[T]]:
        """Every fact of a kind, about every subject, in the order in which they were written."""
        rows = self._read(
            select(FACTS).where(FACTS.c.use_case == use_case, FACTS.c.kind == kind.name).order_by(FACTS.c.seq)
        )
        return [_fact(kind, row) for row in rows]

    def since(self, use_case: str, seq: int = 0) -> list[Fact[Any]]:
        """Every fact of a use case after `seq`, of every kind, in order. Refused for a kind of a later release."""
        later = select(FACTS).where(FACTS.c.use_case == use_case, FACTS.c.seq > seq)
        return [_fact(_kind(row), row) for row in self._read(later.order_by(FACTS.c.seq))]

    def use_cases(self) -> list[str]:
        """The use cases that facts were written about, in the order of their names."""
        # Sorted here: each database would sort by a collation of its own.
        return sorted(row.use_case for row in self._read(select(FACTS.c.use_case).distinct()))

    def _read(self, query: Select[Any]) -> Sequence[Row[Any]]:
        with self.database.reading() as connection:
            return connection.execute(query).all()


def _stated(what: str, said: str, longest: int | None = NAME_BYTES) -> str:
    if not said.strip():
        raise Refused(f"a fact needs its {what}")
    try:
        size = len(said.encode())
    except UnicodeEncodeError as error:
        raise Refused(f"the {what} holds half a character (a lone surrogate)") from error
    if "\0" in said:
        raise Refused(f"the {what} holds a NUL character")
    if longest is not None and size > longest:
        raise Refused(f"the {what} is {size} bytes long; {longest} is the most")
    return said


def _row(entry: Entry[Any]) -> dict[str, Any]:
    kind = entry.kind
    if not isinstance(entry.body, kind.noun):
        raise TypeError(f"a fact of kind {kind.name} holds a {kind.noun.__name__}, not a {type(entry.body).__name__}")
    subject = _stated("subject", entry.subject)
    try:
        body = canonical_json(encode(entry.body)).decode()
    except ValueError as error:
        raise Refused(f"JSON cannot hold it: {error}", f"{kind.name} {subject}") from error
    number = entry.after + 1
    return {"kind": kind.name, "subject": subject, "number": number, "schema": schema_of(kind.noun), "body": body}


def _moved(connection: Connection, use_case: str, entries: Sequence[Entry[Any]]) -> list[str]:
    """What is not at the number that an entry says, counting the entries before it."""
    moved = []
    standing: dict[tuple[str, str], int] = {}
    for entry in entries:
        key = (entry.kind.name, entry.subject)
        if key not in standing:
            numbers = _about(use_case, entry.kind, entry.subject).with_only_columns(func.max(FACTS.c.number))
            standing[key] = connection.scalar(numbers) or 0
        if standing[key] != entry.after:
            moved.append(f"{entry.kind.name} {entry.subject} is at number {standing[key]}, not {entry.after}")
        standing[key] = entry.after + 1
    return moved


def _about(use_case: str, kind: Kind[Any], subject: str) -> Select[Any]:
    return select(FACTS).where(FACTS.c.use_case == use_case, FACTS.c.kind == kind.name, FACTS.c.subject == subject)


def _kind(row: Row[Any]) -> Kind[Any]:
    if row.kind not in KINDS:
        raise Refused(f"a fact of kind {row.kind} is from a later release: upgrade Mainstay", f"fact {row.seq}")
    return KINDS[row.kind]


def _fact(kind: Kind[T], row: Row[Any]) -> Fact[T]:
    try:
        body = decode(kind.noun, json.loads(row.body), row.schema)
    except json.JSONDecodeError as error:
        raise Refused(f"its body is not JSON: {error}", f"fact {row.seq}") from error
    return Fact(row.seq, row.use_case, row.kind, row.subject, row.number, row.at, row.actor, row.reason, body)
