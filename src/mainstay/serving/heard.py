"""What a worker has heard of the ledger, which it never asks itself."""

import json
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

from mainstay.errors import Refused, Unavailable
from mainstay.nouns import ApiKey
from mainstay.records import decode
from mainstay.serving.kept import Standing
from mainstay.serving.work import Name, News, Part, read_news

SILENT = 10.0
"""Seconds without a word after which the ledger counts as out of reach: as long as a ledger is waited for."""


log = logging.getLogger(__name__)


class Heard:
    """What the supervisor told. One thread calls `take`, any thread the others.

    They raise Unavailable before the first word and after ten seconds of silence, and what the supervisor met with
    where it could not read. `first` is set once anything was heard.
    """

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self.first = threading.Event()
        self._monotonic = monotonic
        self._news: News = {}
        self._at = 0.0
        self._standing: Standing | None = None
        self._keys: Sequence[ApiKey] = ()
        self._lost: set[Name] = set()

    def take(self, line: str) -> None:
        """Take a line of news."""
        before, news = self._news, read_news(line, self._news)
        for name, part in news.items():
            if name in before and part.text == before[name].text:
                continue
            try:
                self._read(name, json.loads(part.text or "null"))
                self._lost.discard(name)
            except Exception:
                # Whoever calls this must outlive any defect: what comes next would not be heard either.
                log.exception("a defect while the news were read; what was heard before stays")
                self._lost.add(name)
        self._news, self._at = news, self._monotonic()
        self.first.set()

    def _read(self, name: Name, body: Any) -> None:
        if name == "split":
            self._standing = None if body is None else decode(Standing, body)
        else:
            self._keys = [decode(ApiKey, each) for each in body or ()]

    def standing(self) -> Standing | None:
        """The split that stands; None where none does yet."""
        self._look("split")
        return self._standing

    def read_at(self) -> float:
        """The monotonic time at which the split was last read from the ledger; 0 where it never was."""
        return self._news.get("split", Part()).at or 0.0

    def keys(self) -> Sequence[ApiKey]:
        """Every key."""
        self._look("keys")
        return self._keys

    def _look(self, name: Name) -> None:
        part = self._news.get(name)
        if part is None or self._monotonic() - self._at > SILENT:
            raise Unavailable("the ledger has not answered the supervisor")
        if part.trouble is not None:
            raise part.trouble
        if name in self._lost:
            raise Refused("a defect kept it from being read")
