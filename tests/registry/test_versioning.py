"""Version numbers: their order, and what makes the next one."""

import dataclasses
import math

import pytest

from mainstay.errors import Refused
from mainstay.registry.versioning import inputs_broken, next_version, number
from mainstay.scoring.encode import Input

AGE = Input("age", "integer", range=(18, 120))
SPENT = Input("spent", "number", nullable=True)
PLAN = Input("plan", "category", values=("basic", "plus"))
OLD = (AGE, SPENT, PLAN)


def test_versions_sort_by_number_not_by_text() -> None:
    assert sorted(["1.10.0", "1.9.0", "10.0.0", "2.0.0"], key=number) == ["1.9.0", "1.10.0", "2.0.0", "10.0.0"]


@pytest.mark.parametrize(
    "text", ["", "1", "1.0", "1.0.0.0", "01.0.0", "1.0.0-rc1", "v1.0.0", "1.0.٣", "1.0.0\n", "../1"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(Refused, match="is no version: write three numbers"):
        number(text)


def test_the_first_version_is_one() -> None:
    assert next_version(None, True, 1.0) == "1.0.0"


@pytest.mark.parametrize(
    ("broken", "flipped", "expected"),
    [
        (True, 0.0, "2.0.0"),
        (True, 1.0, "2.0.0"),
        (False, 0.011, "1.5.0"),
        (False, 0.01, "1.4.3"),
        (False, 0.0, "1.4.3"),
        (False, math.nan, "1.5.0"),
    ],
)
def test_the_next_number_says_what_changes_for_those_who_ask(broken: bool, flipped: float, expected: str) -> None:
    assert next_version("1.4.2", broken, flipped) == expected


def test_a_team_may_draw_the_line_elsewhere() -> None:
    assert next_version("1.4.2", False, 0.04, minor_above=0.05) == "1.4.3"


@pytest.mark.parametrize(
    ("new", "reason"),
    [
        ((AGE, SPENT), "`plan` is no longer taken"),
        ((*OLD, Input("city", "category")), "`city` must be given"),
        ((dataclasses.replace(AGE, range=(21, 120)), SPENT, PLAN), "`age` has a narrower range"),
        ((dataclasses.replace(AGE, range=(18, 99)), SPENT, PLAN), "`age` has a narrower range"),
        ((AGE, dataclasses.replace(SPENT, range=(0, 1)), PLAN), "`spent` has a narrower range"),
        ((AGE, SPENT, dataclasses.replace(PLAN, values=("basic",))), "`plan` has lost categories"),
        ((AGE, dataclasses.replace(SPENT, nullable=False), PLAN), "`spent` may no longer be null"),
        ((AGE, dataclasses.replace(SPENT, type="integer"), PLAN), "`spent` was of type number and is now integer"),
        ((AGE, SPENT, Input("plan", "number")), "`plan` was of type category and is now number"),
    ],
)
def test_a_contract_that_refuses_an_old_request_is_broken(new: tuple[Input, ...], reason: str) -> None:
    assert inputs_broken(OLD, new) == (reason,)


def test_categories_that_were_free_and_are_listed_now_break() -> None:
    assert inputs_broken((Input("city", "category"),), (Input("city", "category", values=("Bern",)),))


@pytest.mark.parametrize(
    "new",
    [
        OLD,
        OLD[::-1],
        (*OLD, Input("city", "category", nullable=True)),
        (dataclasses.replace(AGE, range=None), SPENT, PLAN),
        (dataclasses.replace(AGE, range=(0, 150), nullable=True), SPENT, PLAN),
        (dataclasses.replace(AGE, type="number"), SPENT, PLAN),
        (AGE, SPENT, dataclasses.replace(PLAN, values=("plus", "basic", "gold"))),
        (AGE, SPENT, dataclasses.replace(PLAN, values=None)),
    ],
)
def test_a_contract_that_takes_more_is_not_broken(new: tuple[Input, ...]) -> None:
    assert inputs_broken(OLD, new) == ()
