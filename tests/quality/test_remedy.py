"""What would have to change for a check to pass."""

import math
from dataclasses import replace

import pytest

from mainstay.nouns import Estimate
from mainstay.quality.remedy import TO_PASS, limit_for, to_pass, told_remedy
from mainstay.verdicts import Check, Limit, Need, Outcome, Verdict, check

FOUND = Estimate(0.2415, 0.1589, 0.3242, 1500)


def remedy(made: Check) -> str:
    return told_remedy(made).reason.partition(TO_PASS)[2]


def test_within_the_limit_more_rows_would_show_it() -> None:
    said = remedy(check("skill", FOUND, Limit(at_least=0.2)))
    assert said == "about 5,943 rows in the holdout, or `gates.skill` with at_least 0.158"
    assert check("skill", FOUND, Limit(at_least=0.158)).outcome is Outcome.PASS


def test_beyond_the_limit_more_rows_are_no_hope() -> None:
    made = check("accuracy", FOUND, Limit(at_least=0.3))
    assert made.outcome is Outcome.INCONCLUSIVE
    assert remedy(made) == "a better candidate, or `gates.floors.accuracy` with at_least 0.158"


def test_rows_are_no_way_to_a_faster_answer() -> None:
    straddling = Estimate(2804, 229, 8406, 300)
    assert remedy(check("latency", straddling, Limit(at_most=5000))).startswith("a faster candidate or machine, or ")


def test_as_good_as_on_the_limit_no_number_of_rows_is_promised() -> None:
    assert remedy(check("skill", FOUND, Limit(at_least=0.2415))).startswith("more rows, or a better candidate, or ")


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("size", "a smaller candidate, or `gates.size` with at_most 0.325"),
        ("latency", "a faster candidate or machine, or `gates.latency` with at_most 0.325"),
        ("champion", "a better candidate, or `gates.champion.log_loss` with at_most 0.325"),
        ("parity", "train another estimator, whose graph is exact; a wider limit would hide a defect"),
        ("claims", "train again: what it says of its scores is not what they are; a wider limit would hide a defect"),
    ],
)
def test_each_check_says_what_is_its_own(name: str, said: str) -> None:
    assert remedy(check(name, FOUND, Limit(at_most=0.1))) == said


def test_a_leak_names_the_column_to_take_out() -> None:
    made = replace(check("single_feature_auc", FOUND, Limit(at_most=0.1), subject="paid"), needs=Need.QUIET)
    assert remedy(made).startswith("take `paid` out of the contract, unless it is known when predictions are asked for")
    assert remedy(made).endswith("or `gates.leakage.single_feature_auc` with at_most 0.325")


def test_what_could_not_be_measured_says_what_is_lacking() -> None:
    assert remedy(check("size", None, Limit(at_most=1))) == "train again: this candidate has no such evidence"
    assert remedy(check("profit", None, Limit(at_least=1))) == "say under `profit` what an offer costs and brings"
    assert remedy(check("champion", None, Limit(at_most=1), subject="1.0.0")).startswith("make 1.0.0 believed again")
    unknown = replace(FOUND, value=math.nan)
    assert remedy(check("skill", unknown, Limit(at_least=0))).startswith("rows of both classes in the holdout")
    assert remedy(check("skill", FOUND, Limit(at_least=0, rows=2000))) == "2,000 rows to judge it on"


def test_one_limit_for_many_lets_the_least_of_them_pass() -> None:
    lower = replace(FOUND, value=0.3, low=0.05)
    made = [check("slice", each, Limit(at_least=0.5)) for each in (FOUND, lower)]
    assert limit_for(made, "floors.recall") == "`gates.floors.recall` with at_least 0.05"
    made.append(check("slice", replace(FOUND, low=-math.inf), Limit(at_least=0.5)))
    assert limit_for(made, "floors.recall") is None


def test_a_limit_that_a_guess_would_meet_is_not_proposed() -> None:
    for name, low in (("roc_auc", 0.0436), ("skill", -3.28)):
        made = check(name, Estimate(0.55, low, 0.98, 327), Limit(at_least=0.6))
        assert limit_for([made], f"slices.{name}") is None
        assert remedy(made) == "a better candidate"


def test_the_list_has_what_blocks_and_nothing_else() -> None:
    failed = told_remedy(check("skill", FOUND, Limit(at_least=0.5)))
    advice = told_remedy(check("size", FOUND, Limit(at_most=0.1), blocking=False))
    passed = check("roc_auc", FOUND, Limit(at_least=0.1))
    bare = check("rows", FOUND, Limit(at_least=0.5))
    assert told_remedy(passed) == passed
    assert told_remedy(failed) == failed
    assert to_pass(Verdict("cd_1", (failed, advice, passed, bare))) == (
        "skill: a better candidate, or `gates.skill` with at_least 0.158",
        bare.reason,
    )
    assert to_pass(Verdict("cd_1", (passed, advice))) == ()
