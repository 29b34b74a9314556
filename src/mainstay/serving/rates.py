"""How often somebody may ask one replica: a bucket of tokens that fills by a rate, and that a large batch overdraws."""

from collections.abc import Mapping
from http import HTTPStatus
from threading import Lock

from mainstay.serving.problems import Rejected


class Bucket:
    """At most `burst` tokens, `rate` more each second; full at first. Threads may share it.

    A request takes one, and a batch one for each of its rows. A batch may hold more rows than the bucket ever holds
    tokens: it is taken as long as there is one, and the debt has to be filled before anything else is.
    """

    __slots__ = ("_at", "_left", "_lock", "burst", "rate")

    def __init__(self, rate: float, burst: int) -> None:
        self.rate = rate
        self.burst = burst
        self._left = float(burst)
        self._at = 0.0
        self._lock = Lock()

    def ask(self, now: float) -> None:
        """Take one token at `now` (seconds, monotonic). Rejected with 429 where there is none."""
        with self._lock:
            left = self._fill(now)
            if left >= 1.0:
                self._left = left - 1.0
                return
        raise self._too_often(1.0 - left)

    def charge(self, rows: int, now: float) -> None:
        """Take what the rows of a request cost beyond its first. Rejected with 429 where another overdrew meanwhile."""
        with self._lock:
            left = self._fill(now)
            if left >= 0.0:
                self._left = left - max(0, rows - 1)
                return
        raise self._too_often(1.0 - left)

    def _fill(self, now: float) -> float:
        self._left = min(float(self.burst), self._left + max(0.0, now - self._at) * self.rate)
        self._at = now
        return self._left

    def _too_often(self, lacking: float) -> Rejected:
        seconds = max(1, -int(-lacking / self.rate // 1))
        window = max(1, round(self.burst / self.rate))
        headers: Mapping[str, str] = {
            "retry-after": str(seconds),
            "ratelimit-policy": f'"key-per-replica";q={self.burst};w={window}',
            "ratelimit": f'"key-per-replica";r=0;t={seconds}',
        }
        granted = f"{self.rate:g} requests a second, {self.burst} at once, and each row of a batch is one"
        detail = f"this key asks too often: each replica grants it {granted}"
        return Rejected(HTTPStatus.TOO_MANY_REQUESTS, detail, headers=headers)
