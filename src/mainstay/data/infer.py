"""A first `mainstay.yaml` from rows nobody described: a proposal for people to read and correct."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from mainstay.errors import Refused
from mainstay.suggest import did_you_mean

MAX_LISTED = 30
"""A text column with more distinct values than this is left open: its categories are those seen in training."""
_POSITIVE = ("yes", "y", "true", "t", "1", "churned", "left", "positive", "bad", "fraud")
_TIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})?)?")


@dataclass(frozen=True, slots=True)
class Proposal:
    """What one column looks like. `note` says in words why, where that is not plain."""

    type: Literal["identifier", "integer", "number", "category", "timestamp"]
    nullable: bool = False
    range: tuple[float, float] | None = None
    values: tuple[str, ...] | None = None
    feature: bool = True
    note: str = ""


def propose(table: pa.Table, target: str) -> dict[str, Proposal]:
    """What every column of the source looks like, in its order.

    Refused if the target is no column (with a suggestion), or does not have exactly two values.
    """
    if target not in table.column_names:
        raise Refused(f"there is no column `{target}`{did_you_mean(target, table.column_names)}", "--target")
    proposals = {name: _propose(table[name], table.num_rows) for name in table.column_names}
    proposals[target] = _target(table[target], target)
    return proposals


def positive_class(table: pa.Table, target: str, values: tuple[str, ...]) -> str:
    """The class to predict: the one that is called yes, true or 1, else the rarer one."""
    for word in _POSITIVE:
        for value in values:
            if value.casefold() == word:
                return value
    texts = _texts(table[target]).to_pylist()
    return min(values, key=lambda value: (texts.count(value), value))


def entity_of(proposals: Mapping[str, Proposal]) -> str | None:
    """The column that most likely names whom a row is about; None if none looks like it."""
    found = [name for name, made in proposals.items() if made.type == "identifier" and not made.nullable]
    return min(
        found, key=lambda name: (not re.search(r"(^|_|\b)id|id$", name, re.IGNORECASE), found.index(name)), default=None
    )


def render(name: str, source: str, table: pa.Table, target: str) -> str:
    """The text of a `mainstay.yaml` for these rows, with a comment wherever a choice was made."""
    proposals = propose(table, target)
    entity = entity_of(proposals)
    values = proposals[target].values or ()
    positive = positive_class(table, target, values)
    absent = next(value for value in values if value != positive)
    lines = [
        f"# Proposed from {table.num_rows:,} rows. Read it, correct it, then: mainstay release",
        "schema: 1",
        f"name: {name}",
        f"source: {_inline(source)}",
        f"entity: {_inline(entity)}" if entity else "# entity: the column that names whom a row is about",
        f"label: {_inline({'column': target, 'positive': positive, 'absent_means': absent})}",
        "",
        "contract:",
        f"  rows: {_inline({'at_least': max(1, table.num_rows // 2), 'bad_share_at_most': 0.01})}",
        "  columns:",
        *(f"    {_inline(column)}: {_column(made)}" for column, made in proposals.items()),
        "",
        "recipe: {objective: log_loss, estimators: [logistic, lightgbm], trials: 30, folds: 5, holdout: 0.2, seed: 7}",
        "# profit: {offer_cost: 20, value_saved: 400, save_rate: 0.3}   # without it the threshold is chosen by F1",
        "# protected: []                                                # columns to compare groups by",
        "gates:",
        "  skill: {at_least: 0.1}",
        "",
    ]
    return "\n".join(lines)


def _column(made: Proposal) -> str:
    body: dict[str, Any] = {"type": made.type}
    if made.nullable:
        body["nullable"] = True
    if made.range is not None:
        body["range"] = list(made.range)
    if made.values is not None:
        body["values"] = list(made.values)
    if not made.feature:
        body["feature"] = False
    return _inline(body) + (f"   # {made.note}" if made.note else "")


def _inline(value: object) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, sort_keys=False, width=10_000)
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _texts(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """The column as trimmed text, blanks as nulls."""
    texts = pc.utf8_trim_whitespace(pc.cast(column, pa.string()))
    return pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), texts)


def _propose(column: pa.ChunkedArray, rows: int) -> Proposal:
    texts = _texts(column)
    nullable = texts.null_count > 0
    present = texts.drop_null()
    if not len(present):
        return Proposal("category", True, feature=False, note="empty")
    distinct = pc.unique(present).to_pylist()
    numbers = _numbers(present)
    if numbers is not None:
        whole = all(number.is_integer() for number in numbers)
        if whole and not nullable and len(distinct) == rows > 50 and _counts_up(numbers):
            return Proposal("identifier", note="a different whole number in every row")
        return Proposal("integer" if whole else "number", nullable, _range(numbers))
    if all(_TIME.fullmatch(text) for text in distinct):
        return Proposal("timestamp", nullable)
    if len(distinct) == len(present) > 50:
        return Proposal("identifier", nullable, note="a different value in every row")
    if len(distinct) > max(MAX_LISTED, rows // 2):
        return Proposal("category", nullable, feature=False, note=f"{len(distinct):,} values: free text?")
    if len(distinct) > MAX_LISTED:
        return Proposal("category", nullable, note=f"{len(distinct):,} values: the frequent ones are learned")
    return Proposal("category", nullable, values=tuple(sorted(distinct)))


def _numbers(present: pa.ChunkedArray) -> list[float] | None:
    try:
        numbers: list[float] = pc.cast(present, pa.float64()).to_pylist()
    except pa.ArrowInvalid:
        return None
    return numbers if all(math.isfinite(number) for number in numbers) else None


def _counts_up(numbers: list[float]) -> bool:
    """Whether different whole numbers lie as close as a running number's do."""
    return max(numbers) - min(numbers) < 20 * len(numbers)


def _range(numbers: list[float]) -> tuple[float, float]:
    """A range that the next months' rows will not leave: twice as far as was seen, and never below a natural zero."""
    low, high = min(numbers), max(numbers)
    reach = max(high - low, abs(high), 1.0)
    return (0 if low >= 0 else _rounded(low - reach)), _rounded(high + reach)


def _rounded(number: float) -> float:
    """Two significant digits, away from zero; whole where it can be."""
    step = 10.0 ** (math.floor(math.log10(abs(number))) - 1)
    rounded = math.copysign(math.ceil(abs(number) / step) * step, number)
    return int(rounded) if rounded.is_integer() else round(rounded, 12)


def _target(column: pa.ChunkedArray, target: str) -> Proposal:
    texts = _texts(column)
    values = tuple(sorted(pc.unique(texts.drop_null()).to_pylist()))
    if len(values) != 2:
        shown = ", ".join(f"`{value}`" for value in values[:5]) + (", …" if len(values) > 5 else "")
        raise Refused(f"a target has exactly two values; `{target}` has {len(values)} ({shown or 'none'})", "--target")
    return Proposal("category", texts.null_count > 0, values=values)
