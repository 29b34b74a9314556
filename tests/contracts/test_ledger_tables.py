"""The tables that earlier releases made are read and brought up to date, on SQLite and on PostgreSQL alike."""

import os
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from mainstay.ledger.facts import Entry, Ledger
from mainstay.ledger.kinds import JOBS
from mainstay.ledger.replicas import live, report
from mainstay.nouns import Job
from mainstay.observed import Replica

NOW = datetime(2026, 3, 1, 12, 30, 15, 250, tzinfo=UTC)
GOLDEN = Path(__file__).parents[1] / "golden"


def as_version_1_wrote_it(address: str) -> None:
    dump = (GOLDEN / f"ledger.1.{address.partition(':')[0]}.sql").read_text()
    if address.startswith("sqlite"):
        made = sqlite3.connect(address.removeprefix("sqlite:///"))
        made.executescript(dump)
        made.close()
    else:
        behind(address, dump)


def behind(address: str, statement: str) -> None:
    """Do something behind the ledger's back, as a hand at the database's own prompt would."""
    engine = create_engine(address.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.begin() as connection:
            connection.execute(text(statement.replace(":", r"\:")))  # a colon would be a parameter
    finally:
        engine.dispose()


def test_a_ledger_of_the_first_release_is_read_and_upgraded(address: str) -> None:
    as_version_1_wrote_it(address)
    with Ledger(address) as ledger:
        (fact,) = ledger.since("churn")
        assert fact.body == Job("j", ("train",), "Drift was found.", "queued")
        report(ledger, Replica("r", "host-a", "churn", 1, ("1.0.0",), NOW))
        assert [replica.id for replica in live(ledger, "churn")] == ["r"]
        running = Job("j", ("train",), "Drift was found.", "running")
        ledger.write("churn", Entry(JOBS, "j", running, after=1), at=NOW, actor="ada", reason="It was asked for.")
    with Ledger(address) as other:
        assert len(other.since("churn")) == 2
    with pytest.raises(DBAPIError, match="facts are never"):
        behind(address, "DELETE FROM facts")


READER = """
import sys
from mainstay.ledger.facts import Ledger
with Ledger(sys.argv[1], patience=60) as ledger:
    assert len(ledger.since("churn")) == 1
"""


def test_processes_that_upgrade_at_once_wait_for_the_first(address: str) -> None:
    as_version_1_wrote_it(address)
    where = {"PYTHONPATH": str(Path(sys.modules[Ledger.__module__].__file__ or "").parents[2]), "PATH": os.defpath}
    command = [sys.executable, "-c", READER, address]
    readers = [subprocess.Popen(command, env=where, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for _ in range(4)]
    said = [reader.communicate(timeout=120)[0].decode() for reader in readers]
    assert [reader.returncode for reader in readers] == [0] * 4, said
