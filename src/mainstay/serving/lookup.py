"""Features looked up by entity: what the online store has of it, as each arm is bound to it and as the policies say.

Time is given. Whoever asks for the values of one entity calls `found` (at once, where the store is `quick`) or awaits
`found_soon`; a batch is one read too (`found_all`).
"""

import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, NamedTuple

from mainstay.adapters.online import Online, Read, Seen, Wanted
from mainstay.defined import FeatureService, project_of
from mainstay.errors import MainstayError
from mainstay.logged import micros
from mainstay.scoring.encode import Input
from mainstay.scoring.reading import Problem
from mainstay.serving import metrics
from mainstay.spans import span
from mainstay.usecase import Serving

UNKNOWN: Final = "unknown_entity"
STALE: Final = "stale"
"""Flags: of an entity that a view has no row of, and (with the view) of values that are older than may be."""

log = logging.getLogger(__name__)

_DOWN: Final = Problem("features", "cannot be looked up now", "every feature, or another try later")
_NOBODY: Final = Problem("entity", "is not known to the online store", "an entity whose features were materialised")
_NOTHING: Mapping[str, Seen] = {}
_NO_FEATURES: Mapping[str, Any] = {}


class BoundView(NamedTuple):
    """What an arm takes of a view: its inputs there, those of them that may not be missing, and how old they may be.

    `ttl` is in microseconds; None for any age. `names` are the features once more.
    """

    name: str
    features: tuple[str, ...]
    needed: frozenset[str]
    ttl: int | None
    names: frozenset[str]


