"""One worker process, as the supervisor that started it sees it."""

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from mainstay.errors import MainstayError
from mainstay.observed import Counted, Told
from mainstay.serving.work import News, Work, news_line, trouble_told

Note = Callable[[Sequence[Told], datetime], Counted]

HUNG = 3.0
"""Seconds without a word after which a worker is not reported: nobody knows what it serves."""


@dataclass(slots=True)
class Child:
    """A worker: a process that imports from the start, and serves once it is told what.

    `changed` is called, on another thread, when it says for the first time or otherwise than before what it holds, and
    when it ends. `health` is how it stood when it took requests first; `settled` is set then, or once it has ended.
    """

    id: str
    process: "subprocess.Popen[str]"
    changed: Callable[[], None]
    settled: threading.Event = field(default_factory=threading.Event)
    health: dict[str, Any] | None = None
    _holds: tuple[int, tuple[str, ...]] | None = None
    _heard_at: float = 0.0
    _told: bool = False
    _news: News | None = None
    _answers: list[str] = field(default_factory=list)
    _note: Note = field(init=False)
    _due: threading.Condition = field(default_factory=threading.Condition)

    def tell(self, work: Work, news: News, note: Note) -> None:
        """Have it serve. What follows is told by threads: a worker that hangs holds up nobody else.

        `note` counts, for it, what was told in feedback; it raises MainstayError where it cannot.
        """
        self._news, self._note = news, note
        self._told = True
        threading.Thread(target=self._listen, name="listening", daemon=True).start()
        threading.Thread(target=self._speak, args=(work,), name="telling", daemon=True).start()

    def hear(self, news: News) -> None:
        """Have it told what the ledger says now; what it was not told yet is left out."""
        with self._due:
            self._news = news
            self._due.notify()

    def holding(self) -> tuple[int, tuple[str, ...]] | None:
        """Its split's number and the versions it has warm, as it said in the last seconds; None where it did not."""
        return self._holds if time.monotonic() - self._heard_at < HUNG else None

    def close(self) -> None:
        """Let go of a process that has ended; or have one end that was told nothing yet."""
        with self._due:
            self._news = None
            self._due.notify()
        with suppress(OSError):
            if self.process.stdin is not None:
                self.process.stdin.close()
        if not self._told and self.process.stdout is not None:
            self.process.stdout.close()

    def _speak(self, work: Work) -> None:
        told: News = {}
        stdin = self.process.stdin
        with suppress(OSError, ValueError):  # it has ended, and its stream may be closed
            if stdin is not None:
                stdin.write(work.line())
            while stdin is not None:
                news, answers = self._next(told)
                if news is None:
                    return
                if news is not told:
                    stdin.write(news_line(news, told))
                stdin.writelines(answers)
                stdin.flush()
                told = news

    def _next(self, told: News) -> tuple[News | None, list[str]]:
        with self._due:
            self._due.wait_for(lambda: self._news is not told or self._answers)
            answers, self._answers = self._answers, []
            return self._news, answers

    def _answer(self, words: Mapping[str, Any]) -> None:
        made: dict[str, Any] = {"noted": words["note"]}
        try:
            told = [Told(*each) for each in words["told"]]
            made |= asdict(self._note(told, datetime.fromisoformat(words["at"])))
        except MainstayError as error:
            made["trouble"] = trouble_told(error)
        with self._due:
            self._answers.append(json.dumps(made) + "\n")
            self._due.notify()

    def _listen(self) -> None:
        stdout = self.process.stdout
        for line in stdout or ():
            words = json.loads(line)
            if "version" in words:
                self.health = words
                self.settled.set()
                continue
            if "note" in words:
                # On a thread of its own: the ledger may keep it waiting, and what the worker says next is heard.
                threading.Thread(target=self._answer, args=(words,), name="noting", daemon=True).start()
                continue
            before, self._holds = self._holds, (words["split"], tuple(words["warm"]))
            self._heard_at = time.monotonic()
            if before != self._holds:
                self.changed()
        if stdout is not None:
            stdout.close()
        self.settled.set()


def begun(identifier: str, changed: Callable[[], None], pass_on: Sequence[int], metrics: Path | None) -> Child:
    """A worker that is told nothing yet. It inherits the descriptors, and counts in a directory with others."""
    environment = dict(os.environ)  # noqa: TID251  (a process of ours inherits the environment of this one)
    environment.pop("PROMETHEUS_MULTIPROC_DIR", None)
    if metrics is not None:
        # Prometheus's library decides by the environment, when it is imported, that it shares its counts.
        environment["PROMETHEUS_MULTIPROC_DIR"] = str(metrics)
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "mainstay.serving.worker"],
        stdin=subprocess.PIPE,  # what it is told: not in its arguments, where every user could read the passwords
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        pass_fds=tuple(pass_on),
    )
    return Child(identifier, process, changed)
