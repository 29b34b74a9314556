"""Text files of rows. They are read as strings, nothing inferred, and what makes one unreadable is said by line."""

import codecs
import csv
import io
from collections.abc import Iterator
from itertools import islice
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv

from mainstay.data.typed import without_blanks
from mainstay.errors import Refused

COMMA: Final = ","
TAB: Final = "\t"
USUAL: Final = {".csv": COMMA, ".txt": COMMA, ".tsv": TAB}
"""What separates values, by the ending of a text's name, where nobody says otherwise."""
_NAMES: Final = {COMMA: "commas", TAB: "tabs", ";": "semicolons", "|": "bars (|)"}
_MAGIC: Final = {b"PK\x03\x04": "an Excel workbook or a zip", b"\x1f\x8b": "compressed (gzip)", b"PAR1": "Parquet"}
_UTF16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_LONGEST_HEADER: Final = 1 << 20
_HEAD: Final = 1 << 16  # bytes, and lines, by which the delimiter is told
_SNIFFED: Final = 50
_QUOTE: Final = ord('"')
_BLOCK: Final = 1 << 24  # bytes that are looked through for quotes at once


def read_delimited(data: bytes, delimiter: str, name: str) -> pa.Table:
    """The rows of a text in UTF-8 whose first line names the columns; every column a string, blanks null.

    A column without a name or a value, as spreadsheets leave them at the end, is no column. Refused, each by its own
    sentence with `name` as the place: bytes that are no UTF-8, a header that another delimiter separates or that names
    a column twice, values in several columns without a name, no rows, a row with too many or too few values, a quote
    that never closes or that stands in the middle of a value (RFC 4180 has such a value in quotes, and the quote in it
    twice).
    """
    data = _text(data, name)
    quoted = b'"' in data
    if quoted:  # two stray ones, and Arrow would take every line between them for one value
        _refuse_stray_quotes(data, delimiter, name)
    header = _header(data, delimiter, name)
    if len(data) <= _LONGEST_HEADER and len(data.strip().splitlines()) == 1:
        raise Refused("there is a header and no rows; it needs at least one", name)
    try:
        table = pa_csv.read_csv(
            io.BytesIO(data),
            read_options=pa_csv.ReadOptions(block_size=min(len(data) + 1, 1 << 25)),
            parse_options=pa_csv.ParseOptions(delimiter=delimiter, newlines_in_values=quoted),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        _refuse_ragged(data, delimiter, name, len(header))
        raise Refused(f"cannot be read as values between {_NAMES[delimiter]}; save it as CSV again", name) from error
    if not table.num_rows:
        raise Refused("there is a header and no rows; it needs at least one", name)
    return _named(pa.table([without_blanks(column) for column in table.columns], names=table.column_names), name)


def _named(table: pa.Table, name: str) -> pa.Table:
    """Without the columns that have neither a name nor a value, which spreadsheets leave behind the last one."""
    nameless = [at for at, column in enumerate(table.column_names) if not column.strip()]
    filled = [at for at in nameless if table.column(at).null_count < table.num_rows]
    if len(filled) > 1:
        places = " and ".join(str(at + 1) for at in filled[:2])
        raise Refused(f"columns {places} have values and no name; give each a name of its own in the header", name)
    return table.select([at for at in range(table.num_columns) if at in filled or at not in nameless])


def sniffed(data: bytes, usual: str) -> str:
    """What separates the values of a text in UTF-8: `usual` unless another mark makes more of the first lines.

    A mark is believed where the header and the rows after it have the same number of values, at least two.
    """
    head = data.removeprefix(codecs.BOM_UTF8)[:_HEAD]
    if len(data) > _HEAD:
        head = head[: head.rfind(b"\n") + 1]
    widths = {}
    for mark in dict.fromkeys((usual, *_NAMES)):
        try:
            found = [len(row) for _, row in islice(_records(head, mark), _SNIFFED) if row]
        except csv.Error:
            continue
        if found and found[0] > 1:
            widths[mark] = (len(set(found)) == 1, found[0])
    return max(widths, key=lambda mark: widths[mark], default=usual)


def _text(data: bytes, name: str) -> bytes:
    """The same bytes without a byte order mark, once they are known to be text in UTF-8."""
    for magic, kind in _MAGIC.items():
        if data.startswith(magic):
            raise Refused(f"this is {kind}, not text; save it as CSV in UTF-8", name)
    if data.startswith(_UTF16):
        raise Refused("this is UTF-16, not UTF-8; save it as CSV in UTF-8", name)
    data = data.removeprefix(codecs.BOM_UTF8)
    if not data.isascii():
        try:
            data.decode()
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            raise Refused(f"not UTF-8 at byte {error.start + 1} (line {line}); save it as UTF-8", name) from error
    zero = data.find(b"\0")
    if zero >= 0:
        raise Refused(f"not text: a zero byte at byte {zero + 1}; save it as CSV in UTF-8", name)
    if not data.strip():
        raise Refused("the file is empty; it needs a header and at least one row", name)
    return data


def _header(data: bytes, delimiter: str, name: str) -> list[str]:
    try:
        header = next(row for _, row in _records(data[:_LONGEST_HEADER], delimiter) if row)
    except csv.Error as error:
        raise Refused("the first line is not a header that can be read; it names the columns", name) from error
    other = next((mark for mark in _NAMES if len(header) == 1 and mark != delimiter and mark in header[0]), None)
    if other is not None:
        raise Refused(
            f"the values are separated by {_NAMES[other]}, where {_NAMES[delimiter]} are expected; "
            f"save it with {_NAMES[delimiter]}",
            name,
        )
    repeated = next((column for column in header if column.strip() and header.count(column) > 1), None)
    if repeated is not None:
        raise Refused(f"two columns are named `{repeated}` in the header; give each a name of its own", name)
    return header


def _refuse_stray_quotes(data: bytes, delimiter: str, name: str) -> None:
    """Every other quote opens a value (or, right behind one that closed it, opens it again: that is a quote in it).

    So the first, third, … must stand where a value begins, and the second, fourth, … where one ends. The first that
    does not is at fault, or the one that opened there: up to it, it is certain which quotes open.
    """
    marks = np.frombuffer(data, dtype=np.uint8)
    beside = np.zeros(256, dtype=np.bool_)
    beside[list(f'{delimiter}\r\n"'.encode())] = True
    opening, count = -1, 0  # where the value began that the last quote belongs to; the quotes so far
    for start in range(0, len(marks), _BLOCK):
        places = np.flatnonzero(marks[start : start + _BLOCK] == _QUOTE) + start
        opens = (np.arange(count, count + places.size) % 2) == 0
        outside = np.where(opens, places - 1, places + 1)
        at_edge = (outside < 0) | (outside == len(marks))
        neighbours = marks[np.clip(outside, 0, len(marks) - 1)]
        stray = ~at_edge & ~beside[neighbours]
        begins = opens & (at_edge | (neighbours != _QUOTE))
        first = int(np.argmax(stray)) if stray.any() else places.size
        begun = np.flatnonzero(begins[:first])
        opening = int(places[begun[-1]]) if begun.size else opening
        if first < places.size:
            at = int(places[first])
            said = f"a quote in the middle of a value on line {_line(data, at)}"
            if not opens[first]:
                said += f", in the value that a quote opens on line {_line(data, opening)}"
            raise Refused(f"{said}; put the whole value in quotes and double those in it", name)
        count += places.size
    if count % 2:
        raise Refused(f"a quote that opens on line {_line(data, opening)} never closes; close or double it", name)


def _line(data: bytes, at: int) -> int:
    """The line, from 1, that a byte is on; lines end as they do on any system."""
    return max(data.count(b"\n", 0, at), data.count(b"\r", 0, at)) + 1


def _refuse_ragged(data: bytes, delimiter: str, name: str, width: int) -> None:
    """Read again, slowly, to say which line it was."""
    started = 1
    try:
        for ended, row in _records(data, delimiter):
            if row and len(row) != width:
                said = f"line {started} has {len(row)} values where the header names {width} columns"
                if width == 1:
                    raise Refused(f"{said}; the first line must be the header, with nothing above it", name)
                raise Refused(
                    f"{said}; quote a value that holds the delimiter, and write nothing between two for a missing one",
                    name,
                )
            started = ended + 1
    except csv.Error as error:
        raise Refused(f"line {started} cannot be read ({error}); save it as CSV again", name) from error


def _records(data: bytes, delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Every record with the line it ends on; an empty line is an empty record."""
    text = io.TextIOWrapper(io.BytesIO(data), encoding="utf-8", errors="replace", newline="")
    reader = csv.reader(text, delimiter=delimiter)
    for row in reader:
        yield reader.line_num, row
