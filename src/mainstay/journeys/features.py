"""Feature services: what their names mean is decided once, in the ledger; Feast's registry is made so afterwards."""

from pathlib import Path
from typing import Any

from mainstay.data.freeze import open_dataset
from mainstay.data.histories import open_histories
from mainstay.data.shown import shown
from mainstay.defined import FeatureService, project_of
from mainstay.errors import NotFound, Refused
from mainstay.features import feast
from mainstay.features.views import refuse_another_meaning, service_of
from mainstay.journeys.asked import Asked
from mainstay.journeys.progress import Tell
from mainstay.journeys.recorded import settle
from mainstay.ledger.facts import Entry, Fact
from mainstay.ledger.kinds import DATASETS, FEATURE_SERVICES
from mainstay.settings import Settings
from mainstay.usecase import UseCase
from mainstay.wiring import Platform


def described(use_case: UseCase) -> FeatureService:
    """The service that a use case describes, recorded or not."""
    sources = {view.name: shown(view.source) for view in use_case.features.views}
    return service_of(use_case, shown(use_case.source), sources)


def standing(platform: Platform, use_case: str, name: str) -> Fact[FeatureService]:
    """What a service is recorded as. NotFound, with those there are, where it is not."""
    fact = platform.ledger.latest(use_case, FEATURE_SERVICES, name)
    if fact is None:
        names = ", ".join(each.subject for each in platform.ledger.latest_of_each(use_case, FEATURE_SERVICES))
        known = f"there are {names}" if names else "`mainstay features apply` records one"
        raise NotFound(f"there is no feature service `{name}` of {use_case}; {known}")
    return fact


def bind(platform: Platform, use_case: UseCase, asked: Asked) -> None:
    """Hold what is trained to what its service's name means; the first use of a service with views gives it meaning.

    Refused where the name stands for something else. A use case without views binds nothing until it is applied.
    """
    service = described(use_case)
    before = platform.ledger.latest(use_case.name, FEATURE_SERVICES, service.name)
    if before is not None:
        refuse_another_meaning(before.body, service)
    elif use_case.features.views:
        record(platform, use_case, service, asked)


def record(platform: Platform, use_case: UseCase, service: FeatureService, asked: Asked) -> None:
    """Write down what a service is, where that is new. Refused where its name means something else already."""

    def unless_it_stands() -> list[Entry[Any]]:
        before = platform.ledger.latest(use_case.name, FEATURE_SERVICES, service.name)
        if before is not None:
            refuse_another_meaning(before.body, service)
            if before.body == service:
                return []
        return [Entry(FEATURE_SERVICES, service.name, service, before.number if before else 0)]

    settle(platform, use_case.name, unless_it_stands, asked)


def apply(platform: Platform, use_case: UseCase, asked: Asked, tell: Tell) -> FeatureService:
    """Record the service of a use case, and make Feast's registry and offline store so. Twice is the same as once.

    Feast's offline store gets the rows of the last dataset version, if there is one with these views. Refused
    without an entity to look up.
    """
    if use_case.entity is None:
        raise Refused("features are looked up by entity, and the use case names none", use_case.name)
    service = described(use_case)
    record(platform, use_case, service, asked)
    folder, project = feast_folder(platform.settings), project_of(use_case.name)
    offline(platform, use_case, service, project, tell)
    feast.apply(service, folder, project)
    return service


def offline(platform: Platform, use_case: UseCase, service: FeatureService, project: str, tell: Tell) -> None:
    """Fill Feast's offline store with the last dataset version's rows; tell where there are none to fill it with."""
    facts = platform.ledger.all_of(use_case.name, DATASETS)
    if not facts:
        tell("Feast's offline store is empty: no dataset was frozen yet")
        return
    dataset, at = facts[-1].body, facts[-1].at
    try:
        rows = {use_case.name: open_dataset(dataset, platform.blobs)}
        rows |= open_histories(dataset, use_case, platform.blobs)
    except (Refused, NotFound) as error:  # its rows are for training to miss; the definitions stand without them
        tell(f"Feast's offline store is not filled: {error}")
        return
    for view in service.views:
        feast.write_offline(feast_folder(platform.settings), project, view, rows[view.name], at)


def feast_folder(settings: Settings) -> Path:
    """Where Feast keeps what it keeps."""
    return settings.feast
