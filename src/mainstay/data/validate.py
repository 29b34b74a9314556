"""Rows held to their contract: a verdict with a check per promise, the rows that keep it, and those set aside."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import reduce
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mainstay.data.fresh import fresh
from mainstay.data.outliers import outlier_checks
from mainstay.data.promises import Promise, codes, promises
from mainstay.data.typed import Mask, typed
from mainstay.data.units import unit_checks
from mainstay.nouns import DatasetVersion, Estimate
from mainstay.scoring.frame import grouped
from mainstay.suggest import did_you_mean
from mainstay.usecase import UseCase
from mainstay.verdicts import Check, Limit, Outcome, Verdict

ROW: Final = "row"
REASONS: Final = "reasons"
_EXAMPLES: Final = 3
_SHOWN: Final = 40  # characters of a value
Parent = tuple[DatasetVersion, pa.Table]
"""The dataset version before, and its rows."""


@dataclass(frozen=True, slots=True)
class Validated:
    """What came of rows held to their contract.

    `table` has the rows that keep every promise, typed, in contract order of columns. `quarantine` has the others as
    they were read, each with its `row` (from 1, the header not counted) and its `reasons` in words.
    """

    table: pa.Table
    quarantine: pa.Table
    verdict: Verdict


def validate(
    table: pa.Table,
    use_case: UseCase,
    now: datetime | None = None,
    parent: Parent | None = None,
) -> Validated:
    """Hold rows as they were read to the contract of a use case.

    Checks: `columns` (one for each that is missing, and one for those that the contract does not name, which are
    dropped), `rows`, one each for what the contract says of a column (`type`, `null`, `range`, `values`, `unique`),
    `future` for the event time and the time of knowing, which must not be after `now` where that is given, one for
    each `rule`, `duplicates` (advisory), `quarantined` (the share of rows that break a promise),
    `outliers` for each column that limits them, `units` where the version before is given as `parent`,
    `fresh` (where `rows.newest_within` is set) and `classes`.
    A promise that some rows break is FAIL, and advisory as long as those rows, which are set aside, are within
    `contract.rows.bad_share_at_most`. The same rows give the same typed rows in whatever order and format they come.
    """
    rows = table.num_rows
    present, absent = _columns(table.column_names, use_case)
    columns = {name: typed(table[name], use_case.contract.columns[name]) for name in present}
    made = list(promises(columns, use_case, rows, now))
    bad = reduce(np.logical_or, (promise.broken for promise in made), np.zeros(rows, dtype=np.bool_))
    whole = pa.table({name: found.values for name, found in columns.items()})
    good = whole.filter(pa.array(~bad)) if columns else whole  # a table without columns has no rows to filter
    tolerated = use_case.contract.rows.bad_share_at_most
    age = fresh(good, use_case, now) if good.num_columns else None
    checks = [
        *(_missing_column(name, table.column_names, present) for name in absent),
        _unnamed_columns(table.column_names, use_case, absent),
        _rows(rows, use_case),
        *(_kept(promise, table, tolerated) for promise in made),
        _duplicates(good),
        _quarantined(int(bad.sum()), rows, tolerated),
        *outlier_checks(columns, use_case),
        *(unit_checks(columns, use_case, *parent) if parent is not None else ()),
        *([] if age is None else [age]),
        *(_classes(good, use_case) if use_case.label.column in columns else ()),
    ]
    return Validated(good, _set_aside(table, made, bad), Verdict(use_case.name, tuple(checks)))


def _columns(given: Sequence[str], use_case: UseCase) -> tuple[list[str], list[str]]:
    """The contract's columns that the source has, and those that it lacks: a snapshot need not have times."""
    needless: set[str | None] = set()
    time = use_case.event_time
    if time is not None and time.optional and time.column not in given:
        needless = {time.column, time.known_at}
    wanted = [name for name in use_case.contract.columns if name in given or name not in needless]
    return [name for name in wanted if name in given], [name for name in wanted if name not in given]


def _missing_column(name: str, given: Sequence[str], present: Sequence[str]) -> Check:
    hint = did_you_mean(name, [other for other in given if other not in present])
    return Check("columns", Outcome.FAIL, f"the source has no column `{name}`{hint}", name)


def _unnamed_columns(given: Sequence[str], use_case: UseCase, absent: Sequence[str]) -> Check:
    extra = [name for name in given if name not in use_case.contract.columns]
    if not extra:
        return Check("columns", Outcome.PASS, "the contract names every column of the source", blocking=False)
    hints = [did_you_mean(name, absent) for name in extra if absent]
    hint = next((hint for hint in hints if "did you mean" in hint), "")
    listed = ", ".join(f"`{name}`" for name in extra[:_EXAMPLES]) + (", …" if len(extra) > _EXAMPLES else "")
    said = f"the contract does not name {listed}: dropped{hint}"
    return Check("columns", Outcome.FAIL, said, blocking=False)


def _rows(rows: int, use_case: UseCase) -> Check:
    least = use_case.contract.rows.at_least
    outcome = Outcome.PASS if rows >= least else Outcome.FAIL
    said = f"the source has {rows:,} rows, and must have at least {least:,}"
    return Check("rows", outcome, said, estimate=_exact(rows, rows), limit=Limit(at_least=least))


