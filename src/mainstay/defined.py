"""Features as they were defined: what the name of a service has meant ever since it was recorded."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, slots=True)
class FeatureColumn:
    """One value of an entity: what it is called, and what it means. `type` is number, integer or category.

    `unit` and `range` (both ends included) are of numbers, `values` of categories; None where nothing is said.
    """

    name: str
    type: Literal["integer", "number", "category"]
    unit: str | None = None
    range: tuple[float, float] | None = None
    values: tuple[str, ...] | None = None
    description: str | None = None


@dataclass(frozen=True, slots=True)
class FeatureView:
    """A named set of features keyed by entity and event time, defined once, used offline and online.

    `event_time` and `known_at` are columns of its source: None for the rows of a snapshot, and where a value is known
    as soon as it is so. `ttl` (as in 30d) is how old a value may be; None for any age. `source` holds no password.
    """

    name: str
    entity: str
    features: tuple[FeatureColumn, ...]
    event_time: str | None
    known_at: str | None
    ttl: str | None
    source: str
    description: str | None = None
    owner: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FeatureService:
    """The features that a model version is bound to, by name. What the name means never changes.

    `meaning` is the SHA-256 of what decides a value: not of descriptions, owners and tags, nor of where rows are read.
    `derived` are expressions over the features of its views, computed by the scorer.
    """

    name: str
    meaning: str
    views: tuple[FeatureView, ...]
    derived: tuple[tuple[str, str], ...] = ()
    description: str | None = None
    owner: str | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


def project_of(use_case: str, dataset: str | None = None) -> str:
    """The Feast project of a use case, or of one of its dataset versions: its own registry entries and online keys.

    Redis never lets an older value replace a newer one, so going back to an older dataset needs keys of its own.
    """
    head = f"__{dataset.removeprefix('ds_')[:12]}" if dataset else ""
    return use_case.replace("-", "_") + head
