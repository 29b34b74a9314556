"""`POST /predict_batch` in every format: what the body is, what the answer is to be, and the way from one to the other.

JSON, CSV and Arrow are read and written here; Parquet by a process of its own (`parquet.py`), which turns it into Arrow
and back.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mainstay.scoring.reading import Problem
from mainstay.serving import metrics
from mainstay.serving.answering import Answering
from mainstay.serving.answers import Answered, of_answers
from mainstay.serving.arms import Live
from mainstay.serving.columnar import answer_table
from mainstay.serving.csvs import as_csv, read_csv
from mainstay.serving.guard import BATCH_ROWS, JSON, parse_json
from mainstay.serving.parquet import Parquet
from mainstay.serving.predict import Answer
from mainstay.serving.problems import Rejected, as_json, problem
from mainstay.serving.table import Table, table_of
from mainstay.serving.tracing import Timeline

CSV, ARROW, PARQUET = "text/csv", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
TABLES = (CSV, ARROW, PARQUET)
FORMATS = (JSON, *TABLES)
"""The media types of a batch, and of its answer."""


def wanted(accepts: Sequence[str], given: str) -> str:
    """The format of an answer: the best that the `Accept` headers take, and of equals the one that was given.

    Rejected with 406 where they take none (RFC 9110, 12.5.1).
    """
    ranges = [_range(each) for each in ",".join(accepts).lower().split(",") if each.strip()]
    if not ranges:
        return given
    weights = {kind: _weight(kind, ranges) for kind in FORMATS}
    best = max(weights.values())
    if best <= 0:
        raise Rejected(406, f"the answers to a batch are {', '.join(FORMATS)}: accept one of these")
    return given if weights[given] == best else next(kind for kind in FORMATS if weights[kind] == best)


def _range(text: str) -> tuple[str, float]:
    name, *parameters = (part.strip() for part in text.split(";"))
    for each in parameters:
        key, _, value = each.partition("=")
        if key.strip() == "q":
            try:
                return name, float(value)
            except ValueError:
                return name, 0.0
    return name, 1.0


def _weight(kind: str, ranges: Sequence[tuple[str, float]]) -> float:
    """Of the most precise range that a media type is in."""
    for name in (kind, f"{kind.partition('/')[0]}/*", "*/*"):
        found = [weight for each, weight in ranges if each == name]
        if found:
            return max(found)
    return 0.0


@dataclass(frozen=True, slots=True)
class Batched:
    """A batch as it came: its body, the formats of it and of the answer, its trace and when it began.

    `charge` takes its rows off the rate of the key that asks, or raises Rejected.
    """

    body: bytes | bytearray
    given: str
    asked: str
    trace_id: str
    started: float
    charge: Callable[[int], None]
    timeline: Timeline | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """The body that answers a batch, the version that answered it (as it is counted), and the refused rows."""

    body: bytes
    version: str
    refused: list[Rejected]


def answer_batch(answering: Answering, live: Live, what: Batched, parquet: Parquet) -> Made:
    """Answer a batch; for a thread that may wait. Rejected as `answer_table`, and as the readers of the formats."""
    if PARQUET in (what.given, what.asked):
        parquet.check()
    if what.timeline is not None:
        what.timeline.skip()
    if what.given != JSON:
        table = _table(what.body, what.given, live, parquet)
        what.charge(table.rows)
        if what.timeline is not None:
            what.timeline.step("validate")
        answered = answer_table(answering, live, table, what.trace_id, what.started, what.timeline)
        refused = [answered.rejected[row] for row in sorted(answered.rejected)]
        return Made(_written(answered, what.asked, parquet), count(answered), refused)
    rows = _rows(parse_json(what.body))
    what.charge(len(rows))
    if what.timeline is not None:
        what.timeline.step("validate")
    made = answering.batch(live, rows, what.trace_id, what.started, what.timeline)
    version = metrics.count_answers(each for each in made if not isinstance(each, Rejected))
    refused = [each for each in made if isinstance(each, Rejected)]
    if what.asked == JSON:
        return Made(_as_json(made, what.trace_id), version, refused)
    rules = {version: arm.bundle.decide for version, arm in live.arms.items()}
    return Made(_written(of_answers(made, what.trace_id, rules), what.asked, parquet), version, refused)


def _table(body: bytes | bytearray, given: str, live: Live, parquet: Parquet) -> Table:
    if given == CSV:
        rows, columns, broken = read_csv(body)
        return table_of(rows, columns, broken, live)
    from mainstay.serving.arrow import read_arrow  # 5 MB that a worker without such bodies has no need of

    rows, columns = read_arrow(body if given == ARROW else parquet.to_arrow(body))
    return table_of(rows, columns, {}, live)


def _written(answered: Answered, asked: str, parquet: Parquet) -> bytes:
    if asked == CSV:
        return as_csv(answered)
    if asked == JSON:
        return _as_json([answered.answer(row) for row in range(answered.rows)], answered.trace_id)
    from mainstay.serving.arrow import as_arrow

    return as_arrow(answered) if asked == ARROW else parquet.from_arrow(as_arrow(answered))


def _as_json(made: Sequence[Answer | Rejected], trace_id: str) -> bytes:
    told = [
        problem(each, trace_id, instance=f"#/rows/{place}") if isinstance(each, Rejected) else each
        for place, each in enumerate(made)
    ]
    return as_json({"predictions": told})


def count(answered: Answered) -> str:
    """Count predictions that were answered; the version that answered them, as `metrics.count_answers`."""
    for n, version in enumerate(answered.version.values):
        rows = answered.version.codes == n
        decided = answered.decision.codes[rows]
        for place, decision in enumerate(answered.decision.values):
            metrics.PREDICTIONS.labels(version, decision).inc(int((decided == place).sum()))
        probability = answered.probability[rows]
        places = np.searchsorted(metrics.PROBABILITY_BOUNDS, probability)
        counts = np.bincount(places, minlength=len(metrics.PROBABILITY_BOUNDS) + 1)
        metrics.PROBABILITY.labels(version).take(counts.tolist(), float(probability.sum()))
    versions = answered.version.values
    return versions[0] if len(versions) == 1 else metrics.SEVERAL if versions else metrics.NONE


def _rows(given: Any) -> list[Any]:
    rows = given.get("rows") if isinstance(given, dict) else None
    unknown = [name for name in given if name != "rows"] if isinstance(given, dict) else []
    if not isinstance(rows, list) or unknown:
        reason = "is not an array" if not isinstance(rows, list) else "must be the only field"
        errors = [Problem("rows", reason, "an array of requests, and nothing beside it")]
        raise Rejected(422, 'a batch is {"rows": [request, …]}', errors)
    if len(rows) > BATCH_ROWS:
        detail = f"the batch has {len(rows):,} rows; at most {BATCH_ROWS:,} are taken: send several"
        raise Rejected(413, detail, [Problem("rows", "is too long", f"at most {BATCH_ROWS:,} rows")])
    return rows
