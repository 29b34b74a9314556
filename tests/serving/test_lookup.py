"""Requests that name an entity and leave features out: looked up in a store as Feast lays it out."""

import asyncio
import dataclasses
import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

import pytest
from stored import FULL, HEAD, HOUR, NOW, OWN, SERVICE, YESTERDAY, Stored

from mainstay.adapters.online import SQLiteOnline
from mainstay.defined import project_of
from mainstay.digests import pseudonym
from mainstay.nouns import Arm
from mainstay.observed import FeaturesAt, Origin, Prediction
from mainstay.registry.manifest import Entity
from mainstay.serving import metrics
from mainstay.serving.answering import Answering
from mainstay.serving.hot import Hot
from mainstay.serving.lookup import Lookup, bound_views, lookup_of
from mainstay.serving.tally import Tally
from mainstay.usecase import Serving


class Asks(Protocol):
    """The parts of the clients of these tests that are used here."""

    def get(self, path: str) -> Any: ...

    def post(self, path: str, **options: Any) -> Any: ...


@pytest.fixture
def stored(tmp_path: Path, world: Any) -> Stored:
    """A store that knows `a` in both views, and `b` in the source alone."""
    made = Stored(tmp_path / "online.db")
    made.put("a", "tiny", age=40, plan="basic")
    made.put("a", "usage", at=NOW - 5 * timedelta(days=1), spent=120.5)
    made.put("b", "tiny", age=41, plan="plus")
    world.services = {"tiny_v1": SERVICE}
    world.online = SQLiteOnline(made.path)
    world.entity = Entity("id", "identifier")
    return made


@pytest.fixture
def asks(stored: Stored, client: Any) -> Any:
    """A client of an app that looks up there."""
    return client


def policies(world: Any, **changed: Any) -> None:
    world.policies["default"] = Serving(**changed)


def predicted(asks: Any, **request: Any) -> dict[str, Any]:
    answer = asks.post("/predict", json=request)
    assert answer.status_code == 200, answer.text
    made: dict[str, Any] = answer.json()
    return made


def test_an_entity_alone_gets_the_answer_that_its_features_get(asks: Any, written: Any) -> None:
    alone, full = predicted(asks, entity="a"), predicted(asks, entity="a", features=FULL)
    assert {**alone, "prediction_id": 0, "trace_id": 0} == {**full, "prediction_id": 0, "trace_id": 0}
    first, second = written.observed()
    assert first.features == second.features == {"age": 40.0, "spent": 120.5, "plan": "basic"}
    assert first.origins == dict.fromkeys(FULL, Origin.LOOKED_UP)
    assert first.features_at == {
        "tiny": FeaturesAt(YESTERDAY, NOW - HOUR),
        "usage": FeaturesAt(NOW - timedelta(days=5), NOW - HOUR),
    }
    assert second.origins == {}
    assert second.features_at == {}


def test_what_is_given_overrides_what_is_stored_and_is_marked(asks: Any, written: Any) -> None:
    predicted(asks, entity="a", features={"plan": "plus", "spent": None})
    (made,) = written.observed()
    assert made.features == {"age": 40.0, "spent": None, "plan": "plus"}
    assert made.origins == {"age": Origin.LOOKED_UP, "spent": Origin.GIVEN, "plan": Origin.GIVEN}
    assert made.features_at.keys() == {"tiny"}


def test_a_view_without_a_row_is_missing_where_it_may_be(asks: Any, written: Any) -> None:
    assert predicted(asks, entity="b")["flags"] == []
    (made,) = written.observed()
    assert made.features == {"age": 41.0, "spent": None, "plan": "plus"}
    assert made.origins["spent"] is Origin.MISSING
    assert made.features_at["usage"] == FeaturesAt(None, NOW - HOUR)


def test_features_without_an_entity_are_not_looked_up(asks: Any, stored: Stored) -> None:
    stored.path.unlink()
    assert predicted(asks, features=FULL)["entity"] is None
    answer = asks.post("/predict", json={"features": {"age": 40}})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "plan"
    assert asks.post("/predict", json={}).json()["errors"][0]["field"] == "features"


