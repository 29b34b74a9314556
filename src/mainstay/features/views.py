"""What a use case's features mean: its views and its service, as they are recorded, compared and described."""

import re
from collections.abc import Mapping
from typing import Any, Final

from mainstay.defined import FeatureColumn, FeatureService, FeatureView
from mainstay.digests import digest
from mainstay.errors import Refused
from mainstay.spans import span_text
from mainstay.usecase import Column, UseCase, View

_NUMBERED: Final = re.compile(r"(.*_v)(\d+)")
_ABOUT: Final = ("description", "owner", "tags")


def service_of(use_case: UseCase, source: str, sources: Mapping[str, str]) -> FeatureService:
    """The feature service that a use case describes: every view whole, and what is derived from them.

    Its first view holds what the source itself gives, and is called as the use case; then come those of
    `features.views`. `source` and `sources` (by view) are addresses as they may be shown, without passwords.
    """
    own = {name: column for name, column in use_case.inputs.items() if name in use_case.contract.columns}
    views = [_of_source(use_case, own, source)] if own else []
    views += [_of_view(view, use_case, sources[view.name]) for view in use_case.features.views]
    derived = tuple(use_case.features.derived.items())
    said = use_case.features
    return FeatureService(
        name=use_case.feature_service,
        meaning=digest(_meaning(tuple(views), derived)),
        views=tuple(views),
        derived=derived,
        description=said.description,
        owner=said.owner,
        tags=said.tags,
    )


def _of_source(use_case: UseCase, own: Mapping[str, Column], source: str) -> FeatureView:
    time = use_case.event_time
    return FeatureView(
        name=use_case.name,
        entity=use_case.entity or "",
        features=_columns(own),
        event_time=time.column if time else None,
        known_at=time.known_at if time else None,
        ttl=None,
        source=source,
        description=f"What the source of {use_case.name} says of an entity itself.",
        owner=use_case.features.owner,
    )


def _of_view(view: View, use_case: UseCase, source: str) -> FeatureView:
    return FeatureView(
        name=view.name,
        entity=use_case.entity or "",
        features=_columns(view.features),
        event_time=view.event_time,
        known_at=view.known_at,
        ttl=None if view.ttl is None else span_text(view.ttl),
        source=source,
        description=view.description,
        owner=view.owner or use_case.features.owner,
        tags=view.tags,
    )


def _columns(columns: Mapping[str, Column]) -> tuple[FeatureColumn, ...]:
    return tuple(
        FeatureColumn(name, column.type, column.unit, column.range, column.values, column.description)
        for name, column in columns.items()
        if column.type in ("integer", "number", "category")
    )


def _meaning(views: tuple[FeatureView, ...], derived: tuple[tuple[str, str], ...]) -> dict[str, Any]:
    """What decides a value, by where it is said: what is beside the point, and where rows are read, is left out."""
    told: dict[str, Any] = {f"derived {name}": expression for name, expression in derived}
    for view in views:
        place = f"view {view.name}"
        for name in ("entity", "event_time", "known_at", "ttl"):
            told[f"{place}: {name}"] = getattr(view, name)
        for each in view.features:
            told[f"{place}: {each.name}"] = each.type + (f" in {each.unit}" if each.unit else "")
    return told


def differences(before: FeatureService, after: FeatureService) -> tuple[list[str], list[str]]:
    """What changes a value between two services, and what does not (descriptions, owners, sources, …); in words."""
    meant = _changes(_meaning(before.views, before.derived), _meaning(after.views, after.derived))
    return meant, _changes(_said(before), _said(after))


def _said(service: FeatureService) -> dict[str, Any]:
    told: dict[str, Any] = {name: getattr(service, name) for name in _ABOUT}
    for view in service.views:
        told |= {f"view {view.name}: {name}": getattr(view, name) for name in (*_ABOUT, "source")}
        for each in view.features:
            for name in ("description", "range", "values"):
                told[f"view {view.name}: {each.name}: {name}"] = getattr(each, name)
    return told


def _changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    made = []
    for place in dict.fromkeys((*before, *after)):
        old, new = before.get(place), after.get(place)
        if old != new:
            words = f"{_shown(old)} → {_shown(new)}"
            made.append(f"{place}: {'gone' if place not in after else 'new' if place not in before else words}")
    return made


def _shown(value: Any) -> str:
    if not value:
        return "nothing"
    if isinstance(value, Mapping):
        return ", ".join(f"{name}={each}" for name, each in value.items())
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)


def refuse_another_meaning(standing: FeatureService, service: FeatureService) -> None:
    """Refused where a service means something else than what stands under its name: versions are bound to that."""
    if standing.meaning == service.meaning:
        return
    meant, _ = differences(standing, service)
    more = f" (and {len(meant) - 1} more)" if len(meant) > 1 else ""
    raise Refused(
        f"`{service.name}` means something else already ({meant[0]}{more}), and versions are "
        f"bound to that; name it {next_name(service.name)}, in features.service",
        service.name,
    )


def next_name(name: str) -> str:
    """The name after: churn_v1 gives churn_v2; churn gives churn_v2, being the first itself."""
    found = _NUMBERED.fullmatch(name)
    return f"{found[1]}{int(found[2]) + 1}" if found else f"{name}_v2"
