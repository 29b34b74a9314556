"""What a judge of rollouts says of evidence, for which reason, and that it says the same when it is asked again."""

import json
import math
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mainstay.digests import canonical_json
from mainstay.gathered import Compared, Epoch, Gathered, Moments
from mainstay.measures.counts import unbalanced
from mainstay.nouns import Estimate, Rollout, Valid
from mainstay.records import decode, encode
from mainstay.registry.manifest import Against
from mainstay.rollout.guardrails import BUDGET, Level, interval
from mainstay.rollout.judge import broken, harms, judge, no_data, sample_ratio
from mainstay.rollout.judge import tests_of as sequential_tests
from mainstay.usecase import Label, Margins, Plan, Profit, Step
from mainstay.verdicts import Check, Need, Outcome, Verdict

DAY = timedelta(days=1)
START = datetime(2026, 3, 1, tzinfo=UTC)
NOW = START + DAY
LABEL = Label(column="left", positive="Yes", horizon=30 * DAY, grace=3 * DAY, absent_means="No")
CANARY = Plan(kind="canary")
NO_HARM = Step(share=0.5, hold=DAY, at_least=100, needs="no_harm")
PROVEN = NO_HARM.model_copy(update={"needs": "non_inferior"})
BETTER = NO_HARM.model_copy(update={"needs": "better"})
ROLLOUT = Rollout("r1", "1.0.0", "1.1.0", "c" * 64, 0, START, START, START + 60 * DAY)


def around(value: float, half: float) -> Estimate:
    return Estimate(value, value - half, value + half, 1400)


UNKNOWN = Estimate(math.nan, math.nan, math.nan, 0)
AGAINST = Against("1.0.0", around(0.05, 0.01), around(0.01, 0.002), around(0.03, 0.003))


