import dataclasses
import math
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from mainstay.nouns import Estimate
from mainstay.quality.card import Facts
from mainstay.quality.limits import limits
from mainstay.verdicts import Limit, check

Make = Callable[..., Facts]
Body = Callable[..., Any]


@pytest.fixture
def told(facts: Make) -> Callable[..., str]:
    """The limits of a version as one text."""

    def made(**fields: Any) -> str:
        given = facts(**fields)
        lines = limits(given.verdict.body, given.examined, given.dataset.body, given.run.body, given.champion)
        return "\n".join("".join(span.text for span in line) for line in lines)

    return made


def test_each_check_that_did_not_pass_is_a_limit_with_its_reason(told: Callable[..., str]) -> None:
    assert "true_positive_gap gender could not be told: true_positive_gap of gender is 0.09 (0.02 to 0.16)" in told()
    assert "skill" not in told()


def test_a_failed_check_that_only_advised_is_a_limit_too(told: Callable[..., str], facts: Make, body: Body) -> None:
    failed = check("latency", Estimate(9.0, 8.0, 10.0, 99), Limit(at_most=5), blocking=False)
    said = told(verdict=body(facts().verdict, checks=(failed,)))
    assert "latency failed: latency is 9" in said
    assert "How long an answer takes" not in said
    assert "No gap between groups was asked about" in said


def test_rows_without_times_leave_open_how_long_it_lasts(told: Callable[..., str], facts: Make, body: Body) -> None:
    assert "have no times" in told()
    assert "have no times" not in told(dataset=body(facts().dataset, watermark=datetime(2026, 1, 1, tzinfo=UTC)))


def test_code_that_no_commit_holds_is_told(told: Callable[..., str], facts: Make, body: Body) -> None:
    assert "commit" not in told()
    assert "changes that no commit holds" in told(run=body(facts().run, code={"commit": "b" * 40 + "-dirty"}))
    assert "not recorded" in told(run=body(facts().run, code={}))


def test_a_first_version_was_compared_with_none(told: Callable[..., str]) -> None:
    assert "compared" not in told().replace("compare with these", "")
    assert "It was not compared with another version" in told(champion=None)


def test_slices_that_could_not_be_ranked_are_named(told: Callable[..., str], facts: Make) -> None:
    examined = facts().examined
    assert examined is not None
    blind = dataclasses.replace(examined.slices[0], scores={"roc_auc": Estimate(math.nan, math.nan, math.nan, 7)})
    said = told(examined=dataclasses.replace(examined, slices=(blind,)))
    assert f"only one class was seen: {blind.column} {blind.value}." in said
    assert "kept no examination" in told(examined=None)


def test_what_nobody_quarantined_is_no_limit(told: Callable[..., str], facts: Make, body: Body) -> None:
    assert "quarantined" in told()
    assert "quarantined" not in told(dataset=body(facts().dataset, quarantined=0))
