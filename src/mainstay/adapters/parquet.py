"""A process that turns Parquet into Arrow IPC streams and back, for workers that do without pyarrow.

On stdin `r` (Parquet to Arrow) or `w` (Arrow to Parquet), a length (u64, little-endian) and so many bytes; on stdout a
status (u16: 200, or that of the problem), a length (u64) and so many bytes: the answer, or what is wrong. It ends with
its stdin.
"""

import os
import struct
import sys
from io import BytesIO
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

ROWS = 100_000
"""Rows of a file that are read, as many as a worker takes."""
LARGEST = 256_000_000
"""Bytes that a file's columns may take once they are read."""


def answer(what: bytes, data: bytes) -> tuple[int, bytes]:
    """The status and bytes that answer a request."""
    try:
        return (200, from_arrow(data)) if what == b"w" else to_arrow(data)
    except (pa.ArrowException, OSError, ValueError) as error:
        return 400, f"the body is not Parquet that can be read ({type(error).__name__})".encode()


def to_arrow(data: bytes) -> tuple[int, bytes]:
    """An Arrow stream of a Parquet file's rows, texts as dictionaries; or 413 where it is too large."""
    file = pq.ParquetFile(pa.BufferReader(data))
    meta = file.metadata
    if meta.num_rows > ROWS:
        return 413, f"the table has {meta.num_rows:,} rows; at most {ROWS:,} are taken: send several".encode()
    size = sum(meta.row_group(n).total_byte_size for n in range(meta.num_row_groups))
    if size > LARGEST:
        return 413, f"the columns take {size:,} bytes; at most {LARGEST:,} are read: send several".encode()
    texts = [each.name for each in file.schema_arrow if pa.types.is_string(each.type)]
    table = pq.read_table(pa.BufferReader(data), read_dictionary=texts, use_threads=False)
    into = BytesIO()
    with pa.ipc.new_stream(into, table.schema.remove_metadata()) as writer:
        writer.write_table(table.replace_schema_metadata(None).unify_dictionaries().combine_chunks())
    return 200, into.getvalue()


def from_arrow(data: bytes) -> bytes:
    """A Parquet file of an Arrow stream's rows."""
    table = pa.ipc.open_stream(data).read_all()
    into = BytesIO()
    pq.write_table(table, into)
    return into.getvalue()


def serve(given: BinaryIO, made: BinaryIO) -> None:
    """Answer what comes in, one after the other, until there is no more."""
    while head := given.read(9):
        what, size = struct.unpack("<cQ", head)
        status, data = answer(what, given.read(size))
        made.write(struct.pack("<HQ", status, len(data)))
        made.write(data)
        made.flush()


def run() -> None:
    """Serve on stdin and stdout, on one core, and give way to who answers single requests."""
    pa.set_cpu_count(1)
    pa.set_io_thread_count(1)
    os.nice(5)
    serve(sys.stdin.buffer, sys.stdout.buffer)


if __name__ == "__main__":
    run()
