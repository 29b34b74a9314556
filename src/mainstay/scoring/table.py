"""Rows by the column, as `reading.read_row` reads them one by one: the same values, flags and refusals.

Texts come as places among distinct ones, each of which is read once; numbers as they are. Where a file gives a text
for a number (CSV has nothing else), it is the number that it spells.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mainstay.scoring.coded import Coded, Codes
from mainstay.scoring.encode import LARGEST_INTEGER, LARGEST_NUMBER, Input
from mainstay.scoring.reading import Policy, Problem, expectation, read_value

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Distinct:
    """A column of n values: `codes` (n,) are places among `values`, -1 where it is missing. Values may repeat."""

    codes: NDArray[np.int32]
    values: tuple[str | bool | float, ...]


Given = Distinct | NDArray[np.float64]
"""A column as it was given: distinct values, or numbers (n,) with NaN for missing."""


@dataclass(frozen=True, slots=True)
class Odd:
    """Something about some of n rows: the problem, the flag that stands for it (None: they are refused), which rows."""

    problem: Problem
    flag: str | None
    rows: Mask


@dataclass(frozen=True, slots=True)
class TableRead:
    """n rows as read: the inputs by column, and what is odd, in the inputs' order. `bad` (n,) are those refused."""

    columns: Mapping[str, Coded]
    flagged: tuple[Odd, ...]
    refused: tuple[Odd, ...]
    bad: Mask


def read_table(
    rows: int,
    given: Mapping[str, Given],
    inputs: tuple[Input, ...],
    unseen: Policy,
    out_of_range: Policy,
    learned: Mapping[str, frozenset[str]],
) -> TableRead:
    """Read every row's inputs; one that is not given is missing in all. Policies and `learned` as in `read_row`.

    A refused row's values are not to be used.
    """
    columns: dict[str, Coded] = {}
    found: list[Odd] = []
    for each in inputs:
        column = given.get(each.name)
        if column is None:
            column = Distinct(np.full(rows, -1, dtype=np.int32), ())
        if each.kind == "category":
            columns[each.name], odd = _category(column, each, learned.get(each.name), unseen)
        else:
            columns[each.name], odd = _number(column, each, out_of_range)
        found += odd
    bad = np.zeros(rows, dtype=np.bool_)
    for one in found:
        if one.flag is None:
            bad |= one.rows
    flagged = tuple(one for one in found if one.flag is not None)
    return TableRead(columns, flagged, tuple(one for one in found if one.flag is None), bad)


def _category(column: Given, each: Input, learned: frozenset[str] | None, policy: Policy) -> tuple[Codes, list[Odd]]:
    distinct = column if isinstance(column, Distinct) else _distinct(column)
    read = [read_value(value, each, learned) for value in (*distinct.values, None)]  # the last stands for -1
    texts = tuple("" if value is None else str(value) for value, _, _ in read[:-1])
    places = np.array([-1 if value is None else n for n, (value, _, _) in enumerate(read)], dtype=np.int32)
    about: dict[tuple[Problem, str | None], list[int]] = {}
    for n, (_, problem, flag) in enumerate(read):
        if problem is not None:
            about.setdefault((problem, flag if policy == "flag" else None), []).append(n)
    usual = bool((places[:-1] == np.arange(len(places) - 1)).all())
    codes = distinct.codes if usual else places[distinct.codes]
    return Codes(codes, texts), _at(about, len(read), distinct.codes, each)


def _at(
    about: Mapping[tuple[Problem, str | None], list[int]], count: int, codes: NDArray[np.int32], each: Input
) -> list[Odd]:
    found = []
    for (problem, flag), places in about.items():
        mask = np.zeros(count, dtype=np.bool_)
        mask[places] = True
        rows = mask[codes]
        if rows.any():
            found.append(Odd(problem, None if flag is None else f"{flag}:{each.name}", rows))
    return found


def _distinct(numbers: NDArray[np.float64]) -> Distinct:
    """Numbers as categories are written: each as the number that it is, whole ones without a point."""
    values, codes = np.unique(numbers, return_inverse=True)
    return Distinct(codes.astype(np.int32), tuple(values.tolist()))


_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def _spelt(value: str | bool | float) -> tuple[float, bool]:
    """The number that a value spells, NaN where it is a blank or none; and whether it is none."""
    if isinstance(value, bool):
        return math.nan, True
    if isinstance(value, str):
        text = value.strip()
        return (float(text), False) if _NUMBER.fullmatch(text) else (math.nan, bool(text))
    return float(value), False


def _number(column: Given, each: Input, policy: Policy) -> tuple[NDArray[np.float64], list[Odd]]:
    wrong = None
    if isinstance(column, Distinct):
        spelt = [_spelt(value) for value in column.values]
        numbers = np.array([*(number for number, _ in spelt), math.nan])[column.codes]
        if any(none for _, none in spelt):
            wrong = np.array([*(none for _, none in spelt), False])[column.codes]
    else:
        numbers = column
    found: list[Odd] = []

    def note(rows: Mask | None, reason: str, flag: str | None = None) -> Mask | None:
        if rows is not None and rows.any():
            found.append(Odd(Problem(each.name, reason, expectation(each)), flag, rows))
            return rows
        return None

    absent = np.isnan(numbers)
    blank = absent.any()
    taken = note(wrong, "is not a number")
    if blank and not each.nullable:
        taken = _or(taken, note(_without(absent, taken), "is missing"))
    for amiss, reason in _checks(each):
        taken = _or(taken, note(_without(amiss(numbers), taken), reason))
    if each.range is not None:
        low, high = each.range
        flag = f"out_of_range:{each.name}" if policy == "flag" else None
        note(_without((numbers < low) | (numbers > high), taken), "is out of range", flag)
    return numbers, found


def _checks(each: Input) -> list[tuple[Callable[[NDArray[np.float64]], Mask], str]]:
    """What else a number must not be, in the order in which `read_value` asks. A NaN is none of it."""
    checks: list[tuple[Callable[[Any], Any], str]] = [
        (lambda numbers: np.abs(numbers) > LARGEST_NUMBER, "is not a finite number")
    ]
    if each.type == "integer":
        checks.append((lambda numbers: (numbers != np.floor(numbers)) & ~np.isnan(numbers), "is not an integer"))
        checks.append((lambda numbers: np.abs(numbers) > LARGEST_INTEGER, "is too large to be exact"))
    return checks


def _or(first: Mask | None, second: Mask | None) -> Mask | None:
    return second if first is None else first if second is None else first | second


def _without(rows: Mask, taken: Mask | None) -> Mask:
    return rows if taken is None else rows & ~taken
