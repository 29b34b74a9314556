"""Which versions are live, and who answers whom."""

import dataclasses
import threading
from typing import TYPE_CHECKING, Any

import pytest

from mainstay.errors import MainstayError, NotFound, Refused, Unavailable
from mainstay.nouns import Arm
from mainstay.scoring.bundle import Bundle
from mainstay.serving.arms import Arms
from mainstay.serving.kept import Standing
from mainstay.usecase import Serving

if TYPE_CHECKING:
    from tests.serving.conftest import World

UNITS = [f"customer-{n}" for n in range(2000)]


def test_before_the_first_look_nothing_is_ready(world: "World") -> None:
    health = world.arms().health()
    assert (health.status, health.ready, health.version) == ("not ready", False, None)


def test_without_a_split_the_reason_is_that_nothing_was_released(world: "World") -> None:
    world.split = None
    arms = world.arms()
    arms.refresh(0.0)
    assert not arms.health().ready
    assert arms.health().reason == "no version is live yet: release one first"


def test_a_new_split_is_applied_and_a_version_is_loaded_once(world: "World", arms: Arms) -> None:
    world.goes_live(Arm("1.1.0", 1.0), Arm("1.0.0", standby=True))
    arms.refresh(1.0)
    arms.refresh(2.0)
    assert arms.health().version == "1.1.0"
    assert world.loads == ["1.0.0", "1.1.0"]


def garbled(bundle: Bundle) -> Bundle:
    return dataclasses.replace(bundle, model=b"not a graph")


def disagreeing(bundle: Bundle) -> Bundle:
    scores = tuple((1.0, 0.0) for _ in bundle.golden.scores)
    return dataclasses.replace(bundle, golden=dataclasses.replace(bundle.golden, scores=scores))


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (Refused("model.onnx was changed after it was signed", "tiny@1.1.0"), "changed after it was signed"),
        (Unavailable("permission denied at /secret/place", "/secret/place"), "cannot be reached"),
        (garbled, "not an ONNX graph"),
        (disagreeing, "golden row"),
    ],
)
def test_what_cannot_be_believed_or_warmed_never_goes_live(world: "World", arms: Arms, trouble: Any, said: str) -> None:
    good = world.bundles["1.1.0"]
    world.bundles["1.1.0"] = trouble if isinstance(trouble, MainstayError) else trouble(good)
    world.goes_live(Arm("1.0.0", 0.9), Arm("1.1.0", 0.1))
    arms.refresh(1.0)
    health = arms.health()
    assert (health.status, health.ready, health.version, health.split) == ("degraded", True, "1.0.0", 1)
    assert health.reason is not None
    assert "split 2 is not applied: 1.1.0" in health.reason
    assert said in health.reason
    assert "secret" not in health.reason
    assert arms.live is not None
    assert set(arms.live.arms) == {"1.0.0"}


def test_a_split_that_failed_is_tried_again_less_and_less_often(world: "World", arms: Arms) -> None:
    good = world.bundles["1.1.0"]
    world.bundles["1.1.0"] = Unavailable("down")
    world.goes_live(Arm("1.1.0", 1.0))
    for second in range(1, 101):
        arms.refresh(float(second))
    tries = world.loads.count("1.1.0")
    assert 5 <= tries <= 9
    world.bundles["1.1.0"] = good
    for second in range(101, 132):
        arms.refresh(float(second))
    assert arms.health().version == "1.1.0"
    assert arms.health().status == "ok"


def test_going_back_to_the_last_good_split_ends_the_trouble(world: "World", arms: Arms) -> None:
    first = world.split
    world.goes_live(Arm("9.9.9", 1.0))
    arms.refresh(1.0)
    assert arms.health().status == "degraded"
    world.split = first
    arms.refresh(2.0)
    assert arms.health().status == "ok"


def test_a_process_with_nothing_to_answer_takes_the_champion_without_its_broken_challenger(world: "World") -> None:
    good = world.bundles["1.1.0"]
    world.bundles["1.1.0"] = Refused("it is not signed")
    world.goes_live(Arm("1.0.0", 0.6), Arm("1.1.0", 0.4))
    arms = world.arms()
    arms.refresh(0.0)
    assert arms.live is not None
    assert {arms.live.answers_with(unit) for unit in UNITS} == {"1.0.0"}
    assert arms.health().status == "degraded"
    assert "the champion answers alone" in (arms.health().reason or "")
    world.bundles["1.1.0"] = good
    arms.refresh(1.5)
    assert {arms.live.answers_with(unit) for unit in UNITS} == {"1.0.0", "1.1.0"}
    assert arms.health().status == "ok"


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (Refused("it is not signed", "tiny@1.1.0"), "1.1.0 is live and cannot be believed: it is not signed"),
        (NotFound("there is no such version"), "1.1.0 is live and cannot be loaded: there is no such version"),
        (Unavailable("down"), "1.1.0 is live and cannot be loaded: the store of versions cannot be reached"),
    ],
)
def test_a_broken_champion_leaves_a_new_process_not_ready(world: "World", trouble: MainstayError, said: str) -> None:
    world.bundles |= {"1.0.0": Refused("a broken challenger is the lesser trouble"), "1.1.0": trouble}
    world.goes_live(Arm("1.1.0", 0.6), Arm("1.0.0", 0.4))
    arms = world.arms()
    arms.refresh(0.0)
    assert arms.live is None
    assert (arms.health().status, arms.health().reason) == ("not ready", said)


def test_while_the_ledger_is_down_the_last_split_answers(world: "World", arms: Arms) -> None:
    world.split = Unavailable("could not connect as mainstay:secret", "postgresql://db/ledger")
    arms.refresh(1.0)
    health = arms.health()
    assert (health.status, health.version) == ("degraded", "1.0.0")
    assert health.reason == "the split cannot be read: the ledger cannot be reached"


def test_a_lost_configuration_means_the_defaults_and_is_told(world: "World", arms: Arms) -> None:
    world.goes_live(Arm("1.0.0", 1.0), configuration="lost")
    arms.refresh(1.0)
    assert arms.live is not None
    assert arms.live.split.number == 2
    assert arms.live.policies == Serving()
    assert "the configuration is lost" in (arms.health().reason or "")


def test_while_its_configuration_cannot_be_read_a_split_waits(world: "World", arms: Arms) -> None:
    world.policies["strict"] = Unavailable("down")
    world.goes_live(Arm("1.0.0", 1.0), configuration="strict")
    arms.refresh(1.0)
    assert arms.health().split == 1
    world.policies["strict"] = Serving(unseen_category="refuse")
    arms.refresh(3.0)
    assert arms.live is not None
    assert arms.live.policies.unseen_category == "refuse"


def test_draining_is_not_ready(arms: Arms) -> None:
    arms.drain()
    assert (arms.health().status, arms.health().ready, arms.health().version) == ("draining", False, "1.0.0")


def test_the_thread_that_follows_the_ledger_outlives_a_defect(world: "World") -> None:
    stop, looked = threading.Event(), threading.Event()
    calls: list[int] = []

    def read() -> Standing | None:
        calls.append(1)
        if len(calls) == 1:
            raise ZeroDivisionError
        return world.read_split()

    arms = Arms(read, world.load_arm, world.read_policies)
    follower = threading.Thread(target=arms.follow, args=(stop, 0.01, looked))
    follower.start()
    assert looked.wait(2)
    while not arms.health().ready:
        stop.wait(0.01)
    stop.set()
    follower.join(2)
    assert arms.health().status == "ok"
