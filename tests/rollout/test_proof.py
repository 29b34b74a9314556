"""What proves a rollback, and what leaves it open."""

import math
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from mainstay.observed import Replica
from mainstay.rollout.proof import Again, Reach, Repeats, Watched, prove
from mainstay.verdicts import Outcome

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SAME = Again("p1", 0.75, 0.75, 0.5, "Yes", "Yes")
REPEATS = Repeats("1.0.0", 0.5, (SAME,), (0.5,))
WATCHED = Watched(30.0, 100)


def replica(name: str, split: int = 5) -> Replica:
    return Replica(name, "host-a", "tiny", split, ("1.0.0",), NOW)


REACH = Reach(5, [replica("r1"), replica("r2")], [], 1.2)


def outcomes(repeats: Repeats = REPEATS, reach: Reach = REACH, watched: Watched = WATCHED) -> list[Outcome]:
    verdict, _ = prove(repeats, reach, watched)
    return [verdict.outcome, *(each.outcome for each in verdict.checks)]


P, F, I = Outcome.PASS, Outcome.FAIL, Outcome.INCONCLUSIVE  # noqa: E741


def test_a_rollback_is_proved_by_replay_replicas_and_a_quiet_window() -> None:
    verdict, differing = prove(REPEATS, REACH, WATCHED)
    assert verdict.outcome is P
    assert [each.name for each in verdict.checks] == ["replay", "replicas", "stability"]
    assert "1 recorded requests are answered as they were by 1.0.0: 1 to the bit" in verdict.checks[0].reason
    assert differing == ()


@pytest.mark.parametrize(
    ("again", "holds"),
    [
        (SAME, True),
        (replace(SAME, replayed=0.75 + 9e-7), True),
        (replace(SAME, replayed=0.75 + 9e-7, exactly=True), False),
        (replace(SAME, replayed=0.75 + 2e-6), False),
        (replace(SAME, decides="No"), False),
        (replace(SAME, recorded=0.5, replayed=0.5 - 5e-7, decides="No"), True),
        (replace(SAME, replayed=math.nan), False),
        (replace(SAME, encoded=False), False),
    ],
)
def test_a_request_is_answered_as_it_was_within_the_limits_and_no_further(again: Again, holds: bool) -> None:
    assert again.holds is holds
    assert outcomes(replace(REPEATS, again=(again,)))[1] is (P if holds else F)


def test_the_worst_of_what_differs_are_named_and_no_more_than_ten() -> None:
    again = tuple(replace(SAME, prediction_id=f"p{n}", replayed=0.75 - n / 100) for n in range(20))
    verdict, differing = prove(replace(REPEATS, again=again), REACH, WATCHED)
    assert verdict.outcome is F
    assert [each.prediction_id for each in differing] == [f"p{n}" for n in range(19, 9, -1)]


def test_another_threshold_is_not_what_was_live() -> None:
    assert outcomes(replace(REPEATS, thresholds=(0.4, 0.5)))[:2] == [F, F]


def test_golden_rows_stand_in_for_requests_that_nobody_recorded_and_it_says_so() -> None:
    verdict, _ = prove(Repeats("1.0.0", 0.5, golden=8), REACH, WATCHED)
    assert verdict.outcome is P
    assert "no recorded request" in verdict.checks[0].reason
    assert "8 golden rows, signed with it" in verdict.checks[0].reason
    assert outcomes(Repeats("1.0.0", 0.5))[:2] == [I, I]


@pytest.mark.parametrize(
    ("reach", "outcome", "says"),
    [
        (replace(REACH, live=[]), I, "no replica is live: nothing serves"),
        (replace(REACH, vanished=[replica("r3", 4)]), I, "r3 on host-a vanished without signing off"),
        (replace(REACH, live=[replica("r1"), replica("r2", 4)]), F, "r2 on host-a still on another split"),
        (replace(REACH, live=[replica("r1", 6)]), I, "split 6 was written meanwhile"),
    ],
)
def test_every_live_replica_has_to_report_the_split(reach: Reach, outcome: Outcome, says: str) -> None:
    verdict, _ = prove(REPEATS, reach, WATCHED)
    assert verdict.outcome is outcome
    assert says in verdict.checks[1].reason


def test_a_later_split_with_the_same_champion_is_as_good() -> None:
    later = replace(REACH, live=[replica("r1"), replica("r2", 6)], later=frozenset({6}))
    verdict, _ = prove(REPEATS, later, WATCHED)
    assert verdict.outcome is P
    assert "and split 6 by now, with the same champion" in verdict.checks[1].reason


@pytest.mark.parametrize(
    ("watched", "outcome"),
    [
        (Watched(30.0, 100, 1), F),
        (Watched(30.0), I),
        (Watched(30.0, trouble="the store is away"), I),
    ],
)
def test_errors_in_the_window_fail_it_and_silence_proves_nothing(watched: Watched, outcome: Outcome) -> None:
    assert outcomes(watched=watched)[0] is outcome


def test_a_window_that_nobody_asked_for_is_told_and_does_not_block() -> None:
    assert outcomes(watched=Watched(0.0)) == [P, P, P, I]
