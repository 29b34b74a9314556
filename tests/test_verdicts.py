import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mainstay.errors import Refused
from mainstay.nouns import Estimate, Evidence, Valid, Window
from mainstay.records import decode, encode
from mainstay.verdicts import Check, Limit, Need, Outcome, Verdict, alarm, check, outcome_of

PASS, QUIET, INCONCLUSIVE, FAIL = Outcome


def estimate(low: float, high: float, rows: int = 1000, valid: Valid = Valid.ONE_LOOK) -> Estimate:
    return Estimate((low + high) / 2, low, high, rows, valid=valid)


def asked(outcome: Outcome, blocking: bool = True, needs: Need = Need.PASS) -> Check:
    return Check("c", outcome, f"it was {outcome}", needs=needs, blocking=blocking)


# An interval against a limit


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (0.81, 0.85, PASS),
        (0.80, 0.85, PASS),  # the limit is closed
        (0.80, 0.80, PASS),
        (0.75, 0.85, INCONCLUSIVE),
        (0.75, 0.80, INCONCLUSIVE),
        (0.70, 0.79, FAIL),
    ],
)
def test_a_floor_is_passed_by_the_whole_interval(low: float, high: float, outcome: Outcome) -> None:
    assert check("accuracy", estimate(low, high), Limit(at_least=0.8)).outcome is outcome


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [(0.1, 0.2, PASS), (0.1, 0.3, PASS), (0.2, 0.4, INCONCLUSIVE), (0.31, 0.4, FAIL)],
)
def test_a_ceiling_is_passed_by_the_whole_interval(low: float, high: float, outcome: Outcome) -> None:
    assert check("gap", estimate(low, high), Limit(at_most=0.3)).outcome is outcome


@pytest.mark.parametrize(
    ("low", "high", "outcome"),
    [
        (-0.05, 0.05, PASS),
        (-0.2, 0.2, INCONCLUSIVE),  # wider than the limit on both sides
        (0.05, 0.2, INCONCLUSIVE),
        (-0.3, -0.2, FAIL),
        (0.2, 0.3, FAIL),
    ],
)
def test_a_limit_may_have_two_sides(low: float, high: float, outcome: Outcome) -> None:
    assert check("gap", estimate(low, high), Limit(-0.1, 0.1)).outcome is outcome


def test_missing_evidence_passes_nothing() -> None:
    made = check("recall", None, Limit(at_least=0))
    assert (made.outcome, made.reason, made.met) == (INCONCLUSIVE, "recall could not be measured", False)


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("where", [0, 1, 2])
def test_what_is_not_a_number_passes_nothing(number: float, where: int) -> None:
    value, low, high = (number if place == where else 0.9 for place in range(3))
    made = check("recall", Estimate(value, low, high, 1000), Limit(at_least=0.5))
    assert (made.outcome, made.reason) == (INCONCLUSIVE, "recall is not a number")


def test_an_interval_upside_down_passes_nothing() -> None:
    made = check("recall", Estimate(0.5, 0.9, 0.1, 1000), Limit(at_least=0.5))
    assert made.outcome is INCONCLUSIVE
    assert "ends before it starts" in made.reason


def test_too_few_rows_pass_nothing_and_say_how_many_would() -> None:
    made = check("recall", estimate(0.9, 0.95, rows=40), Limit(at_least=0.5, rows=100))
    assert (made.outcome, made.rows_needed) == (INCONCLUSIVE, 100)
    assert made.reason == "recall rests on 40 rows of the 100 needed"


def test_without_rows_nothing_passes() -> None:
    assert check("recall", estimate(0.9, 0.95, rows=0), Limit(at_least=0.5)).outcome is INCONCLUSIVE


def test_a_reason_says_the_number_its_interval_and_the_limit() -> None:
    made = check("recall", estimate(0.7, 0.8), Limit(at_least=0.9), subject="gender=Female")
    assert made.reason == "recall of gender=Female is 0.75 (0.7 to 0.8), and must be at least 0.9"
    assert check("rows", estimate(7, 7), Limit(at_most=9)).reason == "rows is 7, and must be at most 9"
    assert check("gap", estimate(0, 0), Limit(-1, 1)).reason == "gap is 0, and must be between -1 and 1"


def test_a_straddling_interval_says_how_many_rows_would_tell() -> None:
    # The floor is .01 from the value and the interval reaches .05: 25 times the rows bring it to .01.
    made = check("recall", Estimate(0.81, 0.76, 0.86, 1000), Limit(at_least=0.8))
    assert made.rows_needed == pytest.approx(25_000, abs=1)
    assert "too close to tell on 1,000 rows; about 25,00" in made.reason


def test_exactly_at_the_limit_no_number_of_rows_would_tell() -> None:
    for bound in (0.8, math.nextafter(0.8, 0)):
        made = check("recall", Estimate(0.8, 0.75, 0.85, 1000), Limit(at_least=bound))
        assert (made.outcome, made.rows_needed) == (INCONCLUSIVE, None)
        assert made.reason.endswith("too close to tell on 1,000 rows")
    assert check("gap", Estimate(0, -1, 1, 1000), Limit(at_least=1e-300)).rows_needed is None


def test_an_interval_valid_at_one_look_never_judges_what_is_looked_at_again() -> None:
    with pytest.raises(Refused, match="recall: an interval valid at one look"):
        check("recall", estimate(0.9, 0.95), Limit(at_least=0.5), looked_at_again=True)
    anytime = estimate(0.9, 0.95, valid=Valid.ANY_TIME)
    assert check("recall", anytime, Limit(at_least=0.5), looked_at_again=True).outcome is PASS
    assert check("recall", None, Limit(at_least=0.5), looked_at_again=True).outcome is INCONCLUSIVE


