"""The configuration that a split is bound to, kept under its digest."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from mainstay.adapters.blobs import Blobs
from mainstay.digests import canonical_json, sha256
from mainstay.errors import Refused
from mainstay.section import Section
from mainstay.usecase import Label, Monitors, Plan, Profit, Serving, UseCase


class Configuration(Section):
    """What is live apart from the model: the parts of a use case that serving and the operator go by."""

    serving: Serving
    monitors: Monitors
    plan: Plan | None
    label: Label
    profit: Profit | None


@dataclass(frozen=True, slots=True)
class Change:
    """One key of a configuration, by its path (`plan.steps.0.share`), as JSON before and after; None: not there."""

    path: str
    before: Any
    after: Any


def changes(before: Configuration | None, after: Configuration) -> tuple[Change, ...]:
    """What differs, key by key in the order of their paths; everything where there is nothing before."""
    old = {} if before is None else dict(_leaves(before.model_dump(mode="json"), ""))
    new = dict(_leaves(after.model_dump(mode="json"), ""))
    paths = dict.fromkeys((*new, *old))
    return tuple(Change(path, old.get(path), new.get(path)) for path in paths if old.get(path) != new.get(path))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else None
    if items is None:
        yield path, value
        return
    for key, inner in items:
        yield from _leaves(inner, f"{path}.{key}" if path else str(key))


def configuration_of(use_case: UseCase) -> Configuration:
    """What a use case says of it."""
    return Configuration.model_validate(use_case.configuration)


def store_configuration(use_case: UseCase, blobs: Blobs) -> str:
    """Keep a use case's configuration as canonical JSON, and return the digest that names it."""
    data = canonical_json(use_case.configuration)
    blobs.put(_named(sha256(data)), data)
    return sha256(data)


def configuration(digest: str, blobs: Blobs) -> Configuration:
    """The configuration that a split names. NotFound if it is not kept; Refused if it was changed."""
    data = blobs.get(_named(digest))
    if sha256(data) != digest:
        raise Refused("it was changed after it went live", _named(digest))
    try:
        return Configuration.model_validate(json.loads(data))
    except ValidationError as error:
        raise Refused(
            f"this release cannot read it ({error.error_count()} problems): upgrade Mainstay", _named(digest)
        ) from error


def _named(digest: str) -> str:
    return f"configuration/{digest}.json"
