"""What a serving process counts, for Prometheus. Decisions never read these: they read the ledger and observations."""

import collections
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
NONE, SEVERAL = "none", "several"
"""The labels of a request that no route, or no version, answered; and of a batch that several versions did."""

SECONDS_BOUNDS = (
    *(.0005, .001, .0015, .002, .003, .005, .0075),
    *(.01, .015, .025, .05, .1, .25, .5, 1, 2.5, 5, 10),
)  # fmt: skip
LOOKUP_BOUNDS = (.0001, .0002, .0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1)  # fmt: skip
PROBABILITY_BOUNDS = tuple(step / 20 for step in range(1, 21))

# A second series for every one of ours, that several workers could not share anyway.
disable_created_metrics()  # type: ignore[no-untyped-call]
REGISTRY = CollectorRegistry()


class TalliedHistogram(Histogram):
    """A histogram that takes observations counted elsewhere."""

    def take(self, counts: Sequence[int], total: float) -> None:
        """Add so many observations to each bucket (the last has no bound), which add up to `total`."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


REQUESTS = Counter(
    "mainstay_requests",
    "HTTP requests answered, by route (as documented, never as asked), status, and the version that answered: `none`"
    " where none did, `several` for a batch that more than one arm answered.",
    ("route", "status", "version"),
    registry=REGISTRY,
)
SECONDS = TalliedHistogram(
    "mainstay_request_seconds",
    "Seconds from a request's headers to the last byte of its answer, by route and the version that answered, as in"
    " mainstay_requests. Uploading the body counts.",
    ("route", "version"),
    buckets=SECONDS_BOUNDS,
    registry=REGISTRY,
)
ERRORS = Counter(
    "mainstay_errors",
    "Requests that got a problem instead of an answer, by route, the problem's kind (the end of its `type`), and the"
    " version whose defect it is, `none` where it is no version's. `disconnected`: the client left before its answer.",
    ("route", "kind", "version"),
    registry=REGISTRY,
)
REJECTIONS = Counter(
    "mainstay_rejections",
    "What was refused before it was scored, by the kind of problem. Each row of a batch counts, whatever the batch's"
    " own status; a sample is in the observations.",
    ("kind",),
    registry=REGISTRY,
)
PREDICTIONS = Counter(
    "mainstay_predictions",
    "Predictions answered, by the version that answered and its decision. Each row of a batch is one.",
    ("version", "decision"),
    registry=REGISTRY,
)
PROBABILITY = TalliedHistogram(
    "mainstay_probability",
    "Probability of the positive class in the predictions answered, by version.",
    ("version",),
    buckets=PROBABILITY_BOUNDS,
    registry=REGISTRY,
)
SPLIT_NUMBER = Gauge(
    "mainstay_split_number",
    "Number of the split that is applied here, 0 before the first; the lowest among the workers of a replica.",
    registry=REGISTRY,
    multiprocess_mode="livemin",
)
SPLIT_AGE = Gauge(
    "mainstay_split_age_seconds",
    "Seconds since the split was last read from the ledger, however old it is; the highest among the workers.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
ARM_LOADS = Counter(
    "mainstay_arm_loads",
    "Attempts to load a version, by outcome: `loaded` (believed and warm), `refused` (not believed, or not warm) or"
    " `unavailable` (its bytes could not be read).",
    ("version", "outcome"),
    registry=REGISTRY,
)
ATTEMPTS = Counter(
    "mainstay_attempts",
    "Scorings by challengers that were to answer, by outcome: `ok`, `raised`, `late` or `not_finite`. Where it is not"
    " `ok` the incumbent answered.",
    ("version", "outcome"),
    registry=REGISTRY,
)
LISTENED = Counter(
    "mainstay_listened",
    "Rows that listening arms scored, by outcome: `ok`, `raised` or `not_finite`, `unwritten` where the record could"
    " not be kept; or `shed`, because too many were waiting.",
    ("version", "outcome"),
    registry=REGISTRY,
)
LOG_BACKLOG = Gauge(
    "mainstay_log_backlog_bytes",
    "Bytes of this host's segments that were not shipped yet, those being written included.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
LOG_AGE = Gauge(
    "mainstay_log_age_seconds",
    "Age of the oldest of this host's segments that was not shipped yet, 0 where all were.",
    registry=REGISTRY,
    multiprocess_mode="livemax",
)
LOG_FAILURES = Counter(
    "mainstay_log_failures",
    "Records that could not be written down: the disk is full, or fails. What they were about was not answered.",
    registry=REGISTRY,
)

LOOKUPS = Counter(
    "mainstay_lookups",
    "Entities whose features were looked up, by outcome: `found`, `unknown` (no view has a row of it) or `unavailable`"
    " (the online store cannot be read).",
    ("outcome",),
    registry=REGISTRY,
)
LOOKUP_SECONDS = Histogram(
    "mainstay_lookup_seconds",
    "Seconds that the online store took for a look-up, of one entity or of those of a whole batch, by outcome: `found`"
    " where any entity was.",
    ("outcome",),
    buckets=LOOKUP_BOUNDS,
    registry=REGISTRY,
)
WATERMARK_AGE = Gauge(
    "mainstay_watermark_age_seconds",
    "Seconds since the watermark of a feature view (how far it was materialised), as of the last look-up; the highest"
    " among the workers.",
    ("view",),
    registry=REGISTRY,
    multiprocess_mode="livemax",
)

METRICS: tuple[Counter | Gauge | Histogram, ...] = (
    REQUESTS,
    SECONDS,
    ERRORS,
    REJECTIONS,
    PREDICTIONS,
    PROBABILITY,
    SPLIT_NUMBER,
    SPLIT_AGE,
    ARM_LOADS,
    LOG_BACKLOG,
    LOG_AGE,
    LOG_FAILURES,
    ATTEMPTS,
    LISTENED,
    LOOKUPS,
    LOOKUP_SECONDS,
    WATERMARK_AGE,
)
"""Every metric that processes count; those of the shipper are in `shipped.py`."""


def exposition(directory: Path | None, *others: Collector) -> bytes:
    """The metrics in Prometheus's text format: of this process, or of all that share `directory`; and the others'.

    The library decides when it is imported which of the two it counts for: a worker that shares a directory was
    started with PROMETHEUS_MULTIPROC_DIR.
    """
    counted = REGISTRY
    if directory is not None:
        counted = CollectorRegistry()
        MultiProcessCollector(counted, str(directory))  # type: ignore[no-untyped-call]
    beside = CollectorRegistry()
    for each in others:
        beside.register(each)
    return generate_latest(counted) + generate_latest(beside)


def count_lookups(outcome: str, entities: int, seconds: float | None) -> None:
    """Count entities that were looked up; `seconds` for all of them together, None where that is counted already."""
    LOOKUPS.labels(outcome).inc(entities)
    if seconds is not None:
        LOOKUP_SECONDS.labels(outcome).observe(seconds)


def count_answers(answers: Iterable[Mapping[str, Any]]) -> str:
    """Count predictions that were answered; the version that answered them, `several`, or `none` of no answers."""
    decisions: collections.Counter[tuple[str, str]] = collections.Counter()
    for answer in answers:
        decisions[answer["version"], answer["decision"]] += 1
        PROBABILITY.labels(answer["version"]).observe(answer["probability"])
    for (version, decision), count in decisions.items():
        PREDICTIONS.labels(version, decision).inc(count)
    versions = {version for version, _ in decisions}
    return versions.pop() if len(versions) == 1 else SEVERAL if versions else NONE
