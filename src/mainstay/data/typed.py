"""One column as the contract types it, whatever the source wrote it as: the same value is the same in CSV and Parquet.

What the values become: integer int64 (within 2**53, where every number is exact), number float64 (within what the
scorer's float32 can hold), category strings as `scoring/spelling.py` spells them, identifier strings in Unicode's NFC,
timestamp microseconds UTC. A blank and a NaN are nulls; -0.0 is 0.0.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstay.data.written import plain_numbers
from mainstay.scoring.encode import LARGEST_INTEGER, LARGEST_NUMBER
from mainstay.scoring.spelling import spelling
from mainstay.usecase import Column

TIMESTAMP: Final = pa.timestamp("us", "UTC")
_NUMBER: Final = r"^[+-]?((\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|(?i:nan|inf|infinity))$"
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
    if column.missing and pa.types.is_string(values.type):
        values = _without(values, column.missing)
    read, wrong = _READERS[column.type](values, column)
    return Typed(read, wrong)


def text_of(given: pa.ChunkedArray) -> pa.Array:
    """Any column as strings (NFC), null for a blank or for what has no text: the same text for 7, 7.0 and "7"."""
    return _names(_plain(given))[0]


def without_blanks(texts: Any) -> Any:
    """Strings, with null where there is nothing but white space."""
    blank = pc.equal(pc.utf8_trim_whitespace(texts), "")
    return pc.if_else(blank, None, texts) if pc.any(blank).as_py() else texts


def _without(texts: pa.Array, words: Sequence[str]) -> pa.Array:
    """Texts, with null for those that mean a missing value."""
    known = pc.is_in(pc.utf8_trim_whitespace(texts), value_set=pa.array(words, pa.string()))
    return pc.if_else(known, pa.scalar(None, pa.string()), texts)


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


def _floats(values: pa.Array, column: Column | None = None) -> tuple[NDArray[np.float64], Mask]:
    """As float64 with NaN for missing; infinities and what is no number are wrong."""
    kind = values.type
    wrong = np.zeros(len(values), dtype=np.bool_)
    if pa.types.is_string(kind):
        trimmed = pc.utf8_trim_whitespace(values)
        if column is not None and (column.decimal != "." or column.thousands):
            trimmed = plain_numbers(trimmed, column.decimal, column.thousands)
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


def _numbers(values: pa.Array, column: Column) -> _Read:
    numbers, wrong = _floats(values, column)
    beyond = np.abs(numbers) > LARGEST_NUMBER
    return pa.array(numbers, mask=beyond | np.isnan(numbers)), wrong | beyond


def _integers(values: pa.Array, column: Column) -> _Read:
    numbers, wrong = _floats(values, column)
    with np.errstate(invalid="ignore"):
        whole = (np.floor(numbers) == numbers) & (np.abs(numbers) <= LARGEST_INTEGER)
    wrong |= ~whole & ~np.isnan(numbers)
    return pa.array(np.where(whole, numbers, 0).astype(np.int64), mask=~whole), wrong


def _timestamps(values: pa.Array, column: Column | None = None) -> _Read:
    kind = values.type
    if pa.types.is_string(kind):
        return _written_times(values, column.format if column is not None else None)
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


def _written_times(texts: pa.Array, form: str | None) -> _Read:
    """As `form` writes times, else RFC 3339, or a date; a time without a zone is UTC."""
    coded = pc.utf8_trim_whitespace(texts).dictionary_encode()
    known = [_instant(text, form) for text in coded.dictionary.to_pylist()]
    times = pa.array(known, pa.int64()).take(coded.indices)
    return times.cast(TIMESTAMP), _present(texts) & ~_present(times)


def _instant(text: str, form: str | None) -> int | None:
    """Microseconds since 1970, or None for what is no time."""
    if form is None and not _TIME.fullmatch(text):
        return None
    try:
        if form is not None:
            at = datetime.strptime(text, form)  # noqa: DTZ007  (a zone is for the format to say)
        else:
            at = datetime.fromisoformat(text.upper().replace(" +", "+").replace(" -", "-").replace(" Z", "Z"))
        known = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)  # OverflowError outside years 1 to 9999
        return (known - _EPOCH) // _MICROSECOND
    except (ValueError, OverflowError):
        return None


def _names(values: pa.Array) -> _Read:
    """Identifiers: texts in NFC, as they are otherwise."""
    texts, wrong = _texts(values)
    if pa.types.is_string(values.type) and not pc.all(pc.string_is_ascii(texts)).as_py():
        texts = _each_once(texts, lambda text: unicodedata.normalize("NFC", text))
    return texts, wrong


def _categories(values: pa.Array, column: Column) -> _Read:
    texts, wrong = _texts(values, column.values or ())
    if not pa.types.is_string(values.type):
        return texts, wrong  # whatever is no text was spelt when it became one
    if column.values or not _as_spelt(texts):
        texts = _each_once(texts, spelling(column.values or ()))
    return texts, wrong


def _as_spelt(texts: pa.Array) -> bool:
    """Whether it is plain to see that these texts are spelt already: ASCII, and no white space around any."""
    if not pc.all(pc.string_is_ascii(texts)).as_py():
        return False
    return pc.all(pc.equal(pc.utf8_trim_whitespace(texts), texts)).as_py() is not False


def _texts(values: pa.Array, listed: tuple[str, ...] = ()) -> _Read:
    """Texts as they are, and texts of what is none, as `listed` spells them."""
    kind = values.type
    nothing = np.zeros(len(values), dtype=np.bool_)
    if pa.types.is_string(kind):
        return values, nothing
    if pa.types.is_integer(kind) and not listed:
        return values.cast(pa.string()), nothing  # ids: most of them come once
    if pa.types.is_boolean(kind) or pa.types.is_integer(kind):
        return _each_once(values, spelling(listed)), nothing
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        numbers, wrong = _floats(values)
        return _each_once(pa.array(numbers, mask=np.isnan(numbers)), spelling(listed)), wrong
    if pa.types.is_timestamp(kind):
        times, wrong = _timestamps(values)
        return pc.strftime(times.cast(pa.timestamp("us")), "%Y-%m-%dT%H:%M:%SZ"), wrong
    return pa.nulls(len(values), pa.string()), _present(values)


def _each_once(values: pa.Array, spelt: Callable[[Any], str | None]) -> pa.Array:
    """A text for each value. Most values come many times, and are spelt once."""
    coded = values.dictionary_encode()
    return pa.array([spelt(value) for value in coded.dictionary.to_pylist()], pa.string()).take(coded.indices)


_READERS: Final[dict[str, Callable[[pa.Array, Column], _Read]]] = {
    "integer": _integers,
    "number": _numbers,
    "timestamp": _timestamps,
    "category": _categories,
    "identifier": lambda values, _: _names(values),
}
