import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mainstay.errors import Conflict
from mainstay.ledger.database import FACTS, Database

ROW = {
    "use_case": "churn",
    "kind": "job",
    "subject": "j",
    "number": 1,
    "at": datetime(2026, 3, 1, tzinfo=UTC),
    "actor": "ada",
    "reason": "Asked.",
    "schema": 1,
    "body": "{}",
}


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/ledger.db", patience=5)
    yield made
    made.close()


def test_a_number_taken_by_a_writer_without_the_lock_is_a_conflict(database: Database) -> None:
    with database.writing("churn") as connection:
        connection.execute(FACTS.insert(), ROW)
    with pytest.raises(Conflict, match="somebody else moved first"), database.writing("churn") as connection:
        connection.execute(FACTS.insert(), ROW)


def test_times_are_text_with_microseconds_in_sqlite(database: Database, tmp_path: Path) -> None:
    with database.writing("churn") as connection:
        connection.execute(FACTS.insert(), ROW)
    raw = sqlite3.connect(tmp_path / "ledger.db")
    assert raw.execute("SELECT at FROM facts").fetchall() == [("2026-03-01T00:00:00.000000Z",)]
    raw.close()


def test_what_fails_inside_a_transaction_leaves_nothing(database: Database) -> None:
    def write_and_fail() -> None:
        with database.writing("churn") as connection:
            connection.execute(FACTS.insert(), ROW)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    with database.reading() as connection:
        assert connection.execute(FACTS.select()).all() == []


def test_a_file_that_somebody_is_still_making_is_waited_for(database: Database, tmp_path: Path) -> None:
    maker = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None, check_same_thread=False)
    maker.execute("BEGIN EXCLUSIVE")
    release = threading.Timer(0.2, maker.execute, ["COMMIT"])
    release.start()
    with database.reading() as connection:
        assert connection.execute(FACTS.select()).all() == []
    release.join()
    maker.close()
