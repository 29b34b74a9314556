"""Features looked up by entity: what the online store has of it, as each arm is bound to it and as the policies say.

Time is given. Whoever asks for the values of one entity calls `found` (at once, where the store is `quick`) or awaits
`found_soon`; a batch is one read too (`found_all`).
"""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
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
_NO_FEATURES: Mapping[str, Any] = {}
_NOBODY: Final = Problem("entity", "is not known to the online store", "an entity whose features were materialised")


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


class Held(NamedTuple):
    """What a namespace holds of one entity, by view, and how far each view of it is."""

    rows: Mapping[str, Seen]
    watermarks: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """What a look-up found of one entity, by namespace; None for one that could not be read."""

    lookup: "Lookup"
    now: int
    held: Mapping[str, Held | None]

    def merged(self, version: str, given: Mapping[str, Any]) -> Merged:
        """The row for an arm, with what was given before what was found."""
        views = [view for view in self.lookup.bound.get(version, ()) if not given.keys() >= view.names]
        if not views:
            return Merged(given)
        held = self.held[self.lookup.place_of(version)]
        if held is None:
            return Merged(given, refusal=(503, _DOWN))
        whole = None if given else self._whole(version, views, held)
        if whole is not None:
            return whole
        features, origins = dict(given), dict.fromkeys(given, "given")
        at: dict[str, tuple[int | None, int | None]] = {}
        stale: list[str] = []
        excused: list[str] = []
        unknown = not held.rows
        for view in views:
            seen = held.rows.get(view.name)
            absent = [name for name in view.features if name not in given]
            at[view.name] = (None if seen is None else seen.event_time, held.watermarks.get(view.name))
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

    def _whole(self, version: str, views: Sequence[BoundView], held: Held) -> Merged | None:
        """What `merged` makes of an entity alone of which everything is there, in time: the usual case, and quicker."""
        features: Mapping[str, Any] = _NO_FEATURES
        at: dict[str, tuple[int | None, int | None]] = {}
        for name, _, _, ttl, names in views:
            seen = held.rows.get(name)
            if seen is None or (ttl is not None and self.now - seen.event_time > ttl):
                return None
            at[name] = seen.event_time, held.watermarks.get(name)
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
        elsewhere: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`bound` are the views of each version; a version without any is given all of its features.

        `elsewhere` are the namespaces of versions that do not look into `project`: each costs a read of its own, and
        one that cannot be read is the trouble of its versions alone.
        """
        self.bound = bound
        self.policies = policies
        self.quick = store.quick
        self.origins = {
            version: dict.fromkeys((name for view in views for name in view.features), "looked_up")
            for version, views in bound.items()
        }
        """For each version, where the features of an entity come from of which all are looked up."""
        self._store, self._project, self._join_key, self._elsewhere = store, project, join_key, elsewhere
        wanted: dict[str, dict[str, dict[str, None]]] = {}
        for version, views in bound.items():
            of_place = wanted.setdefault(self.place_of(version), {})
            for view in views:
                of_place.setdefault(view.name, {}).update(dict.fromkeys(view.features))
        self._wanted = {
            place: [Wanted(name, tuple(features)) for name, features in views.items()]
            for place, views in wanted.items()
        }
        self._trouble: dict[str, str] = {}
        self._names = frozenset(name for views in self._wanted.values() for each in views for name in each.features)

    def place_of(self, version: str) -> str:
        """The namespace that a version looks into."""
        return self._elsewhere.get(version, self._project)

    def lacks(self, entity: str | None, given: Mapping[str, Any]) -> bool:
        """Whether a request is one to look something up for: it names an entity, and not every feature."""
        return entity is not None and not self._names <= given.keys()

    @property
    def troubled(self) -> bool:
        """Whether the namespace of the head could not be read when it was last asked for."""
        return self._project in self._trouble

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
        """What there is of several entities, of one at least, in order and in one round trip (to each namespace)."""
        started = time.perf_counter()
        found = self.tried(entities, now)
        self.count(found, time.perf_counter() - started)
        return found

    def tried(self, entities: Sequence[str], now: datetime) -> list[Found]:
        """As `found_all`, not counted yet: for who may leave it to another to ask again."""
        places: dict[str, Read | None] = {}
        for place, wanted in self._wanted.items():
            try:
                places[place] = self._store.read(place, self._join_key, wanted, entities)
            except MainstayError as error:
                self._down(place, error)
                places[place] = None
        return self._told(places, len(entities), now)

    async def tried_soon(self, entities: Sequence[str], now: datetime) -> list[Found]:
        """As `tried`; the event loop does not wait for it, and all namespaces are read at once."""
        reads = await asyncio.gather(*(self._read_soon(place, entities) for place in self._wanted))
        return self._told(dict(zip(self._wanted, reads, strict=True)), len(entities), now)

    async def _read_soon(self, place: str, entities: Sequence[str]) -> Read | None:
        try:
            return await self._store.read_soon(place, self._join_key, self._wanted[place], entities)
        except MainstayError as error:
            self._down(place, error)
            return None

    def count(self, found: Sequence[Found], seconds: float) -> None:
        """Count what was found of entities, of one at least, that were asked for together and took so long."""
        for place, first in found[0].held.items():
            if first is None:
                metrics.count_lookups("unavailable", len(found), seconds)
                continue
            held = [each.held[place] for each in found]
            unknown = sum(each is None or not each.rows for each in held)
            if len(found) > unknown:
                metrics.count_lookups("found", len(found) - unknown, seconds)
            if unknown:
                metrics.count_lookups("unknown", unknown, seconds if unknown == len(found) else None)
            if place == self._project:  # of another namespace's views nobody waits for news
                for view, watermark in first.watermarks.items():
                    metrics.WATERMARK_AGE.labels(view).set((found[0].now - watermark) / 1e6)

    def _down(self, place: str, error: MainstayError) -> None:
        if self._trouble.get(place) != str(error):
            log.warning("features cannot be looked up: %s", error)
        self._trouble[place] = str(error)

    def _told(self, places: Mapping[str, Read | None], count: int, now: datetime) -> list[Found]:
        for place in [each for each in self._trouble if places.get(each) is not None]:
            del self._trouble[place]
        at = micros(now)
        if len(places) == 1:  # as nearly always, and worth a few microseconds
            ((place, read),) = places.items()
            if read is not None:
                marks = read.watermarks
                return [Found(self, at, {place: Held(rows, marks)}) for rows in read.rows]
        return [
            Found(
                self,
                at,
                {place: read and Held(read.rows[n], read.watermarks) for place, read in places.items()},
            )
            for n in range(count)
        ]


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
    head_service: str | None = None,
    datasets: Mapping[str, str] = MappingProxyType({}),
) -> Lookup | None:
    """What looks features up for arms (by version, the name of the service that each is bound to and its inputs).

    All look into the namespace of the head, `dataset`, which was filled for `head_service`; an arm of another service
    looks into that of its own dataset, by version in `datasets` (`docs/decisions/0010`). None where there is no store,
    or where no arm's service is among those recorded, or looked up by an entity.
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
    elsewhere = {
        version: project_of(use_case, datasets[version])
        for version, (service, _) in known.items()
        if head_service is not None and service.name != head_service and version in datasets
    }
    return Lookup(store, project_of(use_case, dataset), join_key, bound, policies, elsewhere)
