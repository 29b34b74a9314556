"""Which files of observations are live: deltas in the ledger's database, and never what a directory happens to hold.

A file is named by the digest of what it was made from, so whoever makes it again makes the same one. Deltas are only
added; what is live at a `seq` is what was added up to it and not removed up to it. Every function raises what `Ledger`
raises.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, exists, func, insert, select

from mainstay.errors import Conflict
from mainstay.ledger.database import FILES, clock
from mainstay.ledger.facts import Ledger
from mainstay.nouns import Window
from mainstay.observed import ObservationFile

HOUR = timedelta(hours=1)
DAMAGED = "damaged"
"""The kind of a delta that counts what could not be read (`rows` frames or spans, `bytes` long). It has no blob."""

_GONE = FILES.alias("gone")


def hour_of(at: datetime) -> datetime:
    """The UTC hour that a time lies in."""
    return at.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def blob_name(use_case: str, file: ObservationFile) -> str:
    """The blob that holds a file's rows as Parquet."""
    return f"observations/{use_case}/{file.kind}/{file.hour:%Y-%m-%dT%H}/{file.digest}.parquet"


def head(ledger: Ledger, use_case: str) -> int:
    """The `seq` of the latest delta, for a reader who wants the same snapshot again; 0 before the first."""
    with ledger.database.reading() as connection:
        return connection.scalar(select(func.max(FILES.c.seq)).where(FILES.c.use_case == use_case)) or 0


def live_files(
    ledger: Ledger, use_case: str, kind: str, window: Window | None = None, seq: int | None = None
) -> list[ObservationFile]:
    """The files of a kind whose hour meets the window, live at a `seq` (now where there is none), in order of hours."""
    seen = [] if seq is None else [FILES.c.seq <= seq]
    removed = _later("remove", *([] if seq is None else [_GONE.c.seq <= seq]))
    query = select(FILES).where(
        FILES.c.use_case == use_case, FILES.c.kind == kind, FILES.c.op == "add", ~removed, *seen
    )
    if window is not None:
        query = query.where(FILES.c.hour > window.start - HOUR, FILES.c.hour < window.end)
    with ledger.database.reading() as connection:
        return [_file(row) for row in connection.execute(query.order_by(FILES.c.hour, FILES.c.seq))]


def shipped(ledger: Ledger, use_case: str, digest: str) -> bool:
    """Whether a file, or a count of damage, was ever added under this digest, whatever became of it since."""
    with ledger.database.reading() as connection:
        return _known(connection, use_case, digest)


def add_shipped(ledger: Ledger, use_case: str, digest: str, files: Sequence[ObservationFile]) -> bool:
    """Add all the files of one digest, once: False, and nothing is added, where it was there already."""
    with ledger.database.writing(use_case) as connection:
        if _known(connection, use_case, digest):
            return False
        _write(connection, use_case, files)
    return True


def replace_files(
    ledger: Ledger, use_case: str, old: Sequence[ObservationFile], new: Sequence[ObservationFile]
) -> None:
    """Remove some files and add others in one transaction. Conflict where one of the old is not live any more."""
    with ledger.database.writing(use_case) as connection:
        for file in old:
            if not connection.scalar(_count(_same(use_case, file), FILES.c.op == "add", ~_later("remove"))):
                raise Conflict("somebody else replaced it: look again", blob_name(use_case, file))
        _write(connection, use_case, [replace(file, op="remove") for file in old])
        _write(connection, use_case, new)


def unneeded(ledger: Ledger, use_case: str, since: timedelta) -> list[ObservationFile]:
    """The files removed longer than `since` ago, by the database's clock, whose blobs nobody has collected yet."""
    with ledger.database.reading() as connection:
        now = connection.execute(select(clock(connection))).scalar_one()
        old = (FILES.c.op == "remove", FILES.c.at < now - since, ~_later("collected"))
        query = select(FILES).where(FILES.c.use_case == use_case, *old)
        return [_file(row) for row in connection.execute(query.order_by(FILES.c.seq))]


def collected(ledger: Ledger, use_case: str, files: Sequence[ObservationFile]) -> None:
    """Note that the blobs of removed files are gone; what another host noted meanwhile is noted."""
    if files:
        with ledger.database.writing(use_case) as connection:
            noted = [_same(use_case, file) & (FILES.c.op == "collected") for file in files]
            new = [f for f, each in zip(files, noted, strict=True) if not connection.scalar(_count(each))]
            _write(connection, use_case, [replace(file, op="collected") for file in new])


def _later(op: str, *more: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether there is a delta of this kind about the same file as the one at hand."""
    same = [_GONE.c[name] == FILES.c[name] for name in ("use_case", "kind", "hour", "digest")]
    return exists().where(*same, _GONE.c.op == op, *more)


def _known(connection: Connection, use_case: str, digest: str) -> bool:
    return bool(connection.scalar(_count(FILES.c.use_case == use_case, FILES.c.digest == digest)))


def _count(*which: ColumnElement[bool]) -> Select[int]:
    return select(func.count()).select_from(FILES).where(*which)


def _same(use_case: str, file: ObservationFile) -> ColumnElement[bool]:
    return and_(
        FILES.c.use_case == use_case,
        FILES.c.kind == file.kind,
        FILES.c.hour == file.hour,
        FILES.c.digest == file.digest,
    )


def _write(connection: Connection, use_case: str, files: Sequence[ObservationFile]) -> None:
    for file in files:
        connection.execute(
            insert(FILES).values(
                use_case=use_case,
                op=file.op,
                digest=file.digest,
                kind=file.kind,
                hour=file.hour,
                rows=file.rows,
                bytes=file.bytes,
                first_at=file.first_at,
                last_at=file.last_at,
                at=clock(connection),
            )
        )


def _file(row: Row[tuple[object, ...]]) -> ObservationFile:
    return ObservationFile(row.op, row.digest, row.kind, row.hour, row.rows, row.bytes, row.first_at, row.last_at)