def _kept(promise: Promise, table: pa.Table, tolerated: float) -> Check:
    rows, count = len(promise.broken), int(promise.broken.sum())
    share = _exact(count / max(rows, 1), rows)
    if not count:
        said = f"`{promise.subject}` {promise.kept}"
        return Check(promise.name, Outcome.PASS, said, promise.subject, estimate=share, limit=Limit(at_most=0))
    too_many = share.value > tolerated
    examples = _examples(promise, table)
    said = f"`{promise.subject}` {promise.fault} in {count:,} of {rows:,} rows ({examples})"
    said += "" if too_many else ", which are set aside"
    limit = Limit(at_most=tolerated if too_many else 0)
    return Check(
        promise.name, Outcome.FAIL, said, promise.subject, blocking=too_many, estimate=share, limit=limit
    )  # fmt: skip


def _examples(promise: Promise, table: pa.Table) -> str:
    """The first rows that break a promise, with their values where these may be shown."""
    first = np.flatnonzero(promise.broken)[:_EXAMPLES]
    more = ", …" if promise.broken.sum() > _EXAMPLES else ""
    values = _display(table[promise.subject].take(first)).to_pylist() if promise.values else [None] * len(first)
    shown = [f" `{value}`" if value is not None else "" for value in values]
    return ", ".join(f"row {row + 1}{value}" for row, value in zip(first, shown, strict=True)) + more


def _duplicates(good: pa.Table) -> Check:
    """Rows that are the same as another in every column: advisory, since two customers may be alike."""
    distinct = len(np.unique(grouped((codes(_array(column)) for column in good.columns), good.num_rows)))
    again = good.num_rows - distinct
    share = _exact(again / max(good.num_rows, 1), good.num_rows)
    outcome = Outcome.FAIL if again else Outcome.PASS
    said = f"{again:,} of {good.num_rows:,} rows repeat another in every column"
    return Check("duplicates", outcome, said, blocking=False, estimate=share, limit=Limit(at_most=0))


def _quarantined(bad: int, rows: int, tolerated: float) -> Check:
    """Over every row there is, so the share is exact: there is nothing to infer, and no interval around it."""
    share = _exact(bad / max(rows, 1), rows)
    outcome = Outcome.PASS if share.value <= tolerated else Outcome.FAIL
    said = f"{bad:,} of {rows:,} rows break a promise ({share.value:.2%}), and {tolerated:.2%} may"
    return Check("quarantined", outcome, said, estimate=share, limit=Limit(at_most=tolerated))


def _classes(good: pa.Table, use_case: UseCase) -> tuple[Check]:
    """Both classes are needed. Where rows have a time, silence becomes a class too, once it has lasted long enough."""
    label = use_case.label
    given = _array(good[label.column])
    seen = set(given.drop_null().unique().to_pylist())
    timed = use_case.event_time is not None and use_case.event_time.column in good.column_names
    if timed and given.null_count and label.absent_means != "unknown":
        seen.add(label.absent_means)
    lacking = [value for value in use_case.classes if value not in seen]
    both = " and ".join(f"`{value}`" for value in use_case.classes)
    match lacking:
        case []:
            return (Check("classes", Outcome.PASS, f"`{label.column}` has both {both}", label.column),)
        case [_]:
            said = f"`{label.column}` has only the class `{next(iter(seen))}`; both {both} are needed"
        case _:
            said = f"`{label.column}` has no class in any row that keeps its promises; both {both} are needed"
    return (Check("classes", Outcome.FAIL, said, label.column),)


def _set_aside(table: pa.Table, made: Sequence[Promise], bad: Mask) -> pa.Table:
    """The rows at fault as they were read; a column of theirs that is called as one of ours gives way."""
    at = np.flatnonzero(bad)
    rows = table.take(at)
    names = [f"{name} of the source" if name in (ROW, REASONS) else name for name in table.column_names]
    parts = [_reasons(promise, rows, promise.broken[at]) for promise in made if promise.broken.any()]
    empty = pa.nulls(len(at), pa.string())
    reasons = pc.binary_join_element_wise(empty, *parts, "; ", null_handling="skip")
    arrays = [*rows.columns, pa.array(at + 1, pa.int64()), reasons]
    return pa.table(arrays, names=[*names, ROW, REASONS])


def _reasons(promise: Promise, rows: pa.Table, broken: Mask) -> pa.Array:
    """What each of these rows did wrong, null for those that kept the promise."""
    said = pa.repeat(f"`{promise.subject}` {promise.fault}", len(broken))
    if promise.values:
        quoted = pc.binary_join_element_wise("`", _display(rows[promise.subject]), "`", "")
        said = pc.binary_join_element_wise(said, quoted, ": ", null_handling="skip")
    return pc.if_else(pa.array(broken), said, None)


def _display(values: pa.ChunkedArray) -> pa.Array:
    """Values as people are shown them: short, and with nothing that a terminal would obey."""
    try:
        texts = _array(values).cast(pa.string())
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid):
        return pa.nulls(len(values), pa.string())
    short = pc.if_else(
        pc.greater(pc.utf8_length(texts), _SHOWN),
        pc.binary_join_element_wise(pc.utf8_slice_codeunits(texts, 0, _SHOWN), "…", ""),
        texts,
    )
    return pc.replace_substring_regex(short, r"\p{C}", "?")


def _array(column: pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks()


def _exact(value: float, rows: int) -> Estimate:
    return Estimate(value, value, value, rows, level=1.0, method="census")
