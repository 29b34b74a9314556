"""The one process of a server that knows the ledger: it keeps the workers running, and tells them what stands there."""

import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from mainstay.errors import MainstayError
from mainstay.ledger.facts import Ledger
from mainstay.ledger.feedback import note
from mainstay.ledger.replicas import report, sign_off
from mainstay.observed import Counted, Replica, Told
from mainstay.serving.child import Child
from mainstay.serving.following import Following
from mainstay.serving.work import EVERY, News
from mainstay.settings import Settings

ENDING = 11.0
"""Seconds to wait for what is being asked of the ledger: a little longer than it is waited for."""


@dataclass(slots=True)
class Supervisor:
    """Follows the ledger for `children` (of which the caller keeps the list), on threads of its own."""

    settings: Settings
    use_case: str
    ledger: Ledger
    open_: bool
    children: list[Child]
    say: Callable[[str], None]
    changed: threading.Event
    """Set when a worker says that it holds something else than before: it is reported at once."""
    news: News = field(default_factory=dict)
    _following: Following = field(init=False)
    _over: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)
    _silenced: str | None = None

    def __post_init__(self) -> None:
        self._following = Following(self.ledger, self.use_case, self.open_)

    def start(self) -> None:
        """Follow the ledger from now on; reading it and writing to it never wait for each other."""
        for target in (self._read, self._report):
            thread = threading.Thread(target=target, daemon=True)
            thread.start()
            self._threads.append(thread)

    def look(self) -> News:
        """Read the ledger once, and tell every worker."""
        self.news = self._following.look(time.monotonic)
        for child in self.children:
            child.hear(self.news)
        return self.news

    def note(self, told: Sequence[Told], at: datetime) -> Counted:
        """Count what a worker was told in feedback, as `mainstay.ledger.feedback.note`."""
        return note(self.ledger, self.use_case, told, at)

    def end(self) -> None:
        """Stop, and sign off the workers that ended as they should; the others will be missed. Once is enough."""
        if self._over.is_set():
            return
        self._over.set()
        self.changed.set()
        until = time.monotonic() + ENDING
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self.sign_off(*self.children)

    def sign_off(self, *children: Child) -> None:
        """Sign off those of these workers that ended as they should."""
        try:
            sign_off(self.ledger, self.use_case, *(each.id for each in children if each.process.poll() == 0))
        except MainstayError as error:
            self.say(f"replicas cannot sign off, and will be missed ({error})")

    def _read(self) -> None:
        while not self._over.wait(EVERY):
            self.look()

    def _report(self) -> None:
        host = socket.gethostname()
        while True:
            self.changed.wait(EVERY)
            self.changed.clear()
            if self._over.is_set():
                return
            now = self.settings.clock()
            held = [(child.id, child.holding()) for child in self.children]
            found = [Replica(name, host, self.use_case, *holds, now) for name, holds in held if holds is not None]
            try:
                report(self.ledger, *found)
                self._silenced = None
            except MainstayError as error:
                if self._silenced is None:
                    self.say(f"replicas cannot be reported ({error})")
                self._silenced = error.message
