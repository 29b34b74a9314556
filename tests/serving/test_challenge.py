"""A challenger that raises, hangs, is slow or makes no number never costs a customer the answer."""

import asyncio
import math
import threading
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from mainstay.nouns import Arm
from mainstay.observed import Ending
from mainstay.rollout.assign import Assignment
from mainstay.serving.arms import Arms, Live
from mainstay.serving.challenge import Attempt, Lanes, answer, scored

if TYPE_CHECKING:
    from tests.serving.conftest import World

BUDGET = 0.05


def after(seconds: float, score: float = 0.5) -> float:
    """A score that takes its time."""
    time.sleep(seconds)
    return score


def noted(calls: list[str], score: float = 0.5) -> float:
    """A score that leaves the name of its thread."""
    calls.append(threading.current_thread().name)
    return score


@pytest.fixture
def never() -> Iterator[threading.Event]:
    """What a hanging arm waits for; it comes when the test is over."""
    made = threading.Event()
    yield made
    made.set()


def works(seconds: float) -> float:
    """Keep a processor busy for so long."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass
    return 0.25


def attempt(lanes: Lanes, score: Callable[[], float], budget: float = BUDGET) -> Attempt[float]:
    return asyncio.run(lanes.attempt("1.1.0", score, math.isfinite, budget))


def test_a_challenger_in_time_answers_and_its_scoring_alone_is_timed() -> None:
    found = attempt(Lanes(), lambda: works(0.002), 5.0)
    assert (found.ending, found.made) == (Ending.OK, 0.25)
    assert 2_000 <= found.scoring_us < 1_000_000


def test_one_that_raises_is_an_ending_and_no_exception() -> None:
    assert attempt(Lanes(), lambda: 1 / 0).ending is Ending.RAISED


def test_one_that_is_not_finite_is_told_apart() -> None:
    found = attempt(Lanes(), lambda: math.nan)
    assert found.ending is Ending.NOT_FINITE


def test_one_that_is_slow_is_late_after_its_budget_and_not_later() -> None:
    started = time.perf_counter()
    found = attempt(Lanes(), lambda: after(0.4))
    assert found.ending is Ending.LATE
    assert found.made is None
    assert found.scoring_us >= BUDGET * 1e6 * 0.9
    assert time.perf_counter() - started < 0.35


def test_an_event_loop_that_is_busy_elsewhere_makes_nobody_late() -> None:
    async def busy() -> Attempt[float]:
        asked = asyncio.ensure_future(Lanes().attempt("1.1.0", lambda: 0.25, math.isfinite, BUDGET))
        await asyncio.sleep(0)
        time.sleep(3 * BUDGET)
        return await asked

    assert asyncio.run(busy()).ending is Ending.OK


def test_one_that_hangs_holds_its_own_threads_and_then_everybody_is_late_at_once(never: threading.Event) -> None:
    lanes = Lanes(threads=2, waiting=8)
    before = threading.active_count()

    async def flood() -> list[Attempt[bool]]:
        return await asyncio.gather(*(lanes.attempt("1.1.0", never.wait, bool, BUDGET) for _ in range(100)))

    first = asyncio.run(flood())
    time.sleep(BUDGET)
    started = time.perf_counter()
    second = asyncio.run(flood())
    took = time.perf_counter() - started
    assert {found.ending for found in first + second} == {Ending.LATE}
    assert took < BUDGET  # nobody waited
    assert threading.active_count() - before <= 2
    assert asyncio.run(lanes.attempt("1.2.0", lambda: 0.5, math.isfinite, 5.0)).ending is Ending.OK


def test_one_that_hung_and_came_back_is_asked_again(never: threading.Event) -> None:
    lanes = Lanes(threads=1)
    assert asyncio.run(lanes.attempt("1.1.0", never.wait, bool, BUDGET)).ending is Ending.LATE
    never.set()
    until = time.monotonic() + 5
    while attempt(lanes, lambda: 0.5).ending is not Ending.OK:
        assert time.monotonic() < until


def test_what_nobody_waits_for_any_more_is_not_scored(never: threading.Event) -> None:
    lanes, calls = Lanes(threads=1), list[str]()

    async def two() -> None:
        hung = asyncio.ensure_future(lanes.attempt("1.1.0", never.wait, bool, 1.0))
        await asyncio.sleep(0.01)
        await lanes.attempt("1.1.0", lambda: noted(calls), bool, 0.02)
        never.set()
        await hung

    asyncio.run(two())
    time.sleep(0.05)
    assert calls == []


def test_a_client_that_leaves_leaves_nothing_behind(never: threading.Event) -> None:
    async def leave() -> None:
        asked = asyncio.ensure_future(Lanes().attempt("1.1.0", never.wait, bool, 10.0))
        await asyncio.sleep(0.01)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked

    asyncio.run(leave())
    never.set()  # what it made in the end finds no event loop, and says nothing
    time.sleep(0.02)


def test_a_batch_waits_on_its_own_thread_as_long(never: threading.Event) -> None:
    lanes = Lanes(threads=1)
    assert lanes.attempt_here("1.1.0", lambda: 0.5, math.isfinite, 5.0).ending is Ending.OK
    assert lanes.attempt_here("1.1.0", never.wait, bool, BUDGET).ending is Ending.LATE


def test_a_thread_without_work_ends_and_another_begins() -> None:
    lanes, before = Lanes(idle=0.01), threading.active_count()
    for _ in range(3):
        assert attempt(lanes, lambda: 0.5, 5.0).ending is Ending.OK
        time.sleep(0.1)
        assert threading.active_count() == before


@pytest.fixture
def canary(world: "World") -> Live:
    world.goes_live(Arm("1.0.0", 0.1), Arm("1.1.0", 0.9))
    arms: Arms = world.arms()
    arms.refresh(0.0)
    assert arms.live is not None
    return arms.live


def ask(live: Live, version: str, scores: dict[str, Callable[[], float]]) -> list[Attempt[float]]:
    def score(asked: str) -> float:
        return scores[asked]()

    return asyncio.run(answer(Lanes(), live, Assignment(version, 0.9, False, version), score, math.isfinite))


@pytest.mark.parametrize(
    ("failing", "ending"),
    [
        (lambda: 1 / 0, Ending.RAISED),
        (lambda: math.inf, Ending.NOT_FINITE),
        (lambda: after(0.3), Ending.LATE),
    ],
)
def test_where_the_challenger_fails_the_incumbent_answers(
    canary: Live, failing: Callable[[], float], ending: Ending
) -> None:
    # The challenger answers most by now, and is the challenger still.
    found = ask(canary, "1.1.0", {"1.1.0": failing, "1.0.0": lambda: 0.75})
    assert [(each.version, each.ending) for each in found] == [("1.1.0", ending), ("1.0.0", Ending.OK)]
    assert found[-1].made == 0.75


def test_a_challenger_that_is_fine_answers_alone(canary: Live) -> None:
    found = ask(canary, "1.1.0", {"1.1.0": lambda: 0.25, "1.0.0": lambda: 1 / 0})
    assert [(each.version, each.ending, each.made) for each in found] == [("1.1.0", Ending.OK, 0.25)]


def test_the_incumbent_is_scored_where_it_is_asked_and_has_nobody_behind_it(canary: Live) -> None:
    threads: list[str] = []
    found = ask(canary, "1.0.0", {"1.0.0": lambda: noted(threads, math.nan)})
    assert [(each.version, each.ending) for each in found] == [("1.0.0", Ending.NOT_FINITE)]
    assert threads == ["MainThread"]


def test_the_incumbent_is_the_first_that_does_not_stand_by(world: "World") -> None:
    world.goes_live(Arm("1.0.0", standby=True), Arm("1.1.0", 1.0))
    arms = world.arms()
    arms.refresh(0.0)
    assert arms.live is not None
    assert arms.live.incumbent == "1.1.0"
    assert scored("1.1.0", lambda: 0.5, math.isfinite).ending is Ending.OK


def test_waiting_for_a_processor_is_no_slowness_of_an_arm() -> None:
    def waits_and_works() -> float:
        time.sleep(0.2)
        return works(0.01)

    attempt = scored("1.1.0", waits_and_works, bool)
    assert attempt.ending is Ending.OK
    assert 10_000 <= attempt.scoring_us < 100_000
