"""Which version answers whom: the same one for as long as the split stands. Pure; `now` is given."""

import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType

from mainstay.digests import unit_interval
from mainstay.errors import Refused
from mainstay.expressions import Kind
from mainstay.nouns import Pin, Split
from mainstay.rollout.condition import Features, condition

_NOTHING: Mapping[str, Kind] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Assignment:
    """The arm of one unit: `version` answers it.

    `share` is the probability with which a unit is given this arm, in (0, 1]; 1 for one that is pinned. `assigned` is
    the version that the split means; `version` is another one only where that one is not loaded.
    """

    version: str
    share: float
    pinned: bool
    assigned: str


class Assigner:
    """A split, made ready to assign. Safe to use from several threads.

    The first arm is the one being challenged. The others take the units whose hash(salt, unit) lies below their
    shares, one after the other in the split's order: raising the share of the challenger gives it more units and takes
    none back from it, another salt draws anew. A pin goes before the hash: the one by entity before those by
    condition, and of these the first that holds; past its `until` a pin is as if it were not there.
    """

    def __init__(
        self, split: Split, kinds: Mapping[str, Kind] = _NOTHING, loaded: Collection[str] | None = None
    ) -> None:
        """`kinds` are the served features that pins may read; `loaded` the versions that can answer, None for all.

        What is given to a version that is not loaded is answered by the split's champion. A pin that names no arm of
        the split, or no condition over these features, is passed over and told in `broken`: a split that ends harm
        must not fail for a pin.
        """
        self._split = split
        self._loaded = loaded
        shares = [(arm.version, arm.share) for arm in (*split.arms[1:], split.arms[0]) if arm.share > 0]
        self._edges: list[tuple[float, Assignment]] = []
        edge = 0.0
        for version, share in shares:
            edge += share
            self._edges.append((edge, self._assignment(version, min(share, 1.0), pinned=False)))
        self._last = self._edges[-1][1]
        self._by_entity: dict[str, list[tuple[datetime | None, Assignment]]] = {}
        self._by_condition: list[tuple[Callable[[Features], bool], datetime | None, Assignment]] = []
        self.broken = tuple(reason for pin in split.pins if (reason := self._pin(pin, kinds)) is not None)
        pinned = self._by_entity or self._by_condition
        self.alone = self._last if len(self._edges) == 1 and not pinned else None
        """The assignment of everybody, where one arm answers everything and nobody is pinned; else None."""
        self.by_features = bool(self._by_condition)
        """Whether pins go by served features; else `of` needs none."""

    def of(
        self, unit: str, *, now: datetime, entity: str | None = None, features: Features = MappingProxyType({})
    ) -> Assignment:
        """The arm of a unit at a time. `entity` (as it is stored) and the served `features` are what pins go by.

        Where one arm answers everything no hash is computed.
        """
        if self.alone is not None:
            return self.alone
        if self._by_entity or self._by_condition:
            pinned = self._pinned(now, entity, features)
            if pinned is not None:
                return pinned
        if len(self._edges) > 1:
            place = unit_interval("assign", self._split.salt, unit)
            for edge, assignment in self._edges:
                if place < edge:
                    return assignment
        return self._last

    def _pinned(self, now: datetime, entity: str | None, features: Features) -> Assignment | None:
        if entity is not None and self._by_entity:
            for until, assignment in self._by_entity.get(_composed(entity), ()):
                if until is None or now < until:
                    return assignment
        for holds, until, assignment in self._by_condition:
            if (until is None or now < until) and holds(features):
                return assignment
        return None

    def _pin(self, pin: Pin, kinds: Mapping[str, Kind]) -> str | None:
        """Take a pin up; why not, otherwise."""
        if pin.arm not in {arm.version for arm in self._split.arms}:
            return f"a pin names {pin.arm}, which is no arm of the split"
        assignment = self._assignment(pin.arm, 1.0, pinned=True)
        if pin.entity is not None:
            self._by_entity.setdefault(_composed(pin.entity), []).append((pin.until, assignment))
        else:
            try:
                holds = condition(pin.where or "", kinds)
            except Refused as error:
                return f"a pin to {pin.arm} has a condition that means nothing here: {error.message}"
            self._by_condition.append((holds, pin.until, assignment))
        return None

    def _assignment(self, version: str, share: float, pinned: bool) -> Assignment:
        here = self._loaded is None or version in self._loaded
        return Assignment(version if here else self._split.champion, share, pinned, version)


def _composed(text: str) -> str:
    """NFC, as the hash takes it: two ways to write one é are one entity."""
    return text if text.isascii() else unicodedata.normalize("NFC", text)
