"""Arms that listen are scored afterwards, in bounded room; what is shed is counted, and nobody waits."""

import math
import threading
import time
from collections.abc import Iterator

import pytest

from mainstay.observed import Ending
from mainstay.serving import metrics
from mainstay.serving.challenge import Attempt
from mainstay.serving.listening import Listeners


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What a hanging arm waits for; it comes when the test is over."""
    made = threading.Event()
    yield made
    made.set()


def counted(version: str, outcome: str) -> float:
    return metrics.REGISTRY.get_sample_value("mainstay_listened_total", {"version": version, "outcome": outcome}) or 0.0


def test_what_an_arm_heard_is_written_with_how_it_ended() -> None:
    listeners, heard = Listeners(), list[Attempt[float]]()
    for score in (lambda: 0.25, lambda: 1 / 0, lambda: math.nan):
        assert listeners.offer("2.0.0", score, math.isfinite, heard.append)
    assert listeners.close(5.0)
    assert [each.ending for each in heard] == [Ending.OK, Ending.RAISED, Ending.NOT_FINITE]
    assert heard[0].made == 0.25
    assert (counted("2.0.0", "ok"), counted("2.0.0", "raised")) == (1.0, 1.0)


def test_nobody_waits_for_a_listener_that_hangs_and_what_it_cannot_hear_is_shed_and_counted(
    never: threading.Event,
) -> None:
    listeners, heard = Listeners(room=10), list[Attempt[bool]]()
    started = time.perf_counter()
    taken = sum(listeners.offer("2.1.0", never.wait, bool, heard.append) for _ in range(1000))
    assert time.perf_counter() - started < 0.5
    assert taken == 10
    assert counted("2.1.0", "shed") == 990
    assert not listeners.close(0.01)
    other = list[Attempt[float]]()
    assert listeners.offer("2.2.0", lambda: 0.5, math.isfinite, other.append)
    never.set()
    assert listeners.close(5.0)
    assert (len(heard), len(other)) == (10, 1)


def test_a_batch_larger_than_the_room_is_heard_where_nothing_else_waits(never: threading.Event) -> None:
    listeners, heard = Listeners(room=10), list[Attempt[bool]]()
    assert listeners.offer("2.3.0", never.wait, bool, heard.append, rows=1000)
    assert not listeners.offer("2.3.0", never.wait, bool, heard.append, rows=1)
    never.set()
    assert listeners.close(5.0)
    assert counted("2.3.0", "ok") == 1000


def test_a_record_that_cannot_be_written_is_counted_and_the_next_is_written() -> None:
    listeners, heard = Listeners(), list[Attempt[float]]()

    def full(attempt: Attempt[float]) -> None:
        raise OSError(28, "No space left on device")

    listeners.offer("2.4.0", lambda: 0.5, math.isfinite, full)
    listeners.offer("2.4.0", lambda: 0.5, math.isfinite, heard.append)
    assert listeners.close(5.0)
    assert (counted("2.4.0", "unwritten"), len(heard)) == (1.0, 1)


def test_a_thread_without_work_ends_and_another_begins() -> None:
    listeners, heard, before = Listeners(idle=0.01), list[Attempt[float]](), threading.active_count()
    for _ in range(3):
        listeners.offer("2.5.0", lambda: 0.5, math.isfinite, heard.append)
        assert listeners.close(5.0)
        time.sleep(0.1)
        assert threading.active_count() == before
    assert len(heard) == 3