def test_an_unknown_entity_is_refused_with_404(asks: Any) -> None:
    answer = asks.post("/predict", json={"entity": "nobody"})
    assert answer.status_code == 404
    assert answer.json()["detail"] == "entity: is not known to the online store"
    assert answer.headers["content-type"] == "application/problem+json"
    assert asks.post("/explain", json={"entity": "nobody"}).status_code == 404
    assert "nobody" not in answer.text


def test_or_is_scored_with_missing_values_and_flagged(asks: Any, world: Any, arms: Any, written: Any) -> None:
    policies(world, unknown_entity="flag")
    world.goes_live(Arm("1.0.0", 1.0))
    arms.refresh(9.0)
    assert predicted(asks, entity="nobody")["flags"] == ["unknown_entity"]
    made = written.observed()[0]
    assert made.features == dict.fromkeys(FULL)
    assert made.origins == dict.fromkeys(FULL, Origin.MISSING)
    assert made.flags == ("unknown_entity",)


def test_values_at_their_ttl_count_and_a_second_later_they_are_stale(asks: Any, stored: Stored, written: Any) -> None:
    stored.put("b", "usage", at=NOW - timedelta(days=5, seconds=1), spent=9.0)
    assert predicted(asks, entity="a")["flags"] == []
    assert predicted(asks, entity="b")["flags"] == ["stale:usage"]
    made = written.observed()[1]
    assert made.features["spent"] is None
    assert made.origins["spent"] is Origin.MISSING
    assert made.features_at["usage"].event_time == NOW - timedelta(days=5, seconds=1)


def test_or_stale_features_are_refused_with_409(asks: Any, stored: Stored, world: Any, arms: Any) -> None:
    policies(world, stale_features="refuse")
    world.goes_live(Arm("1.0.0", 1.0))
    arms.refresh(9.0)
    stored.put("b", "usage", at=NOW - timedelta(days=6), spent=9.0)
    answer = asks.post("/predict", json={"entity": "b"})
    assert answer.status_code == 409
    assert answer.json()["type"] == "urn:mainstay:problem:stale-features"
    assert "usage" in answer.json()["detail"]
    assert predicted(asks, entity="b", features={"spent": 1.0})["flags"] == []


def test_a_stored_null_that_may_not_be_missing_is_named(asks: Any, stored: Stored) -> None:
    stored.put("a", "tiny", age=None)
    answer = asks.post("/predict", json={"entity": "a"})
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == ["age"]


def test_a_batch_is_looked_up_in_one_read_and_bad_rows_spoil_no_others(
    asks: Any, world: Any, arms: Any, written: Any
) -> None:
    reads: list[int] = []

    class Counted(SQLiteOnline):
        def read(self, project: str, join_key: str, wanted: Any, entities: Any) -> Any:
            reads.append(len(entities))
            return super().read(project, join_key, wanted, entities)

    world.online = Counted(world.online._path)
    fresh = world.arms()
    fresh.refresh(0.0)
    arms.live = fresh.live
    rows = [{"entity": "a"}, {"entity": "nobody"}, {"features": FULL}, {"entity": "b"}, {}, {"entity": "a"}]
    made = asks.post("/predict_batch", json={"rows": rows}).json()["predictions"]
    assert reads == [3]
    assert [each.get("status", 200) for each in made] == [200, 404, 200, 200, 422, 200]
    assert made[0]["probability"] == made[2]["probability"] == made[5]["probability"]
    logged = [each for each in written.observed() if isinstance(each, Prediction)]
    assert [each.features_at.keys() for each in logged] == [
        {"tiny", "usage"},
        set(),
        {"tiny", "usage"},
        {"tiny", "usage"},
    ]
    assert logged[0].origins == dict.fromkeys(FULL, Origin.LOOKED_UP)
    assert logged[1].origins == {}


@pytest.mark.parametrize("broken", ["removed", "locked", "damaged"])
def test_while_the_store_is_down_lookups_get_503_and_full_features_are_answered(
    asks: Any, stored: Stored, broken: str
) -> None:
    predicted(asks, entity="a")
    with closing(sqlite3.connect(stored.path, isolation_level=None)) as writer:
        if broken == "removed":
            stored.path.rename(stored.path.with_suffix(".aside"))
        elif broken == "locked":
            writer.execute("BEGIN EXCLUSIVE")
        else:
            shutil.copy(stored.path, stored.path.with_suffix(".aside"))
            stored.path.unlink()
            stored.path.write_bytes(b"no database" * 100)
        answer = asks.post("/predict", json={"entity": "a"})
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "1"
        assert str(stored.path) not in answer.text
        assert predicted(asks, entity="a", features=FULL)["probability"] > 0
        made = asks.post("/predict_batch", json={"rows": [{"entity": "a"}, {"entity": "a", "features": FULL}]}).json()
        assert [each.get("status", 200) for each in made["predictions"]] == [503, 200]
    if broken != "locked":
        stored.path.with_suffix(".aside").replace(stored.path)
    predicted(asks, entity="a")