@pytest.mark.parametrize(("low", "high", "said"), [(None, None, "needs at_least or at_most"), (2, 1, "2 is above")])
def test_a_limit_that_is_none_cannot_be(low: float | None, high: float | None, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        Limit(low, high)


numbers = st.floats(-10, 10)


@given(numbers, numbers, numbers, numbers, st.integers(0, 10_000))
def test_more_doubt_never_turns_a_failure_into_a_pass(a: float, b: float, c: float, d: float, rows: int) -> None:
    low, high = sorted((a, b))
    limit = Limit(min(c, d), max(c, d))
    narrow = check("x", estimate(low, high, rows), limit).outcome
    wide = check("x", estimate(low - 1, high + 1, rows), limit).outcome
    assert wide in (narrow, INCONCLUSIVE)


# An alarm against its bar


def evidence(log_value: float, rows: int = 500, rows_needed: int = 100) -> Evidence:
    return Evidence(log_value, rows, rows_needed)


def test_an_alarm_that_has_not_crossed_is_quiet_and_no_pass() -> None:
    made = alarm("errors", evidence(1.0), bar=20)
    assert (made.outcome, made.needs, made.met) == (QUIET, Need.QUIET, True)
    assert made.reason == "errors is quiet (e-value 2.72 of 20) after 500 units"


@pytest.mark.parametrize("log_value", [math.log(20), 50.0, 1e6, math.inf])
def test_an_alarm_that_crossed_has_failed(log_value: float) -> None:
    made = alarm("errors", evidence(log_value), bar=20, subject="1.4.0")
    assert (made.outcome, made.met) == (FAIL, False)
    assert made.reason.startswith("errors of 1.4.0 crossed (e-value ")


def test_bad_news_does_not_wait_for_the_exposure() -> None:
    assert alarm("errors", evidence(10, rows=3), bar=20).outcome is FAIL


def test_before_its_exposure_an_alarm_is_not_quiet() -> None:
    made = alarm("errors", evidence(0, rows=99), bar=20)
    assert (made.outcome, made.rows_needed) == (INCONCLUSIVE, 100)
    assert made.reason == "errors has seen 99 units of the 100 it needs"
    assert alarm("errors", evidence(0, rows=0, rows_needed=0), bar=20).outcome is INCONCLUSIVE


def test_an_alarm_without_evidence_is_not_quiet() -> None:
    assert alarm("errors", None, bar=20).outcome is INCONCLUSIVE
    assert alarm("errors", evidence(math.nan), bar=20).outcome is INCONCLUSIVE


def test_evidence_against_harm_is_quiet() -> None:
    assert alarm("errors", evidence(-math.inf), bar=20).outcome is QUIET


def test_an_alarm_that_would_need_a_pass_is_refused() -> None:
    with pytest.raises(Refused, match="errors: an alarm can be quiet, never pass"):
        alarm("errors", evidence(0), bar=20, needs=Need.PASS)


@pytest.mark.parametrize("bar", [1, 0, -1, math.nan])
def test_a_bar_that_is_no_bar_is_refused(bar: float) -> None:
    with pytest.raises(Refused, match="errors: a bar is an e-value above 1"):
        alarm("errors", evidence(0), bar=bar)


# Many checks


@pytest.mark.parametrize(
    ("checks", "outcome"),
    [
        ([], INCONCLUSIVE),
        ([asked(PASS)], PASS),
        ([asked(PASS), asked(PASS)], PASS),
        ([asked(PASS), asked(FAIL)], FAIL),
        ([asked(INCONCLUSIVE), asked(FAIL)], FAIL),
        ([asked(PASS), asked(INCONCLUSIVE)], INCONCLUSIVE),
        ([asked(QUIET)], INCONCLUSIVE),
        ([asked(QUIET, needs=Need.QUIET)], PASS),
        ([asked(QUIET, needs=Need.QUIET), asked(PASS)], PASS),
        ([asked(PASS, needs=Need.QUIET)], PASS),
        ([asked(PASS, blocking=False)], INCONCLUSIVE),
        ([asked(FAIL, blocking=False)], INCONCLUSIVE),
        ([asked(PASS), asked(FAIL, blocking=False)], PASS),
    ],
)
def test_a_verdict_is_what_its_blocking_checks_make_it(checks: list[Check], outcome: Outcome) -> None:
    assert outcome_of(checks) is outcome
    assert Verdict("v", tuple(checks)).outcome is outcome


def test_a_verdict_says_why() -> None:
    assert Verdict("v", ()).reason == "nothing was checked"
    assert Verdict("v", (asked(PASS), asked(PASS))).reason == "all 2 blocking checks reached what they need"
    assert Verdict("v", (asked(PASS), asked(INCONCLUSIVE))).reason == "it was INCONCLUSIVE"
    assert Verdict("v", (asked(INCONCLUSIVE), asked(FAIL), asked(FAIL, blocking=False))).reason == "it was FAIL"


def test_a_verdict_is_written_with_its_outcome_and_read_without_believing_it() -> None:
    window = Window(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 2, tzinfo=UTC))
    made = Verdict("v", (check("recall", estimate(0.7, 0.8), Limit(at_least=0.9)),), window)
    body = encode(made)
    assert body["outcome"] == "FAIL"
    assert decode(Verdict, {**body, "outcome": "PASS"}) == made
