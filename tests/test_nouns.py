import dataclasses
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone

import pytest

from mainstay.nouns import Arm, Pin, Split, Window, rfc3339

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def split(*arms: Arm, pins: int = 0) -> Split:
    pin = Pin("1.0.0", "Asked.", entity="c1")
    return Split(1, "churn", arms, "configuration", pins=(pin,) * pins)


def test_a_window_ends_after_it_starts() -> None:
    assert Window(NOW, NOW + timedelta(microseconds=1)).start == NOW
    with pytest.raises(ValueError, match="must end after it starts"):
        Window(NOW, NOW)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: Arm("1.0.0", 1.1), "a share is a fraction of traffic, not 1.1"),
        (lambda: Arm("1.0.0", -0.1), "fraction"),
        (lambda: Arm("1.0.0", float("nan")), "fraction"),
        (lambda: Arm("1.0.0", 0.5, standby=True), "1.0.0 stands by"),
        (lambda: Arm("1.0.0", listens=True, standby=True), "neither answer nor listen"),
        (lambda: Pin("1.0.0", "Asked."), "either an entity or a condition"),
        (lambda: Pin("1.0.0", "Asked.", entity="c1", where="tenure > 3"), "either an entity or a condition"),
    ],
)
def test_an_arm_or_pin_that_makes_no_sense_cannot_be(made: Callable[[], object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        made()


def test_shares_of_a_split_add_up_to_one() -> None:
    split(Arm("1", 0.1), Arm("2", 0.2), Arm("3", 0.7), Arm("0", standby=True))
    for arms in [(), (Arm("1", 0.5),), (Arm("1", 0.9), Arm("2", 0.2))]:
        with pytest.raises(ValueError, match="add up to"):
            split(*arms)


def test_the_champion_answers_most() -> None:
    assert split(Arm("1.0.0", 0.25), Arm("1.1.0", 0.75)).champion == "1.1.0"
    assert split(Arm("1.0.0", 0.5), Arm("1.1.0", 0.5)).champion == "1.0.0"
    assert split(Arm("1.1.0", listens=True), Arm("1.0.0", 1.0)).champion == "1.0.0"


def test_a_split_holds_a_thousand_pins() -> None:
    assert len(split(Arm("1.0.0", 1.0), pins=1000).pins) == 1000
    with pytest.raises(ValueError, match="at most 1,000 pins, not 1001"):
        split(Arm("1.0.0", 1.0), pins=1001)


def test_nouns_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Arm("1.0.0", 1.0).share = 0.5  # type: ignore[misc]


def test_a_time_is_written_in_utc_and_never_without_a_zone() -> None:
    west = datetime(2026, 2, 28, 19, 0, 0, 5, tzinfo=timezone(timedelta(hours=-5)))
    assert rfc3339(west) == "2026-03-01T00:00:00.000005Z"
    with pytest.raises(ValueError, match="needs its zone"):
        rfc3339(NOW.replace(tzinfo=None))
