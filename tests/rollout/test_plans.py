"""The kinds of plans: their steps, and who answers and who listens in each."""

from datetime import timedelta

import pytest

from mainstay.nouns import Arm, Split
from mainstay.rollout.plans import arms_of, needs_labels, steps_of
from mainstay.usecase_plan import Plan, Step

KINDS = ("rolling", "blue_green", "canary", "shadow", "paired_shadow", "ab", "bandit", "immediate", "kill_switch")
HOUR = timedelta(hours=1)


def plan(kind: str, **settings: object) -> Plan:
    return Plan.model_validate({"kind": kind, **settings})


@pytest.mark.parametrize(
    ("kind", "shares"),
    [
        ("rolling", [0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 1]),
        ("blue_green", [0, 1]),
        ("canary", [0.05, 0.5, 1]),
        ("shadow", [0, 1]),
        ("paired_shadow", [0, 1]),
        ("ab", [0.5, 1]),
        ("bandit", [0.5, 1]),
        ("immediate", [1]),
        ("kill_switch", [0]),
    ],
)
def test_each_kind_has_steps_of_its_own(kind: str, shares: list[float]) -> None:
    steps = steps_of(plan(kind))
    assert [step.share for step in steps] == shares
    assert sum((step.hold for step in steps), timedelta(0)) < plan(kind).deadline


def test_the_steps_that_a_team_wrote_are_taken_and_only_what_they_need_is_added() -> None:
    written = [{"share": 0.1, "hold": "1h", "needs": "non_inferior"}, {"share": 1, "hold": "2h"}]
    steps = steps_of(plan("canary", steps=written))
    assert [(step.share, step.hold, step.needs) for step in steps] == [
        (0.1, HOUR, "non_inferior"),
        (1, 2 * HOUR, "no_harm"),
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_only_a_winner_must_be_better_and_only_where_it_is_chosen(kind: str) -> None:
    needed = [step.needs for step in steps_of(plan(kind))]
    chooses = kind in ("ab", "paired_shadow", "bandit")
    assert needed == ["better", "no_harm"] if chooses else set(needed) == {"no_harm"}


def test_of_several_shares_the_last_one_decides() -> None:
    ramp = [{"share": 0.1, "hold": "1d"}, {"share": 0.5, "hold": "5d"}, {"share": 1, "hold": "1d"}]
    assert [step.needs for step in steps_of(plan("ab", steps=ramp))] == ["no_harm", "better", "no_harm"]


def test_labels_are_needed_to_prove_something_and_to_choose_a_winner() -> None:
    strict = [{"share": 0.5, "hold": "1d", "needs": "non_inferior"}, {"share": 1, "hold": "1d"}]
    canary, test = plan("canary", steps=strict), plan("ab")
    assert [needs_labels(canary, step) for step in steps_of(canary)] == [True, False]
    assert [needs_labels(test, step) for step in steps_of(test)] == [True, True]


@pytest.mark.parametrize("kind", KINDS)
def test_every_step_of_every_kind_is_a_split(kind: str) -> None:
    for step in steps_of(plan(kind)):
        arms = arms_of("v1", "v2", step, plan(kind))
        split = Split(1, "salt", arms, "digest")
        assert arms[0].version == "v1"
        assert split.champion == ("v2" if step.share == 1 else "v1")


def test_while_one_arm_answers_everything_the_other_listens() -> None:
    canary = plan("canary")
    first, between, last = (Step(share=share, hold=HOUR) for share in (0, 0.25, 1))
    assert arms_of("v1", "v2", first, canary) == (Arm("v1", 1.0), Arm("v2", listens=True))
    assert arms_of("v1", "v2", between, canary) == (Arm("v1", 0.75), Arm("v2", 0.25))
    assert arms_of("v1", "v2", last, canary) == (Arm("v1", listens=True), Arm("v2", 1.0))


def test_a_kill_switch_leaves_the_champion_alone() -> None:
    (step,) = steps_of(plan("kill_switch"))
    assert step.hold == timedelta(0)
    assert arms_of("v1", "v2", step, plan("kill_switch")) == (Arm("v1", 1.0),)
