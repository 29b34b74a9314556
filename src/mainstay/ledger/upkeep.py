"""What keeps observations small and lawful: compaction of hours that are over, retention by age, erasure.

A file that was replaced stays for 24 hours, for the readers whose snapshot has it. An erased one goes at once.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from io import BytesIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mainstay.adapters.blobs import Blobs
from mainstay.errors import Conflict, NotFound, Refused, Unavailable
from mainstay.ledger.columnar import ORDER, SCHEMAS, digest_of
from mainstay.ledger.facts import Ledger
from mainstay.ledger.files import (
    DAMAGED,
    HOUR,
    blob_name,
    collected,
    live_files,
    replace_files,
    shipped,
    unneeded,
)
from mainstay.ledger.shipping import put_table
from mainstay.observed import ObservationFile

KEPT_FOR = timedelta(hours=24)
"""How long a replaced file stays for the readers of an older snapshot."""
SETTLED_AFTER = timedelta(minutes=1)
"""How long after its end an hour is taken to be over: what was logged in it is shipped within seconds."""
LARGEST = 4_000_000
"""Rows of a compacted file: an hour that has more stays in several."""


@dataclass(slots=True)
class Upkeep:
    """What was done: hours compacted, files written again or dropped, rows dropped, blobs removed."""

    hours: int = 0
    files: int = 0
    rows: int = 0
    blobs: int = 0


def compact(ledger: Ledger, blobs: Blobs, use_case: str, now: datetime) -> Upkeep:
    """Make one file of the files of every hour that is over, and remove the blobs that no snapshot needs any more.

    Rows that come late for an hour become files again, and are compacted again. What somebody else changed meanwhile
    waits for the next time.
    """
    done = Upkeep()
    for kind in SCHEMAS:
        hours: dict[datetime, list[ObservationFile]] = defaultdict(list)
        for file in live_files(ledger, use_case, kind):
            hours[file.hour].append(file)
        for hour, files in hours.items():
            if hour + HOUR + SETTLED_AFTER <= now and len(files) > 1 and sum(each.rows for each in files) <= LARGEST:
                _compact(ledger, blobs, use_case, files, done)
    done.blobs = collect(ledger, blobs, use_case, KEPT_FOR)
    return done


def _compact(ledger: Ledger, blobs: Blobs, use_case: str, files: list[ObservationFile], done: Upkeep) -> None:
    kind, hour = files[0].kind, files[0].hour
    table = _together(kind, [_table(blobs, use_case, file) for file in files])
    digest = digest_of("compacted", *sorted(file.digest for file in files))
    made = put_table(blobs, use_case, kind, hour, digest, table)
    try:
        _replace(ledger, blobs, use_case, files, [made])
    except Conflict:
        return
    done.hours += 1
    done.files += len(files)


def retain(ledger: Ledger, blobs: Blobs, use_case: str, before: datetime) -> Upkeep:
    """Drop every file whose newest row is older than `before`; the blobs go after the 24 hours of a replaced file."""
    done = Upkeep()
    for kind in [*SCHEMAS, DAMAGED]:
        old = [file for file in live_files(ledger, use_case, kind) if file.last_at < before]
        if old:
            replace_files(ledger, use_case, old, [])
            done.files += len(old)
            done.rows += sum(file.rows for file in old if file.kind != DAMAGED)
    done.blobs = collect(ledger, blobs, use_case, KEPT_FOR)
    return done


def erase(ledger: Ledger, blobs: Blobs, use_case: str, entity: str) -> Upkeep:
    """Remove every row about an entity, as it is stored: its predictions, and labels and actions about it or them.

    The files that held one are written again without it, and their blobs removed at once: readers of an older
    snapshot that need them are told that they are gone. Refused for an empty entity. What stands in segments that
    were not shipped yet is not touched: ship first.
    """
    if not entity:
        raise Refused("an entity has a name")
    done = Upkeep()
    ids: set[str] = set()
    found = [file for kind in ("prediction", "label", "action") for file in live_files(ledger, use_case, kind)]
    held: list[tuple[ObservationFile, pa.Array]] = []
    for file in found:
        table = _table(blobs, use_case, file)
        theirs = pc.fill_null(pc.equal(table["entity"], entity), False)
        if file.kind == "prediction":
            ids |= set(table.filter(theirs)["prediction_id"].to_pylist())
        else:
            named = pc.is_in(table["prediction_id"], value_set=pa.array(sorted(ids), pa.string()))
            theirs = pc.or_(theirs, pc.fill_null(named, False))
        rows = pc.indices_nonzero(theirs)
        if len(rows):
            held.append((file, rows))
    # Predictions last: as long as they are there, whoever asks again finds the labels that name them.
    for file, rows in sorted(held, key=lambda each: each[0].kind == "prediction"):
        _rewrite(ledger, blobs, use_case, file, rows)
        done.rows += len(rows)
        done.files += 1
    done.blobs = collect(ledger, blobs, use_case, -HOUR)  # by whatever clock: all that were ever replaced
    return done


def collect(ledger: Ledger, blobs: Blobs, use_case: str, since: timedelta) -> int:
    """Remove the blobs of files that were replaced longer than `since` ago; how many there were."""
    gone = [file for file in unneeded(ledger, use_case, since) if file.kind != DAMAGED]
    for file in gone:
        blobs.remove(blob_name(use_case, file))
    collected(ledger, use_case, gone)
    return len(gone)


def _rewrite(ledger: Ledger, blobs: Blobs, use_case: str, file: ObservationFile, without: pa.Array) -> None:
    """Replace a file by one that lacks the rows at these places."""
    table = _table(blobs, use_case, file)
    kept = np.ones(table.num_rows, dtype=bool)
    kept[without.to_numpy()] = False
    rest = table.filter(pa.array(kept))
    # Named by which rows are gone, and not by how many: two erasures at once must not write one blob.
    digest = digest_of("erased", file.digest, *map(str, without.to_pylist()))
    made = [put_table(blobs, use_case, file.kind, file.hour, digest, rest)] if rest.num_rows else []
    _replace(ledger, blobs, use_case, [file], made)


def _replace(
    ledger: Ledger, blobs: Blobs, use_case: str, old: Sequence[ObservationFile], new: Sequence[ObservationFile]
) -> None:
    """As `replace_files`; where somebody else was first, what was made in vain is removed before Conflict is raised.

    It holds rows that may have been erased meanwhile, and no list names it: nobody would ever remove it.
    """
    try:
        replace_files(ledger, use_case, old, new)
    except Conflict:
        for file in new:
            # What the other made of the same files has the same name. What nobody added by now nobody can add any
            # more: it would take the place of files that are gone.
            if not shipped(ledger, use_case, file.digest):
                blobs.remove(blob_name(use_case, file))
        raise


def _table(blobs: Blobs, use_case: str, file: ObservationFile) -> pa.Table:
    name = blob_name(use_case, file)
    try:
        return pq.read_table(BytesIO(blobs.get(name)))
    except NotFound as error:
        raise Unavailable("a live file of observations is not in the store", name) from error
    except pa.ArrowInvalid as error:
        raise Unavailable(f"a file of observations is damaged: {error}", name) from error


def _together(kind: str, tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of several files, by name, in the order of their times; an origin that a file lacks was given."""
    plain = [
        {name: _plain(column) for name, column in zip(table.column_names, table.columns, strict=True)}
        for table in tables
    ]
    kinds: dict[str, set[pa.DataType]] = defaultdict(set)
    for each in plain:
        for name, column in each.items():
            kinds[name].add(column.type)
    for each in plain:  # a feature that changed from number to category is text, as readers have it
        each.update({name: _text(column) for name, column in each.items() if len(kinds[name]) > 1})
    made = pa.concat_tables([pa.table(each) for each in plain], promote_options="default")
    for at, name in enumerate(made.column_names):
        column = made[name]
        if name.startswith("o."):
            column = pc.fill_null(column, "given")
        if name[:2] in ("f.", "o.") and pa.types.is_string(column.type):
            column = column.dictionary_encode()
        made = made.set_column(at, name, column)
    return made.sort_by(ORDER[kind])


def _plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    return column.cast(pa.string()) if pa.types.is_dictionary(column.type) else column


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Numbers as the texts that DuckDB makes of them."""
    if pa.types.is_string(column.type):
        return column
    return pa.chunked_array([[None if value is None else repr(value) for value in column.to_pylist()]], pa.string())
