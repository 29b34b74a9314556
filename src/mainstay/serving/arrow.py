"""Arrow IPC streams in and out, with nanoarrow (5 MB) in place of pyarrow (60 MB and more).

A body is not trusted: before anything is allocated for it, the stream's messages are walked for their rows and for
compression, and what is decoded is checked against its own buffers.
"""

import struct
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

import nanoarrow as na
import numpy as np
from nanoarrow.ipc import InputStream, StreamWriter
from numpy.typing import NDArray

from mainstay.scoring.encode import LARGEST_INTEGER
from mainstay.scoring.reading import Problem
from mainstay.scoring.table import Distinct, Given
from mainstay.serving.answers import Answered, Texts
from mainstay.serving.problems import Rejected
from mainstay.serving.table import TABLE_ROWS

COLUMNS = 1000
"""Columns of a table that are looked at."""
_INTEGERS: Final = {"c": "i1", "C": "u1", "s": "i2", "S": "u2", "i": "<i4", "I": "<u4", "l": "<i8", "L": "<u8"}
_FLOATS: Final = {"e": "<f2", "f": "<f4", "g": "<f8"}
_TEXTS: Final = {"u": "<i4", "U": "<i8"}
_SCHEMA, _DICTIONARY, _BATCH = 1, 2, 3
_FEW: Final = 64
"""Distinct texts of a column that are looked for all at once; a column with more has each row's read."""
_LONG: Final = 64

Columns = dict[str, Given]


def read_arrow(body: bytes | bytearray) -> tuple[int, Columns]:
    """The rows and columns of a stream, without compression: numbers, texts, booleans and dictionaries of those.

    Rejected with 400 where it is no such stream, with 413 for too many rows, with 415 where it is compressed, and with
    422 for a column that is of another type, or named twice.
    """
    try:
        _walk(body)
        with na.c_array_stream(InputStream.from_readable(BytesIO(body))) as stream:
            schema = stream.get_schema()
            names = [schema.child(n).name or "" for n in range(schema.n_children)]
            _check(names, [schema.child(n) for n in range(schema.n_children)])
            parts = [_decoded(array, schema, names) for array in stream]
    except (RuntimeError, struct.error, IndexError, UnicodeDecodeError, ValueError) as error:
        raise Rejected(400, "the body is not an Arrow IPC stream that can be read") from error
    rows = sum(count for count, _ in parts)
    if not parts:
        return 0, {name: Distinct(np.empty(0, dtype=np.int32), ()) for name in names}
    return rows, {name: _joined([columns[name] for _, columns in parts]) for name in names}


def _walk(body: bytes | bytearray) -> None:
    """Look at each message's head (Message.fbs): what it holds, how many rows, whether it is compressed."""
    at = rows = dictionaries = 0
    while at + 8 <= len(body):
        mark, size = struct.unpack_from("<Ii", body, at)
        if mark != 0xFFFFFFFF:
            hint = "; this is a file, send a stream" if body[:6] == b"ARROW1" else ""
            raise Rejected(400, f"the body is not an Arrow IPC stream{hint}")
        if size == 0:
            return
        at += 8
        message = at + struct.unpack_from("<I", body, at)[0]
        kind = _scalar(body, message, 1, "<B")
        header = _table(body, message, 2)
        if kind == _DICTIONARY:
            header = _table(body, header, 1)
        if kind in (_DICTIONARY, _BATCH):
            count = _scalar(body, header, 0, "<q")
            rows += count if kind == _BATCH else 0
            dictionaries += kind == _DICTIONARY
            if not 0 <= count <= TABLE_ROWS or rows > TABLE_ROWS or dictionaries > COLUMNS:
                raise _too_many()
            if _field(body, header, 3):
                raise Rejected(415, "the Arrow stream is compressed: write it without compression")
        elif kind != _SCHEMA:
            raise Rejected(400, "the body is not an Arrow IPC stream that can be read")
        length = _scalar(body, message, 3, "<q")
        if size < 0 or length < 0:
            raise struct.error("a message of less than nothing")
        at += size + length


