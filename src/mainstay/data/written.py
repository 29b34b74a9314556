"""How texts write numbers and times: 1,234.5 or 1.234,5, 31.12.2025 or 12/31/2025; and which of them a column's do."""

import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from mainstay.scoring.spelling import NO, YES
from mainstay.usecase import Column

MISSING_WORDS: Final = frozenset(
    ["na", "n/a", "#n/a", "nan", "null", "none", "nil", "?", "-", "--", ".", "n.a.", "k.a."]
)
"""What stands for a missing value among numbers and times, in any case of letters."""
_SPACES: Final = "[ \u00a0\u2009\u202f]"
_MARKS: Final = {",": ",", ".": r"\.", " ": _SPACES, "'": "['’]"}
_FORMS: Final = ((".", ","), (",", "."), (",", None), (",", " "), (".", " "), (".", "'"), (",", "'"))
_TIMES: Final = ("", " %H:%M", " %H:%M:%S", "T%H:%M:%S", ", %H:%M", " %I:%M %p", " %I:%M:%S %p")
_DATES: Final = (
    "%d.%m.%Y", "%d.%m.%y", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%m-%d-%Y", "%Y/%m/%d", "%Y.%m.%d", "%d/%m/%y",
    "%m/%d/%y", "%d %b %Y", "%d %B %Y", "%b %d, %Y", "%B %d, %Y", "%d-%b-%Y", "%d-%b-%y",
)  # fmt: skip
_LOOKS_LIKE_A_DATE: Final = re.compile(r"\d{1,4}[./ -]\w{1,9}[./ -]\d{2,4}.*|[A-Za-z]{3,9} \d{1,2}, \d{4}.*")
_GROUPED: Final = re.compile(r"[+-]?\d{1,3}([.,])\d{3}(\1\d{3})*")
_COMMA: Final = re.compile(r"[+-]?(\d{1,3}(\.\d{3})+|\d+),(\d{1,2}|\d{4,})|[+-]?\d{1,3}(\.\d{3})+,\d+")
_POINT: Final = re.compile(r"[+-]?(\d{1,3}(,\d{3})+|\d+)\.(\d{1,2}|\d{4,})|[+-]?\d{1,3}(,\d{3})+\.\d+")


def plain_numbers(texts: pa.Array, decimal: str, thousands: str | None) -> pa.Array:
    """Texts of numbers without white space around them, as Python writes them: 1234.5 for 1.234,5.

    Thousands are parted everywhere or nowhere in a number. What is not written so becomes `x`, which is no number.
    """
    point, mark = _MARKS[decimal], _MARKS[thousands] if thousands else None
    whole = rf"(\d{{1,3}}({mark}\d{{3}})+|\d+)" if mark else r"\d+"
    pattern = rf"^[+-]?({whole}({point}\d*)?|{point}\d+)([eE][+-]?\d+)?$"
    written = pc.match_substring_regex(texts, pattern)
    bare = pc.replace_substring_regex(texts, mark, "") if mark else texts
    return pc.if_else(written, pc.replace_substring_regex(bare, point, "."), pc.if_else(pc.is_valid(texts), "x", texts))


def written_as(column: Column) -> str:
    """The end of `a number`, `a time`: as this column has to write one; nothing where any way will do."""
    if column.type == "timestamp":
        return f" written as {column.format}" if column.format else " such as 2026-01-31T08:00:00Z"
    if column.decimal == "." and column.thousands is None:
        return ""
    return f" written as 1{column.thousands or ''}234{column.decimal + '5' if column.type == 'number' else ''}"


def has_decimal_commas(texts: Iterable[str]) -> bool:
    """Whether these can be nothing but numbers with decimal commas: 0,5 or 1.234,50, and never 0.5 or 1,234."""
    found = False
    for text in texts:
        if _POINT.fullmatch(text):
            return False
        found = found or _COMMA.fullmatch(text) is not None
    return found


def number_forms(texts: Sequence[str], commas: bool) -> list[tuple[str, str | None]]:
    """The ways (decimal point, thousands) in which these distinct texts may be numbers, the likeliest first.

    `commas` says that the file's other columns write decimal commas. Then 1.234 is a thousand and more; otherwise 1,234
    is, and 1.234 is between one and two.
    """
    forms = [(".", None), *_FORMS]
    if commas:
        return sorted(forms, key=lambda form: (form[0] != ",", form[1] is None))
    return forms


def is_grouped(texts: Iterable[str]) -> bool:
    """Whether every number from a thousand on has its thousands parted, and one is there."""
    found = False
    for text in texts:
        if _GROUPED.fullmatch(text):
            found = True
        elif not re.fullmatch(r"[+-]?\d{1,3}", text):
            return False
    return found


def time_formats(texts: Sequence[str]) -> list[str]:
    """Every format in which all of these texts are times, day before month where nothing tells."""
    if not texts or not all(_LOOKS_LIKE_A_DATE.fullmatch(text) for text in texts[:20]):
        return []
    formats = [day + time for day in _DATES for time in _TIMES]
    for text in texts:
        formats = [form for form in formats if _reads(text, form)]
        if not formats:
            break
    return formats


def _reads(text: str, form: str) -> bool:
    try:
        return datetime.strptime(text, form).year >= 1000  # noqa: DTZ007  (only whether it is one)
    except ValueError:
        return False


def spellings(value: str, listed: Sequence[str]) -> list[str | int | float | bool]:
    """A category's value as frames of others may hold it: its text, the number it reads as, the truth it stands for."""
    found: list[str | int | float | bool] = [value]
    with suppress(ValueError):
        number = float(value)
        if str(number) == value or value.lstrip("-").isdecimal():
            found.append(int(value) if value.lstrip("-").isdecimal() else number)
    if value.casefold() in ("true", "false") and len(listed) == 2:
        found.append(value.casefold() == "true")
    if set(listed) == {"true", "false"} and value in listed:
        found += sorted((YES if value == "true" else NO) - {value})
    return found
