"""What the ledger promises, on SQLite and on a real PostgreSQL server alike."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError

from mainstay.errors import Conflict, Misconfigured, Refused
from mainstay.ledger.facts import Entry, Fact, Ledger
from mainstay.ledger.kinds import JOBS, LOOKS, SPLITS, VERDICTS
from mainstay.nouns import Arm, Estimate, Job, Look, Split
from mainstay.verdicts import Limit, Outcome, Verdict, check

NOW = datetime(2026, 3, 1, 12, 30, 15, 250, tzinfo=UTC)


@pytest.fixture
def ledger(address: str) -> Iterator[Ledger]:
    with Ledger(address) as made:
        yield made


def split(number: int = 1) -> Split:
    return Split(number, "churn", (Arm("1.0.0", 1.0),), configuration="c" * 64)


def job(name: str, state: str = "queued") -> Job:
    return Job(name, ("train",), "Drift was found.", state)


def wrote(
    ledger: Ledger, *entries: Entry[Any], use_case: str = "churn", reason: str = "It was asked for."
) -> list[Fact[Any]]:
    return ledger.write(use_case, *entries, at=NOW, actor="ada", reason=reason)


def raw(ledger_address: str, statement: str) -> None:
    """Do something behind the ledger's back, as a hand at the database's own prompt would."""
    engine = create_engine(ledger_address.replace("postgresql://", "postgresql+psycopg://"))
    try:
        with engine.begin() as connection:
            connection.execute(text(statement))
    finally:
        engine.dispose()


def run(script: str, *arguments: str) -> subprocess.Popen[bytes]:
    source = str(Path(sys.modules[Ledger.__module__].__file__ or "").parents[2])
    environment = {"PYTHONPATH": source, "PATH": os.defpath}
    return subprocess.Popen(
        [sys.executable, "-c", script, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


# What is written is what is read


def test_nothing_is_known_of_what_was_never_written(ledger: Ledger) -> None:
    assert ledger.latest("churn", SPLITS, "churn") is None
    assert ledger.history("churn", SPLITS, "churn") == []
    assert ledger.latest_of_each("churn", JOBS) == []
    assert ledger.since("churn") == []
    assert ledger.use_cases() == []


def test_a_fact_is_read_as_it_was_written(ledger: Ledger) -> None:
    (written,) = wrote(ledger, Entry(SPLITS, "churn", split()), reason="Première version — öffnet.")
    assert ledger.latest("churn", SPLITS, "churn") == written
    assert written == Fact(written.seq, "churn", "split", "churn", 1, NOW, "ada", "Première version — öffnet.", split())


def test_a_verdict_without_a_number_survives(ledger: Ledger) -> None:
    nothing = Estimate(float("nan"), float("nan"), float("nan"), 0)
    judged = Verdict("cd_1", (check("roc_auc", nothing, Limit(at_least=0.8)),))
    wrote(ledger, Entry(VERDICTS, "cd_1", judged))
    found = ledger.latest("churn", VERDICTS, "cd_1")
    assert found is not None
    assert found.body.outcome is Outcome.INCONCLUSIVE
    assert found.body.checks[0].reason == judged.checks[0].reason


def test_times_come_back_in_utc_to_the_microsecond(ledger: Ledger) -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=5, minutes=30)))
    (written,) = ledger.write("churn", Entry(JOBS, "j", job("j")), at=elsewhere, actor="ada", reason="Asked.")
    found = ledger.latest("churn", JOBS, "j")
    assert found == written
    assert found is not None
    assert found.at == NOW
    assert found.at.utcoffset() == timedelta(0)


def test_another_process_reads_what_this_one_wrote(ledger: Ledger, address: str) -> None:
    (written,) = wrote(ledger, Entry(SPLITS, "churn", split()))
    with Ledger(address) as other:
        assert other.latest("churn", SPLITS, "churn") == written


def test_the_latest_fact_is_the_state_and_the_others_are_its_history(ledger: Ledger) -> None:
    wrote(ledger, Entry(JOBS, "j", job("j", "queued")))
    wrote(ledger, Entry(JOBS, "j", job("j", "running"), after=1))
    wrote(ledger, Entry(JOBS, "j", job("j", "done"), after=2))
    wrote(ledger, Entry(JOBS, "other", job("other")))
    latest = ledger.latest("churn", JOBS, "j")
    assert latest is not None
    assert (latest.number, latest.body.state) == (3, "done")
    assert [fact.body.state for fact in ledger.history("churn", JOBS, "j")] == ["queued", "running", "done"]


def test_the_latest_of_each_subject_come_in_the_order_they_were_written(ledger: Ledger) -> None:
    wrote(ledger, Entry(JOBS, "a", job("a")), Entry(JOBS, "b", job("b")), Entry(JOBS, "c", job("c")))
    wrote(ledger, Entry(JOBS, "a", job("a", "done"), after=1))
    assert [(fact.subject, fact.number) for fact in ledger.latest_of_each("churn", JOBS)] == [
        ("b", 1),
        ("c", 1),
        ("a", 2),
    ]


def test_everything_since_a_fact_comes_in_one_order_across_kinds(ledger: Ledger) -> None:
    look = Look("cd_1", "churn", None, 1, 0.05)
    first, second = wrote(ledger, Entry(JOBS, "j", job("j")), Entry(LOOKS, "churn", look))
    (third,) = wrote(ledger, Entry(SPLITS, "churn", split()))
    assert ledger.since("churn") == [first, second, third]
    assert ledger.since("churn", first.seq) == [second, third]
    assert ledger.since("churn", third.seq) == []
    assert first.seq < second.seq < third.seq


def test_use_cases_are_apart(ledger: Ledger) -> None:
    wrote(ledger, Entry(SPLITS, "live", split()), use_case="fraud")
    wrote(ledger, Entry(SPLITS, "live", split()), use_case="churn")
    assert ledger.use_cases() == ["churn", "fraud"]
    assert len(ledger.since("churn")) == 1
    assert ledger.latest("credit", SPLITS, "live") is None
    assert ledger.latest_of_each("credit", SPLITS) == []


# Optimistic concurrency, all or none


@pytest.mark.parametrize("after", [0, 2, 7])
def test_writing_after_anything_but_the_latest_is_a_conflict(ledger: Ledger, after: int) -> None:
    wrote(ledger, Entry(SPLITS, "churn", split()))
    with pytest.raises(Conflict, match=f"split churn is at number 1, not {after}"):
        wrote(ledger, Entry(SPLITS, "churn", split(2), after=after))
    assert len(ledger.history("churn", SPLITS, "churn")) == 1


def test_all_entries_are_written_or_none(ledger: Ledger) -> None:
    wrote(ledger, Entry(JOBS, "taken", job("taken")))
    with pytest.raises(Conflict, match="job taken is at number 1, not 0"):
        wrote(ledger, Entry(SPLITS, "churn", split()), Entry(JOBS, "taken", job("taken")), Entry(JOBS, "x", job("x")))
    assert ledger.latest("churn", SPLITS, "churn") is None
    assert ledger.latest("churn", JOBS, "x") is None


def test_a_conflict_names_everything_that_moved(ledger: Ledger) -> None:
    wrote(ledger, Entry(JOBS, "a", job("a")), Entry(JOBS, "b", job("b")), Entry(JOBS, "c", job("c")))
    with pytest.raises(Conflict, match=r"job a is at number 1, not 0; job b is at number 1, not 4"):
        wrote(ledger, Entry(JOBS, "a", job("a")), Entry(JOBS, "b", job("b"), 4), Entry(JOBS, "c", job("c"), 1))


def test_one_write_may_tell_two_things_about_one_subject(ledger: Ledger) -> None:
    wrote(ledger, Entry(JOBS, "j", job("j", "queued")), Entry(JOBS, "j", job("j", "running"), after=1))
    assert [fact.body.state for fact in ledger.history("churn", JOBS, "j")] == ["queued", "running"]


def test_a_write_without_entries_writes_nothing(ledger: Ledger) -> None:
    assert wrote(ledger) == []
    assert ledger.use_cases() == []


WRITER = """
import sys
from datetime import UTC, datetime
from mainstay.errors import Conflict
from mainstay.ledger.facts import Entry, Ledger
from mainstay.ledger.kinds import JOBS
from mainstay.nouns import Job