def _field(body: bytes | bytearray, table: int, number: int) -> int:
    """Where a field of a FlatBuffers table stands; 0 where it has its default."""
    virtual = table - struct.unpack_from("<i", body, table)[0]
    if virtual < 0:
        raise struct.error("a table outside the body")
    if 4 + 2 * number >= struct.unpack_from("<H", body, virtual)[0]:
        return 0
    offset = struct.unpack_from("<H", body, virtual + 4 + 2 * number)[0]
    return table + int(offset) if offset else 0


def _scalar(body: bytes | bytearray, table: int, number: int, kind: str) -> int:
    at = _field(body, table, number)
    return int(struct.unpack_from(kind, body, at)[0]) if at else 0


def _table(body: bytes | bytearray, table: int, number: int) -> int:
    at = _field(body, table, number)
    if not at:
        raise struct.error("a message without its header")
    return at + int(struct.unpack_from("<I", body, at)[0])


def _too_many() -> Rejected:
    return Rejected(413, f"the table has too many rows; at most {TABLE_ROWS:,} are taken: send several")


def _check(names: list[str], kinds: list[Any]) -> None:
    twice = {name for name in names if names.count(name) > 1} if len(names) <= COLUMNS else set(names[:1])
    problems = [Problem(name[:64], "is there twice", "a column once") for name in sorted(twice)[:3]]
    for name, kind in zip(names, kinds, strict=True):
        inner = kind if kind.dictionary is None else kind.dictionary
        if inner.format not in {**_INTEGERS, **_FLOATS, **_TEXTS, "b": "", "n": ""} or inner.dictionary is not None:
            problems.append(Problem(name[:64], "is of a type that is not read", "numbers, texts or booleans"))
    if problems:
        raise Rejected(422, f"{problems[0].field}: {problems[0].reason}", problems[:10])


def _decoded(array: Any, schema: Any, names: list[str]) -> tuple[int, Columns]:
    view = array.view()
    if view.null_count:
        raise ValueError("rows that are null as a whole")
    columns = {name: _column(view.child(n), schema.child(n)) for n, name in enumerate(names)}
    if any(len(each.codes if isinstance(each, Distinct) else each) != array.length for each in columns.values()):
        raise ValueError("the columns differ in length")
    return array.length, columns


def _column(view: Any, schema: Any) -> Given:
    if schema.dictionary is None:
        return _plain(view, schema.format)
    codes = _numbers(view, _INTEGERS[schema.format])
    present = _present(view)
    inner = _plain(view.dictionary, schema.dictionary.format)
    values = inner if isinstance(inner, Distinct) else _of_numbers(inner)
    if len(codes) and present is not None:
        codes = np.where(present, codes, 0)
    within = len(values.codes)
    if len(codes) and (codes.max(initial=0) >= max(within, 1) or codes.min(initial=0) < 0):
        raise ValueError("a dictionary's place beyond its end")
    places = np.append(values.codes, np.int32(-1))[codes if within else np.full(len(codes), -1)]
    return Distinct(places if present is None else np.where(present, places, np.int32(-1)), values.values)


def _plain(view: Any, kind: str) -> Given:
    present = _present(view)
    if kind == "n":
        return Distinct(np.full(view.length, -1, dtype=np.int32), ())
    if kind in _TEXTS:
        return _texts(view, kind, present)
    if kind == "b":
        bits = np.unpackbits(np.frombuffer(view.buffer(1), np.uint8), bitorder="little")
        codes = bits[view.offset : view.offset + view.length].astype(np.int32)
        return Distinct(codes if present is None else np.where(present, codes, np.int32(-1)), (False, True))
    numbers = _numbers(view, _INTEGERS.get(kind) or _FLOATS[kind])
    if numbers.dtype.kind in "iu" and len(numbers) and max(int(numbers.max()), -int(numbers.min())) > LARGEST_INTEGER:
        values, places = np.unique(numbers, return_inverse=True)  # a float could not tell them all apart
        codes = places.astype(np.int32)
        return Distinct(codes if present is None else np.where(present, codes, np.int32(-1)), tuple(values.tolist()))
    made = numbers.astype(np.float64)
    if present is not None:
        made[~present] = np.nan
    return made


def _of_numbers(numbers: NDArray[np.float64]) -> Distinct:
    codes = np.arange(len(numbers), dtype=np.int32)
    return Distinct(np.where(np.isnan(numbers), np.int32(-1), codes), tuple(numbers.tolist()))


