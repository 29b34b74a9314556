"""`/info` tells which versions are live, in which part and since when."""

from typing import TYPE_CHECKING

from mainstay.nouns import Arm
from mainstay.registry.manifest import Entity
from mainstay.serving.arms import Arms
from mainstay.serving.info import Info, info

if TYPE_CHECKING:
    from tests.serving.conftest import Client, World


def test_every_arm_is_told_in_the_order_of_the_split(world: "World", arms: Arms, client: "Client") -> None:
    world.goes_live(Arm("1.0.0", 0.25), Arm("1.1.0", 0.75, listens=True))
    arms.refresh(1.0)
    answer = client.get("/info")
    assert answer.status_code == 200
    told = Info.model_validate(answer.json())
    assert (told.use_case, told.split, told.configuration, told.pins, told.hashed) == ("tiny", 2, "default", 0, False)
    assert [(each.version, each.share, each.listens, each.incumbent, each.loaded) for each in told.arms] == [
        ("1.0.0", 0.25, False, True, True),
        ("1.1.0", 0.75, True, False, True),
    ]
    assert {each.since for each in told.arms} == {"2026-01-01T00:00:00.000000Z"}
    assert told.arms[0].candidate != told.arms[1].candidate
    assert answer.headers["cache-control"] == "no-store"


def test_where_nothing_is_live_that_is_told(world: "World") -> None:
    told = info(world.arms().live, "tiny")
    assert (told.split, told.arms) == (None, [])
    assert told.package


def test_that_entities_are_pseudonyms_is_told_and_what_is_not_loaded_too(world: "World") -> None:
    world.entity = Entity("id", "identifier", "drop")
    del world.bundles["1.1.0"]
    world.goes_live(Arm("1.0.0", 0.9), Arm("1.1.0", 0.1))
    arms = world.arms()
    arms.refresh(0.0)
    told = info(arms.live, "tiny")
    assert [(each.loaded, each.candidate is None) for each in told.arms] == [(True, False), (False, True)]
    assert not told.hashed
