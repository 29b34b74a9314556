"""One prediction over HTTP."""

import dataclasses
import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mainstay.nouns import Arm
from mainstay.observed import Ending, Role
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.decide import Calibration
from mainstay.scoring.reading import columns_of
from mainstay.scoring.scorer import Scorer
from mainstay.serving.arms import Arms
from mainstay.usecase import Serving

if TYPE_CHECKING:
    from tests.serving.conftest import Client, World, Written

KEYS = [
    "prediction_id", "entity", "probability", "decision", "risk", "threshold", "classes", "scores", "version", "flags",
    "trace_id",
]  # fmt: skip
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def test_an_answer_has_all_its_keys_and_the_scorers_numbers(
    client: "Client", row: dict[str, Any], tiny_bundle: Bundle
) -> None:
    answer = client.post("/predict", json={"entity": "c1", "features": row}).json()
    scored = Scorer(tiny_bundle).score(columns_of([row], tiny_bundle.encoder.inputs))
    assert list(answer) == KEYS
    assert answer["entity"] == "c1"
    assert answer["probability"] == scored.probability[0]
    assert answer["scores"] == scored.scores[0].tolist()
    assert answer["decision"] == "Yes"
    assert answer["risk"] == "High"
    assert (answer["threshold"], answer["classes"], answer["version"]) == (0.5, ["No", "Yes"], "1.0.0")
    assert answer["flags"] == []


def test_ids_sort_by_time_and_are_never_the_same(client: "Client", row: dict[str, Any]) -> None:
    first, second = (client.post("/predict", json={"features": row}).json() for _ in range(2))
    assert first["prediction_id"] != second["prediction_id"]
    assert first["prediction_id"][:12] == second["prediction_id"][:12]  # the clock of the tests stands still
    assert first["entity"] is None


@pytest.mark.parametrize("entity", ["c1", "Zoë ☃", 4711, None])
def test_an_entity_is_echoed_as_it_was_given(client: "Client", row: dict[str, Any], entity: Any) -> None:
    assert client.post("/predict", json={"entity": entity, "features": row}).json()["entity"] == entity


def test_a_trace_is_carried_on(client: "Client", row: dict[str, Any]) -> None:
    headers = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}
    assert client.post("/predict", json={"features": row}, headers=headers).json()["trace_id"] == TRACE
    assert client.post("/predict", json={}, headers=headers).json()["trace_id"] == TRACE


@pytest.mark.parametrize(
    "parent",
    [
        "nonsense",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"00-{TRACE}-00f067aa0ba902b7-01-more",
    ],
)
def test_a_broken_trace_is_replaced(client: "Client", row: dict[str, Any], parent: str) -> None:
    trace = client.post("/predict", json={"features": row}, headers={"traceparent": parent}).json()["trace_id"]
    assert trace != TRACE
    assert len(trace) == 32
    assert set(trace) <= set("0123456789abcdef")


def test_an_odd_row_is_flagged_or_refused_as_the_configuration_says(
    world: "World", arms: Arms, client: "Client", row: dict[str, Any]
) -> None:
    odd = {"features": row | {"plan": "gold", "spent": 5000}}
    assert client.post("/predict", json=odd).json()["flags"] == ["out_of_range:spent", "unseen_category:plan"]
    world.policies["strict"] = Serving(unseen_category="refuse", out_of_range="refuse")
    world.goes_live(Arm("1.0.0", 1.0), configuration="strict")
    arms.refresh(1.0)
    refused = client.post("/predict", json=odd)
    assert refused.status_code == 422
    assert {error["field"] for error in refused.json()["errors"]} == {"spent", "plan"}


def test_a_category_that_training_never_saw_is_odd_where_the_contract_lists_none(
    world: "World", arms: Arms, client: "Client", row: dict[str, Any], tiny_bundle: Bundle
) -> None:
    encoder = tiny_bundle.encoder
    inputs = tuple(dataclasses.replace(each, values=None) for each in encoder.inputs)
    world.bundles["1.2.0"] = dataclasses.replace(tiny_bundle, encoder=dataclasses.replace(encoder, inputs=inputs))
    world.policies["strict"] = Serving(unseen_category="refuse")
    found = {}
    for configuration in ("default", "strict"):
        world.goes_live(Arm("1.2.0", 1.0), configuration=configuration)
        arms.refresh(1.0)
        assert client.post("/predict", json={"features": row}).json()["flags"] == []
        found[configuration] = client.post("/predict", json={"features": row | {"plan": "gold"}})
        told = client.get("/openapi.json").json()["components"]["schemas"]["Features"]["properties"]["plan"]
        assert told["description"].startswith("a text, one that training saw")
        assert ("flagged" in told["description"]) is (configuration == "default")
    assert found["default"].json()["flags"] == ["unseen_category:plan"]
    assert found["strict"].status_code == 422
    assert found["strict"].json()["errors"] == [
        {"field": "plan", "reason": "is not a known category", "expected": "a category that training saw"}
    ]