def test_a_dataset_of_which_nothing_was_materialised_is_503_and_no_unknown_entity(
    asks: Any, world: Any, arms: Any, stored: Stored
) -> None:
    world.split = dataclasses.replace(world.split, number=2, dataset_head=HEAD)
    arms.refresh(9.0)
    assert asks.post("/predict", json={"entity": "a"}).status_code == 503
    Stored(stored.path, HEAD).put("a", "tiny", age=77, plan="plus")
    assert predicted(asks, entity="a")["probability"] > 0


def test_the_splits_dataset_decides_what_is_read(
    asks: Any, world: Any, arms: Any, stored: Stored, written: Any
) -> None:
    Stored(stored.path, HEAD).put("a", "tiny", age=77, plan="plus")
    predicted(asks, entity="a")
    world.split = dataclasses.replace(world.split, number=2, dataset_head=HEAD)
    arms.refresh(9.0)
    predicted(asks, entity="a")
    assert [each.features["age"] for each in written.observed()] == [40.0, 77.0]


def test_an_entity_that_is_hashed_is_looked_up_by_its_pseudonym(
    asks: Any, world: Any, stored: Stored, arms: Any, written: Any
) -> None:
    world.entity, world.key = Entity("id", "identifier", "hash", "k1"), ("k1", b"k" * 32)
    fresh = world.arms()
    fresh.refresh(0.0)
    arms.live = fresh.live
    stored.put(pseudonym("ada", b"k" * 32), "tiny", age=50, plan="plus")
    assert predicted(asks, entity="ada")["entity"] == "ada"
    assert written.observed()[0].features["age"] == 50.0
    assert asks.post("/predict", json={"entity": "a"}).status_code == 404


