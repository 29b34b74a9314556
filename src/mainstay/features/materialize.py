"""Which rows go online: of the entities about which something was learnt since, the row that holds now."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstay.defined import FeatureView
from mainstay.features.asof import NEVER, History, as_of
from mainstay.features.feast import EVENT_TIME, KNOWN_AT
from mainstay.features.online import Online
from mainstay.scoring.frame import grouped


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


def materialise(online: Online, project: str, view: str, rows: pa.Table, until: datetime) -> tuple[int, datetime]:
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
    """The entities whose values, read back, are not those that hold at a time, or that are there without a value."""
    names = [each.name for each in view.features]
    entities = pc.unique(rows[view.entity]).drop_null().sort().to_pylist()
    wanted = holding(rows, entities, at)
    there = online.read(project, view.name, view.entity, wanted[view.entity].to_pylist(), names)
    same = there["found"].combine_chunks()
    for name in names:
        same = pc.and_(same, equal(wanted[name], there[name]))
    return wanted.num_rows - int(pc.sum(same).as_py() or 0)


def equal(wanted: pa.ChunkedArray, there: pa.ChunkedArray) -> pa.BooleanArray:
    """Where two columns say exactly the same: the same number or text, or both nothing."""
    cast = there.cast(wanted.type) if there.null_count == len(there) else there
    both = pc.and_(pc.is_null(wanted), pc.is_null(cast))
    return pc.fill_null(pc.or_kleene(both, pc.equal(wanted, cast)), False)


def joined_rows(parts: Iterable[pa.Table]) -> pa.Table:
    """Offline rows of one view from several places, each row once: what came twice is the same as once."""
    whole = pa.concat_tables(parts)
    return whole.group_by(whole.column_names).aggregate([])


def _moment(at: datetime) -> pa.Scalar:
    return pa.scalar(at, pa.timestamp("us", "UTC"))
