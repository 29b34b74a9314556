"""Who is given which arm: for certain, in the right share, and again tomorrow."""

import dataclasses
import math
from datetime import UTC, datetime, timedelta

import pytest

from mainstay.digests import unit_interval
from mainstay.nouns import Arm, Pin, Split
from mainstay.rollout.assign import Assigner, Assignment

NOW = datetime(2026, 1, 1, tzinfo=UTC)
UNITS = [f"customer-{n}" for n in range(20_000)]


def split(*arms: Arm, salt: str = "tiny", pins: tuple[Pin, ...] = ()) -> Split:
    return Split(1, salt, arms, "default", pins)


def challenge(share: float, salt: str = "tiny", pins: tuple[Pin, ...] = ()) -> Split:
    return split(Arm("1.0.0", 1 - share), Arm("1.1.0", share), salt=salt, pins=pins)


def given(live: Split, version: str = "1.1.0") -> set[str]:
    assigner = Assigner(live)
    return {unit for unit in UNITS if assigner.of(unit, now=NOW).version == version}


def test_one_arm_answers_everybody_and_its_share_is_certain() -> None:
    alone = split(Arm("1.0.0", 1.0), Arm("1.1.0", standby=True), Arm("1.2.0", listens=True))
    assigner = Assigner(alone)
    assert assigner.of("anybody", now=NOW) == Assignment("1.0.0", 1.0, False, "1.0.0")
    assert assigner.alone == Assignment("1.0.0", 1.0, False, "1.0.0")


def test_the_last_step_of_a_canary_gives_everybody_to_the_challenger() -> None:
    assert Assigner(split(Arm("1.0.0", listens=True), Arm("1.1.0", 1.0))).of("anybody", now=NOW).version == "1.1.0"


def test_where_one_arm_answers_everything_no_hash_is_computed() -> None:
    # A lone surrogate has no UTF-8, so whoever hashes it fails.
    assert Assigner(challenge(0.0)).of("\ud800", now=NOW).version == "1.0.0"
    with pytest.raises(UnicodeEncodeError):
        Assigner(challenge(0.5)).of("\ud800", now=NOW)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.95])
def test_the_challenger_gets_its_share(share: float) -> None:
    found = len(given(challenge(share)))
    deviation = math.sqrt(len(UNITS) * share * (1 - share))
    assert abs(found - share * len(UNITS)) < 4 * deviation


def test_every_tenth_of_the_hash_holds_a_tenth_of_the_units() -> None:
    counts = [0] * 10
    for unit in UNITS:
        counts[int(unit_interval("assign", "tiny", unit) * 10)] += 1
    expected = len(UNITS) / 10
    chi_squared = sum((count - expected) ** 2 / expected for count in counts)
    assert chi_squared < 27.9  # the .999 quantile with 9 degrees of freedom


def test_the_same_unit_gets_the_same_arm_from_every_process() -> None:
    first, again = Assigner(challenge(0.3)), Assigner(dataclasses.replace(challenge(0.3), number=7))
    assert all(first.of(unit, now=NOW) == again.of(unit, now=NOW + timedelta(days=9)) for unit in UNITS)


def test_the_challenger_answers_just_when_the_hash_lies_below_its_share() -> None:
    assert given(challenge(0.3)) == {unit for unit in UNITS if unit_interval("assign", "tiny", unit) < 0.3}


def test_raising_a_share_moves_nobody_back() -> None:
    before: set[str] = set()
    for share in (0.05, 0.3, 0.5, 0.7, 1.0):
        now = given(challenge(share))
        assert before < now
        before = now


def test_another_salt_draws_independently() -> None:
    one, other = given(challenge(0.3)), given(challenge(0.3, salt="other"))
    both = len(one & other)
    assert abs(both - 0.09 * len(UNITS)) < 4 * math.sqrt(len(UNITS) * 0.09 * 0.91)


def test_a_second_challenger_takes_nobody_from_the_first() -> None:
    both = split(Arm("1.0.0", 0.5), Arm("1.1.0", 0.3), Arm("1.2.0", 0.2))
    assert given(both) == given(challenge(0.3))
    assert len(given(both, "1.2.0")) == pytest.approx(0.2 * len(UNITS), rel=0.1)


def test_the_share_told_is_the_one_of_the_arm_given() -> None:
    assigner = Assigner(split(Arm("1.0.0", 0.5), Arm("1.1.0", 0.3), Arm("1.2.0", 0.2)))
    assert {(found.version, found.share) for found in (assigner.of(unit, now=NOW) for unit in UNITS[:100])} == {
        ("1.0.0", 0.5),
        ("1.1.0", 0.3),
        ("1.2.0", 0.2),
    }


