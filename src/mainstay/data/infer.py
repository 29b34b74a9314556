"""A first `mainstay.yaml` from rows nobody described: a proposal for people to read and correct."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from mainstay.data.typed import typed
from mainstay.errors import Refused
from mainstay.suggest import did_you_mean
from mainstay.usecase import Column

MAX_LISTED = 30
"""A text column with more distinct values than this is left open: its categories are those seen in training."""
LONGEST_NAME = 200
_POSITIVE = ("yes", "y", "ja", "oui", "si", "sí", "sim", "true", "t", "1", "churned", "left", "positive", "bad")
_AS = {name: Column(type=name) for name in ("identifier", "category", "integer", "number", "timestamp")}


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
    """What every column of the source looks like, in its order, as `typed` would read it.

    Columns that no contract can name (`left_out`) are not among them. Refused if the target is no column (with a
    suggestion) or one of those, or does not have exactly two values.
    """
    if target not in table.column_names:
        raise Refused(f"there is no column `{target}`{did_you_mean(target, table.column_names)}", "--target")
    out = left_out(table)
    if target in out:
        raise Refused(f"this column cannot be predicted: {out[target]}", "--target")
    proposals = {name: _propose(table[name], table.num_rows) for name in table.column_names if name not in out}
    proposals[target] = _target(table[target], target)
    return proposals


def left_out(table: pa.Table) -> dict[str, str]:
    """The columns that no contract can name, each with the reason in words."""
    reasons = {}
    for name in table.column_names:
        if not name or len(name) > LONGEST_NAME:
            reasons[name] = f"a name has 1 to {LONGEST_NAME} characters"
        elif name.startswith("__") and name.endswith("__"):
            reasons[name] = "names between double underscores are kept for Mainstay's own columns"
        elif typed(table[name], _AS["identifier"]).wrong.any():
            reasons[name] = f"{table[name].type} is no number, time or text"
    return reasons


def positive_class(table: pa.Table, target: str, values: tuple[str, ...]) -> str:
    """The class to predict: the one that is called yes, true or 1, else the rarer one."""
    for word in _POSITIVE:
        for value in values:
            if value.strip().casefold() == word:
                return value
    texts = _spelt(table[target]).to_pylist()
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
        *(f"    # {_inline(column[:LONGEST_NAME])} is left out: {why}" for column, why in left_out(table).items()),
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


class _Dumper(yaml.SafeDumper):
    """Text with a line break in it stays on one line."""


_Dumper.add_representer(
    str,
    lambda dumper, text: dumper.represent_scalar(
        "tag:yaml.org,2002:str", text, style=None if text.isprintable() else '"'
    ),
)


def _inline(value: object) -> str:
    text: str = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, sort_keys=False, width=math.inf
    )
    return text.removesuffix("\n").removesuffix("\n...").strip()


def _spelt(column: pa.ChunkedArray) -> pa.Array:
    return typed(column, _AS["category"]).values


def _propose(column: pa.ChunkedArray, rows: int) -> Proposal:
    texts = _spelt(column)
    nullable = texts.null_count > 0
    distinct = pc.unique(texts.drop_null()).to_pylist()
    if not distinct:
        return Proposal("category", True, feature=False, note="empty")
    known = rows - texts.null_count
    numbers = typed(column, _AS["number"])
    if not numbers.wrong.any():
        whole = not typed(column, _AS["integer"]).wrong.any()
        return _number(pc.drop_null(numbers.values).to_pylist(), whole, nullable, len(distinct) == rows > 50)
    if not typed(column, _AS["timestamp"]).wrong.any():
        return Proposal("timestamp", nullable)
    if len(distinct) == known > 50:
        return Proposal("identifier", nullable, note="a different value in every row")
    if len(distinct) > max(MAX_LISTED, rows // 2):
        return Proposal("category", nullable, feature=False, note=f"{len(distinct):,} values: free text?")
    if len(distinct) > MAX_LISTED:
        return Proposal("category", nullable, note=f"{len(distinct):,} values: the frequent ones are learned")
    return Proposal("category", nullable, values=tuple(sorted(distinct)))


def _number(numbers: list[float], whole: bool, nullable: bool, all_differ: bool) -> Proposal:
    # Different whole numbers that lie as close as a running number's do.
    if whole and all_differ and max(numbers) - min(numbers) < 20 * len(numbers):
        return Proposal("identifier", note="a different whole number in every row")
    return Proposal("integer" if whole else "number", nullable, _range(numbers))


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
    texts = _spelt(column)
    values = tuple(sorted(pc.unique(texts.drop_null()).to_pylist()))
    if len(values) != 2:
        shown = ", ".join(f"`{value}`" for value in values[:5]) + (", …" if len(values) > 5 else "")
        raise Refused(f"a target has exactly two values; `{target}` has {len(values)} ({shown or 'none'})", "--target")
    return Proposal("category", texts.null_count > 0, values=values)
