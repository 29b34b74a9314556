"""Requests of the tiny use case as a server would have recorded them, shipped into observations."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from mainstay.ledger.shipping import ship
from mainstay.logged import encode_header, encoded, prediction_row
from mainstay.observed import Ending, Prediction, Role, SegmentHeader
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.rowwise import RowScorer
from mainstay.scoring.scorer import Scorer
from mainstay.wiring import Platform

FEATURES = {"age": "number", "spent": "number", "plan": "category"}


def answered(bundle: Bundle, version: str, at: datetime, count: int, split: int = 1, **more: Any) -> list[Prediction]:
    """So many requests that a version answered, a second apart from `at` on; every tenth with its tensor."""
    arm = RowScorer(Scorer(bundle))
    made = []
    for n in range(count):
        row = {
            "age": float(18 + n % 70),
            "spent": None if n % 9 == 0 else n % 1000 / 7,
            "plan": ("basic", "plus")[n % 2],
        }
        values = [row[each.name] for each in bundle.encoder.inputs]
        tensor = arm.encode(values).astype("<f4").tobytes() if n % 10 == 0 else None
        scored = arm.score(values)
        name = f"p-{split}-{n:04d}"
        given: dict[str, Any] = {
            "prediction_id": name, "request_id": name, "trace_id": "t", "asked_at": at + timedelta(seconds=n),
            "entity": f"customer-{n % 5}", "unit": f"customer-{n % 5}", "role": Role.ANSWERED, "version": version,
            "assigned": version, "share": 1.0, "split": split, "pinned": False, "outcome": Ending.OK, "features": row,
            "scores": tuple(scored.scores), "probability": scored.probability,
            "threshold": bundle.decide.threshold, "decision": scored.decision, "flags": (), "scoring_us": 20.0,
            "before_log_us": 30.0,
        }  # fmt: skip
        made.append(Prediction(**given | more, tensor=tensor))
    return made


def record(opened: Platform, predictions: Sequence[Prediction], cpu: str | None = None) -> None:
    """Write them as one segment, scored on such a processor (None: nobody noted on which), and ship it."""
    at = predictions[0].asked_at
    header = SegmentHeader("tiny", "prediction", "c1", "host-a", at, FEATURES, cpu)  # type: ignore[arg-type]
    writer = opened.stream().write("tiny", encode_header(header), at)
    for each in predictions:
        writer.append(encoded(prediction_row(each, FEATURES)))
    writer.seal()
    ship(opened.stream(), opened.ledger, opened.blobs, "tiny", at)
