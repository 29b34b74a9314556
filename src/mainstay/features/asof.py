"""What was known then: for each entity and time, the row of a history that held. Whole numbers in, places out.

A row counts from when it was so and known, the later of its two times: a late one cannot be seen before it came, and
one that announces what will be so cannot be seen before it is. Of the rows that count, the one with the latest event
time holds; of several, the one learnt of last, which corrects those before it.

Source: the definition of a point-in-time join in Feast's documentation ("Point-in-time joins"), with the arrival time
as a condition, which Feast leaves to a flag (docs/decisions/0008).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]
Times = NDArray[np.datetime64]
NEVER = -1
"""The place of what an entity did not have."""


@dataclass(frozen=True, slots=True)
class History:
    """n rows of a view: whom each is about (a number), when it was so and when it was known, both datetime64[us].

    `order` (n,) ranks rows that share entity and both times, so that which of them holds is nobody's accident.
    """

    entities: Codes
    event_times: Times
    known_at: Times
    order: Codes


def as_of(entities: Codes, times: Times, history: History, ttl: np.timedelta64 | None = None) -> Codes:
    """The places (m,) in a history of the rows that held for m entities at their times; NEVER where there is none.

    A row that is `ttl` old still holds, and older ones do not: the one before it is older, so then nothing does.
    Rows of the answer are those of the question, in its order. O((n + m) log n), nothing larger than n + m.
    """
    rows = len(history.entities)
    places = np.full(len(entities), NEVER, dtype=np.int64)
    if not rows or not len(entities):
        return places
    by_age = np.lexsort((history.order, history.known_at, history.event_times))
    counts_from = np.maximum(history.event_times, history.known_at)
    arrival = np.lexsort((counts_from, history.entities))
    age = np.empty(rows, dtype=np.int64)
    age[by_age] = np.arange(rows)
    # Entities as blocks of numbers: the running maximum of one never reaches into the next.
    known, blocks = np.unique(history.entities[arrival], return_inverse=True)
    newest = np.maximum.accumulate(blocks * rows + age[arrival]) - blocks * rows
    block = np.searchsorted(known, entities)
    here = block < len(known)
    here[here] = known[block[here]] == entities[here]
    last = _last_not_after(blocks, counts_from[arrival], block, times)
    first = np.searchsorted(blocks, block)
    here &= last >= first
    places[here] = by_age[newest[last[here]]]
    if ttl is not None:
        stale = here & (history.event_times[places] < times - ttl)
        places[stale] = NEVER
    return places


def _last_not_after(blocks: Codes, moments: Times, block: Codes, times: Times) -> Codes:
    """The last of n sorted pairs (block, moment) that is not after each of m pairs (block, time); -1 where none is."""
    instants = np.unique(np.concatenate([moments, times]))
    width = len(instants)
    pairs = blocks * width + np.searchsorted(instants, moments)
    asked = block * width + np.searchsorted(instants, times)
    return np.asarray(np.searchsorted(pairs, asked, side="right") - 1, dtype=np.int64)
