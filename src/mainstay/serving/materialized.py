"""What Prometheus is told about materialisation, which has no port of its own."""

import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector


class Materialized(Collector):
    """What the last materialisation of this home left, read whenever it is asked for: all workers say the same.

    Where there was none here, or what it left cannot be read, there are no values.
    """

    def __init__(self, home: Path, use_case: str, clock: Callable[[], datetime]) -> None:
        self._path, self._clock = home / f"features-{use_case}.json", clock

    def describe(self) -> Iterable[Metric]:
        """Every metric there is, without a value."""
        return _families()

    def collect(self) -> Iterable[Metric]:
        """The metrics, at this moment."""
        age, rows, written = made = _families()
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            told = json.loads(self._path.read_bytes())
            now = self._clock()
            for view, each in sorted(told.items()):
                behind = (now - datetime.fromisoformat(each["watermark"])).total_seconds()
                counts = float(each["rows"]), float(each["total"])
                age.add_metric([view], max(0.0, behind))
                rows.add_metric([view], counts[0])
                written.add_metric([view], counts[1])
        return made


def _families() -> tuple[GaugeMetricFamily, GaugeMetricFamily, CounterMetricFamily]:
    return (
        GaugeMetricFamily(
            "mainstay_materialized_age_seconds",
            "Seconds since the moment up to which this home last brought a feature view online, now.",
            labels=("view",),
        ),
        GaugeMetricFamily(
            "mainstay_materialized_rows", "Rows of a feature view in the offline store at that time.", labels=("view",)
        ),
        CounterMetricFamily(
            "mainstay_materialized_entities",
            "Rows of entities that this home has written into the online store.",
            labels=("view",),
        ),
    )
