"""What differs between two dataset versions: columns, rows, distributions."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstay.measures.distance import kolmogorov, quantile_shift, total_variation
from mainstay.nouns import DatasetVersion, Estimate, Value
from mainstay.scoring.frame import grouped
from mainstay.usecase import UseCase

EXAMPLES: Final = 5
QUANTILES: Final = (0.1, 0.5, 0.9)
Codes = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Retyped:
    """A column whose type is another one now."""

    column: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Example:
    """A changed row: which it is (None where that is personal), and its values before and after, none personal."""

    row: str | None
    before: Mapping[str, Value]
    after: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class RowChanges:
    """Rows added, removed and changed, matched `by` the columns named; by whole rows where `by` is empty.

    By whole rows a changed one cannot be told from one that went and one that came: `changed` is 0.
    """

    by: tuple[str, ...]
    before: int
    after: int
    added: int
    removed: int
    changed: int
    columns: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True, slots=True)
class Shift:
    """How far one column's distribution moved.

    `distance` is total variation for categories (a missing value is one of them), Kolmogorov's for numbers and times;
    `quantiles` are how far those of the numbers moved; `missing` the missing values before and after.
    """

    column: str
    distance: Estimate
    missing: tuple[int, int]
    quantiles: Mapping[str, Estimate] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Difference:
    """From one dataset version to another."""

    before: str
    after: str
    added: tuple[str, ...]
    removed: tuple[str, ...]
    retyped: tuple[Retyped, ...]
    rows: RowChanges
    shifts: tuple[Shift, ...]


def compare(
    before: DatasetVersion, old: pa.Table, after: DatasetVersion, new: pa.Table, use_case: UseCase
) -> Difference:
    """From the rows of one version to those of another: pure, the same for the rows in any order.

    Rows are matched by entity (and event time, where there is one) if these are there, unique and named alike on both
    sides; pseudonyms under two keys never are. Distributions are compared column by column, save what is personal or
    an identifier.
    """
    shared = [name for name in old.column_names if name in new.column_names]
    retyped = [
        Retyped(name, str(old.schema.field(name).type), str(new.schema.field(name).type))
        for name in shared
        if old.schema.field(name).type != new.schema.field(name).type
    ]
    alike = [name for name in shared if name not in {each.column for each in retyped}]
    if before.pseudonym_key != after.pseudonym_key:
        alike = [name for name in alike if not _personal(name, use_case)]
    described = [name for name in alike if not _personal(name, use_case) and not _identifies(name, use_case)]
    return Difference(
        before=before.id,
        after=after.id,
        added=tuple(name for name in new.column_names if name not in old.column_names),
        removed=tuple(name for name in old.column_names if name not in new.column_names),
        retyped=tuple(retyped),
        rows=_rows(old, new, alike, use_case),
        shifts=tuple(_shift(name, old[name], new[name]) for name in described),
    )


def _personal(name: str, use_case: UseCase) -> bool:
    column = use_case.contract.columns.get(name)
    # A column that today's contract does not name: nobody has said that it is not personal.
    return column is None or column.personal is not None


def _identifies(name: str, use_case: UseCase) -> bool:
    return name == use_case.entity or use_case.contract.columns[name].type == "identifier"


def _rows(old: pa.Table, new: pa.Table, columns: list[str], use_case: UseCase) -> RowChanges:
    codes = {name: _codes(old[name], new[name]) for name in columns}
    time = use_case.event_time.column if use_case.event_time else None
    key = [name for name in (use_case.entity, time) if name in codes]
    n, total = old.num_rows, old.num_rows + new.num_rows
    if use_case.entity in codes:
        whose = grouped((codes[name] for name in key), total)
        places = [np.full(total, -1, dtype=np.int64) for _ in range(2)]
        places[0][whose[:n]], places[1][whose[n:]] = np.arange(n), np.arange(new.num_rows)
        if int((places[0] >= 0).sum()) == n and int((places[1] >= 0).sum()) == new.num_rows:
            both = (places[0] >= 0) & (places[1] >= 0)
            return _matched(old, new, codes, key, (places[0][both], places[1][both]), use_case)
    whole = grouped(codes.values(), total)
    counts = [np.bincount(part, minlength=total) for part in (whole[:n], whole[n:])]
    gone = np.maximum(counts[0] - counts[1], 0).sum()
    came = np.maximum(counts[1] - counts[0], 0).sum()
    return RowChanges((), n, new.num_rows, int(came), int(gone), 0)


def _matched(
    old: pa.Table,
    new: pa.Table,
    codes: Mapping[str, Codes],
    key: list[str],
    places: tuple[Codes, Codes],
    use_case: UseCase,
) -> RowChanges:
    a, b = places
    n = old.num_rows
    differs = {name: each[:n][a] != each[n:][b] for name, each in codes.items() if name not in key}
    any_differs = np.logical_or.reduce(list(differs.values())) if differs else np.zeros(len(a), dtype=np.bool_)
    examples: list[Example] = []
    for at in np.flatnonzero(any_differs):
        told = [name for name, mask in differs.items() if mask[at] and not _personal(name, use_case)]
        if told and len(examples) < EXAMPLES:
            known = None if any(_personal(name, use_case) for name in key) else key
            row = None if known is None else ", ".join(str(_value(new[name][int(b[at])])) for name in known)
            values = (
                {name: _value(table[name][int(place[at])]) for name in told} for table, place in ((old, a), (new, b))
            )
            examples.append(Example(row, *values))
    counts = {name: int(mask.sum()) for name, mask in differs.items() if mask.any()}
    by_count = dict(sorted(counts.items(), key=lambda each: -each[1]))
    changed = int(any_differs.sum())
    rows = new.num_rows
    return RowChanges(tuple(key), n, rows, rows - len(b), n - len(a), changed, by_count, tuple(examples))


def _codes(old: pa.ChunkedArray, new: pa.ChunkedArray) -> Codes:
    """A number for each value of two columns, the old one's first: equal where the values are, null among them."""
    both = pa.chunked_array([*old.chunks, *new.chunks], old.type)
    return np.asarray(pc.rank(both, tiebreaker="dense").to_numpy(), dtype=np.int64)


def _value(scalar: Any) -> Value:
    found = scalar.as_py()
    return found if found is None or isinstance(found, bool | int | float | str) else str(found)


def _shift(name: str, old: pa.ChunkedArray, new: pa.ChunkedArray) -> Shift:
    missing = (old.null_count, new.null_count)
    if pa.types.is_string(old.type) or pa.types.is_boolean(old.type):
        both = pa.chunked_array([*old.chunks, *new.chunks], old.type).combine_chunks().dictionary_encode("encode")
        places = both.indices.to_numpy()
        k = len(both.dictionary)
        counts = [np.bincount(part, minlength=k) for part in (places[: len(old)], places[len(old) :])]
        return Shift(name, total_variation(counts[0], counts[1]), missing)
    whole = pa.types.is_timestamp(old.type)
    numbers = [
        np.asarray((each.cast(pa.int64()) if whole else each).drop_null().cast(pa.float64(), safe=False).to_numpy())
        for each in (old, new)
    ]
    # How far a time moved is told in days.
    unit = 86_400e6 if whole else 1.0
    moved = {f"{q:g}": quantile_shift(numbers[0] / unit, numbers[1] / unit, q) for q in QUANTILES}
    return Shift(name, kolmogorov(numbers[0], numbers[1]), missing, moved)
