"""A body's rows by the column, whatever format they came in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mainstay.scoring.reading import Problem
from mainstay.scoring.table import Distinct, Given
from mainstay.serving.arms import Live
from mainstay.serving.guard import JSON
from mainstay.serving.predict import NAMED
from mainstay.serving.problems import Rejected
from mainstay.suggest import did_you_mean

TABLE_ROWS = 100_000
"""Rows of a table that are taken at a time."""
_EXPECTED = "a feature, the entity or `request_id`"


@dataclass(frozen=True, slots=True)
class Table:
    """n rows as a body gave them, by column. `broken` are rows that could not be read at all, and why."""

    rows: int
    columns: Mapping[str, Given]
    entities: Sequence[str | int | None] | None = None
    request_ids: Sequence[str | None] | None = None
    broken: Mapping[int, Problem] = field(default_factory=dict)


def entity_name(live: Live) -> str:
    """The column that rows are about: its own name where the champion's manifest tells it, else `entity`."""
    manifest = live.manifests.get(live.split.champion)
    return "entity" if manifest is None or manifest.entity is None else manifest.entity.name


def table_of(rows: int, columns: Mapping[str, Given], broken: Mapping[int, Problem], live: Live) -> Table:
    """The table that these columns are, the entity and the client's request ids taken out of them.

    The entity is in the column of its own name, or in `entity`; a feature's name is a feature's. Rejected with 422
    where there are columns of no feature, or none for a feature that must not be missing.
    """
    arm = live.rows[live.split.champion]
    named = entity_name(live)
    own = {name: column for name, column in columns.items() if name not in arm.features}
    beside = [name for name in (named, "entity") if name in own][:1]
    entities = _listed(own.pop(beside[0])) if beside else None
    requests = _listed(own.pop("request_id")) if "request_id" in own else None
    problems = [
        Problem(
            name[:64], f"unknown column{did_you_mean(name[:64], arm.features)}", "a feature, the entity or request_id"
        )
        for name in list(own)[:NAMED]
    ]
    problems += [
        Problem(each.name, "is missing", "a column of the table: it may not be null")
        for each in arm.scorer.bundle.encoder.inputs
        if not each.nullable and each.name not in columns
    ]
    if problems and not set(columns) & set(arm.features) and beside and live.lookup is not None:
        said = "a table names entities alone: features are looked up for a batch in JSON, and a table gives them all"
        expected = f'{{"rows": [{{"entity": …}}]}} as {JSON}, or a column for every feature'
        raise Rejected(422, said, [Problem(beside[0], "stands alone", expected)])
    if problems:
        more = len(problems) + max(0, len(own) - NAMED) - 1
        detail = f"{problems[0].field}: {problems[0].reason}" + (f", and {more} more" if more else "")
        raise Rejected(422, detail, problems)
    texts = None if requests is None else [None if each is None or each == "" else str(each) for each in requests]
    return Table(rows, {name: each for name, each in columns.items() if name in arm.features}, entities, texts, broken)


def _listed(column: Given) -> list[Any]:
    """A column's values; an integer stays one, a blank is none."""
    if isinstance(column, Distinct):
        values = [*(None if each == "" else each for each in column.values), None]
        return [values[code] for code in column.codes.tolist()]
    whole = (None if each != each else int(each) if each.is_integer() else each for each in column.tolist())
    return list(whole)
