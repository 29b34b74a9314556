"""The ledger, read for the workers of a server: what is live, and who may ask."""

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from mainstay.errors import MainstayError, Unavailable
from mainstay.ledger.facts import Fact, Ledger
from mainstay.ledger.kinds import API_KEYS, FEATURE_SERVICES, SPLITS
from mainstay.nouns import ApiKey, Split
from mainstay.records import encode
from mainstay.serving.kept import Standing
from mainstay.serving.work import Name, News, Part

log = logging.getLogger(__name__)


class Following:
    """What the ledger says about one use case. One thread calls `look`; without keys where `open_`."""

    def __init__(self, ledger: Ledger, use_case: str, open_: bool) -> None:
        self._ledger, self._use_case = ledger, use_case
        self._number: int | None = None
        self._services: Mapping[str, int] = {}
        self._keys: Sequence[ApiKey] | None = None
        self._readers: dict[Name, Callable[[], str | None]] = {"split": self._split}
        if not open_:
            self._readers["keys"] = self._keys_text
        self._news: News = {}

    def look(self, monotonic: Callable[[], float]) -> News:
        """Read the ledger. Nothing is raised: what cannot be read is in the news as its trouble."""
        self._news = {name: self._part(name, read, monotonic) for name, read in self._readers.items()}
        return self._news

    def _part(self, name: Name, read: Callable[[], str | None], monotonic: Callable[[], float]) -> Part:
        before = self._news.get(name, Part())
        try:
            text = read()
        except MainstayError as error:
            return replace(before, trouble=error)
        except Exception:
            # Whoever calls this must outlive any defect: without it no kill switch would ever be heard of.
            log.exception("a defect while the ledger was read; what was read last stays")
            return replace(before, trouble=Unavailable("a defect kept it from being read"))
        return Part(before.text if text is None else text, monotonic())

    def _split(self) -> str | None:
        """The standing split, with the feature services, as JSON; None where it is the one that was read last."""
        fact = self._ledger.latest(self._use_case, SPLITS, self._use_case)
        if fact is None:
            return "null"
        services = {each.subject: each for each in self._ledger.latest_of_each(self._use_case, FEATURE_SERVICES)}
        numbers = {name: each.number for name, each in services.items()}
        if fact.number == self._number and numbers == self._services:
            return None
        history = self._ledger.history(self._use_case, SPLITS, self._use_case)
        bodies = {name: each.body for name, each in services.items()}
        text = json.dumps(encode(Standing(history[-1].body, since(history), bodies)))
        self._number, self._services = history[-1].number, numbers
        return text

    def _keys_text(self) -> str | None:
        keys = read_keys_of(self._ledger, self._use_case)
        if keys == self._keys:
            return None
        text = json.dumps([encode(key) for key in keys])
        self._keys = keys
        return text


def read_keys_of(ledger: Ledger, use_case: str) -> list[ApiKey]:
    """Every key of a use case, the revoked and expired among them. Raises what `Ledger` raises."""
    return [fact.body for fact in ledger.latest_of_each(use_case, API_KEYS)]


def since(history: Sequence[Fact[Split]]) -> dict[str, datetime]:
    """Since when each version of the last split (of at least one) is live, standing by included."""
    found: dict[str, datetime] = {}
    live = {arm.version for arm in history[-1].body.arms}
    for fact in reversed(history):
        live &= {arm.version for arm in fact.body.arms}
        if not live:
            break
        found |= dict.fromkeys(live, fact.at)
    return found
