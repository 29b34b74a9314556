"""Ids for what is answered, cheaply: counted up, and cut from random bytes drawn in advance."""

import secrets
from datetime import datetime
from itertools import count

_LOW = 2**62 - 1
_DRAWN = 256
"""Trace ids drawn at a time."""


class Ids:
    """Ids of predictions and traces, unique across processes. Any thread may ask."""

    def __init__(self) -> None:
        # Half the range is left to count in; a process that uses it up runs for longer than the sun shines.
        self._numbers = count(secrets.randbits(73))
        self._traces: list[str] = []
        self._last: tuple[datetime | None, int] = (None, 0)  # a time, and how the ids of that time begin

    def prediction(self, now: datetime) -> str:
        """An id such as `digests.new_id` makes: it sorts by `now` to the millisecond, and within it by its turn."""
        number = next(self._numbers)
        at, begins = self._last
        if at is not now:  # those that come together are told of one time
            milliseconds = int(now.timestamp() * 1000) & (2**48 - 1)
            begins = milliseconds << 80 | 0x7 << 76 | 0b10 << 62
            self._last = now, begins
        return f"{begins | (number >> 62 & 0xFFF) << 64 | number & _LOW:032x}"

    def trace(self) -> str:
        """A fresh trace id: 32 random hex digits."""
        while True:
            try:
                return self._traces.pop()
            except IndexError:
                drawn = secrets.token_hex(16 * _DRAWN)
                self._traces += [drawn[at : at + 32] for at in range(0, len(drawn), 32)]
