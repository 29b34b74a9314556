"""What a plan would do at a stated traffic: when its steps end, what it would notice, and when it is refused."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from mainstay.rollout.preview import Base, Preview, Traffic, preview, promises, refusal
from mainstay.usecase import Label
from mainstay.usecase_plan import Plan

NOW = datetime(2026, 3, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NOTICE = {"errors": "x2", "power": 0.8}
CANARY = [
    {"share": 0.05, "hold": "1d", "at_least": 100},
    {"share": 0.5, "hold": "5d", "at_least": 5000},
    {"share": 1, "hold": "1d"},
]


def label(horizon: str = "30d", grace: str = "3d") -> Label:
    return Label.model_validate({"column": "left", "positive": "Yes", "horizon": horizon, "grace": grace})


def ahead(
    kind: str = "canary", per_day: float | None = 2000, base: Base | None = None, why: str = "", **plan: Any
) -> Preview:
    horizon = plan.pop("horizon", "30d")
    traffic = None if per_day is None else Traffic(per_day, "observations")
    made = Plan.model_validate({"kind": kind, **plan})
    return preview(made, traffic, base or Base(), label(horizon), NOW, why)


def power(requests: int, ratio: str, share: float = 0.5) -> float:
    """Of noticing within so many requests an arm, in one step."""
    steps = [{"share": share, "hold": "1d"}, {"share": 1, "hold": "0s"}]
    found = ahead(per_day=requests / share, steps=steps, notice={"errors": ratio, "power": 0.8})
    assert found.promise is not None
    return found.promise.power


@pytest.mark.parametrize(("requests", "simulated"), [(5_000, 0.89), (8_000, 0.99), (20_000, 1.0)])
def test_doubled_errors_are_noticed_as_often_as_the_alarms_say(requests: int, simulated: float) -> None:
    assert power(requests, "x2") == pytest.approx(simulated, abs=0.03)


def test_at_a_share_of_five_percent_doubled_errors_are_noticed_by_5000_requests_of_the_challenger() -> None:
    assert power(5_000, "x2", share=0.05) >= 0.95


def test_entities_that_come_again_tell_less_than_as_many_new_ones() -> None:
    steps = [{"share": 0.5, "hold": "5d"}, {"share": 1, "hold": "0s"}]
    plan = Plan.model_validate({"kind": "canary", "steps": steps, "notice": NOTICE})

    def by(each: float) -> float:
        found = preview(plan, Traffic(2000, "observations", each), Base(), label(), NOW)
        assert found.promise is not None
        return found.promise.power

    assert by(0) == pytest.approx(by(0.01), abs=0.02)
    assert by(0) > 0.85 > by(20) > by(200)


def test_an_equal_challenger_would_not_be_noticed() -> None:
    found = ahead(steps=CANARY, margins={"errors": 1e-9}, notice={"errors": "x1", "power": 0.8})
    assert found.promise is not None
    assert found.promise.power <= 0.02


def test_the_steps_of_a_canary_end_with_their_holds_where_traffic_is_enough() -> None:
    found = ahead(steps=CANARY, notice=NOTICE)
    assert [step.ends for step in found.steps] == [NOW + DAY, NOW + 6 * DAY, NOW + 7 * DAY]
    assert [step.requests for step in found.steps] == [100, 5000, 2000]
    assert {step.waits_for for step in found.steps} == {"hold"}
    assert (found.ends, found.deadline) == (NOW + 7 * DAY, NOW + 14 * DAY)
    assert refusal(found) is None


def test_larger_harm_is_noticed_sooner_and_the_same_plan_is_told_the_same() -> None:
    found = ahead(steps=CANARY, notice=NOTICE)
    assert found == ahead(steps=CANARY, notice=NOTICE)
    assert [harm.challenger for harm in found.harms] == [0.015, 0.02, 0.03, 0.05, 0.1]
    assert [harm.power for harm in found.harms] == sorted(harm.power for harm in found.harms)
    assert found.harms[0].noticed is None
    times = [harm.noticed for harm in found.harms[1:] if harm.noticed is not None]
    assert len(times) == 4
    assert times == sorted(times, reverse=True)
    assert "from 1 % to 2 % are noticed with probability 0.9" in promises(found)


def test_a_champion_without_errors_is_compared_by_the_margin() -> None:
    found = ahead(steps=CANARY, notice=NOTICE, base=Base(0.0, measured=True))
    assert [(harm.champion, harm.challenger) for harm in found.harms] == [(0.0, 0.005)]
    assert refusal(found) is None


def test_a_step_lasts_until_its_requests_have_come() -> None:
    found = ahead(per_day=500, steps=CANARY, deadline="60d")
    assert [step.ends for step in found.steps[:2]] == [NOW + 4 * DAY, NOW + 24 * DAY]
    assert {step.waits_for for step in found.steps[:2]} == {"at_least"}


def test_a_plan_whose_requests_cannot_come_in_time_is_refused_with_the_numbers() -> None:
    assert refusal(ahead(per_day=200, steps=CANARY)) == (
        "step 2 (share 0.5) needs 5,000 requests of the challenger, which at today's 200 requests a day it has on "
        "2026-04-30 00:00, after the deadline (2026-03-15 00:00); a larger share, a smaller `at_least` or a later "
        "`deadline` would do"
    )


def test_a_plan_that_cannot_notice_what_it_says_is_refused_with_the_numbers() -> None:
    said = refusal(ahead(per_day=200, notice=NOTICE, steps=[{"share": 0.5, "hold": "5d"}, {"share": 1, "hold": "1d"}]))
    assert said is not None
    assert "promises errors x2 with power 0.8; at today's 200 requests a day a rise from 1 % to 2 % is noticed" in said


def test_labels_of_thirty_days_cannot_judge_an_hour() -> None:
    said = refusal(
        ahead("ab", per_day=1e6, deadline="2h", steps=[{"share": 0.5, "hold": "1h"}, {"share": 1, "hold": "0s"}])
    )
    assert said is not None
    assert (
        said.startswith("labels are ripe after 33 days (horizon and grace), and the deadline is after 2 days") is False
    )
    assert said.startswith("labels are ripe after 33 days (horizon and grace), and the deadline is after 2 hours")


def test_a_step_that_needs_labels_lasts_until_the_first_are_ripe() -> None:
    found = ahead("paired_shadow", deadline="40d")
    assert (found.steps[0].ends, found.steps[0].waits_for) == (NOW + 33 * DAY, "labels")
    assert found.labels is not None
    assert found.labels.by_deadline == 14_000
    assert refusal(found) is None


def test_too_few_labels_by_the_deadline_are_refused() -> None:
    said = refusal(
        ahead("ab", per_day=20, deadline="35d", steps=[{"share": 0.5, "hold": "1d"}, {"share": 1, "hold": "1d"}])
    )
    assert said is not None
    assert "about 20 labels of the smaller arm are ripe by the deadline" in said


def test_guardrails_alone_wait_for_no_label() -> None:
    assert ahead(steps=CANARY).labels is None


def test_without_traffic_a_plan_starts_promises_no_power_and_goes_home_at_its_deadline() -> None:
    found = ahead(per_day=None, steps=CANARY, notice=NOTICE)
    assert refusal(found) is None
    assert (found.ends, found.harms, found.promise) == (None, (), None)
    assert promises(found).startswith("No traffic is known: the plan promises no power, and goes home")
    assert "2026-03-15 00:00" in promises(found)


def test_without_traffic_labels_must_still_be_able_to_ripen() -> None:
    assert "labels are ripe after 33 days" in (refusal(ahead("ab", per_day=None)) or "")


def test_a_step_may_have_a_deadline_of_its_own() -> None:
    steps = [{"share": 0.5, "hold": "1d", "at_least": 5000, "deadline": "2d"}, {"share": 1, "hold": "1d"}]
    assert refusal(ahead(steps=steps, per_day=10_000)) is None
    assert "after the deadline (2026-03-03 00:00)" in (refusal(ahead(steps=steps, per_day=2_000)) or "")


def test_the_default_steps_of_a_kind_may_be_too_long_for_a_deadline() -> None:
    assert "step 2 (share 0.5) is held until 2026-03-07 00:00" in (refusal(ahead(deadline="3d")) or "")


def test_an_immediate_plan_needs_a_reason_of_the_plan_or_of_the_start() -> None:
    assert "it needs a reason" in (refusal(ahead("immediate")) or "")
    assert "it needs a reason" in (refusal(ahead("immediate", why="  ")) or "")
    assert refusal(ahead("immediate", why="The champion leaks.")) is None
    assert refusal(ahead("immediate", reason="The champion leaks.", notice=NOTICE)) is None


def test_nearly_no_traffic_is_no_error() -> None:
    assert "a day it has on" in (refusal(ahead(per_day=1e-300, steps=CANARY)) or "")


def test_any_amount_of_traffic_and_of_errors_can_be_looked_at() -> None:
    found = ahead(per_day=1e18, steps=CANARY, notice=NOTICE, base=Base(0.9, measured=True))
    assert found.promise is not None
    assert (found.promise.challenger, found.promise.power) == (1.0, 1.0)


def test_holds_that_end_after_the_deadline_are_refused_without_traffic_too() -> None:
    said = refusal(ahead(per_day=None, deadline="3d"))
    assert said is not None
    assert said.startswith("its steps are held for 7 days in all, and the deadline is after 3 days")
    assert refusal(ahead(per_day=None, deadline="8d")) is None
