"""What the ledger promises when the world fails: nothing half-written, one sentence, and work again afterwards."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import pytest

from mainstay.errors import Unavailable
from mainstay.ledger.facts import Entry, Fact, Ledger
from mainstay.ledger.kinds import JOBS
from mainstay.nouns import Job

NOW = datetime(2026, 3, 1, 12, 30, 15, 250, tzinfo=UTC)
OrdinaryUser = Callable[[], AbstractContextManager[None]]


class Server(Protocol):
    def fresh(self) -> str: ...
    def start(self) -> None: ...
    def stop(self) -> None: ...


@pytest.fixture
def ledger(address: str) -> Iterator[Ledger]:
    with Ledger(address) as made:
        yield made


def job(name: str) -> Job:
    return Job(name, ("train",), "Drift was found.", "queued")


def wrote(ledger: Ledger, *entries: Entry[Any], use_case: str = "churn") -> list[Fact[Any]]:
    return ledger.write(use_case, *entries, at=NOW, actor="ada", reason="It was asked for.")


def run(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    source = str(Path(sys.modules[Ledger.__module__].__file__ or "").parents[2])
    environment = {"PYTHONPATH": source, "PATH": os.defpath}
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from sqlalchemy import event
from sqlalchemy.engine import Engine
from mainstay.ledger.facts import Entry, Ledger
from mainstay.ledger.kinds import JOBS
from mainstay.nouns import Job

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

ledger = Ledger(sys.argv[1])
ledger.use_cases()
event.listen(Engine, "commit", die)  # every row was sent, and the commit was not
bodies = [Job(name, ("train",), "It was asked for.", "queued") for name in ("first", "second")]
ledger.write("churn", *(Entry(JOBS, body.id, body) for body in bodies),
             at=datetime(2026, 3, 1, tzinfo=UTC), actor="w", reason="Asked.")
"""


def test_a_writer_killed_before_its_commit_leaves_nothing_behind(ledger: Ledger, address: str) -> None:
    wrote(ledger, Entry(JOBS, "before", job("before")))
    writer = run(KILLED, address)
    said, _ = writer.communicate(timeout=60)
    assert writer.returncode == -signal.SIGKILL, said.decode()
    assert [fact.subject for fact in ledger.since("churn")] == ["before"]
    wrote(ledger, Entry(JOBS, "first", job("first")))
    assert [fact.subject for fact in ledger.since("churn")] == ["before", "first"]


@pytest.mark.postgres
def test_a_stopped_server_is_unavailable_and_the_ledger_works_again_when_it_is_back(postgres: Server) -> None:
    with Ledger(postgres.fresh(), patience=2) as ledger:
        wrote(ledger, Entry(JOBS, "j", job("j")))
        postgres.stop()
        try:
            with pytest.raises(Unavailable, match="the ledger cannot be used"):
                ledger.latest("churn", JOBS, "j")
            with pytest.raises(Unavailable, match="the ledger cannot be used"):
                wrote(ledger, Entry(JOBS, "k", job("k")))
        finally:
            postgres.start()
        wrote(ledger, Entry(JOBS, "k", job("k")))
        assert [fact.subject for fact in ledger.since("churn")] == ["j", "k"]


@pytest.mark.postgres
def test_a_server_restarted_between_two_calls_costs_neither_of_them(postgres: Server) -> None:
    with Ledger(postgres.fresh()) as ledger:
        wrote(ledger, Entry(JOBS, "j", job("j")))
        postgres.stop()
        postgres.start()
        wrote(ledger, Entry(JOBS, "k", job("k")))
        assert [fact.subject for fact in ledger.since("churn")] == ["j", "k"]


@pytest.mark.postgres
def test_one_use_cases_writer_does_not_hold_up_anothers(postgres: Server) -> None:
    address = postgres.fresh()
    with Ledger(address, patience=0.5) as ledger:
        wrote(ledger, Entry(JOBS, "j", job("j")))
        with ledger.database.writing("churn"):
            wrote(ledger, Entry(JOBS, "j", job("j")), use_case="fraud")
            with pytest.raises(Unavailable, match="lock timeout"):
                wrote(ledger, Entry(JOBS, "k", job("k")))
        wrote(ledger, Entry(JOBS, "k", job("k")))


