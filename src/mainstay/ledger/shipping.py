"""From the write-ahead segments of this host to files of observations, each record once.

A sealed run becomes one Parquet blob for each hour that it has records of, named by the run's digest; then one
transaction adds them all to the live files; then the run is done with. Whoever dies in between leaves blobs that
nobody lists, and the next one makes the same blobs again, or finds the digest known and only tidies up. What cannot be
read is counted in the same transaction, and its run kept where people can look at it.
"""

from dataclasses import dataclass, field
from datetime import datetime

import pyarrow as pa

from mainstay.adapters.blobs import Blobs
from mainstay.adapters.stream import Run, Stream
from mainstay.errors import NotFound, Refused
from mainstay.ledger.columnar import ORDER, bounds, by_hour, kind_of, parquet, table_of
from mainstay.ledger.facts import Ledger
from mainstay.ledger.files import DAMAGED, add_shipped, blob_name, hour_of, shipped
from mainstay.logged import columns, decode_header
from mainstay.observed import ObservationFile


@dataclass(slots=True)
class Shipped:
    """What a round of shipping did: runs, the rows of each kind, and what could not be read of them."""

    runs: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    known: int = 0
    damaged: int = 0
    damaged_bytes: int = 0


def ship(stream: Stream, ledger: Ledger, blobs: Blobs, use_case: str, now: datetime) -> Shipped:
    """Take up every sealed run of a use case, the oldest first. Unavailable while the world is down.

    Whatever was shipped before that stands, and the rest waits. One process at a time for each stream.
    """
    done = Shipped()
    for name in stream.sealed(use_case):
        try:
            run = stream.read(use_case, name)
        except NotFound:
            continue
        if shipped(ledger, use_case, run.digest):
            done.known += 1  # its shipper died between the transaction and the next line
            stream.done(use_case, name, keep=bool(run.damaged))
            continue
        _ship(run, ledger, blobs, use_case, now, done, stream)
    return done


def _ship(run: Run, ledger: Ledger, blobs: Blobs, use_case: str, now: datetime, done: Shipped, stream: Stream) -> None:
    files, lost = _files(run, blobs, use_case)
    size = sum(stop - start for start, stop in run.damaged)
    if lost:
        hour = hour_of(now)
        files.append(ObservationFile("add", run.digest, DAMAGED, hour, lost, size, now, now))
    if files:
        add_shipped(ledger, use_case, run.digest, files)
    stream.done(use_case, run.name, keep=bool(lost))
    done.runs += 1
    done.damaged += lost
    done.damaged_bytes += size if lost else 0
    for file in files:
        if file.kind != DAMAGED:
            done.rows[file.kind] = done.rows.get(file.kind, 0) + file.rows


def _files(run: Run, blobs: Blobs, use_case: str) -> tuple[list[ObservationFile], int]:
    """Put the blobs of a run; the files they are, and how many spans and frames of it hold nothing that can be read."""
    lost = len(run.damaged)
    if run.header is None:
        return [], max(1, lost)
    try:
        header = decode_header(run.header)
    except Refused:
        return [], max(1, len(run.payloads))
    made, refused = columns(header, run.payloads)
    lost += refused
    kind = kind_of(header)
    if not made[ORDER[kind]]:
        return [], lost
    files = []
    for hour, rows in by_hour(table_of(header, made), kind).items():
        files.append(put_table(blobs, use_case, kind, hour, run.digest, rows))
    return files, lost


def put_table(blobs: Blobs, use_case: str, kind: str, hour: datetime, digest: str, rows: pa.Table) -> ObservationFile:
    """Keep a table that is not empty as a blob; the delta that would add it."""
    data = parquet(rows)
    first, last = bounds(rows, kind)
    file = ObservationFile("add", digest, kind, hour, rows.num_rows, len(data), first, last)
    blobs.put(blob_name(use_case, file), data)
    return file