class Merged(NamedTuple):
    """A row as an arm is to read it, the given values before those looked up, and where each came from.

    `at` is the event time and the watermark (microseconds, None where there is none) of each view that was looked into.
    `excused` are inputs that may be missing though the contract says otherwise. `refusal` is why there is no answer:
    a status and what is wrong; None where nothing is.
    """

    features: Mapping[str, Any]
    origins: dict[str, str] | None = None
    at: dict[str, tuple[int | None, int | None]] | None = None
    flags: tuple[str, ...] = ()
    excused: frozenset[str] = frozenset()
    refusal: tuple[int, Problem] | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up found of one entity: its rows by view, and the watermarks; or that the store is `down`."""

    lookup: "Lookup"
    now: int
    rows: Mapping[str, Seen]
    watermarks: Mapping[str, int]
    down: bool = False

    def merged(self, version: str, given: Mapping[str, Any]) -> Merged:
        """The row for an arm, with what was given before what was found."""
        views = [view for view in self.lookup.bound.get(version, ()) if not given.keys() >= view.names]
        if not views:
            return Merged(given)
        if self.down:
            return Merged(given, refusal=(503, _DOWN))
        whole = None if given else self._whole(version, views)
        if whole is not None:
            return whole
        features, origins = dict(given), dict.fromkeys(given, "given")
        at: dict[str, tuple[int | None, int | None]] = {}
        stale: list[str] = []
        excused: list[str] = []
        unknown = not self.rows
        for view in views:
            seen = self.rows.get(view.name)
            absent = [name for name in view.features if name not in given]
            at[view.name] = (None if seen is None else seen.event_time, self.watermarks.get(view.name))
            if seen is None:
                unknown |= not view.needed <= given.keys()
                excused += absent
            elif view.ttl is not None and self.now - seen.event_time > view.ttl:
                stale.append(view.name)
                excused += absent
            else:
                for name in absent:
                    if name in seen.values:
                        features[name], origins[name] = seen.values[name], "looked_up"
            origins |= {name: "missing" for name in absent if name not in origins}
        flags = [UNKNOWN] * unknown + [f"{STALE}:{name}" for name in stale]
        return Merged(features, origins, at, tuple(flags), frozenset(excused), self._refusal(unknown, stale))

    def _whole(self, version: str, views: Sequence[BoundView]) -> Merged | None:
        """What `merged` makes of an entity alone of which everything is there, in time: the usual case, and quicker."""
        features: Mapping[str, Any] = _NO_FEATURES
        at: dict[str, tuple[int | None, int | None]] = {}
        for name, _, _, ttl, names in views:
            seen = self.rows.get(name)
            if seen is None or (ttl is not None and self.now - seen.event_time > ttl):
                return None
            at[name] = seen.event_time, self.watermarks.get(name)
            if seen.values.keys() != names:
                return None
            features = {**features, **seen.values} if features else seen.values
        return Merged(features, self.lookup.origins[version], at)

    def _refusal(self, unknown: bool, stale: Sequence[str]) -> tuple[int, Problem] | None:
        policies = self.lookup.policies
        if unknown and policies.unknown_entity == "refuse":
            return 404, _NOBODY
        if stale and policies.stale_features == "refuse":
            return 409, Problem("entity", f"has features that are too old ({', '.join(stale)})", "features in time")
        return None


class Lookup:
    """Looks up what the arms of a split are bound to. Any thread may use it."""

    def __init__(
        self,
        store: Online,
        project: str,
        join_key: str,
        bound: Mapping[str, tuple[BoundView, ...]],
        policies: Serving,
    ) -> None:
        """`bound` are the views of each version; a version without any is given all of its features."""
        self.bound = bound
        self.policies = policies
        self.quick = store.quick
        self.origins = {
            version: dict.fromkeys((name for view in views for name in view.features), "looked_up")
            for version, views in bound.items()
        }
        """For each version, where the features of an entity come from of which all are looked up."""
        self._store, self._project, self._join_key = store, project, join_key
        wanted: dict[str, dict[str, None]] = {}
        for view in (view for views in bound.values() for view in views):
            wanted.setdefault(view.name, {}).update(dict.fromkeys(view.features))
        self._wanted = [Wanted(name, tuple(features)) for name, features in wanted.items()]
        self._trouble: str | None = None
        self._names = frozenset(name for each in self._wanted for name in each.features)

    def lacks(self, entity: str | None, given: Mapping[str, Any]) -> bool:
        """Whether a request is one to look something up for: it names an entity, and not every feature."""
        return entity is not None and not self._names <= given.keys()

    @property
    def troubled(self) -> bool:
        """Whether the store was down when it was last asked."""
        return self._trouble is not None

    def found(self, entity: str, now: datetime) -> Found:
        """What there is of one entity, read at once: for a store that is `quick`, or a thread that may wait."""
        return self.found_all([entity], now)[0]

    async def found_soon(self, entity: str, now: datetime) -> Found:
        """What there is of one entity; the event loop does not wait for it."""
        started = time.perf_counter()
        found = await self.tried_soon([entity], now)
        self.count(found, time.perf_counter() - started)
        return found[0]

    def found_all(self, entities: Sequence[str], now: datetime) -> list[Found]:
        """What there is of several entities, of one at least, in order and in one round trip."""
        started = time.perf_counter()
        found = self.tried(entities, now)
        self.count(found, time.perf_counter() - started)
        return found

    def tried(self, entities: Sequence[str], now: datetime) -> list[Found]:
        """As `found_all`, not counted yet: for who may leave it to another to ask again."""
        try:
            read = self._store.read(self._project, self._join_key, self._wanted, entities)
        except MainstayError as error:
            return self._down(error, len(entities), now)
        return self._told(read, now)

    async def tried_soon(self, entities: Sequence[str], now: datetime) -> list[Found]:
        """As `tried`; the event loop does not wait for it."""
        try:
            read = await self._store.read_soon(self._project, self._join_key, self._wanted, entities)
        except MainstayError as error:
            return self._down(error, len(entities), now)
        return self._told(read, now)

    def count(self, found: Sequence[Found], seconds: float) -> None:
        """Count what was found of entities, of one at least, that were asked for together and took so long."""
        if found[0].down:
            metrics.count_lookups("unavailable", len(found), seconds)
            return
        unknown = sum(not each.rows for each in found)
        if len(found) > unknown:
            metrics.count_lookups("found", len(found) - unknown, seconds)
        if unknown:
            metrics.count_lookups("unknown", unknown, seconds if unknown == len(found) else None)
        for view, watermark in found[0].watermarks.items():
            metrics.WATERMARK_AGE.labels(view).set((found[0].now - watermark) / 1e6)

    def _down(self, error: MainstayError, count: int, now: datetime) -> list[Found]:
        if self._trouble != str(error):
            log.warning("features cannot be looked up: %s", error)
        self._trouble = str(error)
        return [Found(self, micros(now), _NOTHING, {}, down=True)] * count

    def _told(self, read: Read, now: datetime) -> list[Found]:
        self._trouble = None
        at = micros(now)
        return [Found(self, at, rows, read.watermarks) for rows in read.rows]


def bound_views(service: FeatureService, inputs: Sequence[Input]) -> tuple[BoundView, ...]:
    """What an arm with these inputs takes of the service that it is bound to."""
    nullable = {each.name: each.nullable for each in inputs}
    made = []
    for view in service.views:
        names = tuple(each.name for each in view.features if each.name in nullable)
        needed = frozenset(name for name in names if not nullable[name])
        ttl = None if view.ttl is None else round(span(view.ttl).total_seconds() * 1e6)
        if names:
            made.append(BoundView(view.name, names, needed, ttl, frozenset(names)))
    return tuple(made)


def lookup_of(
    store: Online | None,
    use_case: str,
    dataset: str | None,
    services: Mapping[str, FeatureService],
    arms: Mapping[str, tuple[str, Sequence[Input]]],
    policies: Serving,
) -> Lookup | None:
    """What looks features up for arms (by version, the name of the service that each is bound to and its inputs).

    None where there is no store, or where no arm's service is among those recorded, or looked up by an entity.
    """
    if store is None:
        return None
    known = {
        version: (services[name], inputs)
        for version, (name, inputs) in arms.items()
        if name in services and services[name].views and services[name].views[0].entity
    }
    if not known:
        return None
    bound = {version: bound_views(service, inputs) for version, (service, inputs) in known.items()}
    join_key = next(iter(known.values()))[0].views[0].entity
    return Lookup(store, project_of(use_case, dataset), join_key, bound, policies)