address, name, times = sys.argv[1], sys.argv[2], int(sys.argv[3])
with Ledger(address, patience=60) as ledger:
    for turn in range(times):
        while True:
            last = ledger.latest("churn", JOBS, "shared")
            after = last.number if last else 0
            body = Job(f"{name}-{turn}", ("train",), "It was asked for.", "queued")
            try:
                ledger.write(
                    "churn", Entry(JOBS, "shared", body, after), Entry(JOBS, body.id, body),
                    at=datetime(2026, 3, 1, tzinfo=UTC), actor=name, reason="Another turn.",
                )
                break
            except Conflict:
                pass
"""


def test_processes_that_write_at_once_lose_and_double_nothing(address: str) -> None:
    # The database is not there yet either: they also race to make its tables.
    processes, turns = 4, 10
    writers = [run(WRITER, address, f"w{number}", str(turns)) for number in range(processes)]
    said = [writer.communicate(timeout=120)[0].decode() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * processes, said
    with Ledger(address) as ledger:
        shared = ledger.history("churn", JOBS, "shared")
        everything = ledger.since("churn")
    assert [fact.number for fact in shared] == list(range(1, processes * turns + 1))
    assert [fact.seq for fact in shared] == sorted(fact.seq for fact in shared)
    assert {fact.body.id for fact in shared} == {f"w{n}-{turn}" for n in range(processes) for turn in range(turns)}
    # Each transaction is together: the lock leaves no room between its two facts.
    assert [fact.subject for fact in everything[0::2]] == ["shared"] * processes * turns
    assert [fact.subject for fact in everything[1::2]] == [fact.body.id for fact in shared]


def test_threads_share_one_ledger(ledger: Ledger) -> None:
    def write(name: str) -> None:
        for turn in range(5):
            wrote(ledger, Entry(JOBS, f"{name}-{turn}", job("j")))
            ledger.latest_of_each("churn", JOBS)

    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(ledger.latest_of_each("churn", JOBS)) == 20


def test_a_reader_who_follows_seq_while_others_write_misses_nothing(ledger: Ledger) -> None:
    done = threading.Event()

    def write(name: str) -> None:
        for turn in range(10):
            wrote(ledger, Entry(JOBS, f"{name}-{turn}", job("j")), Entry(LOOKS, f"{name}-{turn}", look))

    look = Look("cd_1", "churn", None, 1, 0.05)
    threads = [threading.Thread(target=write, args=(f"t{number}",)) for number in range(3)]
    for thread in threads:
        thread.start()
    followed: list[Fact[Any]] = []
    while not done.is_set():
        if not any(thread.is_alive() for thread in threads):
            done.set()
        followed += ledger.since("churn", followed[-1].seq if followed else 0)
    assert followed == ledger.since("churn")
    assert len(followed) == 60


# What is refused


@pytest.mark.parametrize(
    ("use_case", "subject", "actor", "reason", "said"),
    [
        ("", "j", "ada", "Asked.", "needs its use case"),
        ("churn", " ", "ada", "Asked.", "needs its subject"),
        ("churn", "j", "", "Asked.", "needs its actor"),
        ("churn", "j", "ada", " \n", "needs its reason"),
        ("churn", "j\0", "ada", "Asked.", "subject holds a NUL"),
        ("churn", "j", "ada", "Half \ud800.", "reason holds half a character"),
        ("churn", "ü" * 300, "ada", "Asked.", "subject is 600 bytes long; 512 is the most"),
    ],
)
def test_a_fact_says_who_what_and_why(
    ledger: Ledger, use_case: str, subject: str, actor: str, reason: str, said: str
) -> None:
    with pytest.raises(Refused, match=said):
        ledger.write(use_case, Entry(JOBS, subject, job("j")), at=NOW, actor=actor, reason=reason)
    assert ledger.use_cases() == []


def test_the_longest_names_fit(ledger: Ledger) -> None:
    use_case, subject = os.urandom(256).hex(), os.urandom(256).hex()  # random: PostgreSQL compresses what repeats
    wrote(ledger, Entry(JOBS, subject, job("j")), use_case=use_case)
    assert ledger.latest(use_case, JOBS, subject) is not None


def test_a_time_without_a_zone_is_a_mistake(ledger: Ledger) -> None:
    with pytest.raises(ValueError, match="zone"):
        ledger.write("churn", at=NOW.replace(tzinfo=None), actor="ada", reason="Asked.")


def test_a_body_of_another_kind_is_a_mistake(ledger: Ledger) -> None:
    mixed: Entry[Any] = Entry(SPLITS, "j", job("j"))  # type: ignore[type-var,arg-type,unused-ignore]
    with pytest.raises(TypeError, match="kind split holds a Split, not a Job"):
        wrote(ledger, mixed)


def test_a_body_that_json_cannot_hold_is_refused(ledger: Ledger) -> None:
    huge = Look("cd_1", "churn", None, 2**60, 0.05)
    with pytest.raises(Refused, match="look churn: JSON cannot hold it"):
        wrote(ledger, Entry(LOOKS, "churn", huge))


@pytest.mark.parametrize("asked", ["nul\0", "half\ud800"])
def test_asking_for_a_name_that_cannot_be_is_no_fault_of_the_world(ledger: Ledger, asked: str) -> None:
    with suppress(Refused):
        assert ledger.latest("churn", JOBS, asked) is None


CHANGES = ["UPDATE facts SET reason = 'rewritten'", "DELETE FROM facts", "DELETE FROM facts WHERE number = 1"]
REPLACE = "INSERT OR REPLACE INTO facts SELECT seq + {}, use_case, kind, subject, {}, at, 'eve', reason, schema, body"
CHANGES_OF = {
    "sqlite": [f"{REPLACE.format(0, 'number + 1')} FROM facts", f"{REPLACE.format(9, 'number')} FROM facts"],
    "postgresql": ["TRUNCATE facts"],
}


def test_the_database_itself_refuses_to_change_a_fact(ledger: Ledger, address: str) -> None:
    (written,) = wrote(ledger, Entry(SPLITS, "churn", split()))
    for statement in CHANGES + CHANGES_OF[address.partition(":")[0]]:
        with pytest.raises(DBAPIError, match="facts are never"):
            raw(address, statement)
    assert ledger.since("churn") == [written]


def test_a_number_written_behind_the_ledgers_back_stays_unique(ledger: Ledger, address: str) -> None:
    wrote(ledger, Entry(SPLITS, "churn", split()))
    with pytest.raises(DBAPIError):
        raw(
            address,
            "INSERT INTO facts (use_case, kind, subject, number, at, actor, reason, schema, body)"
            " SELECT use_case, kind, subject, number, at, 'eve', reason, schema, body FROM facts",
        )


def test_the_tables_of_a_later_release_are_refused(ledger: Ledger, address: str) -> None:
    wrote(ledger, Entry(SPLITS, "churn", split()))
    raw(address, "UPDATE ledger_tables SET version = 4")
    with Ledger(address) as other, pytest.raises(Refused, match="version 4, not 3: upgrade Mainstay"):
        other.latest("churn", SPLITS, "churn")


def test_a_fact_of_a_later_release_is_refused_and_hides_no_other(ledger: Ledger, address: str) -> None:
    wrote(ledger, Entry(SPLITS, "churn", split()))
    insert = "INSERT INTO facts (use_case, kind, subject, number, at, actor, reason, schema, body) VALUES"
    raw(address, f"{insert} ('churn', 'job', 'j', 1, '2026-03-01T00:00:00.000000Z', 'a', 'r', 99, '{{}}')")
    raw(address, f"{insert} ('churn', 'oracle', 'o', 1, '2026-03-01T00:00:00.000000Z', 'a', 'r', 1, '{{}}')")
    raw(address, f"{insert} ('churn', 'look', 'l', 1, '2026-03-01T00:00:00.000000Z', 'a', 'r', 1, '{{')")
    with pytest.raises(Refused, match="schema 99"):
        ledger.latest("churn", JOBS, "j")
    with pytest.raises(Refused, match="kind oracle is from a later release"):
        ledger.since("churn", seq=2)
    with pytest.raises(Refused, match="fact 4: its body is not JSON"):
        ledger.latest("churn", LOOKS, "l")
    assert ledger.latest("churn", SPLITS, "churn") is not None


# Addresses


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("", "not one: use sqlite:///FILE"),
        ("ledger.db", "not one: use sqlite:///FILE"),
        ("postgresql://ada:hunter2@host:secret/db", "not one: use sqlite:///FILE"),
        ("mysql://ada:hunter2@host/db", "no ledger is kept at mysql://"),
        ("sqlite://", "would forget"),
        ("sqlite:///:memory:", "would forget"),
    ],
)
def test_an_address_that_is_none_is_misconfigured(url: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said) as caught:
        Ledger(url)
    assert "hunter2" not in str(caught.value)


def test_making_a_ledger_touches_nothing(tmp_path: Path) -> None:
    Ledger(f"sqlite:///{tmp_path}/ledger.db").close()
    assert list(tmp_path.iterdir()) == []


def test_a_closed_ledger_opens_again(ledger: Ledger) -> None:
    wrote(ledger, Entry(JOBS, "j", job("j")))
    ledger.close()
    assert ledger.latest("churn", JOBS, "j") is not None
