"""What served a customer on a day and why, and who was champion when."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from answered import answered, record

from mainstay.decided import Decision, Move
from mainstay.digests import pseudonym
from mainstay.journeys.audit import reigns, served
from mainstay.journeys.rollback import splits
from mainstay.ledger.facts import Entry
from mainstay.ledger.kinds import DECISIONS, ROLLOUTS, SPLITS
from mainstay.nouns import Arm, Pin, Rollout, Window
from mainstay.observed import Ending, Role
from mainstay.scoring.bundle import Bundle
from mainstay.settings import Settings
from mainstay.usecase import UseCase
from mainstay.usecase_file import loads
from mainstay.wiring import Platform, make_missing_keys, platform

NOW = datetime.fromisoformat("2026-01-05T12:00:00+00:00")
DAY = Window(NOW.replace(hour=0), NOW.replace(hour=0) + timedelta(days=1))
HASHED = """
schema: 1
name: tiny
source: tiny.csv
entity: id
label: {column: left, positive: "Yes"}
contract:
  columns:
    id: {type: identifier, personal: hash}
    age: {type: integer}
    left: {type: category, values: ["No", "Yes"]}
"""


@pytest.fixture
def opened(strict_home: Path) -> Iterator[Platform]:
    """1.0.0 first; a canary with a tester from the third of January on; promoted on the sixth."""
    made = platform(Settings(home=strict_home, now=NOW))
    with made.ledger:
        first = splits(made, "tiny")[-1].body
        third, sixth = NOW - timedelta(days=2), NOW + timedelta(days=1)
        pins = (Pin("1.1.0", "she asked for it", "customer-1"),)
        arms = (Arm("1.0.0", 0.9), Arm("1.1.0", 0.1))
        canary = replace(first, number=2, arms=arms, pins=pins, rollout="r1")
        rollout = Rollout("r1", "1.0.0", "1.1.0", "c2", 1, third, third, sixth)
        made.ledger.write(
            "tiny",
            Entry(SPLITS, "tiny", canary, after=1),
            Entry(ROLLOUTS, "r1", rollout),
            at=third,
            actor="operator",
            reason="its first step",
        )
        promoted = replace(first, number=3, arms=(Arm("1.1.0", 1.0), Arm("1.0.0", standby=True)))
        made.ledger.write(
            "tiny",
            Entry(SPLITS, "tiny", promoted, after=2),
            Entry(DECISIONS, "r1", Decision("r1", sixth, 4, Move.PROMOTE, "no harm in 4,000", "c2")),
            at=sixth,
            actor="operator",
            reason="promoted 1.1.0",
        )
        yield made


def test_each_answer_is_told_with_why_this_version_gave_it_and_who_moved_it_there(
    opened: Platform, tiny_use_case: UseCase, tiny_bundle: Bundle
) -> None:
    drawn = answered(tiny_bundle, "1.0.0", NOW, 5, split=2, share=0.9)
    pinned = replace(drawn[1], prediction_id="p-pinned", version="1.1.0", assigned="1.1.0", share=1.0, pinned=True)
    failed = replace(drawn[1], prediction_id="p-failed", role=Role.ATTEMPTED, version="1.1.0", assigned="1.1.0",
                     share=0.1, outcome=Ending.NOT_FINITE, probability=None)  # fmt: skip
    stepped = replace(drawn[1], prediction_id="p-failed", assigned="1.1.0", share=0.1)
    heard = replace(drawn[1], prediction_id="p-heard", role=Role.LISTENED, version="1.1.0")
    record(opened, [*drawn, pinned, failed, stepped, heard])
    found = served(opened, tiny_use_case, "customer-1", DAY)
    rollout = " (rollout of 1.1.0 against 1.0.0)"
    assert {(each.prediction_id, each.why) for each in found} == {
        ("p-2-0001", f"drawn for 1.0.0 by its hash, with probability 0.9{rollout}"),
        ("p-pinned", f"pinned to 1.1.0: she asked for it{rollout}"),
        (
            "p-failed",
            f"drawn for 1.1.0 by its hash, with probability 0.1{rollout}; 1.1.0 not finite, and another answered in its"
            " place",
        ),
        (
            "p-failed",
            f"drawn for 1.1.0 by its hash, with probability 0.1{rollout}; 1.0.0 answered in place of 1.1.0",
        ),
        ("p-heard", "1.1.0 listened; its answer reached nobody"),
    }
    assert {(each.moved_by, each.reason, each.rollout) for each in found} == {("operator", "its first step", "r1")}


def test_nothing_of_another_day_or_entity_is_told(
    opened: Platform, tiny_use_case: UseCase, tiny_bundle: Bundle
) -> None:
    record(opened, answered(tiny_bundle, "1.0.0", NOW, 5, split=2))
    before = Window(DAY.start - timedelta(days=1), DAY.start)
    assert served(opened, tiny_use_case, "customer-1", before) == []
    assert served(opened, tiny_use_case, "customer", DAY) == []


def test_an_entity_is_named_as_requests_name_it_though_only_its_pseudonym_is_stored(
    opened: Platform, tiny_bundle: Bundle
) -> None:
    make_missing_keys(opened.settings)
    name = pseudonym("ada", opened.pseudonym_key()[1])
    record(opened, answered(tiny_bundle, "1.0.0", NOW, 2, split=2, entity=name))
    assert len(served(opened, loads(HASHED), "ada", DAY)) == 2


def test_who_was_champion_when_by_whom_and_why(opened: Platform) -> None:
    first, second = reigns(opened, "tiny", None, None)
    assert (first.version, first.promoted_by, first.reason, first.until) == (
        "1.0.0",
        "user:ada",
        "the first",
        second.since,
    )
    assert (second.version, second.until, second.rollout) == ("1.1.0", None, "r1")
    assert second.decision == "promote: no harm in 4,000"
    assert [each.version for each in reigns(opened, "tiny", NOW, NOW + timedelta(hours=1))] == ["1.0.0"]
    assert [each.version for each in reigns(opened, "tiny", NOW + timedelta(days=2), None)] == ["1.1.0"]
