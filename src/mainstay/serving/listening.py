"""Arms that listen: they score what another arm answered, after the answer, and nobody waits for them."""

import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from dataclasses import dataclass
from typing import Any, TypeVar

from mainstay.serving import metrics
from mainstay.serving.challenge import Attempt, scored_aside

T = TypeVar("T")

ROOM = 4000
"""Rows that wait for one version; what comes when there is no room is shed, and counted."""
IDLE = 60.0
"""Seconds after which a thread without work ends; the next request starts another."""


@dataclass(frozen=True, slots=True)
class _Heard:
    """Rows to score, and whom to tell. The types of the two meet in `offer`."""

    rows: int
    listen: Callable[[], Attempt[Any]]
    write: Callable[[Attempt[Any]], None]


class Listeners:
    """The threads that listening arms are scored on, one for each version, so that one that hangs stops no other.

    Any thread may offer. What was offered and not yet scored is lost with the process: listening is evidence that may
    be missed, as long as it is counted, and never an answer.
    """

    def __init__(self, room: int = ROOM, idle: float = IDLE) -> None:
        self._shape = room, idle
        self._ears: dict[str, _Ear] = {}

    def offer(
        self,
        version: str,
        score: Callable[[], T],
        finite: Callable[[T], bool],
        write: Callable[[Attempt[T]], None],
        rows: int = 1,
    ) -> bool:
        """Have a version score later; `write` is then given how it ended, on another thread. False if it was shed.

        A batch of more rows than there is room for is taken where nothing else waits. Where `write` raises,
        the rows are counted as unwritten.
        """
        ear = self._ears.get(version) or self._ears.setdefault(version, _Ear(version, *self._shape))
        context = copy_context()
        taken = ear.takes(_Heard(rows, lambda: context.run(scored_aside, version, score, finite), write))
        if not taken:
            metrics.LISTENED.labels(version, "shed").inc(rows)
        return taken

    def close(self, seconds: float) -> bool:
        """Wait until everything offered was heard, at most so long; whether it was."""
        until = time.monotonic() + seconds
        rested = [ear.rests(until) for ear in list(self._ears.values())]  # each gets its chance
        return all(rested)


class _Ear:
    """The thread of one version, started when there is work, and the line in front of it."""

    def __init__(self, version: str, room: int, idle: float) -> None:
        self._version = version
        self._room = room
        self._idle = idle
        self._line: deque[_Heard] = deque()
        self._rows = 0
        self._changed = threading.Condition()
        self._running = False

    def takes(self, heard: _Heard) -> bool:
        with self._changed:
            if self._rows and self._rows + heard.rows > self._room:
                return False
            self._line.append(heard)
            self._rows += heard.rows
            if self._running:
                self._changed.notify_all()
            else:
                self._running = True
                threading.Thread(target=self._listen, name=f"listening {self._version}", daemon=True).start()
        return True

    def rests(self, until: float) -> bool:
        """Whether nothing waits or is scored any more, by a time of `monotonic` at the latest."""
        with self._changed:
            return self._changed.wait_for(lambda: self._rows == 0, max(0.0, until - time.monotonic()))

    def _listen(self) -> None:
        while True:
            with self._changed:
                while not self._line:
                    if not self._changed.wait(self._idle) and not self._line:
                        self._running = False
                        return
                heard = self._line.popleft()
            attempt = heard.listen()
            outcome = attempt.ending.value
            try:
                heard.write(attempt)
            except Exception:  # noqa: BLE001
                # A full disk, or a defect: the next record may fare better, and no customer waits for this one.
                outcome = "unwritten"
            metrics.LISTENED.labels(self._version, outcome).inc(heard.rows)
            with self._changed:
                self._rows -= heard.rows  # only now: what is being scored takes up room as well
                self._changed.notify_all()