def test_rounding_gives_nobody_to_an_arm_without_a_share() -> None:
    nearly = split(Arm("1.0.0"), Arm("1.1.0", 1 - 1e-10), Arm("1.2.0", 1e-10))
    object.__setattr__(nearly, "arms", (nearly.arms[0], Arm("1.1.0", 1e-12), Arm("1.2.0", 1e-12)))  # hardly adds up
    assert Assigner(nearly).of("anybody", now=NOW).version == "1.2.0"


def test_what_is_not_loaded_is_answered_by_the_champion_and_told() -> None:
    assigner = Assigner(challenge(0.3), loaded={"1.0.0"})
    found = {assigner.of(unit, now=NOW) for unit in UNITS[:100]}
    assert found == {Assignment("1.0.0", 0.7, False, "1.0.0"), Assignment("1.0.0", 0.3, False, "1.1.0")}


def test_one_entity_is_pinned_whatever_its_unit() -> None:
    assigner = Assigner(challenge(0.0, pins=(Pin("1.1.0", "a complaint", entity="ann"),)))
    assert assigner.of("ann", now=NOW, entity="ann") == Assignment("1.1.0", 1.0, True, "1.1.0")
    assert assigner.of("ann", now=NOW).version == "1.0.0"  # a request id that reads like her name is not she
    assert assigner.of("bob", now=NOW, entity="bob") == Assignment("1.0.0", 1.0, False, "1.0.0")


def test_two_ways_to_write_a_letter_are_one_entity() -> None:
    assigner = Assigner(challenge(0.0, pins=(Pin("1.1.0", "", entity="ren\u00e9"),)))
    assert assigner.of("x", now=NOW, entity="rene\u0301").pinned


def test_a_pin_to_an_arm_that_stands_by_holds() -> None:
    standing = split(Arm("1.1.0", 1.0), Arm("1.0.0", standby=True), pins=(Pin("1.0.0", "", entity="ann"),))
    assert Assigner(standing).of("ann", now=NOW, entity="ann").version == "1.0.0"


def test_a_pin_ends_when_it_was_to_end() -> None:
    pins = (Pin("1.1.0", "", entity="ann", until=NOW), Pin("1.2.0", "", entity="ann", until=NOW + timedelta(hours=1)))
    live = split(Arm("1.0.0", 1.0), Arm("1.1.0"), Arm("1.2.0"), pins=pins)
    found = [
        Assigner(live).of("ann", now=NOW + passed, entity="ann").version
        for passed in (timedelta(microseconds=-1), timedelta(0), timedelta(hours=1))
    ]
    assert found == ["1.1.0", "1.2.0", "1.0.0"]


def test_those_for_whom_a_condition_holds_are_pinned_the_first_that_holds_and_an_entity_before_all() -> None:
    pins = (
        Pin("1.1.0", "", where="age > 65 and plan == 'basic'"),
        Pin("1.2.0", "", where="age > 60", until=NOW + timedelta(hours=1)),
        Pin("1.0.0", "", entity="ann"),
    )
    live = split(Arm("1.0.0", 1.0), Arm("1.1.0"), Arm("1.2.0"), pins=pins)
    assigner = Assigner(live, {"age": "number", "plan": "category"})

    def version(age: float | None, plan: str, entity: str | None = None, hours: int = 0) -> str:
        now = NOW + timedelta(hours=hours)
        return assigner.of("x", now=now, entity=entity, features={"age": age, "plan": plan}).version

    assert version(70, "basic") == "1.1.0"
    assert version(70, "gold") == "1.2.0"
    assert version(70, "gold", hours=1) == "1.0.0"
    assert version(None, "basic") == "1.0.0"
    assert version(70, "basic", entity="ann") == "1.0.0"


def test_a_pin_that_means_nothing_here_is_passed_over_and_told() -> None:
    pins = (Pin("9.9.9", "", entity="ann"), Pin("1.1.0", "", where="agee > 60"), Pin("1.1.0", "", entity="bob"))
    assigner = Assigner(challenge(0.0, pins=pins), {"age": "number"})
    assert assigner.of("ann", now=NOW, entity="ann", features={"age": 70}).version == "1.0.0"
    assert assigner.of("bob", now=NOW, entity="bob").version == "1.1.0"
    assert len(assigner.broken) == 2
    assert "9.9.9, which is no arm" in assigner.broken[0]
    assert "did you mean `age`" in assigner.broken[1]