def test_a_version_reads_exactly_the_service_that_it_is_bound_to(
    asks: Any, world: Any, arms: Any, stored: Stored
) -> None:
    world.services = {"tiny_v2": SERVICE}
    arms.refresh(9.0)
    answer = asks.post("/predict", json={"entity": "a"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "features")
    world.services = {"tiny_v1": SERVICE}
    arms.refresh(10.0)
    predicted(asks, entity="a")


def test_explanations_and_reasons_are_of_what_was_looked_up(asks: Any) -> None:
    alone = asks.post("/explain", json={"entity": "a"}).json()
    full = asks.post("/explain", json={"entity": "a", "features": FULL}).json()
    assert alone["reasons"] == full["reasons"]
    answer = asks.post("/predict?reasons=2", json={"entity": "a"}).json()
    assert answer["reasons"] == full["reasons"][:2]


def test_openapi_tells_of_it(asks: Any) -> None:
    told = asks.get("/openapi.json").json()
    request = told["components"]["schemas"]["PredictRequest"]
    assert [each["required"] for each in request["anyOf"]] == [["features"], ["entity"]]
    assert {"404", "409", "503"} <= told["paths"]["/predict"]["post"]["responses"].keys()
    assert {"404", "409", "503"} <= told["paths"]["/explain"]["post"]["responses"].keys()


def test_lookups_and_the_age_of_watermarks_are_counted(asks: Any) -> None:
    def count(outcome: str) -> float:
        return metrics.REGISTRY.get_sample_value("mainstay_lookups_total", {"outcome": outcome}) or 0.0

    before = {outcome: count(outcome) for outcome in ("found", "unknown", "unavailable")}
    predicted(asks, entity="a")
    asks.post("/predict", json={"entity": "nobody"})
    assert {outcome: count(outcome) - was for outcome, was in before.items()} == {
        "found": 1.0,
        "unknown": 1.0,
        "unavailable": 0.0,
    }
    assert metrics.REGISTRY.get_sample_value("mainstay_watermark_age_seconds", {"view": "usage"}) == 3600.0
    assert 'mainstay_watermark_age_seconds{view="usage"} 3600.0' in asks.get("/metrics").text


def test_the_hot_route_answers_by_id_and_is_bypassed_by_no_lookup(
    stored: Stored, arms: Any, answering: Answering, written: Any, client: Any
) -> None:
    client.app = Hot(client.app, arms, answering, client.app.user_middleware[-1].kwargs["access"], Tally("/predict"))
    assert predicted(client, entity="a")["probability"] == predicted(client, entity="a", features=FULL)["probability"]
    assert predicted(client, entity="a", features={"age": 40, "plan": "basic"})["flags"] == []
    assert [each.features for each in written.observed()] == [{"age": 40.0, "spent": 120.5, "plan": "basic"}] * 3


def test_what_one_arm_is_refused_for_is_nothing_to_an_arm_without_that_view(
    world: Any, stored: Stored, arms: Any
) -> None:
    bound = bound_views(
        dataclasses.replace(SERVICE, views=(OWN,)), arms.live.rows["1.0.0"].scorer.bundle.encoder.inputs
    )
    both = bound_views(SERVICE, arms.live.rows["1.0.0"].scorer.bundle.encoder.inputs)
    lookup = Lookup(world.online, "tiny", "id", {"1.0.0": bound, "1.1.0": both}, Serving(stale_features="refuse"))
    stored.put("b", "usage", at=NOW - timedelta(days=9), spent=9.0)
    found = lookup.found("b", NOW)
    assert found.merged("1.0.0", {}).refusal is None
    refusal = found.merged("1.1.0", {}).refusal
    assert refusal is not None
    assert refusal[0] == 409
    stored.path.unlink()
    down = lookup.found("b", NOW)
    assert down.merged("1.0.0", {"age": 1, "plan": "plus"}).refusal is None
    assert down.merged("1.0.0", {"age": 1}).refusal is not None


def test_a_store_that_waits_is_awaited(stored: Stored, arms: Any) -> None:
    found = asyncio.run(arms.live.lookup.found_soon("a", NOW))
    assert found == arms.live.lookup.found("a", NOW)


def test_an_arm_of_another_service_looks_into_its_own_namespace_and_its_trouble_is_its_own(
    world: Any, stored: Stored, arms: Any
) -> None:
    inputs = arms.live.rows["1.0.0"].scorer.bundle.encoder.inputs
    other = dataclasses.replace(SERVICE, name="tiny_v2")
    services = {each.name: each for each in (SERVICE, other)}
    told = {"1.0.0": ("tiny_v1", inputs), "1.1.0": ("tiny_v2", inputs)}
    datasets = {"1.0.0": "ds_" + "1" * 16, "1.1.0": "ds_" + "2" * 16}

    def made(head_service: str | None) -> Any:
        return lookup_of(world.online, "tiny", None, services, told, Serving(), head_service, datasets)

    alike = made(None)
    assert {alike.place_of(version) for version in told} == {project_of("tiny", None)}
    lookup = made("tiny_v1")
    assert lookup.place_of("1.1.0") == project_of("tiny", datasets["1.1.0"])
    before = lookup.found("a", NOW)
    assert before.merged("1.0.0", {}).features == FULL
    assert before.merged("1.1.0", {}).refusal[0] == 503
    theirs = Stored(stored.path, datasets["1.1.0"])
    theirs.put("a", "tiny", age=41, plan="plus")
    theirs.put("a", "usage", spent=7.0)
    found = lookup.found("a", NOW)
    assert found.merged("1.0.0", {}).features == FULL
    assert found.merged("1.1.0", {}).features == {"age": 41, "spent": 7.0, "plan": "plus"}
    assert asyncio.run(lookup.found_soon("a", NOW)) == found


def test_a_table_of_entities_alone_is_refused_with_the_format_that_is_looked_up(asks: Any) -> None:
    for name in ("id", "entity"):
        answer = asks.post("/predict_batch", content=f"{name}\na\nb\n", headers={"content-type": "text/csv"})
        assert answer.status_code == 422
        assert "looked up for a batch in JSON" in answer.json()["detail"]
        assert answer.json()["errors"][0]["field"] == name
    whole = "id,age,spent,plan\na,40,120.5,basic\n"
    assert asks.post("/predict_batch", content=whole, headers={"content-type": "text/csv"}).status_code == 200
