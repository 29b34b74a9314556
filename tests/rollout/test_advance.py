"""Where a rollout goes next: bad news at once, good news after the hold, doubt home at the deadline."""

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mainstay.decided import Decision, Move
from mainstay.gathered import Compared, Gathered, Moments
from mainstay.nouns import Allocation, Arm, Phase, Pin, Rollout, Split
from mainstay.rollout.advance import (
    BEFORE,
    PHASES,
    Bound,
    advance,
    begin,
    begun,
    moved,
    split_after,
    split_before,
    taken_away,
)
from mainstay.rollout.assign import Assigner
from mainstay.usecase import Plan, Step
from mainstay.verdicts import Check, Need, Outcome, Verdict

START = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
CANARY = Plan(
    kind="canary",
    steps=(
        Step(share=0.05, hold=DAY, at_least=100, deadline=3 * DAY),
        Step(share=0.5, hold=2 * DAY, at_least=1000),
        Step(share=1, hold=DAY),
    ),
    deadline=timedelta(days=10),
)
BOUND = {"1.0.0": Bound("shop_v1", "ds_old"), "1.1.0": Bound("shop_v2", "ds_new")}
STANDING = Split(
    4, "shop", (Arm("1.0.0", 1.0), Arm("0.9.0", standby=True)), "live", feature_service="shop_v1", dataset_head="ds_old"
)
WARM = Gathered(START, 7, replicas=2, warm=2)


def rollout(step: int = 0, entered: timedelta = timedelta(0)) -> Rollout:
    return Rollout("r1", "1.0.0", "1.1.0", "policy", step, START, START + entered, START + timedelta(days=10))


def verdict(*outcomes: Outcome, name: str = "errors") -> Verdict:
    checks = [Check(f"{name}{n or ''}", each, f"{name} {each}", needs=Need.QUIET) for n, each in enumerate(outcomes)]
    return Verdict("r1", tuple(checks))


GOOD, BAD, DOUBT = verdict(Outcome.QUIET), verdict(Outcome.FAIL), verdict(Outcome.QUIET, Outcome.INCONCLUSIVE)


def decided(step: int, seen: Verdict, after: timedelta, plan: Plan = CANARY, gathered: Gathered = WARM) -> Decision:
    """What a rollout that entered a step at its start does so long after it."""
    return advance(rollout(step), plan, seen, gathered, START + after)


# Bad news


@pytest.mark.parametrize("step", [0, 1, 2])
@pytest.mark.parametrize("after", [timedelta(0), timedelta(seconds=1), 5 * DAY, 99 * DAY])
@pytest.mark.parametrize("gathered", [WARM, replace(WARM, warm=1), replace(WARM, replicas=0, warm=0)])
def test_harm_rolls_back_at_once_in_every_step_whatever_else_is_so(
    step: int, after: timedelta, gathered: Gathered
) -> None:
    made = decided(step, BAD, after, gathered=gathered)
    assert (made.move, made.reason, made.step, made.policy) == (Move.ROLL_BACK, "errors FAIL", step, "policy")


@pytest.mark.parametrize("after", [timedelta(0), 5 * DAY])
def test_a_sample_ratio_that_crossed_freezes_and_is_no_harm(after: timedelta) -> None:
    both = Verdict("r1", (*verdict(Outcome.FAIL, name="sample_ratio").checks, *BAD.checks))
    made = decided(1, both, after)
    assert (made.move, made.reason) == (Move.FREEZE, "sample_ratio FAIL")


def test_an_advisory_check_that_failed_rolls_nothing_back() -> None:
    aside = replace(BAD.checks[0], blocking=False)
    assert decided(0, Verdict("r1", (*GOOD.checks, aside)), timedelta(hours=1)).move is Move.HOLD


# Good news


@pytest.mark.parametrize(("step", "hold"), [(0, DAY), (1, 2 * DAY), (2, DAY)])
def test_good_news_waits_for_the_hold_and_then_acts(step: int, hold: timedelta) -> None:
    assert decided(step, GOOD, hold - timedelta(seconds=1)).move is Move.HOLD
    assert decided(step, GOOD, hold).move is (Move.PROMOTE if step == 2 else Move.ADVANCE)


def test_good_news_waits_until_every_server_is_warm() -> None:
    made = decided(0, GOOD, 2 * DAY, gathered=replace(WARM, warm=1))
    assert (made.move, made.reason) == (Move.HOLD, "step 1 not every replica holds 1.1.0 warm yet")
    made = decided(2, GOOD, 2 * DAY, gathered=replace(WARM, replicas=0, warm=0))
    assert (made.move, made.reason) == (Move.HOLD, "step 3 no server of this use case is running")


