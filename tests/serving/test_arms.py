"""Which versions are live, and who answers whom."""

import dataclasses
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mainstay.digests import pseudonym, sha256
from mainstay.errors import MainstayError, NotFound, Refused, Unavailable
from mainstay.nouns import Arm, Pin, Split
from mainstay.registry.manifest import Entity
from mainstay.scoring.bundle import Bundle
from mainstay.serving.arms import Arms
from mainstay.serving.kept import Kept, Standing
from mainstay.usecase import Serving

if TYPE_CHECKING:
    from tests.serving.conftest import World

NOW = datetime(2026, 1, 1, tzinfo=UTC)
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
    assert {arms.live.assign(unit, now=NOW).version for unit in UNITS} == {"1.0.0"}
    assert arms.health().status == "degraded"
    assert "the champion answers alone" in (arms.health().reason or "")
    world.bundles["1.1.0"] = good
    arms.refresh(1.5)
    assert {arms.live.assign(unit, now=NOW).version for unit in UNITS} == {"1.0.0", "1.1.0"}
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


def test_a_restart_without_the_ledger_answers_as_before(world: "World", tmp_path: Path) -> None:
    world.kept = Kept(tmp_path / "serving" / "tiny.json")
    world.policies["strict"] = Serving(unseen_category="refuse")
    world.goes_live(Arm("1.0.0", 0.7), Arm("1.1.0", 0.3), configuration="strict")
    before = world.arms()
    before.refresh(0.0)
    world.split = Unavailable("down")
    world.policies["strict"] = Unavailable("down")
    after = world.arms()
    after.refresh(0.0)
    assert before.live is not None
    assert after.live is not None
    assert (after.live.split, after.live.since) == (before.live.split, before.live.since)
    assert after.live.policies.unseen_category == "refuse"
    health = after.health()
    assert (health.status, health.split) == ("degraded", 2)
    assert health.reason == "the split cannot be read: the ledger cannot be reached"
    world.split = Split(3, "tiny", (Arm("1.1.0", 1.0),), "default")
    after.refresh(1.0)
    assert (after.health().status, after.health().version) == ("ok", "1.1.0")


def test_only_a_split_that_was_applied_whole_is_kept(world: "World", tmp_path: Path) -> None:
    world.kept = Kept(tmp_path / "tiny.json")
    arms = world.arms()
    arms.refresh(0.0)
    world.goes_live(Arm("1.0.0", 0.9), Arm("9.9.9", 0.1))
    arms.refresh(1.0)
    kept = world.kept.read()
    assert kept is not None
    assert kept.standing.split.number == 1


@pytest.mark.parametrize(("content", "said"), [(None, "and none was kept here"), ("{", "not a split that was kept")])
def test_a_restart_with_neither_ledger_nor_kept_split_is_not_ready_and_says_why(
    world: "World", tmp_path: Path, content: str | None, said: str
) -> None:
    world.kept = Kept(tmp_path / "tiny.json")
    if content is not None:
        (tmp_path / "tiny.json").write_text(content)
    world.split = Unavailable("down")
    arms = world.arms()
    arms.refresh(0.0)
    assert arms.health().status == "not ready"
    assert said in (arms.health().reason or "")
    assert str(tmp_path) not in (arms.health().reason or "")


def test_a_kept_split_whose_champion_was_tampered_with_does_not_answer(world: "World", tmp_path: Path) -> None:
    world.kept = Kept(tmp_path / "tiny.json")
    world.arms().refresh(0.0)
    world.split = Unavailable("down")
    world.bundles["1.0.0"] = Refused("model.onnx was changed after it was signed")
    arms = world.arms()
    arms.refresh(0.0)
    assert arms.live is None
    assert "the one kept here: 1.0.0 is live and cannot be believed" in (arms.health().reason or "")


def test_a_disk_that_keeps_no_split_stops_nothing_and_is_told(world: "World", tmp_path: Path) -> None:
    (tmp_path / "serving").write_text("a file in the way")
    world.kept = Kept(tmp_path / "serving" / "tiny.json")
    arms = world.arms()
    for second in range(3):
        arms.refresh(float(second))
        assert arms.health().status == "degraded"
        assert "could not be kept on disk" in (arms.health().reason or "")


def test_every_look_at_the_ledger_is_reported_with_what_is_warm(world: "World", arms: Arms) -> None:
    world.goes_live(Arm("1.1.0", 1.0), Arm("1.0.0", standby=True))
    arms.refresh(1.0)
    assert world.reports == [(1, ("1.0.0",)), (2, ("1.0.0", "1.1.0"))]
    world.silent = Unavailable("read only")
    arms.refresh(2.0)
    assert arms.health().status == "ok"
    world.silent = None
    arms.refresh(3.0)
    assert len(world.reports) == 3


def test_what_is_warm_is_reported_before_a_split_that_fails_is_live(world: "World", arms: Arms) -> None:
    world.goes_live(Arm("1.0.0", 0.8), Arm("1.1.0", 0.1), Arm("9.9.9", 0.1))
    arms.refresh(1.0)
    assert world.reports[-1] == (1, ("1.0.0", "1.1.0"))


def test_without_its_pseudonym_key_a_process_is_not_ready_and_says_so(world: "World") -> None:
    world.entity = Entity("id", "identifier", "hash", sha256(b"k" * 32)[:16])
    arms = world.arms()
    arms.refresh(0.0)
    assert arms.health().status == "not ready"
    assert "the home has no pseudonym key" in (arms.health().reason or "")
    world.key = (sha256(b"k" * 32)[:16], b"k" * 32)
    arms.refresh(5.0)
    assert arms.health().status == "ok"
    assert arms.live is not None
    assert arms.live.stored("ann") == pseudonym("ann", b"k" * 32)


def test_a_broken_pin_keeps_no_split_from_being_applied_and_is_told(world: "World", arms: Arms) -> None:
    world.split = Split(2, "tiny", (Arm("1.1.0", 1.0),), "default", (Pin("1.1.0", "why", where="agee > 3"),))
    for second in (1.0, 2.0):
        arms.refresh(second)
        assert arms.health().version == "1.1.0"
        assert "a condition that means nothing here" in (arms.health().reason or "")


def test_who_listens_is_whoever_did_not_answer(world: "World", arms: Arms) -> None:
    world.goes_live(Arm("1.0.0", 0.5, listens=True), Arm("1.1.0", 0.5, listens=True))
    arms.refresh(1.0)
    assert arms.live is not None
    assert (arms.live.listening("1.0.0"), arms.live.listening("1.1.0")) == (("1.1.0",), ("1.0.0",))


def test_a_pin_holds_for_the_entity_as_it_is_stored(world: "World", arms: Arms) -> None:
    pins = (Pin("1.1.0", "a complaint", entity="ann"), Pin("1.1.0", "a trial", where="age > 100"))
    world.split = Split(2, "tiny", (Arm("1.0.0", 1.0), Arm("1.1.0", standby=True)), "default", pins)
    arms.refresh(1.0)
    live = arms.live
    assert live is not None
    assert live.assign("ann", now=NOW, entity=live.stored("ann")).version == "1.1.0"
    assert live.assign("bob", now=NOW, entity="bob", features={"age": 110.0}).version == "1.1.0"
    assert live.assign("bob", now=NOW, entity="bob", features={"age": 90.0}).version == "1.0.0"