def compared(mean: float, deviation: float, rows: int = 20_000, events: int = 500) -> Compared:
    squares = deviation**2 * (rows - 1) + rows * mean**2
    return Compared(Moments(rows, rows * mean, squares), events, events, rows // 2)


def quiet(**changed: object) -> Gathered:
    """Evidence of two arms that are as good: nothing is amiss. Means that are given are put among the others."""
    by_mean = {
        "errors": compared(0.0, 0.2, events=100),
        "slow": compared(0.001, 0.45),
        "missing": compared(0.0, 0.14, events=50),
        "shift": compared(0.01, 0.3),
        "log_loss": compared(-0.03, 0.3),
    }
    means = changed.pop("by_mean", {})
    assert isinstance(means, dict)
    found = Gathered(
        NOW,
        seq=7,
        replicas=2,
        warm=2,
        requests=10_000,
        step_requests=10_000,
        exposed=(Epoch(10_000, 10_000, 0.5),),
        errors=(Epoch(100, 101, 0.5),),
        missing=(Epoch(50, 52, 0.5),),
        by_mean={name: found for name, found in (by_mean | means).items() if found is not None},
        labels=20_000,
        complete_through=NOW,
        slow_over_us=800.0,
        newest=NOW - timedelta(minutes=2),
    )
    return replace(found, **changed)  # type: ignore[arg-type]


def told(found: Gathered, step: Step = NO_HARM, plan: Plan = CANARY, against: Against | None = AGAINST) -> Verdict:
    return judge(ROLLOUT, plan, step, against, found, label=LABEL)


def named(verdict: Verdict, name: str) -> Check:
    return next(made for made in verdict.checks if made.name == name)


def test_no_harm_is_met_by_quiet_guardrails_and_non_inferior_by_proof() -> None:
    assert told(quiet()).outcome is Outcome.PASS
    assert told(quiet(), PROVEN).outcome is Outcome.PASS
    unproven = quiet(by_mean={"slow": compared(0.015, 0.45)})
    assert told(unproven).outcome is Outcome.PASS
    assert told(unproven, PROVEN).outcome is Outcome.INCONCLUSIVE


def test_checks_come_in_the_order_of_what_makes_the_next_one_meaningful() -> None:
    expected = ["health", "sample_ratio", "exposure", "errors", "slow", "missing", "shift"]
    expected += ["disagreement", "flipped", "log_loss"]
    assert [made.name for made in told(quiet()).checks] == expected
    proving = [made.name for made in told(quiet(), PROVEN).checks]
    assert [name for name in proving if name not in expected] == ["errors_difference", "missing_difference"]


def test_the_budget_is_one_alpha_of_which_errors_get_two_fifths() -> None:
    assert math.fsum(BUDGET.values()) == pytest.approx(1)
    assert BUDGET["errors"] * CANARY.alpha == pytest.approx(0.02)
    verdict = told(quiet())
    assert "of 50)" in named(verdict, "errors").reason
    assert "of 200)" in named(verdict, "missing").reason


HARM = {
    "errors": quiet(errors=(Epoch(60, 10, 0.5),)),
    "slow": quiet(by_mean={"slow": compared(0.2, 0.5)}),
    "missing": quiet(missing=(Epoch(60, 5, 0.5),)),
    "shift": quiet(by_mean={"shift": compared(0.2, 0.3)}),
    "disagreement": quiet(by_mean={"disagreement": compared(0.2, 0.1)}),
    "flipped": quiet(by_mean={"flipped": compared(0.2, 0.4)}),
    "log_loss": quiet(by_mean={"log_loss": compared(0.3, 0.5)}),
    "log_loss_paired": quiet(by_mean={"log_loss_paired": compared(0.2, 0.4)}),
}


@pytest.mark.parametrize("name", HARM)
@pytest.mark.parametrize("step", [NO_HARM, PROVEN, BETTER], ids=["no_harm", "non_inferior", "better"])
def test_harm_of_each_kind_fails_the_verdict_and_says_what_it_was(name: str, step: Step) -> None:
    verdict = told(HARM[name], step)
    assert verdict.outcome is Outcome.FAIL
    assert [made.name for made in harms(verdict)] == [name]
    assert name in verdict.reason


def test_a_mean_score_that_moved_down_is_as_suspect_as_one_that_moved_up() -> None:
    assert [made.name for made in harms(told(quiet(by_mean={"shift": compared(-0.2, 0.3)})))] == ["shift"]


def test_nothing_is_judged_by_a_broken_assignment() -> None:
    verdict = told(quiet(exposed=(Epoch(12_000, 8_000, 0.5),), errors=(Epoch(600, 10, 0.5),)))
    assert verdict.outcome is Outcome.FAIL
    assert harms(verdict) == ()
    crossed = broken(verdict)
    assert crossed is not None
    assert "12,000 were given the challenger" in crossed.reason
    assert verdict.checks[-1] is crossed
    assert broken(told(quiet())) is None


def test_where_one_arm_answers_everything_the_sample_ratio_does_not_apply_and_says_so() -> None:
    verdict = told(quiet(exposed=()), NO_HARM.model_copy(update={"share": 1}))
    made = named(verdict, "sample_ratio")
    assert not made.blocking
    assert "does not apply" in made.reason
    assert verdict.outcome is Outcome.PASS


def test_no_data_is_told_apart_from_too_little_and_from_quiet() -> None:
    none = told(Gathered(NOW, 7, replicas=2, warm=2))
    few = told(quiet(step_requests=99))
    assert [no_data(each) for each in (none, few, told(quiet()))] == [True, False, False]
    assert none.outcome is few.outcome is Outcome.INCONCLUSIVE
    assert harms(none) == ()
    assert "99 requests of the 100" in named(few, "exposure").reason
    assert named(few, "exposure").rows_needed == 100
    assert named(told(quiet(step_requests=0, shed=12)), "exposure").reason.endswith("12 were let go unheard")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"replicas": 0, "warm": 0}, "no serving process is live"),
        ({"warm": 1}, "1 of 2 replicas do not hold both arms warm"),
        ({"newest": NOW - DAY}, "the newest prediction is of 2026-03-01"),
    ],
)
def test_what_is_not_healthy_waits_but_hides_no_harm(changed: dict[str, object], said: str) -> None:
    verdict = told(quiet(**changed))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert said in verdict.reason
    assert told(quiet(**changed, errors=(Epoch(60, 10, 0.5),))).outcome is Outcome.FAIL


@pytest.mark.parametrize("name", ["slow", "shift"])
def test_evidence_that_is_missing_is_not_quiet(name: str) -> None:
    verdict = told(quiet(by_mean={name: None}))
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "no evidence yet" in verdict.reason
    assert "too seldom timed" in named(told(quiet(by_mean={"slow": None}, slow_over_us=None)), "slow").reason


def test_a_bound_does_not_act_before_ten_events_in_each_arm() -> None:
    few = replace(HARM["shift"].by_mean["shift"], champion=9)
    made = named(told(quiet(by_mean={"shift": few})), "shift")
    assert made.outcome is Outcome.QUIET
    assert "9 events in one arm of the 10 needed" in made.reason
    assert named(told(quiet(by_mean={"shift": few}), PROVEN), "shift").outcome is Outcome.INCONCLUSIVE


