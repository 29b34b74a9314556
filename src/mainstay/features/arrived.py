"""What the offline store says that a look-up should have found: the row that had arrived by its watermark."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from mainstay.features.asof import NEVER, Times, as_of
from mainstay.features.feast import EVENT_TIME
from mainstay.features.materialize import history_of, instants

_EDGE: Final = np.timedelta64(2, "s")
"""A row whose age is so near to its TTL may be counted either way: the look-up was a moment after the request."""


@dataclass(frozen=True, slots=True)
class LookUps:
    """n look-ups of one view: of whom (as stored), when asked, how far it was materialised, the found row's own time.

    Times are datetime64[us]; NaT where there was no watermark, or where no row was found.
    """

    entities: list[str]
    asked_at: Times
    watermarks: Times
    found_at: Times


def arrived(rows: pa.Table, look_ups: LookUps, ttl: timedelta | None) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The places (n,) of the offline rows that should have been served, NEVER for none; and which can be judged.

    That is the row that held at the watermark. A look-up that fell between values and their watermark may be ahead of
    it: where what was found is newer, it is held to the row of its own moment instead. Older than its TTL is none.
    """
    entity = rows.column_names[0]
    both = pa.concat_arrays([pa.array(look_ups.entities, pa.string()), rows[entity].combine_chunks().cast(pa.string())])
    codes = np.asarray(both.dictionary_encode().indices.to_numpy(zero_copy_only=False), dtype=np.int64)
    asked, known = codes[: len(look_ups.entities)], codes[len(look_ups.entities) :]
    history = history_of(rows, known)
    event_times = instants(rows[EVENT_TIME])
    marks = np.where(np.isnat(look_ups.watermarks), look_ups.asked_at, look_ups.watermarks)
    then, now = as_of(asked, marks, history), as_of(asked, look_ups.asked_at, history)
    found = look_ups.found_at.astype("datetime64[s]")
    # Whole seconds: Feast's SQLite store keeps no less.
    ahead = ~np.isnat(found) & ((then == NEVER) | (_times(event_times, then).astype("datetime64[s]") < found))
    places = np.where(ahead, now, then)
    sure = np.ones(len(places), dtype=np.bool_)
    if ttl is not None and len(event_times):
        left = _times(event_times, places) + np.timedelta64(ttl) - look_ups.asked_at
        here = places != NEVER
        sure = ~(here & (np.abs(left) < _EDGE))
        places = np.where(here & (left < np.timedelta64(0)), NEVER, places)
    return places, sure


def _times(event_times: Times, places: NDArray[np.int64]) -> Times:
    """The event time at each place; the beginning of time where there is none."""
    if not len(event_times):
        return np.full(len(places), np.datetime64("1970-01-01", "us"))
    return np.where(places == NEVER, np.datetime64("1970-01-01", "us"), event_times[places])
