"""What is gathered of a version for its card and its lineage."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from mainstay.errors import Refused
from mainstay.journeys.account import ancestors, candidate_from, facts_of, rollouts_with
from mainstay.journeys.progress import Release
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import DATASETS, ROLLOUTS
from mainstay.nouns import Rollout
from mainstay.settings import Settings
from mainstay.wiring import Platform

pytestmark = pytest.mark.xdist_group("mlflow")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_everything_of_a_version_is_gathered(first_release: tuple[Platform, Release]) -> None:
    home, far = first_release
    facts = facts_of(home, "shop", "1.0.0")
    assert far.candidate is not None
    assert far.verdict is not None
    assert (facts.run.subject, facts.candidate.subject) == (far.run, far.candidate.id)
    assert facts.verdict.body == far.verdict
    assert facts.examined is not None
    assert facts.examined.candidate == far.candidate.id
    assert (facts.champion, facts.tracking, len(facts.splits)) == (None, "", 1)


@pytest.mark.parametrize(
    ("url", "shown"),
    [("https://ada:secret@mlflow.example/team/", "https://mlflow.example/team"), ("http://h:5000", "http://h:5000")],
)
def test_no_credentials_come_into_a_card(released: Platform, url: str, shown: str) -> None:
    home = Platform(Settings(home=released.settings.home, mlflow=url), released.blobs, released.ledger)
    assert facts_of(home, "shop", "1.0.0").tracking == shown


def test_datasets_before_are_followed_until_one_is_not_recorded(released: Platform) -> None:
    newest = facts_of(released, "shop", "1.0.0").dataset.body
    chain = [
        replace(newest, id="ds_b", parent="ds_c"),
        replace(newest, id="ds_c", parent="ds_d"),
        replace(newest, id="ds_d", parent="ds_lost"),
    ]
    entries = [Entry(DATASETS, each.id, each) for each in chain]
    released.ledger.write("shop", *entries, at=NOW, actor="ada", reason="They were frozen.")
    found = ancestors(released, replace(newest, parent="ds_b"))
    assert [fact.subject for fact in found] == ["ds_b", "ds_c", "ds_d"]
    assert ancestors(released, newest) == ()


def test_a_circle_of_datasets_ends(released: Platform) -> None:
    newest = facts_of(released, "shop", "1.0.0").dataset.body
    entry = Entry(DATASETS, "ds_b", replace(newest, id="ds_b", parent=newest.id))
    released.ledger.write("shop", entry, at=NOW, actor="ada", reason="It was frozen.")
    assert [fact.subject for fact in ancestors(released, replace(newest, parent="ds_b"))] == ["ds_b"]


def test_rollouts_are_those_that_the_version_was_part_of(released: Platform) -> None:
    deadline = NOW + timedelta(days=14)
    made = [Rollout(name, *pair, "c" * 64, 0, NOW, NOW, deadline) for name, pair in
            {"r1": ("1.0.0", "1.1.0"), "r2": ("1.1.0", "1.2.0")}.items()]  # fmt: skip
    entries = [Entry(ROLLOUTS, each.id, each) for each in made]
    released.ledger.write("shop", *entries, at=NOW, actor="operator", reason="They began.")
    assert [fact.subject for fact in rollouts_with(released, "shop", "1.0.0")] == ["r1"]


def test_a_candidate_of_no_run_is_refused(first_release: tuple[Platform, Release]) -> None:
    home, far = first_release
    assert far.candidate is not None
    with pytest.raises(Refused, match="no candidate of the run"):
        candidate_from(home.ledger, "shop", far.candidate.id, "another")
