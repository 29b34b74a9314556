"""A worker as its supervisor sees it, with processes that speak as workers do."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from datetime import UTC, datetime

import pytest

from mainstay.errors import Unavailable
from mainstay.observed import Counted, Told
from mainstay.serving.asking import Asking
from mainstay.serving.child import Child
from mainstay.serving.work import News, Part, Work

WORK = Work({}, "tiny", 3, True, "")
NEWS: News = {"split": Part("null", 1.0)}


def counted(told: Sequence[Told], at: datetime) -> Counted:
    if not told:
        raise Unavailable("gone", "db")
    return Counted(len(told), at.year)


def child(program: str, changed: threading.Event, stderr: int | None = None) -> Child:
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=stderr, text=True
    )
    return Child("r1", process, changed.set)


def test_what_a_worker_says_is_heard_and_its_end_as_well() -> None:
    changed = threading.Event()
    made = child(
        "import sys; sys.stdin.readline(); sys.stdin.readline();"
        """print('{"split": 1, "warm": ["1.0.0"]}'); print('{"version": "1.0.0", "reason": null}')""",
        changed,
    )
    assert made.holding() is None
    made.tell(WORK, NEWS, counted)
    assert made.settled.wait(10)
    assert made.health == {"version": "1.0.0", "reason": None}
    assert changed.is_set()
    assert made.holding() == (1, ("1.0.0",))
    assert made.process.wait(10) == 0
    made.close()


def test_a_worker_that_ends_before_it_is_ready_has_no_health() -> None:
    made = child("raise SystemExit(3)", threading.Event())
    made.tell(WORK, NEWS, counted)
    assert made.settled.wait(10)
    assert made.health is None
    assert made.process.wait(10) == 3
    made.hear({"split": Part("{}", 2.0)})  # nobody hears it, and nobody is hurt
    made.close()


def test_a_worker_that_is_told_nothing_ends_when_it_is_let_go() -> None:
    made = child("import sys; sys.exit(len(sys.stdin.readline()))", threading.Event())
    made.close()
    assert made.process.wait(10) == 0


def test_a_worker_that_hears_nothing_holds_up_nobody() -> None:
    made = child("import time; time.sleep(60)", threading.Event())
    made.tell(WORK, NEWS, counted)
    began = time.monotonic()
    for number in range(100):
        made.hear({"split": Part("x" * 100_000, float(number))})
    assert time.monotonic() - began < 1
    made.process.kill()
    assert made.process.wait(10) < 0
    made.close()


def test_a_worker_has_its_feedback_counted() -> None:
    asked = list[dict[str, object]]()
    asking = Asking(asked.append, patience=0.01)
    for told in ([Told("a", "b")], []):
        with pytest.raises(Unavailable, match="does not answer"):
            asking.note(told, datetime(2026, 1, 1, tzinfo=UTC))
    made = child(
        "import sys, json; sys.stdin.readline(); sys.stdin.readline()\n"
        f"for each in {asked!r}: print(json.dumps(each), flush=True); sys.stderr.write(sys.stdin.readline())",
        threading.Event(),
        stderr=subprocess.PIPE,
    )
    made.tell(WORK, NEWS, counted)
    assert made.process.stderr is not None
    lines = made.process.stderr.read().splitlines()
    assert made.process.wait(10) == 0
    made.process.stderr.close()
    made.close()
    assert [asking.take(line) for line in lines] == [True, True]  # nobody waits for them any more
    assert not asking.take("{}")
    assert [heard_again(line) for line in lines] == [Counted(1, 2026), "db: gone"]


def heard_again(line: str) -> Counted | str:
    """What one who waits for it makes of an answer."""
    number = str(json.loads(line)["noted"])

    def say(words: dict[str, object]) -> None:
        asking.take(line.replace(f'"noted": {number}', f'"noted": {words["note"]}'))

    asking = Asking(say)
    try:
        return asking.note([], datetime(2026, 1, 1, tzinfo=UTC))
    except Unavailable as error:
        return str(error)
