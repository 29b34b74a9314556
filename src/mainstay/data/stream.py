"""Rows of a file a part at a time, so that memory does not grow with the file.

Pages of Parquet are read as they are needed, so that a row group may be as large as the file. A text file is cut
between its records, and each part is read, and refused, as `delimited.py` reads a whole file.
"""

import codecs
import errno
import gzip
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from mainstay.data.delimited import USUAL, read_delimited
from mainstay.errors import MainstayError, Misconfigured, NotFound, Refused, Unavailable

ROWS: Final = 50_000
"""Rows of a part of a Parquet file, at most."""
_TEXT_BYTES: Final = 8_000_000
"""Bytes of a part of a text file, about; more where a value goes on over many lines."""
_LONGEST: Final = 8 * _TEXT_BYTES
_PAGE_BYTES: Final = 1 << 20
_PARQUET: Final = (".parquet", ".pq")


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of an opened file: the names of all its columns, how many rows where that is known, and its parts.

    `parts` gives tables of at least one row with the columns that were asked for, once; those that are named as
    categories too come as dictionaries where that is faster. While it is iterated: Refused where the file turns out
    not to be what its name says, Unavailable where the disk fails.
    """

    names: tuple[str, ...]
    total: int | None
    parts: Callable[[Sequence[str], Sequence[str]], Iterator[pa.Table]]


def kind_of(path: Path) -> str:
    """`parquet`, `csv`, `tsv` or their like, from the ending; `.gz` counts for text only. Refused for any other."""
    endings = [each.lower() for each in path.suffixes[-2:]]
    last = endings[-1] if endings else ""
    if last in _PARQUET or last in USUAL or (last == ".gz" and endings[0] in USUAL):
        return last if last != ".gz" else f"{endings[0]}.gz"
    raise Refused(
        f"`{last}` is not a kind of file that can be scored; save it as .parquet, .csv or .csv.gz"
        if last
        else "the name has no ending that says what the file is; call it .parquet or .csv",
        str(path),
    )


class open_rows(AbstractContextManager[Rows]):  # noqa: N801  (it is called as `open` is)
    """Open a file of rows, `.parquet`, `.csv`, `.tsv`, `.txt` or one of the latter and `.gz`, for one reading.

    `delimiter` separates the values of a text; None is what is usual for its ending.
    NotFound where there is no such file, Refused where it is none that can be read or has no rows, Misconfigured for
    an address, Unavailable where the disk fails.
    """

    def __init__(self, path: Path, delimiter: str | None = None) -> None:
        self._path = path
        self._delimiter = delimiter
        self._open = ExitStack()

    def __enter__(self) -> Rows:
        name = str(self._path)
        if "://" in name or ":/" in name.partition("/")[0] + "/":
            raise Misconfigured("rows are scored from a file on this machine; give its path", name)
        kind = kind_of(self._path)
        with self._open:
            stream = self._open.enter_context(_opened(self._path))
            if kind in _PARQUET:
                rows = _parquet(stream, name)
            else:
                delimiter = self._delimiter or USUAL[kind.removesuffix(".gz")]
                if kind.endswith(".gz"):
                    stream = cast(BinaryIO, self._open.enter_context(gzip.open(stream)))
                rows = _delimited(_Text(stream, name), delimiter, name)
            self._kept = self._open.pop_all()
        return rows

    def __exit__(self, *_: object) -> None:
        self._kept.close()


def _opened(path: Path) -> BinaryIO:
    name = str(path)
    try:
        if path.is_dir():
            raise Refused("a directory; name the .csv or .parquet file in it", name)
        if path.exists() and not path.is_file():
            raise Refused("not a regular file; save the rows as a .csv or .parquet file", name)
        if path.stat().st_size == 0:
            raise Refused("the file is empty; it needs a header and at least one row", name)
        return path.open("rb")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound("there is no such file; name a .csv or .parquet file with rows to score", name) from error
    except PermissionError as error:
        raise Refused("permission denied; make the file readable for the user that runs this", name) from error
    except ValueError as error:
        raise Refused("not a name that a file can have", repr(name)) from error
    except OSError as error:
        raise _of_disk(error, name) from error


def _of_disk(error: OSError, name: str) -> MainstayError:
    if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
        return Refused(f"not a name that leads to a file ({error.strerror})", name)
    return Unavailable(f"cannot be read ({error.strerror or error})", name)


def _parquet(stream: BinaryIO, name: str) -> Rows:
    with _sound(name):
        opened = pq.ParquetFile(stream, page_checksum_verification=True)
    schema = opened.schema_arrow
    repeated = next((column for column in schema.names if schema.names.count(column) > 1), None)
    if repeated is not None:
        raise Refused(f"two columns are named `{repeated}`; give each a name of its own", name)
    if not opened.metadata.num_rows:
        raise Refused("there are no rows in it; it needs at least one", name)

    def parts(columns: Sequence[str], categories: Sequence[str]) -> Iterator[pa.Table]:
        coded = [column for column in categories if pa.types.is_string(schema.field(column).type)]
        with _sound(name):
            # Pages are read as they are needed: a row group may be as large as the file.
            again = pq.ParquetFile(
                stream, read_dictionary=coded, buffer_size=_PAGE_BYTES, page_checksum_verification=True
            )
        # One row group after the other: asked for all at once, Arrow keeps something of each to the end.
        for group in range(again.num_row_groups):
            with _sound(name):
                batches = again.iter_batches(ROWS, row_groups=[group], columns=list(columns), use_threads=False)
            while True:
                with _sound(name):
                    batch = next(batches, None)
                if batch is None:
                    break
                if batch.num_rows:
                    yield pa.Table.from_batches([batch])

    return Rows(tuple(schema.names), opened.metadata.num_rows, parts)


class _sound(AbstractContextManager[None]):  # noqa: N801  (a block's name, in lower case as `suppress` is)
    """What Arrow says of a Parquet file, as ours: damage is Refused, a disk that fails is Unavailable."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, OSError) and error.errno:
            raise _of_disk(error, self._name) from error
        if isinstance(error, (pa.ArrowException, OSError, UnicodeDecodeError)):
            raise Refused(
                "not a Parquet file, or one that is cut short or damaged; write it again from where it came", self._name
            ) from error


