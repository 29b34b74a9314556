"""Observations as they stand in a segment: what was logged is read as it was, by this release and every later one.

`golden/*.segment` are segments as a release wrote them. They are never changed; a new schema adds files beside them.
"""

import json
import math
from array import array
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest

from mainstay import logged
from mainstay.errors import Refused
from mainstay.frames import frame, opening, scan
from mainstay.logged import (
    KINDS,
    BatchRows,
    action_row,
    columns,
    decode_header,
    decode_row,
    encode_header,
    encoded,
    feed_row,
    instant,
    label_row,
    micros,
    observed,
    prediction_row,
    rejection_row,
)
from mainstay.observed import Action, FeaturesAt, Feed, Label, Origin, Prediction, Rejection, SegmentHeader
from mainstay.records import decode

GOLDEN = Path(__file__).parent / "golden"
FEATURES: dict[str, Any] = {"tenure": "number", "Contract": "category"}
NOW = datetime(2026, 3, 2, 5, tzinfo=UTC)


def header(kind: str, features: dict[str, Any] | None = None) -> SegmentHeader:
    digest = "c" * 64 if features else ""
    return SegmentHeader("churn", kind, digest, "host-a", NOW, features or {}, "x86_64 AMD EPYC 9R14")


def fixture(kind: type, **changed: Any) -> Any:
    return decode(kind, json.loads((GOLDEN / f"{kind.__name__}.1.json").read_text()) | changed)


PREDICTED: Prediction = fixture(Prediction, features={"tenure": 12, "Contract": "Month-to-month"})
RECORDS: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "prediction": (PREDICTED, prediction_row(PREDICTED, FEATURES)),
    "rejection": (fixture(Rejection), rejection_row(fixture(Rejection))),
    "label": (fixture(Label), label_row(fixture(Label))),
    "action": (fixture(Action), action_row(fixture(Action))),
    "feed": (fixture(Feed), feed_row(fixture(Feed))),
}


def numbers(kind: str, values: list[Any]) -> bytes:
    return array(kind, values).tobytes()


def batch(**changed: Any) -> BatchRows:
    given: dict[str, Any] = {
        "batch_id": "b1",
        "trace_id": "t1",
        "asked_at": micros(NOW),
        "role": "answered",
        "version": "1.4.0",
        "assigned": "1.4.0",
        "split": 12,
        "outcome": "ok",
        "threshold": 0.25,
        "scoring_us": 900.0,
        "before_log_us": 40.0,
        "classes": 2,
        "places": numbers("i", [0, 2, 5]),
        "request_ids": None,
        "entities": ["c1", None, "c3"],
        "shares": numbers("d", [1.0, 1.0, 0.5]),
        "pinned": bytes([0, 1, 0]),
        "features": [numbers("d", [12.0, math.nan, 3.5]), (["One year", "Two year"], numbers("i", [1, -1, 0]))],
        "scores": numbers("d", [0.75, 0.25, 0.5, 0.5, 0.125, 0.875]),
        "probabilities": numbers("d", [0.25, 0.5, 0.875]),
        "decisions": (["No", "Yes"], numbers("i", [1, 1, 1])),
        "flags": {1: ["out_of_range:tenure"]},
        "origins": {1: {"Contract": "missing"}},
    }
    return BatchRows(**given | changed)


@pytest.mark.parametrize("kind", RECORDS)
def test_a_record_is_read_as_it_was_logged(kind: str) -> None:
    record, row = RECORDS[kind]
    features = FEATURES if kind == "prediction" else None
    assert observed(header(kind, features), encoded(row)) == [record]


def test_a_header_is_read_as_it_was_written_its_features_in_order() -> None:
    made = header("prediction", {"b": "number", "a": "category"})
    read = decode_header(encode_header(made))
    assert read == made
    assert list(read.features) == ["b", "a"]


def test_the_rows_of_a_batch_are_predictions_of_their_own() -> None:
    found = observed(header("batch", FEATURES), encoded(batch()))
    assert all(isinstance(each, Prediction) for each in found)
    told = [each for each in found if isinstance(each, Prediction)]
    assert [each.prediction_id for each in told] == ["b1.0", "b1.2", "b1.5"]
    assert [each.request_id for each in told] == ["b1.0", "b1.2", "b1.5"]
    assert [each.unit for each in told] == ["c1", "b1.2", "c3"]
    assert [dict(each.features) for each in told] == [
        {"tenure": 12.0, "Contract": "Two year"},
        {"tenure": None, "Contract": None},
        {"tenure": 3.5, "Contract": "One year"},
    ]
    assert [each.scores for each in told] == [(0.75, 0.25), (0.5, 0.5), (0.125, 0.875)]
    assert [(each.share, each.pinned, each.decision) for each in told] == [
        (1.0, False, "Yes"),
        (1.0, True, "Yes"),
        (0.5, False, "Yes"),
    ]
    assert [each.flags for each in told] == [(), ("out_of_range:tenure",), ()]
    assert [dict(each.origins) for each in told] == [{}, {"Contract": Origin.MISSING}, {}]


def test_a_batch_and_single_predictions_give_the_same_columns() -> None:
    single, refused = columns(header("prediction", FEATURES), [encoded(RECORDS["prediction"][1])] * 2)
    batched, _ = columns(header("batch", FEATURES), [encoded(batch()), encoded(batch())])
    assert refused == 0
    assert single.keys() == batched.keys()
    assert single["f.Contract"] == ["Month-to-month"] * 2
    assert batched["f.tenure"] == [12.0, None, 3.5] * 2
    assert single["asked_at"] == [micros(PREDICTED.asked_at)] * 2


