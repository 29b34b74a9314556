"""Who is live, by the database's own clock, on SQLite and on a real PostgreSQL server alike."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from mainstay.errors import NotFound, Refused
from mainstay.ledger.database import REPLICAS
from mainstay.ledger.facts import Ledger
from mainstay.ledger.kinds import DISMISSALS
from mainstay.ledger.replicas import dismiss, live, report, sign_off, vanished
from mainstay.observed import Replica

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)


@pytest.fixture
def ledger(address: str) -> Iterator[Ledger]:
    with Ledger(address) as made:
        yield made


def replica(name: str = "r1", split: int = 3, use_case: str = "churn") -> Replica:
    return Replica(name, "host-a", use_case, split, ("1.3.0", "1.4.0"), LONG_AGO)


def unheard_of_for(ledger: Ledger, name: str, ago: timedelta) -> None:
    with ledger.database.writing(None) as connection:
        earlier = datetime.now(UTC) - ago  # noqa: TID251  (the test's database keeps the same clock)
        connection.execute(update(REPLICAS).where(REPLICAS.c.id == name).values(at=earlier))


def test_a_report_is_live_with_what_it_said_and_the_databases_time(ledger: Ledger) -> None:
    report(ledger, replica("r2"))
    report(ledger, replica("r1", split=2))
    report(ledger, replica("r1", split=3))
    report(ledger, replica("other", use_case="fraud"))
    found = live(ledger, "churn")
    assert [(each.id, each.host, each.split, each.warm) for each in found] == [
        ("r1", "host-a", 3, ("1.3.0", "1.4.0")),
        ("r2", "host-a", 3, ("1.3.0", "1.4.0")),
    ]
    now = datetime.now(UTC)  # noqa: TID251
    assert all(abs(now - each.at) < timedelta(seconds=30) for each in found)
    assert vanished(ledger, "churn") == []


def test_one_that_falls_silent_has_vanished_until_it_returns(ledger: Ledger) -> None:
    report(ledger, replica("r1"))
    report(ledger, replica("r2"))
    unheard_of_for(ledger, "r1", timedelta(seconds=11))
    assert [each.id for each in vanished(ledger, "churn")] == ["r1"]
    assert [each.id for each in live(ledger, "churn")] == ["r2"]
    report(ledger, replica("r1"))
    assert vanished(ledger, "churn") == []


def test_one_that_signs_off_is_neither_live_nor_vanished(ledger: Ledger) -> None:
    report(ledger, replica("r1"))
    sign_off(ledger, "churn", "r1")
    sign_off(ledger, "churn", "r1")
    assert live(ledger, "churn") == vanished(ledger, "churn") == []


def test_a_vanished_one_is_dismissed_by_a_person_and_the_reason_is_kept(ledger: Ledger) -> None:
    for _ in range(2):  # it may come back, and vanish again
        report(ledger, replica("r1"))
        unheard_of_for(ledger, "r1", timedelta(seconds=11))
        dismiss(ledger, "churn", "r1", at=LONG_AGO, actor="ada", reason="Its host burned down.")
        assert vanished(ledger, "churn") == []
    facts = ledger.history("churn", DISMISSALS, "r1")
    assert [(fact.actor, fact.reason, fact.body.host) for fact in facts] == [
        ("ada", "Its host burned down.", "host-a")
    ] * 2


def test_a_live_one_is_not_dismissed(ledger: Ledger) -> None:
    report(ledger, replica("r1"))
    with pytest.raises(Refused, match="r1: it is live"):
        dismiss(ledger, "churn", "r1", at=LONG_AGO, actor="ada", reason="A mistake.")
    assert [each.id for each in live(ledger, "churn")] == ["r1"]


def test_nobody_is_dismissed_without_a_reason_or_unheard_of(ledger: Ledger) -> None:
    with pytest.raises(NotFound, match="r1"):
        dismiss(ledger, "churn", "r1", at=LONG_AGO, actor="ada", reason="Gone.")
    report(ledger, replica("r1"))
    unheard_of_for(ledger, "r1", timedelta(minutes=1))
    with pytest.raises(Refused, match="reason"):
        dismiss(ledger, "churn", "r1", at=LONG_AGO, actor="ada", reason=" ")
    assert [each.id for each in vanished(ledger, "churn")] == ["r1"]