def _delimited(text: "_Text", delimiter: str, name: str) -> Rows:
    header = text.record()
    first = text.part()
    if first is None:
        said = (
            "there is a header and no rows; it needs"
            if header.strip()
            else "the file is empty; it needs a header and rows,"
        )
        raise Refused(f"{said} at least one", name)
    # The header and the first part are read at once, so that what is wrong with either is said before any scoring.
    table = read_delimited(header + first, delimiter, name)
    header = header.removeprefix(codecs.BOM_UTF8)

    def parts(columns: Sequence[str], _: Sequence[str]) -> Iterator[pa.Table]:
        lines = first.count(b"\n")
        yield table.select(list(columns))
        while (part := text.part()) is not None:
            yield _later(header + part, delimiter, name, lines).select(list(columns))
            lines += part.count(b"\n")

    return Rows(tuple(table.column_names), None, parts)


def _later(data: bytes, delimiter: str, name: str, skipped: int) -> pa.Table:
    try:
        return read_delimited(data, delimiter, name)
    except Refused as refused:
        raise Refused(f"{refused.message} (counting lines without the {skipped:,} read before)", name) from refused


class _Text:
    """A text file, cut where a record ends: at a line's end that stands in no quotes."""

    def __init__(self, stream: BinaryIO, name: str) -> None:
        self._stream = stream
        self._name = name
        self._rest = b""
        self._ended = False

    def record(self) -> bytes:
        """The first record that is not blank, with its line's end. Refused where there is none."""
        while True:
            self._read()
            start = 0
            for end in _record_ends(self._rest).tolist():
                if self._rest[start:end].removeprefix(codecs.BOM_UTF8).strip():
                    found, self._rest = self._rest[:end], self._rest[end:]
                    return found
                start = end
            if self._ended:
                found, self._rest = self._rest, b""
                return found

    def part(self) -> bytes | None:
        """The next records, about 8 MB of them; None at the end. One that never ends is left for its reader to tell."""
        while not (self._ended and not self._rest.strip()):
            self._read()
            ends = _record_ends(self._rest)
            end = int(ends[-1]) if len(ends) and not self._ended else len(self._rest)
            if not len(ends) and not self._ended and len(self._rest) < _LONGEST:
                continue
            found, self._rest = self._rest[:end], self._rest[end:]
            if found.strip():
                return found
        return None

    def _read(self) -> None:
        try:
            read = self._stream.read(_TEXT_BYTES)
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise Refused("not compressed with gzip, or cut short or damaged; compress it again", self._name) from error
        except OSError as error:
            raise _of_disk(error, self._name) from error
        self._ended = not read
        self._rest += read


def _record_ends(data: bytes) -> NDArray[np.int64]:
    """Where records end in it, one past their line's end: an even number of quotes stands before."""
    marks = np.frombuffer(data, dtype=np.uint8)
    lines = np.flatnonzero(marks == (ord("\n") if b"\n" in data else ord("\r")))
    if b'"' in data:
        quotes = np.flatnonzero(marks == ord('"'))
        lines = lines[np.searchsorted(quotes, lines) % 2 == 0]
    return np.asarray(lines + 1, dtype=np.int64)
