"""The Open Inference Protocol, as its clients speak it."""

from typing import TYPE_CHECKING, Any

import pytest

from mainstay.nouns import Arm
from mainstay.serving.arms import Arms

if TYPE_CHECKING:
    from tests.serving.conftest import Client, World, Written

INFER = "/v2/models/tiny/infer"


def tensor(name: str, kind: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": kind, "data": data}


def request() -> dict[str, Any]:
    inputs = [
        tensor("age", "INT64", [40, 18]),
        tensor("spent", "FP64", [120.5, None]),
        tensor("plan", "BYTES", ["basic", "plus"]),
    ]
    return {"id": "mine", "parameters": {"a": 1}, "inputs": inputs}


def test_the_server_and_its_model_are_described(client: "Client") -> None:
    assert client.get("/v2").json()["name"] == "mainstay"
    assert client.get("/v2/health/live").json() == {"live": True}
    assert client.get("/v2/health/ready").json() == {"ready": True}
    model = client.get("/v2/models/tiny").json()
    assert (model["name"], model["versions"]) == ("tiny", ["1.0.0"])
    kinds = {each["name"]: each["datatype"] for each in model["inputs"]}
    assert kinds == {"age": "INT64", "spent": "FP64", "plan": "BYTES", "entity": "BYTES", "request_id": "BYTES"}
    assert client.get("/v2/models/tiny/versions/1.0.0").json() == model
    assert client.get("/v2/models/tiny/versions/1.0.0/ready").json() == {"name": "tiny", "ready": True}


@pytest.mark.parametrize("path", ["models/other", "models/tiny/versions/9.9.9", "models/other/ready", "nothing"])
def test_an_unknown_name_is_told_in_the_protocols_words_and_in_ours(client: "Client", path: str) -> None:
    found = client.get(f"/v2/{path}")
    assert found.status_code == 404
    assert found.headers["content-type"] == "application/problem+json"
    assert found.json()["error"] == found.json()["detail"]


def test_rows_are_answered_as_those_of_a_batch(client: "Client", written: "Written") -> None:
    found = client.post(INFER, json=request()).json()
    rows = [
        {"features": {"age": 40, "spent": 120.5, "plan": "basic"}},
        {"features": {"age": 18, "spent": None, "plan": "plus"}},
    ]
    wanted = client.post("/predict_batch", json={"rows": rows}).json()["predictions"]
    outputs = {each["name"]: each for each in found["outputs"]}
    assert (found["model_name"], found["model_version"], found["id"]) == ("tiny", "1.0.0", "mine")
    assert found["parameters"] == {"a": 1}
    assert outputs["probability"]["data"] == pytest.approx([each["probability"] for each in wanted], abs=1e-6)
    assert outputs["decision"]["data"] == [each["decision"] for each in wanted]
    assert outputs["scores"]["shape"] == [2, 2]
    assert outputs["scores"]["data"] == pytest.approx([n for each in wanted for n in each["scores"]], abs=1e-6)
    assert [kind for kind, *_ in written.records] == ["batch", "batch"]


def test_only_the_outputs_that_are_wanted_come_back(client: "Client") -> None:
    found = client.post(INFER, json=request() | {"outputs": [{"name": "risk"}]}).json()
    assert [each["name"] for each in found["outputs"]] == ["risk"]
    assert found["outputs"][0]["datatype"] == "BYTES"


def test_columns_of_shape_n_by_1_and_nested_data_are_read(client: "Client") -> None:
    asked = request()
    for each in asked["inputs"]:
        each["shape"] = [2, 1]
        each["data"] = [[value] for value in each["data"]]
    assert client.post(INFER, json=asked).status_code == 200


def test_one_refused_row_refuses_all_and_nothing_is_logged(client: "Client", written: "Written") -> None:
    asked = request()
    asked["inputs"][0] = tensor("age", "INT64", [40, None])
    found = client.post(INFER, json=asked)
    assert found.status_code == 422
    assert found.json()["errors"] == [
        {"field": "age[1]", "reason": "is missing", "expected": "an integer from 18 to 120"}
    ]
    assert "batch" not in [kind for kind, *_ in written.records]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"inputs": None}, "inputs"),
        ({"inputs": [1]}, "inputs[0]"),
        ({"inputs": [tensor("age", "INT64", ["x"])]}, "inputs[0].data"),
        ({"inputs": [tensor("age", "INT64", [True])]}, "inputs[0].data"),
        ({"inputs": [tensor("age", "FP128", [1])]}, "inputs[0].datatype"),
        ({"inputs": [tensor("age", "INT64", [1]) | {"shape": [2]}]}, "inputs[0].data"),
        ({"inputs": [tensor("age", "INT64", [1]) | {"shape": [1, 2]}]}, "inputs[0].shape"),
        ({"inputs": [tensor("age", "INT64", [1]), tensor("plan", "BYTES", ["a", "b"])]}, "inputs[1]"),
        ({"inputs": [tensor("age", "INT64", [1]), tensor("age", "INT64", [1])]}, "inputs[1]"),
        ({"inputs": [tensor("aeg", "INT64", [1])]}, "aeg"),
        ({"outputs": [{"name": "probabilty"}]}, "outputs[0]"),
        ({"id": 7}, "id"),
        ({"parameters": []}, "parameters"),
        ({"more": 1}, "more"),
    ],
)
def test_what_is_not_of_the_protocol_is_refused_with_its_place(
    client: "Client", change: dict[str, Any], field: str
) -> None:
    found = client.post(INFER, json=request() | change)
    assert found.status_code == 422
    assert found.json()["errors"][0]["field"] == field


def test_binary_tensors_and_too_many_rows_are_refused_with_a_hint(client: "Client") -> None:
    found = client.post(INFER, json=request(), headers={"Inference-Header-Content-Length": "10"})
    assert found.status_code == 415
    assert "JSON" in found.json()["error"]
    many = {"inputs": [tensor("age", "INT64", [1] * 10_001)]}
    assert client.post(INFER, json=many).status_code == 413


def test_a_version_answers_only_what_the_split_gives_it(client: "Client", world: "World", arms: Arms) -> None:
    by_version = "/v2/models/tiny/versions/{}/infer"
    assert client.post(by_version.format("1.0.0"), json=request()).status_code == 200
    world.goes_live(Arm("1.0.0", 0.5), Arm("1.1.0", 0.5))
    arms.refresh(1.0)
    asked = request()
    asked["inputs"] = [{**each, "data": each["data"] * 20, "shape": [40]} for each in asked["inputs"]]
    assert client.post(by_version.format("1.1.0"), json=asked).status_code == 422


def test_nothing_is_ready_where_nothing_is_live(client: "Client", arms: Arms) -> None:
    arms.drain()
    found = client.get("/v2/health/ready")
    assert found.status_code == 503
    assert found.json()["error"]
