"""What was told before is counted, on SQLite and on a real PostgreSQL server alike."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from mainstay.ledger.facts import Ledger
from mainstay.ledger.feedback import note
from mainstay.observed import Counted, Told

NOW = datetime(2026, 3, 1, tzinfo=UTC)


@pytest.fixture
def ledger(address: str) -> Iterator[Ledger]:
    with Ledger(address) as made:
        yield made


def test_what_is_told_for_the_first_time_counts_as_neither(ledger: Ledger) -> None:
    assert note(ledger, "churn", [Told("a", "1"), Told("b", "1")], NOW) == Counted(0, 0)
    assert note(ledger, "fraud", [Told("a", "2")], NOW) == Counted(0, 0)
    assert note(ledger, "churn", [], NOW) == Counted(0, 0)


def test_what_is_told_again_is_repeated_and_what_is_told_otherwise_contradicts(ledger: Ledger) -> None:
    note(ledger, "churn", [Told("a", "1"), Told("b", "1")], NOW)
    assert note(ledger, "churn", [Told("a", "1"), Told("b", "2"), Told("c", "1")], NOW) == Counted(1, 1)
    assert note(ledger, "churn", [Told("b", "2")], NOW) == Counted(1, 0)
    assert note(ledger, "churn", [Told("b", "1")], NOW) == Counted(0, 1)


def test_one_request_may_repeat_and_contradict_itself(ledger: Ledger) -> None:
    told = [Told("a", "1"), Told("a", "1"), Told("a", "2"), Told("a", "1")]
    assert note(ledger, "churn", told, NOW) == Counted(1, 2)
    assert note(ledger, "churn", [Told("a", "1")], NOW) == Counted(1, 0)


def test_ten_thousand_are_counted_together(ledger: Ledger) -> None:
    told = [Told(f"{number}", "1") for number in range(10_000)]
    assert note(ledger, "churn", told, NOW) == Counted(0, 0)
    assert note(ledger, "churn", told, NOW) == Counted(10_000, 0)


def test_two_who_tell_the_same_at_once_are_one_and_a_repetition(ledger: Ledger) -> None:
    told = [Told(f"{number}", "1") for number in range(50)]
    with ThreadPoolExecutor(4) as pool:
        counted = list(pool.map(lambda _: note(ledger, "churn", told, NOW), range(4)))
    assert sum(each.repeated for each in counted) == 150
    assert sum(each.contradicted for each in counted) == 0
