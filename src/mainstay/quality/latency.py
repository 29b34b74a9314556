"""How long one row takes: what a request pays for the model itself, without the network and the queue."""

import time
from collections.abc import Callable

import numpy as np
from scipy.special import bdtr

from mainstay.nouns import Estimate
from mainstay.scoring.derive import Columns
from mainstay.scoring.scorer import Scorer

WARM_UP = 20
CALLS = 300
TAIL = 0.95


def single_row_latency(scorer: Scorer, columns: Columns, timer: Callable[[], float] = time.perf_counter) -> Estimate:
    """The 95th percentile of the time to encode and score one row, in microseconds, over 300 calls on these rows.

    Its interval is that of order statistics (binomial), so it needs no law of times. `columns` have shape (n,), n > 0.
    """
    count = len(next(iter(columns.values())))
    rows = [{name: values[n : n + 1] for name, values in columns.items()} for n in range(min(count, CALLS))]
    for n in range(WARM_UP):
        scorer.score(rows[n % len(rows)])
    taken = np.empty(CALLS)
    for n in range(CALLS):
        started = timer()
        scorer.score(rows[n % len(rows)])
        taken[n] = (timer() - started) * 1e6
    taken.sort()
    below = bdtr(np.arange(CALLS, dtype=np.float64), CALLS, TAIL)
    low = int(np.searchsorted(below, 0.025, "right"))
    high = min(int(np.searchsorted(below, 0.975, "left")) + 1, CALLS) - 1
    value = taken[int(TAIL * CALLS) - 1]
    return Estimate(float(value), float(min(taken[low], value)), float(taken[high]), CALLS, 0.95, "order statistics")