def _numbers(view: Any, kind: str) -> NDArray[Any]:
    found = np.frombuffer(view.buffer(1), np.uint8)
    made = found[: len(found) // np.dtype(kind).itemsize * np.dtype(kind).itemsize].view(kind)
    if len(made) < view.offset + view.length:
        raise ValueError("a column shorter than it says")
    return made[view.offset : view.offset + view.length]


def _present(view: Any) -> NDArray[np.bool_] | None:
    bits = np.frombuffer(view.buffer(0), np.uint8)
    if not len(bits) or view.null_count == 0:
        return None
    made = np.unpackbits(bits, bitorder="little")[view.offset : view.offset + view.length].astype(np.bool_)
    if len(made) != view.length:
        raise ValueError("a column shorter than it says")
    return made


def _texts(view: Any, kind: str, present: NDArray[np.bool_] | None) -> Distinct:
    size = np.dtype(_TEXTS[kind]).itemsize
    raw = np.frombuffer(view.buffer(1), np.uint8)
    edges = raw[: len(raw) // size * size].view(_TEXTS[kind])[view.offset : view.offset + view.length + 1]
    data = bytes(view.buffer(2))
    if view.length == 0:
        return Distinct(np.empty(0, dtype=np.int32), ())
    if len(edges) != view.length + 1:
        raise ValueError("a column shorter than it says")
    edges = edges.astype(np.int64)
    if edges[0] < 0 or edges[-1] > len(data) or (np.diff(edges) < 0).any():
        raise ValueError("texts outside their column")
    return distinct_texts(data, edges, present)


def distinct_texts(data: bytes, edges: NDArray[np.int64], present: NDArray[np.bool_] | None) -> Distinct:
    """The distinct texts among those that lie between `edges` (n + 1,) in UTF-8; UnicodeDecodeError for any other.

    Texts are compared eight bytes at a time, a distinct one at once with all rows: columns have few.
    """
    starts, lengths = edges[:-1], np.diff(edges)
    codes = np.full(len(starts), -1, dtype=np.int32)
    left = np.arange(len(starts)) if present is None else np.flatnonzero(present)
    values: list[str] = []
    words = _words(data, starts, lengths) if len(left) and lengths[left].max() <= _LONG else None
    while words is not None and len(left) and len(values) < _FEW:
        first = left[0]
        same = lengths[left] == lengths[first]
        for word in words:
            same &= word[left] == word[first]
        codes[left[same]] = len(values)
        values.append(data[starts[first] : edges[first + 1]].decode())
        if len(values) == 8 and len(left) > len(starts) // 2:
            words = None
        left = left[~same]
    if len(left):
        places = {value: n for n, value in enumerate(values)}
        spans = zip(starts[left].tolist(), edges[left + 1].tolist(), strict=True)
        if data.isascii():  # then a place in the bytes is one in the text
            text = data.decode()
            found = [text[start:end] for start, end in spans]
        else:
            found = [data[start:end].decode() for start, end in spans]
        codes[left] = [places.setdefault(each, len(places)) for each in found]
        values = list(places)
    return Distinct(codes, tuple(values))


def _words(data: bytes, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> list[NDArray[np.uint64]]:
    """The texts' bytes as numbers of eight, as many as the longest has; zero beyond each text's end."""
    padded = data + bytes(_LONG + 8)
    loaded = np.ndarray((len(padded) - 7,), dtype="<u8", buffer=padded, strides=(1,))
    made = []
    for at in range(0, int(lengths.max()) if len(lengths) else 0, 8):
        if at >= _LONG:
            break
        over = np.clip(lengths - at, 0, 8)
        keep = _KEEP[over]
        made.append(loaded[starts + at] & keep)
    return made


_KEEP: Final = np.array([(1 << 8 * n) - 1 for n in range(9)], dtype=np.uint64)


def _joined(parts: list[Given]) -> Given:
    """One column of those of several batches."""
    if len(parts) == 1:
        return parts[0]
    if all(not isinstance(each, Distinct) for each in parts):
        return np.concatenate(parts)  # type: ignore[arg-type]
    codes: list[NDArray[np.int32]] = []
    values: list[str | bool | float] = []
    for each in parts:
        one = each if isinstance(each, Distinct) else _of_numbers(each)
        codes.append(np.where(one.codes < 0, np.int32(-1), one.codes + np.int32(len(values))))
        values += one.values
    return Distinct(np.concatenate(codes), tuple(values))


def as_arrow(answered: Answered) -> bytes:
    """The answers as an Arrow IPC stream: one batch, a row for each row, null where there is no answer."""
    without = np.isnan(answered.probability)
    flags = {row: " ".join(each) for row, each in answered.flags.items()}
    columns: dict[str, tuple[Any, Any]] = {"prediction_id": _ids(answered, without)}
    if answered.entities is not None:
        columns["entity"] = _strings([None if each is None else str(each) for each in answered.entities])
    columns |= {
        "probability": _reals(answered.probability, without),
        "decision": _few(answered.decision),
        "risk": _few(answered.risk),
        "threshold": _reals(answered.thresholds(), without),
        "version": _few(answered.version),
        "flags": _sparse(flags, answered.rows),
        "error": _sparse(answered.errors(), answered.rows),
    }
    schema = na.struct({name: kind for name, (kind, _) in columns.items()})
    whole = na.c_array_from_buffers(schema, answered.rows, [None], children=[array for _, array in columns.values()])
    into = BytesIO()
    with StreamWriter.from_writable(into) as writer:
        writer.write_stream(whole)
    return into.getvalue()


def _built(kind: Any, rows: int, buffers: list[Any], absent: NDArray[np.bool_]) -> tuple[Any, Any]:
    missing = int(absent.sum())
    valid = np.packbits(~absent, bitorder="little") if missing else None
    return kind, na.c_array_from_buffers(kind, rows, [valid, *buffers], null_count=missing)


def _reals(numbers: NDArray[np.float64], absent: NDArray[np.bool_]) -> tuple[Any, Any]:
    return _built(na.float64(), len(numbers), [numbers], absent)


def _of_bytes(lengths: NDArray[np.int64], data: bytes, absent: NDArray[np.bool_]) -> tuple[Any, Any]:
    edges = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=edges[1:])
    return _built(na.string(), len(lengths), [edges.astype(np.int32), data], absent)


def _strings(texts: list[str | None]) -> tuple[Any, Any]:
    told = ["" if each is None else each for each in texts]
    joined = "".join(told)
    lengths = map(len, told) if joined.isascii() else (len(each.encode()) for each in told)
    absent = np.fromiter((each is None for each in texts), np.bool_, len(texts))
    return _of_bytes(np.fromiter(lengths, np.int64, len(told)), joined.encode(), absent)


def _few(column: Texts) -> tuple[Any, Any]:
    texts = [*(each.encode() for each in column.values), b""]
    lengths = np.array([len(each) for each in texts], dtype=np.int64)[column.codes]
    return _of_bytes(lengths, b"".join(np.array(texts, dtype=object)[column.codes].tolist()), column.codes < 0)


def _sparse(texts: dict[int, str], rows: int) -> tuple[Any, Any]:
    """A column of which most rows have nothing."""
    lengths = np.zeros(rows, dtype=np.int64)
    absent = np.ones(rows, dtype=np.bool_)
    coded = {row: texts[row].encode() for row in sorted(texts)}
    for row, text in coded.items():
        lengths[row], absent[row] = len(text), False
    return _of_bytes(lengths, b"".join(coded.values()), absent)


def _ids(answered: Answered, without: NDArray[np.bool_]) -> tuple[Any, Any]:
    if not isinstance(answered.ids, str):
        return _strings(answered.ids)
    parts = list(_counted(answered.ids.encode() + b".", answered.rows))
    lengths = np.concatenate([np.empty(0, np.int64), *(np.full(len(each), each.shape[1]) for each in parts)])
    return _of_bytes(lengths, b"".join(each.tobytes() for each in parts), without)


def _counted(prefix: bytes, rows: int) -> Iterator[NDArray[np.uint8]]:
    """The prefix with 0, 1, 2, … behind it, as bytes: a block for the numbers of each length."""
    start, digits = 0, 1
    while start < rows:
        end = min(rows, 10**digits)
        numbers = np.arange(start, end)
        block = np.empty((end - start, len(prefix) + digits), dtype=np.uint8)
        block[:, : len(prefix)] = np.frombuffer(prefix, np.uint8)
        for place in range(digits):
            block[:, len(prefix) + digits - 1 - place] = 48 + numbers // 10**place % 10
        yield block
        start, digits = end, digits + 1