def test_what_is_quiet_where_proof_is_needed_does_not_go_on() -> None:
    proof = Verdict("r1", (replace(GOOD.checks[0], needs=Need.PASS),))
    assert decided(0, proof, 2 * DAY).move is Move.HOLD


def test_silence_never_passes() -> None:
    made = decided(0, Verdict("r1", ()), 2 * DAY)
    assert (made.move, made.reason) == (Move.HOLD, "step 1 waits for anything to judge by")


def test_an_immediate_plan_stays_without_evidence_and_goes_back_on_harm() -> None:
    plan = Plan(kind="immediate", reason="The champion is down.")
    assert decided(0, DOUBT, timedelta(minutes=59), plan).move is Move.HOLD
    assert decided(0, DOUBT, timedelta(hours=1), plan).move is Move.PROMOTE
    assert decided(0, BAD, timedelta(minutes=1), plan).move is Move.ROLL_BACK


# Doubt


def test_doubt_goes_home_at_the_deadline_of_its_step() -> None:
    assert decided(0, DOUBT, 3 * DAY - timedelta(seconds=1)).move is Move.HOLD
    made = decided(0, DOUBT, 3 * DAY)
    assert (made.move, made.reason) == (
        Move.GO_HOME,
        "the deadline of step 1 came without a clear verdict: errors INCONCLUSIVE",
    )


def test_doubt_goes_home_at_the_deadline_of_the_plan() -> None:
    assert decided(1, DOUBT, timedelta(days=10) - timedelta(seconds=1)).move is Move.HOLD
    assert decided(1, DOUBT, timedelta(days=10)).move is Move.GO_HOME


def test_at_the_deadline_the_last_step_is_promoted_where_all_is_well_and_an_earlier_one_goes_home() -> None:
    assert decided(2, GOOD, timedelta(days=10)).move is Move.PROMOTE
    made = decided(1, GOOD, timedelta(days=10))
    assert (made.move, made.reason) == (
        Move.GO_HOME,
        "the plan's deadline came without a clear verdict: there were steps to go",
    )


def test_no_server_until_the_deadline_goes_home_and_says_so() -> None:
    made = decided(0, DOUBT, 3 * DAY, gathered=replace(WARM, replicas=0, warm=0))
    assert made.reason.endswith("no server of this use case is running")


# All of it


def test_every_combination_does_what_the_laws_say() -> None:
    """Bad news at once; nothing forward without good news, its hold and warm servers; nothing past the deadline."""
    hours = [timedelta(hours=n) for n in (0, 23, 24, 47, 48, 71, 72, 239, 240, 999)]
    outcomes = list(Outcome)
    servers = [(0, 0), (2, 0), (2, 1), (2, 2)]
    seen = set()
    for step, after, pair, (replicas, warm) in itertools.product(
        range(3), hours, itertools.product(outcomes, outcomes), servers
    ):
        told = verdict(*pair)
        made = decided(step, told, after, gathered=replace(WARM, replicas=replicas, warm=warm))
        seen.add(made.move)
        good = told.outcome is Outcome.PASS and after >= CANARY.steps[step].hold and warm == replicas > 0
        late = after >= timedelta(days=10) or (step == 0 and after >= 3 * DAY)
        if Outcome.FAIL in pair:
            assert made.move is Move.ROLL_BACK
        elif good and step == 2:
            assert made.move is Move.PROMOTE
        elif good and after < timedelta(days=10):
            assert made.move is Move.ADVANCE
        else:
            assert made.move is (Move.GO_HOME if late else Move.HOLD)
    assert seen == {Move.ROLL_BACK, Move.PROMOTE, Move.ADVANCE, Move.GO_HOME, Move.HOLD}


def test_the_words_of_a_hold_stay_the_same_while_it_waits_for_the_same() -> None:
    waits = [decided(0, DOUBT, timedelta(hours=n), gathered=replace(WARM, requests=n)).reason for n in (1, 2, 23)]
    assert waits == ["step 1 waits for its hold, errors1"] * 3
    assert decided(0, DOUBT, 2 * DAY).reason == "step 1 waits for errors1"
    assert decided(0, GOOD, timedelta(hours=1)).reason == "step 1 waits for its hold"


