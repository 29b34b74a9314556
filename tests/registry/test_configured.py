"""What differs between two configurations."""

from collections.abc import Callable

import pytest

from mainstay.registry.configured import Change, changes, configuration_of
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads

PLAN = "plan: {kind: canary, steps: [{share: 0.5, hold: 1d}, {share: 1, hold: 1d}]}\n"


@pytest.fixture
def but(tiny_text: str) -> Callable[[str], UseCase]:
    return lambda more: loads(tiny_text + more)


def test_a_configuration_does_not_differ_from_itself(but: Callable[[str], UseCase]) -> None:
    assert changes(configuration_of(but(PLAN)), configuration_of(but(PLAN))) == ()


def test_changes_are_told_by_the_path_of_their_key(but: Callable[[str], UseCase]) -> None:
    other = PLAN.replace("hold: 1d}]", "hold: 2d}]").replace("canary", "rolling")
    assert changes(configuration_of(but(PLAN)), configuration_of(but(other))) == (
        Change("plan.kind", "canary", "rolling"),
        Change("plan.steps.1.hold", "1d", "2d"),
    )


def test_a_step_less_and_a_plan_less_are_changes_of_each_key(but: Callable[[str], UseCase]) -> None:
    fewer = PLAN.replace("{share: 0.5, hold: 1d}, ", "")
    found = changes(configuration_of(but(PLAN)), configuration_of(but(fewer)))
    assert Change("plan.steps.0.share", 0.5, 1.0) in found
    assert Change("plan.steps.1.share", 1.0, None) in found
    gone = {each.path for each in changes(configuration_of(but(PLAN)), configuration_of(but("")))}
    assert {"plan.kind", "plan.alpha", "plan.margins.errors", "plan.steps.0.hold"} <= gone


def test_what_is_the_same_said_otherwise_is_no_change(but: Callable[[str], UseCase]) -> None:
    same = "plan: {kind: canary, alpha: 0.05, steps: [{share: 0.50, hold: 24h}, {share: 1.0, hold: 1440m}]}\n"
    assert changes(configuration_of(but(PLAN)), configuration_of(but(same))) == ()


def test_where_nothing_was_before_everything_is_new(but: Callable[[str], UseCase]) -> None:
    found = changes(None, configuration_of(but("")))
    assert Change("serving.unseen_category", None, "flag") in found
    assert {each.before for each in found} == {None}
