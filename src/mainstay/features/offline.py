"""From a frozen dataset to labelled rows in training order. What is derived from the inputs is the encoder's affair."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstay.errors import Refused
from mainstay.features.asof import NEVER, History, as_of
from mainstay.nouns import DatasetVersion
from mainstay.scoring.frame import HELD_OUT, Frame, grouped, ripe
from mainstay.usecase import UseCase, View


@dataclass(frozen=True, slots=True)
class Left:
    """Rows that cannot be trained on yet: `unripe`, their outcome still open; `unlabelled`, nobody said what it was."""

    unripe: int = 0
    unlabelled: int = 0

    def __str__(self) -> str:
        return f"{self.unripe:,} rows are not ripe, and {self.unlabelled:,} have no label"


def training_frame(table: pa.Table, dataset: DatasetVersion, use_case: UseCase) -> tuple[Frame, Left]:
    """The rows of an opened dataset that can be learnt from, in training order, and how many could not.

    Rows with an event time enter once they are ripe at the dataset's watermark; no label then means
    `label.absent_means`, and `unknown` leaves the row out. A snapshot's rows enter if they have a label. The order is
    by time, then inputs, label, protected attributes and holdout, nulls last, then by the entity's other rows: never by
    names or pseudonyms, so every home trains alike. A protected column that is not stored has no slice. Refused where
    no row is left.
    """
    times = _times(table, use_case)
    labels = table[use_case.label.column].combine_chunks()
    if times is None or dataset.watermark is None:
        due = np.ones(table.num_rows, dtype=np.bool_)
    else:
        due = ripe(times, dataset.watermark, use_case.label)
        if use_case.label.absent_means != "unknown":
            labels = labels.fill_null(use_case.label.absent_means)
    labelled = np.asarray(labels.is_valid().to_numpy(zero_copy_only=False))
    left = Left(int((~due).sum()), int((due & ~labelled).sum()))
    rows = np.flatnonzero(due & labelled)
    if not len(rows):
        raise Refused(f"no row can be trained on: of {table.num_rows:,}, {left}", dataset.id)
    rows = rows[_order(table.take(rows), labels.take(pa.array(rows)), use_case)]
    return _frame(table.take(rows), labels.take(pa.array(rows)), times, rows, use_case), left


def with_views(
    table: pa.Table, histories: Mapping[str, pa.Table], dataset: DatasetVersion, use_case: UseCase
) -> pa.Table:
    """The rows of an opened dataset with the features of every view as they were known at each row's event time.

    Every row stays, in its order: one whose entity had no value then, or none young enough for the view's TTL, has
    nulls. `histories` are the rows of each view, frozen with the dataset (`data.histories`). Refused for a snapshot:
    its rows do not say when they were so, and so nobody can tell what was known.
    """
    if not use_case.features.views:
        return table
    times = _times(table, use_case)
    if times is None or use_case.entity is None:
        said = "views are looked up as of a row's event time, and its rows have none; leave the views out, or add it"
        raise Refused(said, dataset.id)
    for view in use_case.features.views:
        history = histories[view.name]
        asked, known = _numbered(table[use_case.entity], history[use_case.entity])
        ttl = None if view.ttl is None else np.timedelta64(view.ttl)
        places = as_of(asked, times, _history(history, known, view), ttl)
        found = history.take(pa.array(places, mask=places == NEVER))
        for name in view.features:
            table = table.append_column(name, found[name])
    return table


def _history(rows: pa.Table, entities: NDArray[np.int64], view: View) -> History:
    event_times = _instants(rows[view.event_time])
    known_at = event_times if view.known_at is None else _instants(rows[view.known_at])
    order = grouped((pc.rank(rows[name], tiebreaker="dense").to_numpy() for name in view.features), rows.num_rows)
    return History(entities, event_times, known_at, order)


def _numbered(asked: pa.ChunkedArray, known: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same number for the same entity, among those asked about and those known."""
    both = pa.chunked_array([*asked.cast(pa.string()).chunks, *known.cast(pa.string()).chunks], pa.string())
    codes = np.asarray(both.combine_chunks().dictionary_encode().indices.to_numpy(), dtype=np.int64)
    return codes[: len(asked)], codes[len(asked) :]


