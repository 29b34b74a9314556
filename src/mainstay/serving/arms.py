"""Which versions are live in this process, and which of them answers."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from mainstay.errors import MainstayError, NotFound, Refused, Unavailable
from mainstay.nouns import Split
from mainstay.rollout.assign import Assigner, Assignment
from mainstay.rollout.condition import Features
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.scorer import Scorer
from mainstay.serving import metrics
from mainstay.usecase import Serving

EVERY = 1.0
"""Seconds between two looks at the ledger."""
PATIENCE = 30.0
"""The most seconds between two attempts at a split that could not be applied."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Live:
    """A split that is applied: its versions, loaded, believed and warm, and the policies of its configuration.

    `arms` lacks a version of the split only where a process that had nothing to answer with took what it could load;
    the split's champion is never lacking.
    """

    split: Split
    arms: Mapping[str, Scorer]
    policies: Serving
    assigner: Assigner = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        inputs = self.arms[self.split.champion].bundle.encoder.inputs
        kinds = {each.name: each.kind for each in inputs}
        object.__setattr__(self, "assigner", Assigner(self.split, kinds, self.arms))

    @property
    def complete(self) -> bool:
        return len(self.arms) == len({arm.version for arm in self.split.arms})

    @property
    def incumbent(self) -> str:
        """The version that is being challenged, and answers where a challenger fails: the first arm that is loaded.

        That is the one the rollout began with, whatever its share by now; one that stands by never is.
        """
        return next(arm.version for arm in self.split.arms if arm.version in self.arms and not arm.standby)

    def listening(self, answered: str) -> tuple[str, ...]:
        """The versions that listen to what `answered` answered."""
        return tuple(arm.version for arm in self.split.arms if arm.listens and arm.version != answered)

    def assign(
        self, unit: str, *, now: datetime, entity: str | None = None, features: Features = MappingProxyType({})
    ) -> Assignment:
        """Who answers, as `Assigner.of`: its `version` is always among `arms`. `features` are those of the champion."""
        return self.assigner.of(unit, now=now, entity=entity, features=features)

    def answers_with(self, unit: str) -> str:
        """The version that answers a unit whom no pin names."""
        return self.assigner.by_hash(unit).version


@dataclass(frozen=True, slots=True)
class Health:
    """How a process stands. `reason` says what is wrong, in words that anybody may read; None where nothing is."""

    status: Literal["ok", "degraded", "not ready", "draining"]
    version: str | None
    split: int | None
    reason: str | None

    @property
    def ready(self) -> bool:
        return self.status in ("ok", "degraded")


