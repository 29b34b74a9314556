"""What Prometheus is told about the shipper, which has no port of its own."""

from collections.abc import Callable, Iterable
from datetime import datetime

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from mainstay.errors import Unavailable
from mainstay.progress import Progress

Families = tuple[GaugeMetricFamily, CounterMetricFamily, CounterMetricFamily, CounterMetricFamily]


class ShipperProgress(Collector):
    """What the shipper of this home left, read whenever it is asked for: every worker of a host says the same.

    Where it cannot be read, or no shipper ever ran here, there are no values.
    """

    def __init__(self, progress: Callable[[], Progress | None], clock: Callable[[], datetime]) -> None:
        self._progress, self._clock = progress, clock

    def describe(self) -> Iterable[Metric]:
        """Every metric there is, without a value."""
        return _families()

    def collect(self) -> Iterable[Metric]:
        """The metrics, at this moment."""
        age, segments, rows, damaged = _families()
        try:
            found = self._progress()
        except Unavailable:
            found = None
        if found is not None:
            age.add_metric([], max(0.0, (self._clock() - found.at).total_seconds()))
            segments.add_metric([], found.segments)
            damaged.add_metric([], found.damaged)
            for kind, count in sorted(found.rows.items()):
                rows.add_metric([kind], count)
        return age, segments, rows, damaged


def _families() -> Families:
    return (
        GaugeMetricFamily(
            "mainstay_shipper_age_seconds",
            "Seconds since this home's shipper last ended a round well, one a second; absent where none ever did.",
        ),
        CounterMetricFamily("mainstay_shipper_segments", "Segments of this home that were shipped."),
        CounterMetricFamily("mainstay_shipper_rows", "Rows that were shipped from this home.", labels=("kind",)),
        CounterMetricFamily("mainstay_shipper_damaged", "Records of this home that could not be read when shipped."),
    )
