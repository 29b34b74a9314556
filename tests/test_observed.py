import json
import math
from datetime import UTC, datetime, timedelta

import pytest

from mainstay.observed import Ending, Label, Prediction, Role
from mainstay.records import decode, encode

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def prediction(scores: tuple[float, ...], probability: float | None, tensor: bytes | None = None) -> Prediction:
    return Prediction(
        prediction_id="p",
        request_id="r",
        trace_id="t",
        asked_at=NOW,
        entity=None,
        unit="r",
        role=Role.ATTEMPTED,
        version="1.0.0",
        assigned="1.0.0",
        share=1.0,
        split=1,
        pinned=False,
        outcome=Ending.NOT_FINITE,
        features={"tenure": 1},
        scores=scores,
        probability=probability,
        threshold=0.5,
        decision=None,
        flags=(),
        scoring_us=10.0,
        before_log_us=5.0,
        tensor=tensor,
    )


def test_a_score_that_is_not_finite_can_be_written_down() -> None:
    body = json.loads(json.dumps(encode(prediction((math.nan, math.inf), None)), allow_nan=False))
    assert body["scores"] == [None, None]
    assert all(math.isnan(score) for score in decode(Prediction, body).scores)


def test_a_tensor_comes_back_byte_for_byte() -> None:
    tensor = bytes(range(256)) * 3
    body = json.loads(json.dumps(encode(prediction((0.5, 0.5), 0.5, tensor))))
    assert decode(Prediction, body).tensor == tensor


def test_a_label_names_an_entity_or_a_prediction() -> None:
    horizon = timedelta(days=30)
    assert Label("Yes", NOW, "crm", horizon, entity="c1").entity == "c1"
    assert Label("Yes", NOW, "crm", horizon, prediction_id="p1").prediction_id == "p1"
    with pytest.raises(ValueError, match="either an entity or a prediction"):
        Label("Yes", NOW, "crm", horizon)
    with pytest.raises(ValueError, match="either an entity or a prediction"):
        Label("Yes", NOW, "crm", horizon, entity="c1", prediction_id="p1")
