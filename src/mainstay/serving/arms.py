"""Which versions are live in this process, and which of them answers."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Literal

from mainstay.adapters.online import Online
from mainstay.defined import FeatureService
from mainstay.errors import MainstayError, NotFound, Refused, Unavailable
from mainstay.nouns import Split
from mainstay.registry.manifest import Manifest
from mainstay.rollout.assign import Assigner, Assignment
from mainstay.rollout.condition import Features
from mainstay.scoring.bundle import Bundle
from mainstay.scoring.scorer import Scorer
from mainstay.serving import metrics
from mainstay.serving.entities import Stored, as_given, entity_of_all, storing
from mainstay.serving.kept import Applied, Kept, Standing
from mainstay.serving.lookup import Lookup, lookup_of
from mainstay.serving.rows import ArmRows
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
    the split's champion is never lacking. `since` tells from when on each version has been live. `stored` makes of an
    entity as it was given the one that is assigned, pinned and logged, a pseudonym where the contract wants one; the
    answer alone carries it as it was given. `services` are the recorded feature services, by name, and `online` is the
    store of their values, read where a request leaves features out. `rows` are the arms made ready for single rows.
    """

    split: Split
    arms: Mapping[str, Scorer]
    policies: Serving
    manifests: Mapping[str, Manifest] = field(default_factory=dict)
    since: Mapping[str, datetime] = field(default_factory=dict)
    stored: Stored = as_given
    services: Mapping[str, FeatureService] = field(default_factory=dict)
    online: Online | None = None
    assigner: Assigner = field(init=False, repr=False, compare=False)
    rows: Mapping[str, ArmRows] = field(init=False, repr=False, compare=False)
    incumbent: str = field(init=False, repr=False, compare=False)
    """The version that is being challenged, and answers where a challenger fails: the first arm that is loaded.

    That is the one the rollout began with, whatever its share by now; one that stands by never is.
    """
    lookup: Lookup | None = field(init=False, repr=False, compare=False)
    """What looks up the features that a request does not bring; None where none can be."""
    listens: bool = field(init=False, repr=False, compare=False)
    """Whether any loaded arm listens."""

    def __post_init__(self) -> None:
        inputs = self.arms[self.split.champion].bundle.encoder.inputs
        kinds = {each.name: each.kind for each in inputs}
        object.__setattr__(self, "assigner", Assigner(self.split, kinds, self.arms))
        rows = {version: ArmRows(version, scorer, self.policies) for version, scorer in self.arms.items()}
        object.__setattr__(self, "rows", rows)
        first = next(arm.version for arm in self.split.arms if arm.version in self.arms and not arm.standby)
        object.__setattr__(self, "incumbent", first)
        bound = {
            version: (self.manifests[version].feature_service, arm.scorer.bundle.encoder.inputs)
            for version, arm in rows.items()
            if version in self.manifests
        }
        use_case = next((each.use_case for each in self.manifests.values()), "")
        head = self.split.dataset_head
        made_from = {version: each.dataset for version, each in self.manifests.items()}
        service = self.split.feature_service
        lookup = lookup_of(self.online, use_case, head, self.services, bound, self.policies, service, made_from)
        object.__setattr__(self, "lookup", lookup)
        object.__setattr__(self, "listens", any(arm.listens and arm.version in self.arms for arm in self.split.arms))

    @property
    def complete(self) -> bool:
        return len(self.arms) == len({arm.version for arm in self.split.arms})

    def listening(self, answered: str) -> tuple[str, ...]:
        """The versions that listen to what `answered` answered."""
        arms = (arm.version for arm in self.split.arms if arm.listens and arm.version != answered)
        return tuple(version for version in arms if version in self.arms)

    def assign(
        self, unit: str, *, now: datetime, entity: str | None = None, features: Features = MappingProxyType({})
    ) -> Assignment:
        """Who answers, as `Assigner.of`: its `version` is always among `arms`. `features` are those of the champion."""
        return self.assigner.of(unit, now=now, entity=entity, features=features)


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


