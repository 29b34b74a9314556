"""A challenger scores off the event loop, under a budget: it may fail, the customer may not.

Each version has threads of its own, few of them and with a short line in front. One that hangs holds its own threads
and nothing else: once it holds them all for longer than its budget, whoever comes after is told at once that it is
late. Python cannot end a thread, so what hangs stays until the process ends; it never keeps a process from ending.
What no thread is safe from is code that keeps the interpreter's lock; ONNX Runtime lets go of it while it scores.
"""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from typing import Generic, TypeVar

from mainstay.observed import Ending
from mainstay.rollout.assign import Assignment
from mainstay.serving import metrics
from mainstay.serving.arms import Live

log = logging.getLogger(__name__)

T = TypeVar("T")

THREADS = 2
"""Threads of one version."""
WAITING = 64
"""Requests that wait for them; more are late at once."""
AGAIN = 10.0
"""Seconds before the log is told again that a version raises."""
IDLE = 60.0
"""Seconds after which a thread without work ends; the next request starts another."""


@dataclass(frozen=True, slots=True)
class Attempt(Generic[T]):
    """How one arm's scoring ended. `made` is what it scored, None where it raised or was late.

    `scoring_us` are the microseconds that the scoring took of a processor, without the way to a thread and back or any
    waiting for one; of a late one those until nobody waited any more.
    """

    version: str
    ending: Ending
    scoring_us: float
    made: T | None


def scored(version: str, score: Callable[[], T], finite: Callable[[T], bool]) -> Attempt[T]:
    """Score here and now. Whatever is raised is an ending, not an exception.

    What counts is the processor's time of this thread: a challenger on a thread of its own waits for the interpreter
    while the event loop has it, the incumbent does not, and the two are held against each other.
    """
    started = time.thread_time()
    try:
        made = score()
        ending = Ending.OK if finite(made) else Ending.NOT_FINITE
    except Exception:  # noqa: BLE001
        # An arm is somebody's model: whatever it does wrong is counted against it, and must end nothing else.
        _say(version, time.perf_counter())
        return Attempt(version, Ending.RAISED, (time.thread_time() - started) * 1e6, None)
    return Attempt(version, ending, (time.thread_time() - started) * 1e6, made)


_SCORING: set[int] = set()


def scored_aside(version: str, score: Callable[[], T], finite: Callable[[T], bool]) -> Attempt[T]:
    """As `scored`, on a thread that nobody can end: while it is at it, `hanging` says so."""
    _SCORING.add(threading.get_ident())
    try:
        return scored(version, score, finite)
    finally:
        _SCORING.discard(threading.get_ident())


def hanging() -> bool:
    """Whether an arm is being scored on a thread of its own. A process that ends meanwhile must leave at once.

    The interpreter's own end would meet the thread inside ONNX Runtime, and abort (exit code 134).
    """
    return bool(_SCORING)


def _say(version: str, now: float) -> None:
    """Tell the log what a version raised, now and then: one that always raises must not fill a disk."""
    if now - _SAID.get(version, -math.inf) >= AGAIN:
        _SAID[version] = now
        log.exception("%s raised while it scored; it is counted, and not told again for %g s", version, AGAIN)


_SAID: dict[str, float] = {}


async def answer(
    lanes: "Lanes", live: Live, assignment: Assignment, score: Callable[[str], T], finite: Callable[[T], bool]
) -> list[Attempt[T]]:
    """Every attempt to answer a request, in order. The last one answers if it is OK; else nobody does.

    The incumbent (`Live.incumbent`) is scored at once, on the event loop. Any other arm is a challenger: it is given
    `serving.challenger_budget`, and where it fails the incumbent answers. `score` is told which version it is for.
    """
    version = assignment.version
    attempts = []
    if version != live.incumbent:
        budget = live.policies.challenger_budget.total_seconds()
        attempts.append(await lanes.attempt(version, lambda: score(version), finite, budget))
        if attempts[0].ending is Ending.OK:
            return attempts
    attempts.append(scored(live.incumbent, lambda: score(live.incumbent), finite))
    return attempts


