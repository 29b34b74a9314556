"""One column as the contract types it, whatever the source wrote it as: the same value is the same in CSV and Parquet.

What the values become: integer int64 (within 2**53, where every number is exact), number float64, category and
identifier strings in Unicode's NFC, timestamp microseconds UTC. A blank and a NaN are nulls; -0.0 is 0.0.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstay.usecase import Column

TIMESTAMP: Final = pa.timestamp("us", "UTC")
LARGEST_INTEGER: Final = 2**53 - 1
_NUMBER: Final = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:nan|inf|infinity))$"
_WHOLE: Final = re.compile(r"([+-]?\d+)\.0+")
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d([Tt ]\d\d:\d\d(:\d\d(\.\d{1,9})?)? ?([Zz]|[+-]\d\d(:?\d\d)?)?)?")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_FIRST, _LAST = -62135596800, 253402300799  # the seconds of the years 1 to 9999, which is all that dates can say

Mask = NDArray[np.bool_]
_Read = tuple[Any, Mask]


@dataclass(frozen=True, slots=True)
class Typed:
    """n values (pa.Array), null where there is none; `wrong` (n,) marks those that were no value of this type."""

    values: pa.Array
    wrong: Mask


def typed(given: pa.ChunkedArray, column: Column) -> Typed:
    """The values of a column as its contract types them; what cannot be one is null, and marked as wrong."""
    values = _plain(given)
    read, wrong = _READERS[column.type](values, column)
    return Typed(read, wrong)


def text_of(given: pa.ChunkedArray) -> pa.Array:
    """Any column as strings (NFC), null for a blank or for what has no text: the same text for 7, 7.0 and "7"."""
    return _texts(_plain(given), _IDENTIFIER)[0]


def without_blanks(texts: Any) -> Any:
    """Strings, with null where there is nothing but white space."""
    blank = pc.equal(pc.utf8_trim_whitespace(texts), "")
    return pc.if_else(blank, None, texts) if pc.any(blank).as_py() else texts


def _plain(given: pa.ChunkedArray) -> pa.Array:
    """One array; categories as their values, every kind of text as strings without blanks."""
    values = given.combine_chunks() if isinstance(given, pa.ChunkedArray) else given
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if _is_text(values.type):
        return without_blanks(values.cast(pa.string()))
    if pa.types.is_date(values.type):
        return values.cast(pa.timestamp("s" if pa.types.is_date32(values.type) else "ms"))
    return values


def _is_text(kind: Any) -> bool:
    return any(of(kind) for of in (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view))


def _present(values: pa.Array) -> Mask:
    return np.asarray(values.is_valid().to_numpy(zero_copy_only=False))


def _floats(values: pa.Array) -> tuple[NDArray[np.float64], Mask]:
    """As float64 with NaN for missing; infinities and what is no number are wrong."""
    kind = values.type
    wrong = np.zeros(len(values), dtype=np.bool_)
    if pa.types.is_string(kind):
        trimmed = pc.utf8_trim_whitespace(values)
        try:
            values = trimmed.cast(pa.float64())
        except pa.ArrowInvalid:
            numeric = pc.match_substring_regex(trimmed, _NUMBER)
            wrong = _present(values) & ~np.asarray(numeric.fill_null(False).to_numpy(zero_copy_only=False))
            values = pc.if_else(numeric, trimmed, None).cast(pa.float64())
    elif pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        values = values.cast(pa.float64(), safe=False)
    else:
        wrong, values = _present(values), pa.nulls(len(values), pa.float64())
    numbers = np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float64) + 0.0  # there is no -0.0 then
    infinite = np.isinf(numbers)
    return np.where(infinite, np.nan, numbers), wrong | infinite


def _numbers(values: pa.Array, _: Column) -> _Read:
    numbers, wrong = _floats(values)
    return pa.array(numbers, mask=np.isnan(numbers)), wrong


def _integers(values: pa.Array, _: Column) -> _Read:
    numbers, wrong = _floats(values)
    with np.errstate(invalid="ignore"):
        whole = (np.floor(numbers) == numbers) & (np.abs(numbers) <= LARGEST_INTEGER)
    wrong |= ~whole & ~np.isnan(numbers)
    return pa.array(np.where(whole, numbers, 0).astype(np.int64), mask=~whole), wrong


def _timestamps(values: pa.Array, _: Column) -> _Read:
    kind = values.type
    if pa.types.is_string(kind):
        return _written_times(values)
    if not pa.types.is_timestamp(kind):
        return pa.nulls(len(values), TIMESTAMP), _present(values)
    ticks = values.cast(pa.int64())
    scale = _PER_SECOND[kind.unit]
    inside = pc.and_(
        pc.greater_equal(ticks, max(_FIRST * scale, -(2**63))), pc.less(ticks, min((_LAST + 1) * scale, 2**63 - 1))
    )
    wrong = _present(values) & ~np.asarray(inside.fill_null(False).to_numpy(zero_copy_only=False))
    numbers = np.asarray(pc.if_else(inside, ticks, 0).fill_null(0).to_numpy(zero_copy_only=False))
    micros = numbers // 1000 if scale == 10**9 else numbers * (10**6 // scale)
    return pa.array(micros, mask=wrong | ~_present(values)).cast(TIMESTAMP), wrong


def _written_times(texts: pa.Array) -> _Read:
    """RFC 3339, or a date, or a time without a zone, which is UTC."""
    coded = pc.utf8_trim_whitespace(texts).dictionary_encode()
    known = [_instant(text) for text in coded.dictionary.to_pylist()]
    times = pa.array(known, pa.int64()).take(coded.indices)
    return times.cast(TIMESTAMP), _present(texts) & ~_present(times)


def _instant(text: str) -> int | None:
    """Microseconds since 1970, or None for what is no time."""
    if not _TIME.fullmatch(text):
        return None
    try:
        at = datetime.fromisoformat(text.upper().replace(" +", "+").replace(" -", "-").replace(" Z", "Z"))
        known = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)  # OverflowError outside years 1 to 9999
        return (known - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def _texts(values: pa.Array, column: Column) -> _Read:
    kind = values.type
    present = _present(values)
    if pa.types.is_string(kind):
        texts = values
    elif pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        texts = values.cast(pa.string())
    elif pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        texts, present = _texts_of_numbers(values)
    elif pa.types.is_timestamp(kind):
        times, wrong = _timestamps(values, column)
        texts = pc.strftime(times.cast(pa.timestamp("us")), "%Y-%m-%dT%H:%M:%SZ")
        present = _present(times) | wrong
    else:
        texts = pa.nulls(len(values), pa.string())
    spelt = _spelling(column.values or (), boolean=pa.types.is_boolean(kind))
    if column.values or not pc.all(pc.string_is_ascii(texts)).as_py():
        coded = texts.dictionary_encode()
        texts = pa.array([spelt(text) for text in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)
    return texts, present & ~_present(texts)


def _texts_of_numbers(values: pa.Array) -> _Read:
    """7.0 as `7`: a category that lacks a value is often stored as floats. NaN is null, infinities are left out."""
    numbers, wrong = _floats(values)
    with np.errstate(invalid="ignore"):
        whole = (np.floor(numbers) == numbers) & (np.abs(numbers) <= LARGEST_INTEGER)
    integers = pa.array(np.where(whole, numbers, 0).astype(np.int64)).cast(pa.string())
    others = pa.array(numbers, mask=np.isnan(numbers)).cast(pa.string())
    return pc.if_else(pa.array(whole), integers, others), wrong | ~np.isnan(numbers)


def _spelling(values: tuple[str, ...], *, boolean: bool) -> Callable[[str], str]:
    """How the contract spells a text: as one of `values` if it is one, else in NFC.

    `1.0` is the value `1` where that is listed and `1.0` is not; `true` of a column of booleans may be listed as True.
    """
    listed = {unicodedata.normalize("NFC", value): value for value in values}
    if boolean:
        listed = {value.casefold(): value for value in values} | listed

    def spelt(text: str) -> str:
        normal = unicodedata.normalize("NFC", text)
        whole = _WHOLE.fullmatch(normal)
        return listed.get(normal) or (listed.get(whole[1]) if whole else None) or normal

    return spelt


_IDENTIFIER: Final = Column(type="identifier")
_READERS: Final[dict[str, Callable[[pa.Array, Column], _Read]]] = {
    "integer": _integers,
    "number": _numbers,
    "timestamp": _timestamps,
    "category": _texts,
    "identifier": _texts,
}