def test_a_rollout_that_has_ended_goes_nowhere() -> None:
    with pytest.raises(ValueError, match="it is promoted"):
        advance(replace(rollout(2), phase=Phase.PROMOTED), CANARY, GOOD, WARM, START)


# Before the first step


def test_the_first_step_begins_once_every_server_is_warm() -> None:
    made = begin(rollout(), CANARY, WARM, START + timedelta(hours=1))
    assert (made.move, made.step) == (Move.ADVANCE, BEFORE)
    after = moved(rollout(), made)
    assert (after.step, after.entered_at) == (0, START + timedelta(hours=1))


@pytest.mark.parametrize(("replicas", "warm"), [(0, 0), (3, 0), (3, 2)])
def test_it_does_not_begin_before(replicas: int, warm: int) -> None:
    cold = replace(WARM, replicas=replicas, warm=warm)
    assert begin(rollout(), CANARY, cold, START).move is Move.HOLD
    assert begin(rollout(), CANARY, cold, START + timedelta(days=10)).move is Move.GO_HOME


def test_it_does_not_begin_after_the_deadline() -> None:
    assert begin(rollout(), CANARY, WARM, START + timedelta(days=10)).move is Move.GO_HOME


# What is live then


@pytest.mark.parametrize("move", list(PHASES))
def test_a_decision_that_ends_a_rollout_leaves_it_in_its_phase(move: Move) -> None:
    decision = Decision("r1", START, 1, move, "Because.", "policy")
    assert moved(rollout(1), decision).phase is PHASES[move]


def arms(split: Split) -> list[tuple[str, float, bool, bool]]:
    return [(arm.version, arm.share, arm.listens, arm.standby) for arm in split.arms]


def test_at_its_start_the_challenger_stands_by_beside_who_did() -> None:
    made = split_before(STANDING, rollout(), BOUND)
    assert arms(made) == [
        ("1.0.0", 1.0, False, False),
        ("1.1.0", 0.0, False, True),
        ("0.9.0", 0.0, False, True),
    ]
    assert (made.number, made.salt, made.rollout, made.configuration) == (5, "r1", "r1", "live")
    assert not begun(rollout(), made)
    assert taken_away(rollout(), made) is None
    assert begun(rollout(), split_after(made, rollout(), CANARY, BOUND))


def test_each_step_has_its_arms_and_binds_what_answers_most() -> None:
    split = split_before(STANDING, rollout(), BOUND)
    told = []
    for step in range(3):
        split = split_after(split, rollout(step), CANARY, BOUND)
        told.append((split.number, split.feature_service, split.dataset_head, arms(split)[:2]))
    assert told == [
        (6, "shop_v1", "ds_old", [("1.0.0", 0.95, False, False), ("1.1.0", 0.05, False, False)]),
        (7, "shop_v1", "ds_old", [("1.0.0", 0.5, False, False), ("1.1.0", 0.5, False, False)]),
        (8, "shop_v2", "ds_new", [("1.0.0", 0.0, True, False), ("1.1.0", 1.0, False, False)]),
    ]
    assert split_after(split, rollout(2), CANARY, BOUND) is split


def test_raising_the_share_moves_no_entity_back() -> None:
    split, before = split_before(STANDING, rollout(), BOUND), set[str]()
    for step in range(3):
        split = split_after(split, rollout(step), CANARY, BOUND)
        given = {unit for unit in map(str, range(2000)) if Assigner(split).of(unit, now=START).version == "1.1.0"}
        assert before <= given
        before = given
    assert len(before) == 2000


def test_another_rollout_draws_anew() -> None:
    first, second = (
        split_after(split_before(STANDING, made, BOUND), made, CANARY, BOUND)
        for made in (rollout(1), replace(rollout(1), id="r2"))
    )
    both = [
        {unit for unit in map(str, range(4000)) if Assigner(split).of(unit, now=START).version == "1.1.0"}
        for split in (first, second)
    ]
    assert abs(len(both[0] & both[1]) - 1000) < 150


def test_promoted_the_challenger_answers_and_the_champion_before_it_alone_stands_by() -> None:
    running = split_after(split_before(STANDING, rollout(), BOUND), rollout(2), CANARY, BOUND)
    made = split_after(running, replace(rollout(2), phase=Phase.PROMOTED), CANARY, BOUND)
    assert arms(made) == [("1.1.0", 1.0, False, False), ("1.0.0", 0.0, False, True)]
    assert (made.feature_service, made.dataset_head, made.rollout) == ("shop_v2", "ds_new", None)