class Arms:
    """The live arms: one immutable snapshot, replaced as a whole. Any thread may read; one thread calls `refresh`.

    `load_arm` returns the bundle of a version that is believed, and `read_policies` the serving policies under a
    configuration's digest. All three callables raise MainstayError, and nothing else, when they cannot.
    """

    def __init__(
        self,
        read_split: Callable[[], Split | None],
        load_arm: Callable[[str], Bundle],
        read_policies: Callable[[str], Serving],
    ) -> None:
        self.live: Live | None = None
        self._read_split = read_split
        self._load_arm = load_arm
        self._read_policies = read_policies
        self._warm: dict[str, Scorer] = {}
        self._reason: str | None = "the split was not read yet"
        self._read_at: float | None = None
        self._failed: Split | None = None
        self._failures = 0
        self._retry_at = 0.0
        self._draining = False

    def health(self) -> Health:
        """How this process stands."""
        live, reason = self.live, self._reason
        version = None if live is None else live.split.champion
        number = None if live is None else live.split.number
        if self._draining:
            return Health("draining", version, number, "the server is shutting down")
        if live is None:
            return Health("not ready", None, None, reason)
        return Health("ok" if reason is None else "degraded", version, number, reason)

    def drain(self) -> None:
        """Be ready no more. What comes in all the same is answered."""
        self._draining = True

    def follow(self, stop: threading.Event, every: float = EVERY, looked: threading.Event | None = None) -> None:
        """Refresh at once and then every so many seconds, until `stop`; `looked` is set after the first look."""
        while True:
            try:
                self.refresh(time.monotonic())
            except Exception:
                # This thread must outlive any defect: without it no kill switch would ever be heard of.
                log.exception("a defect while the split was applied; the last one stays")
                self._reason = "a defect kept the split from being applied"
            if looked is not None:
                looked.set()
            if stop.wait(every):
                return

    def refresh(self, now: float) -> None:
        """Read the split and apply it, if it is a new one and everything it names can be believed and warmed.

        `now` is a monotonic time in seconds. Whatever fails, the last good split stays, and health says why. A split
        that failed is tried again after 1, 2, 4 … seconds, at most 30.
        """
        try:
            split = self._read_split()
        except MainstayError as error:
            self._note(f"the split cannot be read: {_shareable(error, 'the ledger')}", error)
        else:
            self._read_at = now
            self._consider(split, now)
        self.measure(now)

    def measure(self, now: float) -> None:
        """Tell Prometheus how old the split is at a monotonic time."""
        metrics.SPLIT_NUMBER.set(0 if self.live is None else self.live.split.number)
        if self._read_at is not None:
            metrics.SPLIT_AGE.set(max(0.0, now - self._read_at))

    def _consider(self, split: Split | None, now: float) -> None:
        live = self.live
        if split is None:
            self._note("no version is live yet: release one first")
        elif live is not None and live.complete and split == live.split:
            self._note(None)
        elif split != self._failed or now >= self._retry_at:
            self._failures = self._failures + 1 if split == self._failed else 1
            if self._apply(split):
                self._failed = None
            else:
                self._failed = split
                self._retry_at = now + min(PATIENCE, EVERY * 2 ** (self._failures - 1))

    def _apply(self, split: Split) -> bool:
        """Whether the split, all of it, is live now."""
        wanted = {arm.version for arm in split.arms}
        troubles = {version: trouble for version in sorted(wanted) if (trouble := self._load(version))}
        reason, cause = None, None
        if troubles:
            version = next(iter(troubles))
            cause = troubles[version]
            reason = f"split {split.number} is not applied: {version}: {_shareable(cause, 'the store of versions')}"
            if self.live is None and split.champion in troubles:
                reason, cause = _unanswerable(split.champion, troubles[split.champion])
        try:
            policies = self._read_policies(split.configuration)
        except NotFound as error:
            policies, reason, cause = (
                Serving(),
                reason or "the configuration is lost: its defaults hold",
                cause or error,
            )
        except MainstayError as error:
            told = _shareable(error, "the store of configurations")
            self._note(f"split {split.number} is not applied: its configuration: {told}", error)
            return False
        if troubles and (self.live is not None or split.champion in troubles):
            self._note(reason, cause)
            return False
        if troubles:
            reason = f"the champion answers alone: {reason}"
        self.live = Live(split, {version: self._warm[version] for version in wanted - set(troubles)}, policies)
        self._warm = dict(self.live.arms)
        log.info("split %d is live, %s answers", split.number, split.champion)
        self._note(reason, cause)
        return not troubles

    def _load(self, version: str) -> MainstayError | None:
        """Have the version warm; why not, otherwise."""
        if version in self._warm:
            return None
        try:
            scorer = Scorer(self._load_arm(version))
            scorer.warm_up()
        except MainstayError as error:
            outcome = "unavailable" if isinstance(error, Unavailable) else "refused"
            metrics.ARM_LOADS.labels(version, outcome).inc()
            return error
        metrics.ARM_LOADS.labels(version, "loaded").inc()
        self._warm[version] = scorer
        return None

    def _note(self, reason: str | None, cause: MainstayError | None = None) -> None:
        """Remember what is wrong; tell the log once, with all that the cause says."""
        if reason != self._reason and reason is not None:
            log.warning("%s (%s)", reason, cause) if cause else log.warning("%s", reason)
        self._reason = reason


def _unanswerable(champion: str, cause: MainstayError) -> tuple[str, MainstayError]:
    """Why a process that has nothing else to answer with cannot answer with what is live."""
    doubt = "cannot be believed" if isinstance(cause, Refused) else "cannot be loaded"
    return f"{champion} is live and {doubt}: {_shareable(cause, 'the store of versions')}", cause


def _shareable(error: MainstayError, what: str) -> str:
    """What an error says to strangers: never its place, and of broken machinery no more than that it is broken."""
    return f"{what} cannot be reached" if isinstance(error, Unavailable) else error.message