def test_rates_too_rare_for_events_are_proven_by_the_challengers_own() -> None:
    none = Compared(Moments(20_000, 0.0, 0.0), 0, 0, 10_000)
    made = named(told(quiet(by_mean={"errors": none}, errors=()), PROVEN), "errors_difference")
    assert made.outcome is Outcome.PASS
    assert made.estimate is not None
    assert 0 < made.estimate.high < 0.002
    unheard = replace(none, units=0)
    assert named(told(quiet(by_mean={"errors": unheard}), PROVEN), "errors_difference").outcome is Outcome.INCONCLUSIVE


def test_two_arms_that_score_alike_to_the_last_bit_are_proven_alike() -> None:
    alike = Compared(Moments(2_000, 0.0, 0.0), 2_000, 2_000, 2_000)
    verdict = told(
        quiet(exposed=(), by_mean={"shift": alike, "disagreement": alike, "flipped": alike, "log_loss_paired": alike}),
        PROVEN,
    )
    assert verdict.outcome is Outcome.INCONCLUSIVE  # of losses of up to ln 99 apart, 2,000 that are equal prove little
    assert named(verdict, "disagreement").outcome is Outcome.PASS
    assert named(verdict, "shift").outcome is Outcome.PASS


def test_errors_that_differ_by_more_than_the_margin_are_harm_by_their_count_alone() -> None:
    verdict = told(quiet(by_mean={"errors": compared(0.05, 0.2)}), PROVEN)
    assert named(verdict, "errors_difference").outcome is Outcome.INCONCLUSIVE
    assert harms(verdict) == ()


@pytest.mark.parametrize(
    ("against", "said"),
    [
        (None, "compared this version with none"),
        (replace(AGAINST, champion="0.9.0"), "compared with 0.9.0, not with 1.0.0"),
        (replace(AGAINST, score_shift=UNKNOWN, disagreement=UNKNOWN), "is not a number"),
    ],
)
def test_scores_are_held_only_to_what_the_gate_measured_against_this_champion(
    against: Against | None, said: str
) -> None:
    apart = {name: HARM[name].by_mean[name] for name in ("shift", "disagreement")}
    verdict = told(quiet(by_mean=apart), against=against)
    made = named(verdict, "shift")
    assert not made.blocking
    assert said in made.reason
    assert verdict.outcome is Outcome.PASS


def test_labels_do_not_hold_up_a_step_that_needs_no_harm() -> None:
    verdict = told(quiet(by_mean={"log_loss": None}, labels=0))
    assert verdict.outcome is Outcome.PASS
    assert not named(verdict, "log_loss").blocking
    assert told(quiet(by_mean={"log_loss": None}, labels=0), PROVEN).outcome is Outcome.INCONCLUSIVE


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"contradicted": 0.06}, "6.0% of the labels were told otherwise later"),
        ({"complete_through": None}, "no feed of labels says"),
        ({"complete_through": NOW - 35 * DAY}, "it is dead"),
    ],
)
def test_labels_that_cannot_be_believed_are_neither_harm_nor_proof(changed: dict[str, object], said: str) -> None:
    for mean in (-0.3, 0.3):
        found = quiet(by_mean={"log_loss": compared(mean, 0.5)}, **changed)
        verdict = told(found, PROVEN)
        assert verdict.outcome is Outcome.INCONCLUSIVE
        assert said in verdict.reason
        assert harms(told(found)) == ()


def test_a_feed_need_not_speak_where_silence_means_nothing() -> None:
    unknown = LABEL.model_copy(update={"absent_means": "unknown"})
    verdict = judge(ROLLOUT, CANARY, PROVEN, AGAINST, quiet(complete_through=None), label=unknown)
    assert verdict.outcome is Outcome.PASS


def test_a_winner_must_be_better_not_merely_no_worse() -> None:
    ab = Plan(kind="ab")
    equal = quiet(by_mean={"log_loss": compared(0.0, 0.3)})
    assert named(told(equal, PROVEN, ab), "log_loss").outcome is Outcome.PASS
    made = named(told(equal, BETTER, ab), "log_loss")
    assert made.outcome is Outcome.INCONCLUSIVE
    assert "not proven better" in made.reason
    assert told(quiet(), BETTER, ab).outcome is Outcome.PASS


def test_a_plan_for_a_winner_does_not_choose_without_labels() -> None:
    steps = (NO_HARM.model_copy(update={"share": 0.1}), NO_HARM, Step(share=1, hold=DAY, needs="no_harm"))
    ab = Plan(kind="ab", steps=steps)
    unlabelled = quiet(by_mean={"log_loss": None}, labels=0)
    outcomes = [told(unlabelled, step, ab).outcome for step in steps]
    assert outcomes == [Outcome.PASS, Outcome.INCONCLUSIVE, Outcome.PASS]


