"""What Prometheus is told about the host, and not about one process: its segments, and its shipper."""

from collections.abc import Callable, Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from mainstay.errors import Unavailable
from mainstay.ledger.progress import Progress


class Host(Collector):
    """Looked up whenever it is asked for, so that every worker of a host says the same.

    `backlog` gives the bytes that wait to be shipped and the age in seconds of the oldest; `progress` what the shipper
    left. What cannot be looked up now is left out.
    """

    def __init__(
        self,
        backlog: Callable[[], tuple[int, float]],
        progress: Callable[[], Progress | None],
        clock: Callable[[], datetime],
    ) -> None:
        self._backlog, self._progress, self._clock = backlog, progress, clock

    def describe(self) -> Iterable[Metric]:
        """Every metric there is, without a value."""
        return _families()

    def collect(self) -> Iterable[Metric]:
        """The metrics, at this moment."""
        size, age, shipped_at, segments, rows, damaged = _families()
        try:
            waiting, oldest = self._backlog()
            size.add_metric([], waiting)
            age.add_metric([], oldest)
        except Unavailable:
            pass
        try:
            found = self._progress()
        except Unavailable:
            found = None
        if found is not None:
            shipped_at.add_metric([], max(0.0, (self._clock() - found.at).total_seconds()))
            segments.add_metric([], found.segments)
            damaged.add_metric([], found.damaged)
            for kind, count in sorted(found.rows.items()):
                rows.add_metric([kind], count)
        return size, age, shipped_at, segments, rows, damaged


def _families() -> tuple[
    GaugeMetricFamily,
    GaugeMetricFamily,
    GaugeMetricFamily,
    CounterMetricFamily,
    CounterMetricFamily,
    CounterMetricFamily,
]:
    return (
        GaugeMetricFamily(
            "mainstay_log_backlog_bytes", "Bytes of this host's segments that were not shipped yet, open ones included."
        ),
        GaugeMetricFamily(
            "mainstay_log_backlog_age_seconds",
            "Age of the oldest segment that was not shipped yet; 0 where none waits. Beyond 15 something is wrong.",
        ),
        GaugeMetricFamily(
            "mainstay_shipper_age_seconds",
            "Seconds since this home's shipper last ended a round well, one a second; absent where none ever did.",
        ),
        CounterMetricFamily("mainstay_shipper_segments", "Segments of this home that were shipped."),
        CounterMetricFamily("mainstay_shipper_rows", "Rows that were shipped from this home.", labels=("kind",)),
        CounterMetricFamily("mainstay_shipper_damaged", "Records of this home that could not be read when shipped."),
    )