@pytest.mark.parametrize("phase", [Phase.ROLLED_BACK, Phase.WENT_HOME, Phase.FROZEN])
@pytest.mark.parametrize("step", [0, 1, 2])
def test_ended_otherwise_all_is_as_it_was_before(phase: Phase, step: int) -> None:
    running = split_after(split_before(STANDING, rollout(), BOUND), rollout(step), CANARY, BOUND)
    made = split_after(running, replace(rollout(step), phase=phase), CANARY, BOUND)
    assert replace(made, number=4, salt="shop") == STANDING


def test_pins_to_what_leaves_go_and_others_stay() -> None:
    pins = (Pin("1.1.0", "Ask.", entity="ada"), Pin("1.0.0", "Ask.", entity="bob"))
    running = replace(split_after(split_before(STANDING, rollout(), BOUND), rollout(), CANARY, BOUND), pins=pins)
    home = split_after(running, replace(rollout(), phase=Phase.WENT_HOME), CANARY, BOUND)
    assert home.pins == (pins[1],)
    promoted = split_after(running, replace(rollout(), phase=Phase.PROMOTED), CANARY, BOUND)
    assert promoted.pins == pins


def test_a_split_that_leaves_the_rollout_out_has_taken_it_away() -> None:
    assert taken_away(rollout(), replace(STANDING, number=9)) == "split 9 took its traffic away"
    alone = replace(STANDING, rollout="r1")
    assert taken_away(rollout(), alone) == "split 4 took its traffic away"


BANDIT = Plan(kind="bandit", deadline=timedelta(days=10))
BETTER = replace(WARM, by_mean={"log_loss": Compared(Moments(1000, -1000.0, 2000.0), 100, 100)})
HOUR = timedelta(hours=1)


def test_a_bandit_that_would_hold_moves_its_shares_and_keeps_what_it_gave() -> None:
    made = decided(0, DOUBT, HOUR, BANDIT, BETTER)
    assert (made.move, made.share) == (Move.REALLOCATE, 0.8)
    assert made.reason == "the bandit gives the challenger 0.8 of the traffic, after 0.5"
    after = moved(rollout(), made)
    assert after.allocation == Allocation(0.8, 1, START + HOUR)
    assert (after.step, after.phase, after.entered_at) == (0, Phase.RUNNING, START)
    assert [arm.share for arm in split_after(STANDING, after, BANDIT, BOUND).arms[:2]] == [pytest.approx(0.2), 0.8]


def test_a_bandit_moves_at_most_hourly_and_only_by_what_was_learned() -> None:
    after = moved(rollout(), decided(0, DOUBT, HOUR, BANDIT, BETTER))
    again = advance(after, BANDIT, DOUBT, BETTER, START + 2 * HOUR)
    assert again.move is Move.HOLD, "it is there already"
    worse = replace(WARM, by_mean={"log_loss": Compared(Moments(1000, 1000.0, 2000.0), 100, 100)})
    assert advance(after, BANDIT, DOUBT, worse, START + 1.9 * HOUR).move is Move.HOLD
    back = advance(after, BANDIT, DOUBT, worse, START + 2 * HOUR)
    assert (back.move, back.share) == (Move.REALLOCATE, 0.2)
    assert moved(after, back).allocation == Allocation(0.2, 2, START + 2 * HOUR)


@pytest.mark.parametrize(
    ("step", "seen", "plan", "gathered", "move"),
    [
        (0, BAD, BANDIT, BETTER, Move.ROLL_BACK),
        (0, DOUBT, BANDIT, WARM, Move.HOLD),
        (0, DOUBT, BANDIT, replace(BETTER, warm=1), Move.HOLD),
        (1, DOUBT, BANDIT, BETTER, Move.HOLD),
        (1, DOUBT, CANARY, BETTER, Move.HOLD),
    ],
    ids=["harm", "nothing known", "a cold server", "the winner is chosen", "no bandit"],
)
def test_shares_move_only_while_a_bandit_chooses_and_nothing_is_wrong(
    step: int, seen: Verdict, plan: Plan, gathered: Gathered, move: Move
) -> None:
    assert decided(step, seen, 2 * HOUR, plan, gathered).move is move


def test_the_next_step_of_a_bandit_forgets_its_shares() -> None:
    after = moved(rollout(), decided(0, DOUBT, HOUR, BANDIT, BETTER))
    chosen = advance(after, BANDIT, GOOD, BETTER, START + 2 * DAY)
    assert chosen.move is Move.ADVANCE
    assert moved(after, chosen).allocation is None
