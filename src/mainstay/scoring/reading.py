"""Rows as people and programs send them (JSON values by name) into columns, or the reasons why not."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mainstay.nouns import Value
from mainstay.scoring.encode import LARGEST_INTEGER, LARGEST_NUMBER, Input
from mainstay.scoring.spelling import Spelling, spelling
from mainstay.suggest import did_you_mean

Policy = Literal["flag", "refuse"]
UNKNOWN = 3
"""Fields that are not in the contract which a row is told about: looking for what was meant takes time."""
LONGEST_NAME = 200
"""Characters that the name of a column may have; what is longer was meant for none."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row was refused: which field, what was wrong, what would be right. Never the value itself."""

    field: str
    reason: str
    expected: str


@dataclass(frozen=True, slots=True)
class Row:
    """One row as read: its values by input, None for missing; what was odd about it; and why it was refused, if so."""

    values: Mapping[str, Value]
    flags: tuple[str, ...]
    problems: tuple[Problem, ...]


def read_row(
    given: Mapping[str, Any],
    inputs: tuple[Input, ...],
    unseen: Policy,
    out_of_range: Policy,
    learned: Mapping[str, frozenset[str]] | None = None,
) -> Row:
    """Check one row against the inputs. Flags are `unseen_category:NAME` and `out_of_range:NAME`.

    A category is spelt as training spelt it, so a blank is missing. One is unseen if its contract does not list it, or
    where the contract lists none, if it is not among those `learned` (`Encoder.learned`) under the input's name; with
    nothing learned, any text is as good as another. Of unknown fields the first few are problems.
    """
    values: dict[str, Value] = {}
    flags: list[str] = []
    problems: list[Problem] = []
    for each in inputs:
        value, problem, flag = read_value(given.get(each.name), each, (learned or {}).get(each.name))
        policy = unseen if flag == "unseen_category" else out_of_range
        if problem is not None and (flag is None or policy == "refuse"):
            problems.append(problem)
        elif flag is not None:
            flags.append(f"{flag}:{each.name}")
        values[each.name] = value
    problems += [_unknown(name, values) for name in islice((name for name in given if name not in values), UNKNOWN)]
    return Row(values, tuple(flags), tuple(problems))


def _unknown(name: str, known: Mapping[str, Value]) -> Problem:
    hint = did_you_mean(name, known) if len(name) <= LONGEST_NAME else ""
    return Problem(name, f"unknown field{hint}", "a field of the contract")


def columns_of(rows: Sequence[Mapping[str, Value]], inputs: tuple[Input, ...]) -> dict[str, NDArray[Any]]:
    """Columns of shape (n,) from rows that were read: numbers float64 with NaN for None, categories objects."""
    columns: dict[str, NDArray[Any]] = {}
    for each in inputs:
        values = [row[each.name] for row in rows]
        if each.kind == "number":
            columns[each.name] = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
        else:
            columns[each.name] = np.array(values, dtype=object)
    return columns


def expectation(given: Input) -> str:
    """What a value of this input has to be, in words."""
    if given.kind == "category":
        listed = ", ".join(given.values or ()) or "a text"
        words = f"one of {listed}" if given.values else listed
    else:
        words = "an integer" if given.type == "integer" else "a number"
        if given.range is not None:
            words += f" from {given.range[0]:g} to {given.range[1]:g}"
    return f"{words}, or null" if given.nullable else words


ReadValue = tuple[Value, Problem | None, str | None]


def read_value(value: Any, given: Input, learned: frozenset[str] | None) -> ReadValue:
    """One value as a row gives it: the value, why it is refused, and the flag that stands for that where it may."""
    if given.kind == "category" and isinstance(value, str | int | float):
        try:
            value = _spelling(given.values)(value)
        except ValueError:
            return None, Problem(given.name, "is not a text", expectation(given)), None
    if value is None:
        missing = None if given.nullable else Problem(given.name, "is missing", expectation(given))
        return None, missing, None
    return _read_category(value, given, learned) if given.kind == "category" else _read_number(value, given)


@lru_cache(maxsize=1024)
def _spelling(values: tuple[str, ...] | None) -> Spelling:
    return spelling(values or ())


def _read_category(value: Any, given: Input, learned: frozenset[str] | None) -> ReadValue:
    if not isinstance(value, str):
        return None, Problem(given.name, "is not a text", expectation(given)), None
    known = given.values if given.values is not None else learned
    if known is not None and value not in known:
        expected = expectation(given) if given.values is not None else "a category that training saw"
        return value, Problem(given.name, "is not a known category", expected), "unseen_category"
    return value, None, None


def _read_number(value: Any, given: Input) -> ReadValue:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, Problem(given.name, "is not a number", expectation(given)), None
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not abs(number) <= LARGEST_NUMBER:
        return None, Problem(given.name, "is not a finite number", expectation(given)), None
    if given.type == "integer" and not number.is_integer():
        return None, Problem(given.name, "is not an integer", expectation(given)), None
    if given.type == "integer" and abs(number) > LARGEST_INTEGER:
        return None, Problem(given.name, "is too large to be exact", expectation(given)), None
    if given.range is not None and not given.range[0] <= number <= given.range[1]:
        return number, Problem(given.name, "is out of range", expectation(given)), "out_of_range"
    return number, None, None
