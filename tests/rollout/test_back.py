"""Where a rollback goes, and the one split that restores what was live there."""

from datetime import UTC, datetime, timedelta

import pytest

from mainstay.decided import Move
from mainstay.errors import NotFound, Refused
from mainstay.nouns import Arm, Phase, Pin, Rollout, Split
from mainstay.rollout.back import ended, former, restored, was_live, with_standby, without

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def split(number: int, *arms: Arm, configuration: str = "c1", rollout: str | None = None, **more: object) -> Split:
    return Split(number, "tiny", arms, configuration, rollout=rollout, **more)  # type: ignore[arg-type]


FIRST = split(1, Arm("1.0.0", 1.0), feature_service="v1", dataset_head="ds_1")
CANARY = split(2, Arm("1.0.0", 0.9), Arm("1.1.0", 0.1), configuration="c2", rollout="r1")
LAST = split(3, Arm("1.0.0", listens=True), Arm("1.1.0", 1.0), configuration="c2", rollout="r1")
PROMOTED = split(
    4, Arm("1.1.0", 1.0), Arm("1.0.0", standby=True), configuration="c2", feature_service="v2", dataset_head="ds_2"
)


def test_the_champion_of_a_rollout_is_the_challenged_one_whatever_its_share() -> None:
    assert [each.reigning for each in (FIRST, CANARY, LAST, PROMOTED)] == ["1.0.0", "1.0.0", "1.0.0", "1.1.0"]


def test_after_a_promotion_one_goes_back_to_the_former_champion_and_all_that_was_live_with_it() -> None:
    history = [FIRST, CANARY, LAST, PROMOTED]
    assert former(history) == "1.0.0"
    made = restored(PROMOTED, "1.0.0", was_live(history, "1.0.0"))
    assert made.number == 5
    assert made.arms == (Arm("1.0.0", 1.0), Arm("1.1.0", standby=True))
    assert (made.configuration, made.feature_service, made.dataset_head) == ("c1", "v1", "ds_1")


def test_during_a_rollout_one_goes_back_to_its_champion_and_the_challenger_goes() -> None:
    for standing in (CANARY, LAST):
        history = [FIRST, CANARY, standing]
        assert former(history) == "1.0.0"
        made = restored(standing, "1.0.0", was_live(history, "1.0.0"))
        assert made.arms == (Arm("1.0.0", 1.0),)
        assert made.rollout is None
        assert made.configuration == "c1"


def test_asked_twice_a_rollback_does_not_go_forward_again() -> None:
    history = [FIRST, PROMOTED]
    history.append(restored(PROMOTED, "1.0.0", was_live(history, "1.0.0")))
    with pytest.raises(NotFound, match=r"1\.0\.0 is live, and no champion .* \(1\.1\.0 stands by, and came after it"):
        former(history)
    forward = restored(history[-1], "1.1.0", was_live(history, "1.1.0"))
    assert (forward.arms, forward.configuration) == (PROMOTED.arms, "c2")


def test_a_challenger_that_only_stands_by_as_yet_goes_and_whoever_stood_by_before_the_rollout_stays() -> None:
    arms = (Arm("1.1.0", 1.0), Arm("1.2.0", standby=True), Arm("1.0.0", standby=True))
    begun = split(5, *arms, rollout="r2", configuration="c2")
    history = [FIRST, PROMOTED, begun]
    made = restored(begun, "1.1.0", was_live(history, "1.1.0"), "1.2.0")
    assert (made.number, made.arms, made.rollout) == (6, PROMOTED.arms, None)
    assert former(history) == "1.0.0"


def test_restoring_what_is_live_as_it_was_changes_nothing() -> None:
    history = [FIRST, PROMOTED]
    assert restored(PROMOTED, "1.1.0", was_live(history, "1.1.0")) is PROMOTED


def test_there_is_nothing_to_go_back_to_before_the_second_champion() -> None:
    with pytest.raises(NotFound, match="no champion from before it stands by; say which with `--to VERSION`"):
        former([FIRST])
    with pytest.raises(NotFound, match="nothing is live"):
        former([])


def test_a_version_that_only_challenged_is_nothing_to_go_back_to() -> None:
    with pytest.raises(Refused, match=r"1\.1\.0 was never champion"):
        was_live([FIRST, CANARY, LAST], "1.1.0")


def test_pins_to_what_is_left_go_and_those_to_the_restored_version_stay() -> None:
    stays, goes = Pin("1.0.0", "a friend", "ada"), Pin("1.1.0", "a tester", "bob")
    standing = split(2, *PROMOTED.arms, pins=(stays, goes))
    assert restored(standing, "1.0.0", FIRST).pins == (stays,)


def test_a_version_is_made_to_stand_by_and_taken_away_again_beside_a_running_rollout() -> None:
    made = with_standby(CANARY, "0.9.0")
    assert made.arms == (*CANARY.arms, Arm("0.9.0", standby=True))
    assert (made.number, made.rollout) == (3, "r1")
    assert without(made, "0.9.0").arms == CANARY.arms


def test_a_rollout_that_a_person_ends_went_home_and_says_who_decided() -> None:
    rollout = Rollout("r1", "1.0.0", "1.1.0", "c2", 2, NOW, NOW, NOW + timedelta(days=1))
    home, decision = ended(rollout, "it smells", NOW)
    assert home.phase is Phase.WENT_HOME
    assert (decision.move, decision.reason, decision.verdict) == (Move.GO_HOME, "by hand: it smells", None)
