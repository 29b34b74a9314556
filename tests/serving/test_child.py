"""A worker as its supervisor sees it, with processes that speak as workers do."""

import subprocess
import sys
import threading
import time

from mainstay.serving.child import Child
from mainstay.serving.work import News, Part, Work

WORK = Work({}, "tiny", 3, True, "")
NEWS: News = {"split": Part("null", 1.0)}


def child(program: str, changed: threading.Event) -> Child:
    process = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
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
    made.tell(WORK, NEWS)
    assert made.settled.wait(10)
    assert made.health == {"version": "1.0.0", "reason": None}
    assert changed.is_set()
    assert made.holding() == (1, ("1.0.0",))
    assert made.process.wait(10) == 0
    made.close()


def test_a_worker_that_ends_before_it_is_ready_has_no_health() -> None:
    made = child("raise SystemExit(3)", threading.Event())
    made.tell(WORK, NEWS)
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
    made.tell(WORK, NEWS)
    began = time.monotonic()
    for number in range(100):
        made.hear({"split": Part("x" * 100_000, float(number))})
    assert time.monotonic() - began < 1
    made.process.kill()
    assert made.process.wait(10) < 0
    made.close()