@dataclass(frozen=True, slots=True)
class _Warm:
    scorer: Scorer
    manifest: Manifest


def _no_key() -> tuple[str, bytes]:
    raise NotFound("there is no pseudonym key")


class Arms:
    """The live arms: one immutable snapshot, replaced as a whole. Any thread may read; one thread calls `refresh`.

    `load_arm` returns a version that is believed, and `read_policies` the serving policies under a configuration's
    digest. `read_key` gives the home's pseudonym key, and `kept` holds the last split on disk. `report` is told the
    split's number and the versions that are warm after every look. All of these raise MainstayError, and nothing else,
    when they cannot. `read_at` is the monotonic time at which the ledger said what `read_split` returns, where that is
    not the time of the look. `online` is the store that features are looked up in, if any.
    """

    def __init__(
        self,
        read_split: Callable[[], Standing | None],
        load_arm: Callable[[str], tuple[Manifest, Bundle]],
        read_policies: Callable[[str], Serving],
        *,
        read_key: Callable[[], tuple[str, bytes]] = _no_key,
        kept: Kept | None = None,
        report: Callable[[int, tuple[str, ...]], None] = lambda split, warm: None,
        read_at: Callable[[], float] | None = None,
        online: Online | None = None,
    ) -> None:
        self.live: Live | None = None
        self._read_split = read_split
        self._load_arm = load_arm
        self._read_policies = read_policies
        self._read_key = read_key
        self._kept = kept
        self._report = report
        self._online = online
        self._last_read = read_at
        self._warm: dict[str, _Warm] = {}
        self._reason: str | None = "the split was not read yet"
        self._flaw: str | None = None
        self._unreported: str | None = None
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
            standing = self._read_split()
        except MainstayError as error:
            reason = f"the split cannot be read: {_shareable(error, 'the ledger')}"
            self._note(reason if self.live is not None else self._recovered(reason, now), error)
        else:
            self._read_at = now if self._last_read is None else self._last_read()
            self._consider(standing, self._read_policies, now)
            self._tell()
        self.measure(now)

    def measure(self, now: float) -> None:
        """Tell Prometheus how old the split is at a monotonic time."""
        metrics.SPLIT_NUMBER.set(0 if self.live is None else self.live.split.number)
        if self._read_at is not None:
            metrics.SPLIT_AGE.set(max(0.0, now - self._read_at))

    def _recovered(self, reason: str, now: float) -> str:
        """Have the split that was kept on disk answer, where nothing else does; what health says then."""
        if self._kept is None:
            return reason
        try:
            kept = self._kept.read()
        except MainstayError as error:
            return f"{reason}; and the split kept here is lost: {_shareable(error, 'the disk')}"
        if kept is None:
            return f"{reason}; and none was kept here"
        self._consider(kept.standing, lambda digest: kept.policies, now)
        return reason if self.live is not None else f"{reason}; and the one kept here: {self._reason}"

    def _tell(self) -> None:
        """Report this process. A ledger that takes no report is told of once, and reading it says more."""
        try:
            self._report(0 if self.live is None else self.live.split.number, tuple(sorted(self._warm)))
            self._unreported = None
        except MainstayError as error:
            if self._unreported is None:
                log.warning("this replica cannot report itself (%s)", error)
            self._unreported = error.message

    def _consider(self, standing: Standing | None, read_policies: Callable[[str], Serving], now: float) -> None:
        live = self.live
        if standing is None:
            self._note("no version is live yet: release one first")
            return
        split = standing.split
        if live is not None and live.complete and (split, standing.services) == (live.split, live.services):
            self._note(self._flaw)
        elif split != self._failed or now >= self._retry_at:
            self._failures = self._failures + 1 if split == self._failed else 1
            if self._apply(standing, read_policies):
                self._failed = None
            else:
                self._failed = split
                self._retry_at = now + min(PATIENCE, EVERY * 2 ** (self._failures - 1))

    def _apply(self, standing: Standing, read_policies: Callable[[str], Serving]) -> bool:
        """Whether the split, all of it, is live now."""
        split = standing.split
        wanted = {arm.version for arm in split.arms}
        troubles = {version: trouble for version in sorted(wanted) if (trouble := self._load(version))}
        if troubles and (self.live is not None or split.champion in troubles):
            self._note(*_unapplied(split, troubles, answering=self.live is not None))
            return False
        warm = {version: self._warm[version] for version in wanted - set(troubles)}
        try:
            policies, lost = _policies(split, read_policies)
            told = entity_of_all(each.manifest.entity for each in warm.values())
            stored = storing(told, self._read_key)
        except MainstayError as error:
            what = "the store of configurations" if isinstance(error, Unavailable) else "its configuration"
            self._note(f"split {split.number} is not applied: {_shareable(error, what)}", error)
            return False
        arms = {version: each.scorer for version, each in warm.items()}
        manifests = {version: each.manifest for version, each in warm.items()}
        self.live = Live(split, arms, policies, manifests, standing.since, stored, standing.services, self._online)
        self._warm = warm
        log.info("split %d is live, %s answers", split.number, split.champion)
        flaws = [lost, *self.live.assigner.broken]
        if troubles:
            flaws.insert(0, f"the champion answers alone: {_unapplied(split, troubles, answering=True)[0]}")
        else:
            flaws.append(self._keep(Applied(standing, policies)))
        self._flaw = next((flaw for flaw in flaws if flaw is not None), None)
        self._note(self._flaw, next(iter(troubles.values()), None))
        return not troubles

    def _keep(self, applied: Applied) -> str | None:
        """Keep what is applied on disk; why not, otherwise."""
        try:
            if self._kept is not None:
                self._kept.write(applied)
        except Unavailable as error:
            log.warning("the split is not kept on disk (%s)", error)
            return "the split could not be kept on disk: without the ledger a restart would not answer"
        return None

    def _load(self, version: str) -> MainstayError | None:
        """Have the version warm; why not, otherwise."""
        if version in self._warm:
            return None
        try:
            manifest, bundle = self._load_arm(version)
            scorer = Scorer(bundle)
            scorer.warm_up()
        except MainstayError as error:
            outcome = "unavailable" if isinstance(error, Unavailable) else "refused"
            metrics.ARM_LOADS.labels(version, outcome).inc()
            return error
        metrics.ARM_LOADS.labels(version, "loaded").inc()
        self._warm[version] = _Warm(scorer, manifest)
        return None

    def _note(self, reason: str | None, cause: MainstayError | None = None) -> None:
        """Remember what is wrong; tell the log once, with all that the cause says."""
        if reason != self._reason and reason is not None:
            log.warning("%s (%s)", reason, cause) if cause else log.warning("%s", reason)
        self._reason = reason


def _unapplied(split: Split, troubles: Mapping[str, MainstayError], answering: bool) -> tuple[str, MainstayError]:
    """Why a split with versions that cannot be had is not applied, whether or not another one answers meanwhile."""
    if not answering:
        cause = troubles[split.champion]
        doubt = "cannot be believed" if isinstance(cause, Refused) else "cannot be loaded"
        return f"{split.champion} is live and {doubt}: {_shareable(cause, 'the store of versions')}", cause
    version, cause = next(iter(troubles.items()))
    return f"split {split.number} is not applied: {version}: {_shareable(cause, 'the store of versions')}", cause


def _policies(split: Split, read_policies: Callable[[str], Serving]) -> tuple[Serving, str | None]:
    """The policies of a split, and what is wrong with them: a kill switch must not wait for a lost configuration."""
    try:
        return read_policies(split.configuration), None
    except NotFound:
        return Serving(), "the configuration is lost: its defaults hold"


def _shareable(error: MainstayError, what: str) -> str:
    """What an error says to strangers: never its place, and of broken machinery no more than that it is broken."""
    return f"{what} cannot be reached" if isinstance(error, Unavailable) else error.message
