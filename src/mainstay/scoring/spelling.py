"""How a category is spelt: the one text that a value has, in training as in serving, whatever it was written as."""

import math
from collections.abc import Callable, Iterable
from typing import Final

from mainstay.usecase import normal

_LONGEST: Final = 1024  # bits: no float is larger, and Python writes no integer that is much longer

YES: Final = frozenset(["true", "t", "yes", "y", "1", "on", "ja", "j", "oui", "si", "sí", "sim", "wahr", "vrai"])
NO: Final = frozenset(["false", "f", "no", "n", "0", "off", "nein", "non", "não", "nao", "falsch", "faux"])
"""How a truth is written, in any case of letters, where `true` and `false` are what a contract lists."""

Spelling = Callable[[str | float | bool], str | None]


def spelling(listed: Iterable[str] = ()) -> Spelling:
    """How a contract that lists these values (or none: any text) spells what it is given.

    A text is in Unicode's NFC, white space around it taken off; a whole number has no decimal point, so that 1.0 and 1
    are one value; a boolean is `true` or `false`. A listed value is spelt as it is listed: `1.0` is the value `1` where
    only that is listed, and a boolean may be listed as True. None for what is missing: a blank or NaN.

    Where exactly true and false are listed, every word of `YES` and `NO` is one of them: y, T, 1, nein, ….

    ValueError for an infinity and for an integer beyond every float, which are the value of no category.
    """
    values = tuple(listed)
    known = {whole(normal(value)): value for value in values} | {normal(value): value for value in values}
    truths = {normal(value).casefold(): value for value in values}

    words: dict[str, str] = {}
    if set(values) == {"true", "false"}:
        words = {**dict.fromkeys(YES, "true"), **dict.fromkeys(NO, "false")}

    def spelt(value: str | float | bool) -> str | None:
        if isinstance(value, bool):
            text = "true" if value else "false"
            return known.get(text) or truths.get(text) or text
        text = normal(value) if isinstance(value, str) else _of_number(value)
        return known.get(text) or known.get(whole(text)) or words.get(whole(text).casefold()) or text or None

    return spelt


def whole(text: str) -> str:
    """`1` for `1.0` and `1.00`; any other text as it is."""
    digits, point, zeros = text.partition(".")
    return digits if point and zeros and not zeros.strip("0") and digits.lstrip("+-").isdecimal() else text


def number_text(text: str) -> str:
    """`7` for "7", " 07 " and "7.0", however long: how a number that names somebody is spelt; else the text itself."""
    try:
        if text.strip().lstrip("+-").isdecimal():
            return str(int(text))
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if number.is_integer() else repr(number)


def _of_number(number: float) -> str:
    if isinstance(number, float):
        if math.isnan(number):
            return ""
        if not number.is_integer():  # an infinity is none either
            if math.isinf(number):
                raise ValueError("an infinity is no category")
            return repr(number)
        number = int(number)
    if number.bit_length() > _LONGEST:
        raise ValueError("an integer beyond every float is no category")
    return str(number)
