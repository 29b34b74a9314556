"""A sample of the requests that were refused before scoring: a burst of them is trouble upstream."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime

from mainstay.errors import Unavailable
from mainstay.logged import rejection_row
from mainstay.observed import Rejection
from mainstay.serving import metrics
from mainstay.serving.problems import KINDS, Rejected
from mainstay.serving.recording import Appends

A_SECOND = 20
"""Records that are written in one second, of however many requests: a flood of nonsense fills no disk."""
EACH = 3
"""Records of one request, whatever else is wrong with it."""
SAMPLED = frozenset({400, 413, 415, 422})
"""Statuses that say something about what was sent, and not about who sent it or how the server stands."""


class Rejections:
    """Writes down which field was refused and why, never its value.

    Threads may share it, and may then write a few records more in a second.
    """

    def __init__(self, log: Appends, clock: Callable[[], datetime]) -> None:
        self._log, self._clock = log, clock
        self._second = 0
        self._written = 0

    def note(self, rejected: Rejected, key: str | None = None) -> None:
        """Count what was refused, and log it if there is room for it in this second. `key` is the API key's id, if any.

        Where the log cannot be written nothing is: whoever was refused waits for no disk.
        """
        if rejected.status in SAMPLED:
            metrics.REJECTIONS.labels(KINDS[rejected.status][0]).inc()
            self._write(rejected, key)

    def note_rows(self, rejected: Sequence[Rejected], key: str | None = None) -> None:
        """As `note`, for the refused rows of one batch."""
        for status, count in Counter(each.status for each in rejected).items():
            if status in SAMPLED:
                metrics.REJECTIONS.labels(KINDS[status][0]).inc(count)
        for each in [each for each in rejected if each.status in SAMPLED][:A_SECOND]:
            self._write(each, key)

    def _write(self, rejected: Rejected, key: str | None) -> None:
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._written = second, 0
        at = self._clock()
        told = [(each.field, each.reason) for each in rejected.errors[:EACH]] or [("", rejected.detail)]
        for field, reason in told[: A_SECOND - self._written]:
            self._written += 1
            with suppress(Unavailable):
                row = rejection_row(Rejection(at, rejected.status, field[:200], reason[:200], key))
                self._log.append("rejection", None, "", row)