def _frame(
    table: pa.Table, labels: pa.Array, times: NDArray[np.datetime64] | None, rows: NDArray[np.int64], use_case: UseCase
) -> Frame:
    inputs = {
        name: _numbers(table[name]) if column.kind == "number" else _texts(table[name])
        for name, column in use_case.inputs.items()
    }
    return Frame(
        columns=inputs,
        labels=np.asarray(pc.equal(labels, use_case.label.positive).to_numpy(zero_copy_only=False)),
        groups=_groups(table, use_case),
        held_out=np.asarray(table[HELD_OUT].to_numpy(), dtype=np.bool_),
        slices={name: _texts(table[name]) for name in use_case.protected if name in table.column_names},
        times=None if times is None else times[rows],
    )


def _order(table: pa.Table, labels: pa.Array, use_case: UseCase) -> NDArray[np.int64]:
    """The places of the rows in training order. Between rows that are alike, their entities' other rows decide.

    Entities whose rows are all alike may change places with one another without a trace in the frame, so their names
    decide nothing that training could notice.
    """
    time = use_case.event_time.column if use_case.event_time else None
    names = dict.fromkeys([time, *use_case.inputs, use_case.label.column, *use_case.protected, HELD_OUT])
    keys = (
        labels if name == use_case.label.column else table[name].cast(pa.int8()) if name == HELD_OUT else table[name]
        for name in names
        if name is not None and name in table.column_names and not _is_pseudonym(name, use_case)
    )
    codes = grouped((pc.rank(key, tiebreaker="dense").to_numpy() for key in keys), table.num_rows)
    entities = _groups(table, use_case)
    return np.lexsort((entities, _signatures(codes, entities)[entities], codes))


def _is_pseudonym(name: str, use_case: UseCase) -> bool:
    """Whether a stored column, that of a protected attribute for one, says something else in every home."""
    column = use_case.contract.columns.get(name)  # the holdout's mark and the features of views are in no contract
    return column is not None and column.personal is not None


def _signatures(codes: NDArray[np.int64], entities: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each entity (numbered from 0), by the codes of its rows: equal where its rows are, ordered as they.

    `codes` (n,) are the same for rows that are alike; entities are compared by theirs, sorted, one after the other.
    """
    counts = np.bincount(entities)
    if len(counts) == len(codes) or int(codes.max()) + 1 == len(codes):
        return np.zeros(len(counts), dtype=np.int64)  # one row each, or no two alike: nothing is left to decide
    ordered = codes[np.lexsort((codes, entities))]
    owned = [tuple(part.tolist()) for part in np.split(ordered, np.cumsum(counts)[:-1])]
    rank = {signature: place for place, signature in enumerate(sorted(set(owned)))}
    return np.array([rank[signature] for signature in owned], dtype=np.int64)


def _times(table: pa.Table, use_case: UseCase) -> NDArray[np.datetime64] | None:
    if use_case.event_time is None or use_case.event_time.column not in table.column_names:
        return None
    return _instants(table[use_case.event_time.column])


def _instants(column: pa.ChunkedArray) -> NDArray[np.datetime64]:
    return np.asarray(column.cast(pa.timestamp("us")).to_numpy(), dtype="datetime64[us]")


def _groups(table: pa.Table, use_case: UseCase) -> NDArray[np.int64]:
    """Entities by first appearance; without entities each row is its own."""
    if use_case.entity is None:
        return np.arange(table.num_rows, dtype=np.int64)
    return np.asarray(table[use_case.entity].combine_chunks().dictionary_encode().indices.to_numpy(), dtype=np.int64)


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    return np.asarray(column.cast(pa.float64()).to_numpy(), dtype=np.float64)


def _texts(column: pa.ChunkedArray) -> NDArray[Any]:
    coded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    named = np.array([*coded.dictionary.to_pylist(), None], dtype=object)
    return np.asarray(named[coded.indices.fill_null(len(named) - 1).to_numpy()])
