"""Reason codes."""

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest

from mainstay.scoring.bundle import Bundle, Golden
from mainstay.scoring.encode import Input
from mainstay.scoring.profile import Categories, Numbers, Profile, reference
from mainstay.scoring.reading import columns_of
from mainstay.scoring.scorer import Scorer
from mainstay.serving.explain import reasons
from mainstay.serving.rows import ArmRows
from mainstay.usecase import Serving

if TYPE_CHECKING:
    from tests.serving.conftest import Client, Written


def test_a_change_is_that_of_the_probability_when_the_feature_is_as_usual(
    client: "Client", row: dict[str, Any], tiny_bundle: Bundle
) -> None:
    made = client.post("/explain", json={"entity": "c1", "features": row}).json()
    assert (made["entity"], made["version"]) == ("c1", "1.0.0")
    assert sorted(each["feature"] for each in made["reasons"]) == ["age", "plan", "spent"]
    changes = [abs(each["change"]) for each in made["reasons"]]
    assert changes == sorted(changes, reverse=True)
    scorer, inputs = Scorer(tiny_bundle), tiny_bundle.encoder.inputs
    for each in made["reasons"]:
        other = {**row, each["feature"]: each["reference"]}
        pair = scorer.score(columns_of([row, other], inputs)).probability
        assert each["change"] == pytest.approx(pair[1] - pair[0], abs=1e-6)
        assert each["value"] == row[each["feature"]]


def test_a_feature_that_the_model_ignores_changes_exactly_nothing(tiny_forest: Bundle) -> None:
    more = tuple(Input(f"ignored_{n}", "number") for n in range(40))  # more than a chunk of the graph
    encoder = dataclasses.replace(tiny_forest.encoder, inputs=(*tiny_forest.encoder.inputs, *more))
    numbers = {each.name: Numbers((0.0, 1.0), (10,), 0) for each in more}
    profile = dataclasses.replace(tiny_forest.profile, numbers={**tiny_forest.profile.numbers, **numbers})
    bundle = dataclasses.replace(tiny_forest, encoder=encoder, profile=profile, golden=Golden((), (), ()))
    arm = ArmRows("1.0.0", Scorer(bundle), Serving())
    _, found = reasons(arm, [70.0, 12.0, "plus", *[0.9] * 40])
    assert len(found) == 43
    assert {each["change"] for each in found if each["feature"].startswith("ignored")} == {0.0}
    assert found[0]["change"] != 0


def test_as_many_reasons_are_given_as_are_asked_for(client: "Client", row: dict[str, Any]) -> None:
    whole = client.post("/explain", json={"features": row}).json()["reasons"]
    assert client.post("/explain?reasons=1", json={"features": row}).json()["reasons"] == whole[:1]
    assert client.post("/explain?reasons=0", json={"features": row}).json()["reasons"] == []
    answer = client.post("/predict?reasons=2", json={"features": row}).json()
    assert answer["reasons"] == whole[:2]
    assert "reasons" not in client.post("/predict", json={"features": row}).json()


@pytest.mark.parametrize("query", ["reasons=", "reasons=-1", "reasons=x", "reasons=1001", "reasons=1&reasons=2"])
@pytest.mark.parametrize("route", ["/predict", "/explain"])
def test_what_is_no_number_of_reasons_is_refused(client: "Client", row: dict[str, Any], route: str, query: str) -> None:
    found = client.post(f"{route}?{query}", json={"features": row})
    assert found.status_code == 422
    assert found.json()["errors"][0]["field"] == "reasons"


def test_an_explanation_is_no_prediction_and_a_reasoned_prediction_is_one(
    client: "Client", row: dict[str, Any], written: "Written"
) -> None:
    client.post("/explain", json={"features": row})
    assert not written.records
    client.post("/predict?reasons=1", json={"features": row})
    assert len(written.records) == 1


def test_a_row_that_cannot_be_read_is_explained_to_nobody(client: "Client") -> None:
    found = client.post("/explain", json={"features": {"age": "x"}})
    assert found.status_code == 422
    assert {each["field"] for each in found.json()["errors"]} >= {"age"}


def test_references_are_medians_and_the_most_frequent() -> None:
    inputs = (
        Input("whole", "integer"),
        Input("real", "number"),
        Input("none", "number", nullable=True),
        Input("plan", "category"),
        Input("town", "category", nullable=True),
        Input("bare", "category"),
    )
    numbers = {
        "whole": Numbers((0.0, 3.0, 10.0), (10, 10), 0, whole=True),
        "real": Numbers((0.0, 1.0, 3.0), (5, 15), 2),
        "none": Numbers((), (), 20),
    }
    categories = {
        "plan": Categories((("a", 8), ("b", 12)), 0, 0),
        "town": Categories((("u", 5),), 15, 0),
        "bare": Categories((), 0, 20),
    }
    profile = Profile(20, numbers, categories, Numbers((0.0, 1.0), (20,), 0), 0.5)
    assert reference(profile, inputs) == {
        "whole": 3.0, "real": pytest.approx(1 + 2 / 3), "none": None, "plan": "b", "town": None, "bare": None,
    }  # fmt: skip
