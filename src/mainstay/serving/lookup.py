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
_NOBODY: Final = Problem("entity", "is not known to the online store", "an entity whose features were materialised")


class BoundView(NamedTuple):
    """What an arm takes of a view: its inputs there, those of them that may not be missing, and how old they may be.

    `ttl` is in microseconds; None for any age.
    """

    name: str
    features: tuple[str, ...]
    needed: frozenset[str]
    ttl: int | None


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
        views = [view for view in self.lookup.bound.get(version, ()) if not given.keys() >= set(view.features)]
        if not views:
            return Merged(given)
        held = self.held[self.lookup.place_of(version)]
        if held is None:
            return Merged(given, refusal=(503, _DOWN))
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

    def found(self, entity: str, now: datetime) -> Found:
        """What there is of one entity, read at once: for a store that is `quick`, or a thread that may wait."""
        return self.found_all([entity], now)[0]

    async def found_soon(self, entity: str, now: datetime) -> Found:
        """What there is of one entity; the event loop does not wait for it."""
        if len(self._wanted) == 1:
            return Found(
                self, micros(now), {place: (await self._soon(place, entity, now))[0] for place in self._wanted}
            )
        places = await asyncio.gather(*(self._soon(place, entity, now) for place in self._wanted))
        return Found(self, micros(now), dict(zip(self._wanted, (held[0] for held in places), strict=True)))

    def found_all(self, entities: Sequence[str], now: datetime) -> list[Found]:
        """What there is of several entities, of one at least, in order and in one round trip (to each namespace)."""
        places = {}
        for place, wanted in self._wanted.items():
            started = time.perf_counter()
            read = None
            try:
                read = self._store.read(place, self._join_key, wanted, entities)
            except MainstayError as error:
                self._down(place, error)
            places[place] = self._told(place, read, len(entities), now, started)
        at = micros(now)
        return [Found(self, at, {place: held[n] for place, held in places.items()}) for n in range(len(entities))]

    async def _soon(self, place: str, entity: str, now: datetime) -> list[Held | None]:
        started = time.perf_counter()
        read = None
        try:
            read = await self._store.read_soon(place, self._join_key, self._wanted[place], [entity])
        except MainstayError as error:
            self._down(place, error)
        return self._told(place, read, 1, now, started)

    def _down(self, place: str, error: MainstayError) -> None:
        if self._trouble.get(place) != str(error):
            log.warning("features cannot be looked up: %s", error)
        self._trouble[place] = str(error)

    def _told(self, place: str, read: Read | None, count: int, now: datetime, started: float) -> list[Held | None]:
        at = micros(now)
        seconds = time.perf_counter() - started
        if read is None:
            metrics.count_lookups("unavailable", count, seconds)
            return [None] * count
        self._trouble.pop(place, None)
        unknown = sum(not rows for rows in read.rows)
        if count > unknown:
            metrics.count_lookups("found", count - unknown, seconds)
        if unknown:
            metrics.count_lookups("unknown", unknown, seconds if unknown == count else None)
        if place == self._project:  # of another namespace's views nobody waits for news
            for view, watermark in read.watermarks.items():
                metrics.WATERMARK_AGE.labels(view).set((at - watermark) / 1e6)
        return [Held(rows, read.watermarks) for rows in read.rows]


def bound_views(service: FeatureService, inputs: Sequence[Input]) -> tuple[BoundView, ...]:
    """What an arm with these inputs takes of the service that it is bound to."""
    nullable = {each.name: each.nullable for each in inputs}
    made = []
    for view in service.views:
        names = tuple(each.name for each in view.features if each.name in nullable)
        needed = frozenset(name for name in names if not nullable[name])
        ttl = None if view.ttl is None else round(span(view.ttl).total_seconds() * 1e6)
        if names:
            made.append(BoundView(view.name, names, needed, ttl))
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
