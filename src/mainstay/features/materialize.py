"""Which rows go online: of the entities about which something was learnt since, the row that holds now."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstay.adapters.online import Online, Wanted
from mainstay.defined import FeatureView
from mainstay.features.asof import NEVER, History, as_of
from mainstay.features.feast import EVENT_TIME, KNOWN_AT
from mainstay.features.online import Writer
from mainstay.scoring.frame import grouped

_READ = 500
"""Entities read back at once."""
_SECOND = 1_000_000  # microseconds: Feast's SQLite store keeps no less


def due(rows: pa.Table, since: datetime | None, until: datetime) -> pa.Table:
    """The rows of an offline store that have to be online at `until`, where it held what it had to at `since`.

    One row of each entity that has a row which began to count after `since` (None: ever), and not after `until`: the
    one that holds then, by the rules of training (`asof.as_of`), however old it is. A null in it stays null. Sorted by
    entity.
    """
    later = pc.greater(rows[EVENT_TIME], rows[KNOWN_AT])
    counts = pc.if_else(later, rows[EVENT_TIME], rows[KNOWN_AT])
    fresh = pc.less_equal(counts, _moment(until))
    if since is not None:
        fresh = pc.and_(fresh, pc.greater(counts, _moment(since)))
    entity = rows.column_names[0]
    asked = pc.unique(rows.filter(fresh)[entity]).drop_null().sort()
    # The rows of those entities alone: what is done grows with the news, not with the history.
    theirs = rows.filter(pc.is_in(rows[entity], asked))
    return holding(theirs, asked.to_pylist(), until)


def holding(rows: pa.Table, entities: Sequence[str], at: datetime) -> pa.Table:
    """The rows that held for the entities at a time, in their order; none of an entity that had none."""
    entity = rows.column_names[0]
    both = pa.concat_arrays([pa.array(entities, pa.string()), rows[entity].combine_chunks().cast(pa.string())])
    codes = np.asarray(both.dictionary_encode().indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    asked, known = codes[: len(entities)], codes[len(entities) :]
    times = np.full(len(entities), np.datetime64(at.astimezone(UTC).replace(tzinfo=None), "us"))
    places = as_of(asked, times, history_of(rows, known))
    return rows.take(pa.array(places[places != NEVER]))


def history_of(rows: pa.Table, entities: NDArray[np.int64]) -> History:
    """Offline rows as the join reads them, their entities as numbers. Ties are ranked as in training."""
    order = grouped((pc.rank(each, tiebreaker="dense").to_numpy() for each in rows.columns[3:]), rows.num_rows)
    return History(entities, instants(rows[EVENT_TIME]), instants(rows[KNOWN_AT]), order)


def instants(column: pa.ChunkedArray) -> NDArray[np.datetime64]:
    """Times as numpy has them, in microseconds."""
    return np.asarray(column.cast(pa.timestamp("us")).to_numpy(), dtype="datetime64[us]")


def materialise(online: Writer, project: str, view: str, rows: pa.Table, until: datetime) -> tuple[int, datetime]:
    """Bring a view online as far as `until`; how many rows were written, and how far it is now.

    Only what is new since it was last brought so far; the watermark is recorded after the values. Nothing where it is
    as far already. Doing it twice is the same as once, and so is doing it from two places at a time.
    """
    since = online.watermarks(project).get(view)
    if since is not None and since >= until:
        return 0, since
    written = online.write(project, view, due(rows, since, until))
    online.mark(project, view, until)
    return written, until


def differing(online: Online, project: str, view: FeatureView, rows: pa.Table, at: datetime) -> int:
    """The entities whose values, read back as serving reads them, are not exactly those that hold at a time."""
    names = tuple(each.name for each in view.features)
    wanted = holding(rows, pc.unique(rows[view.entity]).drop_null().sort().to_pylist(), at)
    odd = 0
    for start in range(0, wanted.num_rows, _READ):
        part = wanted.slice(start, _READ)
        read = online.read(project, view.entity, [Wanted(view.name, names)], part[view.entity].to_pylist())
        times = part[EVENT_TIME].cast(pa.int64()).to_pylist()
        told = zip(*(part[name].to_pylist() for name in names), strict=True)
        for row, time, values in zip(read.rows, times, told, strict=True):
            seen = row.get(view.name)
            same = seen is not None and tuple(seen.values.get(name) for name in names) == values
            odd += not (same and seen is not None and seen.event_time // _SECOND == time // _SECOND)
    return odd


def joined_rows(parts: Iterable[pa.Table]) -> pa.Table:
    """Offline rows of one view from several places, each row once: what came twice is the same as once."""
    whole = pa.concat_tables(parts)
    return whole.group_by(whole.column_names).aggregate([])


def _moment(at: datetime) -> pa.Scalar:
    return pa.scalar(at, pa.timestamp("us", "UTC"))
