"""Which rows are held out: by a hash that every home computes alike, or from a day on that only moves forward."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from mainstay.data.typed import Mask, text_of
from mainstay.digests import canonical_json, unit_interval
from mainstay.nouns import Holdout
from mainstay.scoring.frame import instant64, ripe
from mainstay.usecase import UseCase

_DAY = np.timedelta64(1, "D")


def times_of(table: pa.Table, use_case: UseCase) -> NDArray[np.datetime64] | None:
    """The event times (n,) of typed rows, datetime64[us]; None for a snapshot."""
    if use_case.event_time is None or use_case.event_time.column not in table.column_names:
        return None
    times = table[use_case.event_time.column].cast(pa.timestamp("us"))
    return np.asarray(times.to_numpy(), dtype="datetime64[us]")


def watermark_of(table: pa.Table, use_case: UseCase) -> datetime | None:
    """The latest instant that the rows witness: of what happened, or of what was known. None for a snapshot."""
    if use_case.event_time is None or use_case.event_time.column not in table.column_names:
        return None
    named = (use_case.event_time.column, use_case.event_time.known_at)
    latest = [pc.max(table[name]).cast(pa.int64()).as_py() for name in named if name in table.column_names]
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=max(at for at in latest if at is not None))


def holdout_of(table: pa.Table, use_case: UseCase, watermark: datetime | None, least_cut: datetime | None) -> Holdout:
    """The holdout of typed rows: by hash for a snapshot, else with its cut.

    The cut is the UTC day (its midnight) on which the quantile 1 - share of the ripe rows' event times lies, so that
    at least `share` of them come after it; never before `least_cut`, the latest of any version before it. None, and
    so nothing held out, as long as no row is ripe and there was no cut.
    """
    salt, share = use_case.salt, use_case.recipe.holdout
    times = times_of(table, use_case)
    if times is None or watermark is None:
        return Holdout(salt, share)
    known = np.sort(times[ripe(times, watermark, use_case.label)])
    cuts = [] if least_cut is None else [least_cut]
    if len(known):
        day = known[min(int((1 - share) * len(known)), len(known) - 1)].astype("datetime64[D]")
        cuts.append(datetime.combine(day.astype(object), datetime.min.time(), UTC))
    return Holdout(salt, share, max(cuts, default=None))


def held_out(table: pa.Table, use_case: UseCase, holdout: Holdout) -> Mask:
    """Which of the typed rows (n,), their names still as they are, belong to the holdout.

    A snapshot's by the hash of the entity; without one, of the canonical JSON of the row's values in contract order,
    the label left out. Rows with a time: those from the cut on.
    """
    times = times_of(table, use_case)
    if times is not None:
        if holdout.cut is None:
            return np.zeros(table.num_rows, dtype=np.bool_)
        return np.asarray(times >= instant64(holdout.cut))
    texts = text_of(table[use_case.entity]) if use_case.entity else row_texts(table, use_case.label.column)
    coded = texts.dictionary_encode()
    below = [unit_interval("holdout", holdout.salt, text) < holdout.share for text in coded.dictionary.to_pylist()]
    marks: Mask = np.array(below, dtype=np.bool_)[coded.indices.to_numpy()]
    return marks


def row_texts(table: pa.Table, label: str) -> pa.Array:
    """Canonical JSON of each row, an array of its values: put together by column, since most values come many times."""
    parts = []
    for name in table.column_names:
        if name == label:
            continue
        values = table[name].combine_chunks()
        if pa.types.is_timestamp(values.type):
            values = text_of(values)
        coded = values.dictionary_encode()
        written = [canonical_json(value).decode() for value in coded.dictionary.to_pylist()]
        parts.append(pa.array(written, pa.string()).take(coded.indices).fill_null("null"))
    return pc.binary_join_element_wise("[", pc.binary_join_element_wise(*parts, ","), "]", "")