def test_a_batch_that_an_arm_made_nothing_of_has_rows_without_scores() -> None:
    nothing = numbers("d", [math.nan] * 3)
    failed = batch(
        outcome="raised",
        role="attempted",
        classes=0,
        scores=b"",
        probabilities=nothing,
        decisions=([], numbers("i", [-1] * 3)),
    )
    for each in observed(header("batch", FEATURES), encoded(failed)):
        assert isinstance(each, Prediction)
        assert (each.scores, each.probability, each.decision, each.outcome) == ((), None, None, "raised")


def test_a_batch_of_no_features_has_rows_all_the_same() -> None:
    found = observed(header("batch"), encoded(batch(features=[])))
    assert [dict(each.features) for each in found if isinstance(each, Prediction)] == [{}, {}, {}]


def test_columns_of_nothing_are_empty_columns() -> None:
    made, refused = columns(header("prediction", FEATURES), [])
    assert refused == 0
    assert made["f.tenure"] == made["prediction_id"] == []
    assert columns(header("feed"), [])[0] == {"source": [], "complete_through": [], "known_at": []}


def test_a_record_that_is_none_is_refused_and_counted_and_the_others_are_read() -> None:
    row = RECORDS["feed"][1]
    made, refused = columns(header("feed"), [encoded(row), encoded(["crm"]), b"\xc1", encoded(("crm", "x", 2))])
    assert made["source"] == ["crm"]
    assert refused == 3


def test_a_record_with_another_number_of_features_is_refused() -> None:
    row = list(RECORDS["prediction"][1])
    row[logged.PREDICTION.index("features")] = [1.0]
    with pytest.raises(Refused, match="1 features where the header names 2"):
        decode_row(header("prediction", FEATURES), encoded(row))


@pytest.mark.parametrize(
    "changed",
    [
        {"shares": b""},
        {"places": numbers("i", [0])},
        {"entities": ["c1"]},
        {"scores": numbers("d", [1.0])},
        {"features": [numbers("d", [1.0]), (["a"], numbers("i", [0, 0, 0]))]},
        {"decisions": (["No"], numbers("i", [0, 0, 7]))},
    ],
)
def test_a_batch_whose_columns_do_not_fit_each_other_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        observed(header("batch", FEATURES), encoded(batch(**changed)))
    assert columns(header("batch", FEATURES), [encoded(batch(**changed))])[1] == 1


def test_the_times_of_looked_up_features_are_those_of_the_batchs_row() -> None:
    at = {"usage": (micros(NOW), None)}
    rows = observed(header("batch", FEATURES), encoded(batch(features_at={1: at})))
    assert [each.features_at for each in rows if isinstance(each, Prediction)] == [
        {},
        {"usage": FeaturesAt(NOW, None)},
        {},
    ]


def test_a_field_that_a_later_release_added_at_the_end_is_passed_over() -> None:
    assert observed(header("feed"), encoded((*RECORDS["feed"][1], "later"))) == [RECORDS["feed"][0]]


@pytest.mark.parametrize("payload", [b"\xc1", encoded([1]), encoded({"use_case": "churn"})])
def test_what_is_no_header_is_refused(payload: bytes) -> None:
    with pytest.raises(Refused, match="begins with its header"):
        decode_header(payload)


def test_a_header_of_a_later_release_or_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(Refused, match="upgrade Mainstay"):
        decode_header(encoded({"schema": 99}))
    with pytest.raises(Refused, match="records of kind `dream` are unknown"):
        decode_header(encode_header(replace(header("feed"), kind="dream")))


def test_times_keep_their_microseconds() -> None:
    for at in (NOW + timedelta(microseconds=1), datetime(1969, 1, 1, 0, 0, 0, 7, tzinfo=UTC)):
        assert instant(micros(at)) == at


def test_a_score_that_is_not_finite_is_logged_as_it_is() -> None:
    row = prediction_row(replace(PREDICTED, scores=(math.nan, math.inf), probability=None), FEATURES)
    (read,) = observed(header("prediction", FEATURES), encoded(row))
    assert isinstance(read, Prediction)
    assert math.isnan(read.scores[0])
    assert read.scores[1] == math.inf


# Segments as they were written


def segment(kind: str) -> bytes:
    """What is in golden/KIND.SCHEMA.segment."""
    features = FEATURES if kind in ("prediction", "batch") else None
    begin, salt = opening(encode_header(header(kind, features)))
    # As batches were written before their features could be looked up: one field less, at the end.
    row = msgspec.structs.astuple(batch())[:-1] if kind == "batch" else RECORDS[kind][1]
    return begin + 2 * frame(encoded(row), salt)


@pytest.mark.parametrize("kind", KINDS)
def test_a_segment_is_written_byte_for_byte_as_ever(kind: str) -> None:
    assert (GOLDEN / f"{kind}.3.segment").read_bytes() == segment(kind)


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("*.segment")), ids=lambda path: path.name)
def test_a_segment_that_a_release_wrote_is_read(path: Path) -> None:
    kind = path.name.split(".")[0]
    found = scan(path.read_bytes())
    assert found.header is not None
    assert found.damaged == ()
    read = decode_header(found.header)
    assert (read.kind, read.opened_at) == (kind, NOW)
    records = [each for payload in found.payloads for each in observed(read, payload)]
    assert len(records) == (6 if kind == "batch" else 2)
    if kind != "batch":
        assert records == [RECORDS[kind][0]] * 2