def test_paired_labels_are_judged_where_there_are_any() -> None:
    verdict = told(quiet(by_mean={"log_loss_paired": compared(-0.02, 0.2), "log_loss": compared(0.3, 0.5)}), BETTER)
    assert verdict.checks[-1].name == "log_loss_paired"
    assert verdict.outcome is Outcome.PASS


def test_profit_is_judged_where_the_plan_has_a_margin_for_it() -> None:
    plan = Plan(kind="ab", margins=Margins(profit=0.5))
    found = quiet(by_mean={"profit": compared(3.0, 20.0), "log_loss_paired": compared(-0.2, 0.2)})
    offer = Profit(offer_cost=20, value_saved=400, save_rate=0.3)
    verdict = judge(ROLLOUT, plan, BETTER, AGAINST, found, label=LABEL, profit=offer)
    assert [made.name for made in harms(verdict)] == ["profit"]
    assert judge(ROLLOUT, plan, BETTER, AGAINST, found, label=LABEL).checks[-1].name == "log_loss_paired"


@pytest.mark.parametrize("step", [NO_HARM, PROVEN, BETTER], ids=["no_harm", "non_inferior", "better"])
@pytest.mark.parametrize("found", [quiet(), *HARM.values(), Gathered(NOW, 0), Gathered(START, 0, 1, 1)])
def test_what_was_written_down_is_judged_again_the_same(found: Gathered, step: Step) -> None:
    verdict = told(found, step)
    written = json.loads(canonical_json(encode(found)))
    again = told(decode(Gathered, written, 1), step)
    assert again == verdict
    kept = decode(Verdict, json.loads(canonical_json(encode(verdict))), 1)
    assert kept == verdict  # so no bound is infinite or NaN: neither could be kept
    for made in verdict.checks:
        assert made.estimate is None or made.estimate.valid is Valid.ANY_TIME
        assert made.reason


def test_the_verdict_names_the_rollout_its_window_and_its_policy() -> None:
    verdict = told(quiet())
    assert verdict.subject == "r1"
    assert verdict.policy == "c" * 64
    assert verdict.window is not None
    assert (verdict.window.start, verdict.window.end) == (START, NOW)
    assert told(quiet(until=START)).window is None
    assert set(sequential_tests(verdict)) == {"sample_ratio", "errors", "missing"}
    assert sequential_tests(verdict)["errors"].state == {"challenger": 100.0, "champion": 101.0, "epochs": 1.0}
    assert all(made.needs is Need.QUIET for made in verdict.checks if made.evidence is not None)


def test_a_split_that_nobody_was_asked_under_yet_is_not_said_to_be_listened_to() -> None:
    made = sample_ratio(Step(share=0.5, hold=timedelta(0)), Gathered(NOW, 1))
    assert (made.outcome, made.blocking) == (Outcome.INCONCLUSIVE, False)
    assert made.reason == "sample ratio has no evidence yet: no entity was given either arm"


@pytest.mark.parametrize(
    ("name", "level"),
    [("slow", 0.9425), ("shift", 0.995), ("disagreement", 0.94875), ("log_loss", 0.97), ("log_loss_paired", 0.97)],
)
def test_each_bound_is_as_sure_as_its_share_of_alpha_and_what_it_proves(name: str, level: float) -> None:
    found = quiet(by_mean={name: compared(0.0, 0.1)})
    made = named(told(found, PROVEN), name).estimate
    assert made is not None
    assert made.level == pytest.approx(level)


def test_the_sample_ratio_freezes_at_an_e_value_of_a_thousand_and_not_before() -> None:
    said = [broken(told(quiet(exposed=(Epoch(each, 10_000, 0.5),)))) is not None for each in range(10_000, 11_500, 10)]
    first = said.index(True)
    values = [unbalanced((Epoch(10_000 + 10 * place, 10_000, 0.5),)) for place in (first - 1, first)]
    assert values[0] < math.log(1000) <= values[1]


def test_what_the_champion_never_is_shows_harm_too_where_the_challenger_often_is() -> None:
    often = Compared(Moments(400, 200.0, 400.0), challenger=100, champion=0, units=200)
    seldom = Compared(Moments(400, 20.0, 40.0), challenger=10, champion=0, units=200)
    level = Level(0.0075, 0.05, rate=True)
    low = [found.low for each in (often, seldom) if (found := interval(each, level)) is not None]
    assert low[0] > 0.25
    assert low[1] < 0.02
    assert interval(Compared(Moments(50, 25.0, 50.0), 25, 0, 25), level).low == -1.0  # type: ignore[union-attr]
