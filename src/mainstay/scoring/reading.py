"""Rows as people and programs send them (JSON values by name) into columns, or the reasons why not."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mainstay.nouns import Value
from mainstay.scoring.encode import Input
from mainstay.suggest import did_you_mean

Policy = Literal["flag", "refuse"]
_LARGEST = float(np.finfo(np.float32).max)  # what the tensor can hold


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


def read_row(given: Mapping[str, Any], inputs: tuple[Input, ...], unseen: Policy, out_of_range: Policy) -> Row:
    """Check one row against the inputs. Flags are `unseen_category:NAME` and `out_of_range:NAME`."""
    values: dict[str, Value] = {}
    flags: list[str] = []
    problems: list[Problem] = []
    for each in inputs:
        value, problem, flag = _read(given.get(each.name), each)
        policy = unseen if flag == "unseen_category" else out_of_range
        if problem is not None and (flag is None or policy == "refuse"):
            problems.append(problem)
        elif flag is not None:
            flags.append(f"{flag}:{each.name}")
        values[each.name] = value
    names = [each.name for each in inputs]
    problems += [
        Problem(name, f"unknown field{did_you_mean(name, names)}", "a field of the contract")
        for name in given
        if name not in values
    ]
    return Row(values, tuple(flags), tuple(problems))


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


_Read = tuple[Value, Problem | None, str | None]


def _read(value: Any, given: Input) -> _Read:
    if value is None:
        missing = None if given.nullable else Problem(given.name, "is missing", expectation(given))
        return None, missing, None
    return _read_category(value, given) if given.kind == "category" else _read_number(value, given)


def _read_category(value: Any, given: Input) -> _Read:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        return None, Problem(given.name, "is not a text", expectation(given)), None
    if given.values is not None and value not in given.values:
        return value, Problem(given.name, "is not a known category", expectation(given)), "unseen_category"
    return value, None, None


def _read_number(value: Any, given: Input) -> _Read:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None, Problem(given.name, "is not a number", expectation(given)), None
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not abs(number) <= _LARGEST:
        return None, Problem(given.name, "is not a finite number", expectation(given)), None
    if given.type == "integer" and not number.is_integer():
        return None, Problem(given.name, "is not an integer", expectation(given)), None
    if given.range is not None and not given.range[0] <= number <= given.range[1]:
        return number, Problem(given.name, "is out of range", expectation(given)), "out_of_range"
    return number, None, None
