"""The columns of a file as a model's inputs, by the column: what `scoring/reading.py` says of one row, of many.

A value is typed as a contract types it (`typed.py`), a text that comes many times once. Which rows are refused and
which are flagged is as in a request; a number or a category may be written as any file writes it.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mainstay.data.typed import Mask, typed
from mainstay.scoring.coded import Coded, Codes
from mainstay.scoring.encode import Input
from mainstay.scoring.reading import Policy, Problem, expectation
from mainstay.usecase import Column


@dataclass(frozen=True, slots=True)
class Odd:
    """Something about some of n rows: its words (a flag, or why these are refused) and a mask of shape (n,)."""

    said: str
    rows: Mask


@dataclass(frozen=True, slots=True)
class InputRows:
    """n rows as read: the inputs, what is odd (in the inputs' order), and why rows are refused; all by the column."""

    columns: Mapping[str, Coded]
    flagged: tuple[Odd, ...]
    refused: tuple[Odd, ...]


def read_inputs(
    table: pa.Table,
    inputs: tuple[Input, ...],
    unseen: Policy,
    out_of_range: Policy,
    learned: Mapping[str, frozenset[str]],
) -> InputRows:
    """Read the inputs of every row; a column that the table lacks is missing in each. Policies as in `read_row`."""
    columns: dict[str, Coded] = {}
    flagged: list[Odd] = []
    refused: list[Odd] = []
    for each in inputs:
        given = table[each.name] if each.name in table.column_names else pa.nulls(table.num_rows, pa.string())
        read = _category if each.kind == "category" else _number
        columns[each.name], absent, wrong, odd, oddly = read(given, each, learned.get(each.name))
        kind = "unseen_category" if each.kind == "category" else "out_of_range"
        policy = unseen if each.kind == "category" else out_of_range
        faults = [(wrong, "is not " + _ARTICLES[each.type])]
        if not each.nullable:
            faults.append((absent, "is missing"))
        if policy == "refuse":
            faults.append((odd, oddly))
        elif odd.any():
            flagged.append(Odd(f"{kind}:{each.name}", odd))
        refused += [Odd(_words(each, reason, learned), rows) for rows, reason in faults if rows.any()]
    return InputRows(columns, tuple(flagged), tuple(refused))


_ARTICLES = {"category": "a text", "integer": "an integer", "number": "a finite number"}
_Read = tuple[Coded, Mask, Mask, Mask, str]
"""The column; which values are missing, which are none, which are odd; and what is odd about those."""


def _words(given: Input, reason: str, learned: Mapping[str, frozenset[str]]) -> str:
    unlisted = reason == "is not a known category" and given.values is None and given.name in learned
    problem = Problem(given.name, reason, "a category that training saw" if unlisted else expectation(given))
    return f"`{problem.field}` {problem.reason}: it must be {problem.expected}"


def _number(values: pa.ChunkedArray, given: Input, _: frozenset[str] | None) -> _Read:
    found = typed(values, Column(type=given.type))
    numbers = np.asarray(found.values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
    outside = np.zeros(len(numbers), dtype=np.bool_)
    if given.range is not None:
        outside = (numbers < given.range[0]) | (numbers > given.range[1])
    return numbers, np.isnan(numbers) & ~found.wrong, found.wrong, outside, "is out of range"


def _category(values: pa.ChunkedArray, given: Input, learned: frozenset[str] | None) -> _Read:
    codes, distinct = _distinct(values)
    found = typed(distinct, Column(type="category", values=given.values))
    texts: list[str | None] = found.values.to_pylist()
    known = given.values if given.values is not None else learned
    unknown = [known is not None and text is not None and text not in known for text in texts]
    # One more place, at -1, for a value that is missing.
    wrong = np.array([*found.wrong, False])[codes] if found.wrong.any() else np.zeros(len(codes), dtype=np.bool_)
    odd = np.array([*unknown, False])[codes] if any(unknown) else np.zeros(len(codes), dtype=np.bool_)
    places = np.array([*(-1 if text is None else n for n, text in enumerate(texts)), -1], dtype=np.int32)[codes]
    coded = Codes(places, tuple(text or "" for text in texts))
    return coded, (places < 0) & ~wrong, wrong, odd, "is not a known category"


def _distinct(values: pa.ChunkedArray) -> tuple[NDArray[np.int32], pa.ChunkedArray]:
    """Codes (n,), -1 for null, and the values that they stand for."""
    whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    if not pa.types.is_dictionary(whole.type):
        try:
            whole = whole.dictionary_encode()
        except pa.ArrowNotImplementedError:  # lists and the like, which are no category: typed as they stand
            return np.arange(len(whole), dtype=np.int32), pa.chunked_array([whole])
    codes = whole.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
    return codes, pa.chunked_array([whole.dictionary])
