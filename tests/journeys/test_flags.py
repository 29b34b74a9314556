"""Who is pinned to which arm: by hand, by a condition, by a flag; and the kill switch without a server."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from mainstay.errors import NotFound, Refused
from mainstay.journeys import flags
from mainstay.journeys.asked import Asked
from mainstay.journeys.rollback import splits
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import ROLLOUTS, SPLITS
from mainstay.nouns import Arm, Phase, Pin, Rollout
from mainstay.rollout.assign import Assigner
from mainstay.settings import Settings
from mainstay.wiring import Platform, platform

NOW = datetime.fromisoformat("2026-01-01T12:00:00+00:00")
ASKED = Asked("user:ada", "a tester", Path())


@pytest.fixture
def opened(strict_home: Path) -> Iterator[Platform]:
    """A canary at 10 % under rollout r1."""
    made = platform(Settings(home=strict_home, now=NOW))
    with made.ledger:
        standing = splits(made, "tiny")[-1].body
        arms = (Arm("1.0.0", 0.9), Arm("1.1.0", 0.1))
        canary = Entry(SPLITS, "tiny", replace(standing, number=2, arms=arms, rollout="r1"), after=1)
        rollout = Rollout("r1", "1.0.0", "1.1.0", "c2", 1, NOW, NOW, NOW + timedelta(days=1))
        made.ledger.write("tiny", canary, Entry(ROLLOUTS, "r1", rollout), at=NOW, actor="operator", reason="a release")
        yield made


def test_a_pinned_entity_gets_its_arm_in_one_fact_and_the_rollout_goes_on(opened: Platform) -> None:
    made = flags.pin(opened, "tiny", Pin("1.1.0", "a tester", "ada"), ASKED)
    standing = splits(opened, "tiny")[-1]
    assert (standing.number, standing.body, standing.reason, made.rollout) == (3, made, "a tester", "r1")
    assert Assigner(made).of("ada", now=NOW, entity="ada").version == "1.1.0"
    again = flags.pin(opened, "tiny", Pin("1.0.0", "no longer", "ada"), ASKED)
    assert [each.arm for each in again.pins] == ["1.0.0"]
    assert flags.unpin(opened, "tiny", "ada", None, ASKED).pins == ()


def test_a_group_is_pinned_by_a_condition_over_the_features_that_are_served(opened: Platform) -> None:
    made = flags.pin(opened, "tiny", Pin("1.1.0", "elders", where="age >= 65 and plan == 'basic'"), ASKED)
    assigner = Assigner(made, {"age": "number", "plan": "category"})
    assert assigner.of("x", now=NOW, features={"age": 70.0, "plan": "basic"}).pinned
    assert not assigner.of("x", now=NOW, features={"age": 60.0, "plan": "basic"}).pinned


@pytest.mark.parametrize(
    ("pin", "says"),
    [
        (Pin("1.1.1", "r", "ada"), r"1\.1\.1 is not live; did you mean `1\.1\.0`\?; live are 1\.0\.0, 1\.1\.0"),
        (Pin("1.1.0", "r", where="agee > 3"), "agee.*did you mean `age`"),
        (Pin("1.1.0", "r", where="age >"), "age >|ends|expected"),
        (Pin("1.1.0", "r", "ada", until=NOW - timedelta(days=1)), "past already"),
    ],
)
def test_a_pin_that_could_not_hold_is_refused_with_a_hint(opened: Platform, pin: Pin, says: str) -> None:
    with pytest.raises(Refused, match=says):
        flags.pin(opened, "tiny", pin, ASKED)
    assert flags.pins(opened, "tiny") == ()


def test_a_pin_that_is_not_there_cannot_be_removed(opened: Platform) -> None:
    flags.pin(opened, "tiny", Pin("1.1.0", "r", where="age > 60"), ASKED)
    with pytest.raises(NotFound, match="did you mean `age > 60`"):
        flags.unpin(opened, "tiny", None, "age > 6", ASKED)


def test_there_are_a_thousand_pins_and_no_more(opened: Platform) -> None:
    names = {f"e{n}": "1.1.0" for n in range(1000)}
    made = flags.follow_flag(opened, "tiny", "beta", names, ASKED, str)
    assert (made.number, len(made.pins)) == (3, 1000)
    with pytest.raises(Refused, match="1,000 pins already"):
        flags.pin(opened, "tiny", Pin("1.1.0", "r", "one more"), ASKED)


def test_the_pins_of_a_flag_follow_it_and_no_other_pin_does(opened: Platform) -> None:
    flags.pin(opened, "tiny", Pin("1.0.0", "by hand", "hana"), ASKED)
    answers = {"ada": "1.1.0", "bob": "1.1.0", "hana": "1.1.0", "eve": ""}
    made = flags.follow_flag(opened, "tiny", "beta", answers, ASKED, str.upper)
    assert {(each.entity, each.arm) for each in made.pins} == {
        ("hana", "1.0.0"),
        ("ADA", "1.1.0"),
        ("BOB", "1.1.0"),
        ("HANA", "1.1.0"),
    }
    same = flags.follow_flag(opened, "tiny", "beta", answers, ASKED, str.upper)
    assert same.number == made.number
    quiet: dict[str, str | None] = {"ada": None, "bob": ""}  # the flag system does not know of Ada just now
    after = flags.follow_flag(opened, "tiny", "beta", quiet, ASKED, str.upper)
    assert {each.entity for each in after.pins} == {"hana", "ADA"}
    with pytest.raises(Refused, match=r"it answers '2\.0\.0', which is not live"):
        flags.follow_flag(opened, "tiny", "beta", {"ada": "2.0.0"}, ASKED, str)


def test_the_kill_switch_ends_the_rollout_in_the_same_write_and_once(opened: Platform) -> None:
    split, rollout, reach = flags.kill(opened, "tiny", ASKED)
    assert (split.arms, split.rollout, rollout) == ((Arm("1.0.0", 1.0),), None, "r1")
    assert reach is not None
    fact = opened.ledger.latest("tiny", ROLLOUTS, "r1")
    assert fact is not None
    assert fact.body.phase is Phase.WENT_HOME
    assert flags.kill(opened, "tiny", ASKED) == (split, None, None)