def test_a_server_that_is_not_there_is_unavailable_and_its_password_is_not_told() -> None:
    address = "postgresql://ada:hunter2@127.0.0.1:1/facts?password=hunter3"
    with Ledger(address, patience=2) as ledger, pytest.raises(Unavailable) as caught:
        ledger.use_cases()
    assert str(caught.value).startswith("postgresql://ada@127.0.0.1:1/facts: the ledger cannot be used: ")
    assert "hunter" not in str(caught.value)


def test_a_ledger_that_another_writer_holds_for_too_long_is_unavailable(tmp_path: Path) -> None:
    address = f"sqlite:///{tmp_path}/ledger.db"
    with Ledger(address) as holder, Ledger(address, patience=0.1) as ledger:
        wrote(holder, Entry(JOBS, "j", job("j")))
        with holder.database.writing("churn"):
            assert ledger.latest("churn", JOBS, "j") is not None, "readers never wait"
            with pytest.raises(Unavailable, match="database is locked"):
                wrote(ledger, Entry(JOBS, "k", job("k")))
        wrote(ledger, Entry(JOBS, "k", job("k")))


def test_a_file_that_is_no_database_is_unavailable_and_left_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(b"customerID,Churn\n" * 100)
    with Ledger(f"sqlite:///{path}") as ledger, pytest.raises(Unavailable, match=r"ledger\.db: .*not a database"):
        wrote(ledger, Entry(JOBS, "j", job("j")))
    assert path.read_bytes() == b"customerID,Churn\n" * 100


def test_directories_on_the_way_to_a_ledger_are_made(tmp_path: Path) -> None:
    with Ledger(f"sqlite:///{tmp_path}/home/of/ledger.db") as ledger:
        wrote(ledger, Entry(JOBS, "j", job("j")))
    assert (tmp_path / "home/of/ledger.db").exists()


def test_a_file_in_the_way_of_the_directory_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with Ledger(f"sqlite:///{tmp_path}/home/ledger.db") as ledger, pytest.raises(Unavailable, match="home"):
        ledger.use_cases()


def test_a_read_only_directory_is_unavailable_to_writers(open_place: Path, ordinary_user: OrdinaryUser) -> None:
    address = f"sqlite:///{open_place}/ledger.db"
    with Ledger(address) as ledger:
        wrote(ledger, Entry(JOBS, "j", job("j")))
    (open_place / "ledger.db").chmod(0o444)
    open_place.chmod(0o555)
    with Ledger(address) as ledger, ordinary_user(), pytest.raises(Unavailable) as caught:
        wrote(ledger, Entry(JOBS, "k", job("k")))
    assert "ledger cannot be used" in str(caught.value)
    with Ledger(address) as ledger:
        assert [fact.subject for fact in ledger.since("churn")] == ["j"]


FULL = """
import resource, sys
from datetime import UTC, datetime
from mainstay.errors import Unavailable
from mainstay.ledger.facts import Entry, Ledger
from mainstay.ledger.kinds import JOBS
from mainstay.nouns import Job

ledger = Ledger(sys.argv[1])
ledger.use_cases()
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
body = Job("j", ("train",), "x" * 20_000, "queued")
written = 0
try:
    while written < 100:
        ledger.write("churn", Entry(JOBS, f"{written}a", body), Entry(JOBS, f"{written}b", body),
                     at=datetime(2026, 3, 1, tzinfo=UTC), actor="w", reason="Asked.")
        written += 1
except Unavailable as error:
    print(written, error)
"""


def test_a_full_disk_is_unavailable_and_loses_nothing_that_was_written(tmp_path: Path) -> None:
    # A limit on the size of files stands in for a small disk: it needs no rights.
    address = f"sqlite:///{tmp_path}/ledger.db"
    writer = run(FULL, address)
    said = writer.communicate(timeout=60)[0].decode()
    assert writer.returncode == 0, said
    assert "the ledger cannot be used" in said
    written = int(said.split()[0])
    assert written > 0
    with Ledger(address) as ledger:
        assert len(ledger.since("churn")) == 2 * written
        wrote(ledger, Entry(JOBS, "after", job("after")))


def test_without_psycopg_the_extra_is_named() -> None:
    script = "import sys; sys.modules['psycopg'] = None\nfrom mainstay.ledger.facts import Ledger\nLedger(sys.argv[1])"
    said, _ = run(script, "postgresql://ada:hunter2@host/db").communicate(timeout=60)
    assert b"install mainstay[postgres]" in said
