"""Segments as serving processes leave them, and a home to ship them to."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mainstay.adapters.blobs import BlobDirectory
from mainstay.adapters.stream import Spool
from mainstay.ledger.facts import Ledger
from mainstay.ledger.observations import Observations
from mainstay.logged import action_row, encode_header, encoded, feed_row, label_row, prediction_row
from mainstay.nouns import Window
from mainstay.observed import Action, Ending, Feed, Label, Prediction, Role, SegmentHeader

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
FEATURES = {"tenure": "number", "Contract": "category"}
WRITERS: dict[type, Callable[[Any], Any]] = {Label: label_row, Action: action_row, Feed: feed_row}


@dataclass
class Home:
    """A home with everything that observations go through."""

    root: Path

    def __post_init__(self) -> None:
        self.ledger = Ledger(f"sqlite:///{self.root}/ledger.db")
        self.blobs = BlobDirectory(self.root / "blobs")
        self.stream = Spool(self.root / "segments")
        self.observations = Observations(self.ledger, self.blobs, "churn", self.root / "cache")

    def log(self, *records: Any, features: Any = None, seal: bool = True) -> Any:
        """Write records of one kind as one segment."""
        kind = type(records[0]).__name__.lower()
        features = FEATURES if features is None else features
        header = SegmentHeader("churn", kind, "c1", "host-a", NOW, features if kind == "prediction" else {})
        writer = self.stream.write("churn", encode_header(header), NOW)
        for record in records:
            row = prediction_row(record, features) if kind == "prediction" else WRITERS[type(record)](record)
            writer.append(encoded(row))
        if seal:
            writer.seal()
        return writer

    def ids(self, seq: int | None = None) -> list[str]:
        window = Window(NOW - timedelta(days=400), NOW + timedelta(days=400))
        found: list[str] = self.observations.predictions(window, seq)["prediction_id"].to_pylist()
        return found


def a_prediction(name: str, at: datetime = NOW, entity: str | None = "ada", **more: Any) -> Prediction:
    """A prediction as a champion answers it."""
    given: dict[str, Any] = {
        "prediction_id": name, "request_id": name, "trace_id": "t", "asked_at": at, "entity": entity,
        "unit": entity or name, "role": Role.ANSWERED, "version": "1.0.0", "assigned": "1.0.0", "share": 1.0,
        "split": 1, "pinned": False, "outcome": Ending.OK, "features": {"tenure": 12.0, "Contract": "One year"},
        "scores": (0.25, 0.75), "probability": 0.75, "threshold": 0.5, "decision": "Yes", "flags": (),
        "scoring_us": 20.0, "before_log_us": 30.0,
    }  # fmt: skip
    return Prediction(**given | more)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    made = Home(tmp_path)
    yield made
    made.ledger.close()


Predicted = Callable[..., Prediction]


@pytest.fixture
def predicted() -> Predicted:
    return a_prediction


@pytest.fixture
def now() -> datetime:
    return NOW
