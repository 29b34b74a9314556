"""Who is at work, by the database's own clock, on SQLite and on a real PostgreSQL server alike."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from mainstay.ledger.facts import Ledger
from mainstay.ledger.leases import give_back, take


@pytest.fixture
def ledger(address: str) -> Iterator[Ledger]:
    with Ledger(address) as made:
        yield made


def test_one_holds_a_lease_and_renews_it_while_the_other_stands_by(ledger: Ledger) -> None:
    assert take(ledger, "churn", "operate", "a", 60)
    assert not take(ledger, "churn", "operate", "b", 60)
    assert take(ledger, "churn", "operate", "a", 60)


def test_another_use_case_and_another_work_have_leases_of_their_own(ledger: Ledger) -> None:
    assert take(ledger, "churn", "operate", "a", 60)
    assert take(ledger, "fraud", "operate", "b", 60)
    assert take(ledger, "churn", "retrain", "b", 60)


def test_the_lease_of_one_that_was_killed_runs_out(ledger: Ledger) -> None:
    assert take(ledger, "churn", "operate", "a", 0.2)
    assert not take(ledger, "churn", "operate", "b", 60)
    time.sleep(0.3)
    assert take(ledger, "churn", "operate", "b", 60)
    assert not take(ledger, "churn", "operate", "a", 60)


def test_one_that_is_given_back_is_free_at_once_and_nobody_gives_back_anothers(ledger: Ledger) -> None:
    assert take(ledger, "churn", "operate", "a", 60)
    give_back(ledger, "churn", "operate", "b")
    assert not take(ledger, "churn", "operate", "b", 60)
    give_back(ledger, "churn", "operate", "a")
    give_back(ledger, "churn", "operate", "a")
    assert take(ledger, "churn", "operate", "b", 60)


def test_of_many_that_ask_at_once_one_gets_it(address: str) -> None:
    ledgers = [Ledger(address, patience=60) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        got = list(pool.map(lambda n: take(ledgers[n], "churn", "operate", f"h{n}", 60), range(6)))
    for each in ledgers:
        each.close()
    assert sum(got) == 1