def test_every_field_that_is_wrong_is_named_with_what_would_be_right(client: "Client") -> None:
    answer = client.post("/predict", json={"features": {"age": "forty-two", "spend": 1, "plan": None}})
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert list(problem) == ["type", "title", "status", "detail", "errors", "trace_id"]
    assert problem["status"] == 422
    assert problem["errors"] == [
        {"field": "age", "reason": "is not a number", "expected": "an integer from 18 to 120"},
        {"field": "plan", "reason": "is missing", "expected": "one of basic, plus"},
        {"field": "spend", "reason": "unknown field; did you mean `spent`?", "expected": "a field of the contract"},
    ]
    assert "forty-two" not in answer.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "features"),
        ({"features": None}, "features"),
        ({"features": []}, "features"),
        ([], ""),
        ("text", ""),
        ({"features": {}, "entity": ""}, "entity"),
        ({"features": {}, "entity": True}, "entity"),
        ({"features": {}, "entity": 1.5}, "entity"),
        ({"features": {}, "entity": "a\nb"}, "entity"),
        ({"features": {}, "entity": "x" * 201}, "entity"),
        ({"features": {}, "entity": 10**200}, "entity"),
        ({"features": {}, "request_id": 7}, "request_id"),
        ({"feature": {}}, "features"),
    ],
)
def test_what_is_no_request_is_told_so(client: "Client", body: Any, field: str) -> None:
    answer = client.post("/predict", json=body)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == field


def test_many_unknown_fields_get_few_words(client: "Client", row: dict[str, Any]) -> None:
    many = {f"{n}{'field' * 20}": n for n in range(500)}
    answer = client.post("/predict", json={"features": row | many} | many)
    assert answer.status_code == 422
    assert len(answer.json()["errors"]) == 3
    assert "and 499 more" in answer.json()["detail"]
    answer = client.post("/predict", json={"features": row | many})
    assert "and 499 more" in answer.json()["detail"]
    assert len(answer.content) < 2000


def test_requests_go_to_the_arm_of_their_entity(
    world: "World", arms: Arms, client: "Client", row: dict[str, Any]
) -> None:
    world.goes_live(Arm("1.0.0", 0.5), Arm("1.1.0", 0.5))
    arms.refresh(1.0)
    for unit in ({"entity": "c{}"}, {"request_id": "r{}"}):
        asked = [{key: text.format(n) for key, text in unit.items()} | {"features": row} for n in range(20)]
        found = [client.post("/predict", json=each).json()["version"] for each in asked]
        assert set(found) == {"1.0.0", "1.1.0"}
        assert found == [client.post("/predict", json=each).json()["version"] for each in asked]
    other = client.post("/predict", json={"entity": 7, "features": row}).json()["version"]
    assert other == client.post("/predict", json={"entity": "7", "features": row}).json()["version"]


def test_a_model_without_a_finite_number_is_a_defect_not_an_answer(
    client: "Client", world: "World", arms: Arms, row: dict[str, Any], written: "Written", tiny_bundle: Bundle
) -> None:
    assert arms.live is not None
    broken = Scorer(dataclasses.replace(tiny_bundle, calibration=Calibration(math.nan, 0.0)))
    arms.live = dataclasses.replace(arms.live, arms={"1.0.0": broken})
    answer = client.post("/predict", json={"features": row})
    assert answer.status_code == 500
    assert answer.json()["detail"] == "the model made no finite probability of this row"
    (record,) = written.observed()
    assert (record.role, record.outcome, record.probability) == (Role.ATTEMPTED, Ending.NOT_FINITE, None)
    (told,) = client.post("/predict_batch", json={"rows": [{"features": row}]}).json()["predictions"]
    assert told["status"] == 500


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
fields = st.dictionaries(st.sampled_from(["age", "spent", "plan", "spend", ""]), values, max_size=4)
requests = st.dictionaries(st.sampled_from(["features", "entity", "request_id", "x"]), values | fields, max_size=4)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(requests | values)
def test_no_json_whatever_is_a_defect(client: "Client", body: Any) -> None:
    text = json.dumps(body).replace("Infinity", "1e999")
    for path, sent in (("/predict", text), ("/predict_batch", f'{{"rows": [{text}]}}')):
        answer = client.post(path, content=sent, headers={"content-type": "application/json"})
        assert answer.status_code in (200, 422)
        answer.json()
        assert answer.headers["content-type"] in ("application/json", "application/problem+json")


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.binary(max_size=60))
def test_no_bytes_whatever_are_a_defect(client: "Client", body: bytes) -> None:
    answer = client.post("/predict", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