class Lanes:
    """The threads that challengers are scored on. Any thread may ask."""

    def __init__(self, threads: int = THREADS, waiting: int = WAITING, idle: float = IDLE) -> None:
        self._shape = threads, waiting, idle
        self._lanes: dict[str, _Lane] = {}

    async def attempt(
        self, version: str, score: Callable[[], T], finite: Callable[[T], bool], budget: float
    ) -> Attempt[T]:
        """Score on a thread of the version's; late after `budget` seconds, or at once where its threads are held."""
        loop = asyncio.get_running_loop()
        over: asyncio.Future[None] = loop.create_future()

        def end() -> None:
            if not over.done():
                over.set_result(None)

        def tell() -> None:
            with suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(end)

        job = _Job(version, score, finite, tell, time.perf_counter() + budget)
        if self._lane(version).takes(job, budget):
            alarm = loop.call_later(budget, end)
            try:
                await over
            finally:
                alarm.cancel()
                job.given_up = True
        return _counted(job.outcome(budget))

    def attempt_here(
        self, version: str, score: Callable[[], T], finite: Callable[[T], bool], budget: float
    ) -> Attempt[T]:
        """As `attempt`, for a thread that may wait: that of a batch."""
        over = threading.Event()
        job = _Job(version, score, finite, over.set, time.perf_counter() + budget)
        if self._lane(version).takes(job, budget):
            over.wait(budget)
            job.given_up = True
        return _counted(job.outcome(budget))

    def _lane(self, version: str) -> "_Lane":
        lane = self._lanes.get(version)
        # Two threads may both make one; setdefault keeps the first, and a lane without work has no thread yet.
        return lane or self._lanes.setdefault(version, _Lane(version, *self._shape))


def _counted(attempt: Attempt[T]) -> Attempt[T]:
    metrics.ATTEMPTS.labels(attempt.version, attempt.ending.value).inc()
    return attempt


class _Job(Generic[T]):
    """One scoring that somebody waits for until `deadline`, a time of `perf_counter`."""

    __slots__ = ("context", "deadline", "finished", "finite", "found", "given_up", "score", "tell", "version")

    def __init__(
        self,
        version: str,
        score: Callable[[], T],
        finite: Callable[[T], bool],
        tell: Callable[[], None],
        deadline: float,
    ) -> None:
        self.version, self.score, self.finite, self.tell, self.deadline = version, score, finite, tell, deadline
        self.context = copy_context()
        self.given_up = False
        self.found: Attempt[T] | None = None
        self.finished = math.inf

    def run(self) -> None:
        self.found = self.context.run(scored_aside, self.version, self.score, self.finite)
        self.finished = time.perf_counter()
        self.tell()

    def outcome(self, budget: float) -> Attempt[T]:
        """By the thread's own clock: an event loop that was busy elsewhere makes nobody late."""
        if self.found is not None and self.finished <= self.deadline:
            return self.found
        waited = max(0.0, budget + time.perf_counter() - self.deadline)
        return Attempt(self.version, Ending.LATE, waited * 1e6, None)


class _Lane:
    """The threads of one version, started when there is work."""

    def __init__(self, version: str, threads: int, waiting: int, idle: float) -> None:
        self._version = version
        self._most = threads
        self._waiting = waiting
        self._idle = idle
        self._jobs: deque[_Job[object]] = deque()
        self._ready = threading.Condition()
        self._busy_since: dict[int, float] = {}
        self._running = 0

    def takes(self, job: "_Job[T]", budget: float) -> bool:
        """Whether the job will be looked at; not where the line is long, or every thread is held past the budget."""
        now = time.perf_counter()
        with self._ready:
            held = sum(now - since > budget for since in self._busy_since.values())
            if len(self._jobs) >= self._waiting or held >= self._most:
                return False
            self._jobs.append(job)  # type: ignore[arg-type]  # only whoever made it reads what it found
            if len(self._jobs) + len(self._busy_since) > self._running and self._running < self._most:
                self._running += 1
                threading.Thread(target=self._work, name=f"challenger {self._version}", daemon=True).start()
            else:
                self._ready.notify()
        return True

    def _work(self) -> None:
        me = threading.get_ident()
        while True:
            with self._ready:
                self._busy_since.pop(me, None)
                while not self._jobs:
                    if not self._ready.wait(self._idle) and not self._jobs:
                        self._running -= 1
                        return
                job = self._jobs.popleft()
                self._busy_since[me] = time.perf_counter()
            if not job.given_up:
                job.run()
