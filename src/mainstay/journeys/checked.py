"""Rows held to their contract beside the dataset version before them, and the histories of views to theirs."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime

from mainstay.data.freeze import open_dataset
from mainstay.data.histories import check_history
from mainstay.data.source import read, read_any
from mainstay.data.validate import Parent, Validated, validate
from mainstay.errors import NotFound, Refused
from mainstay.journeys.asked import Asked
from mainstay.journeys.recorded import standing_datasets
from mainstay.usecase import UseCase
from mainstay.wiring import Platform


def check_rows(use_case: UseCase, asked: Asked, now: datetime, parent: Parent | None = None) -> Validated:
    """Read the source and hold it to its contract at a time: nothing in it may be later.

    With the last dataset version as `parent`, units are compared. The histories of its views are held to theirs, and
    their checks are part of the verdict.
    """
    checked = validate(read(use_case.source, use_case, asked.folder), use_case, now, parent)
    return with_checks(checked, check_views(use_case, asked, now))


def check_views(use_case: UseCase, asked: Asked, now: datetime) -> Mapping[str, Validated]:
    """The history of each view, read and held to what the view says."""
    return {
        view.name: check_history(
            read_any(view.source, asked.beside or asked.folder, f" of the view {view.name}"), view, use_case, now
        )
        for view in use_case.features.views
    }


def with_checks(checked: Validated, views: Mapping[str, Validated]) -> Validated:
    """Rows with a verdict that goes by the histories of their views, too."""
    more = tuple(check for each in views.values() for check in each.verdict.checks)
    return replace(checked, verdict=replace(checked.verdict, checks=(*checked.verdict.checks, *more)))


def last_rows(platform: Platform, use_case: UseCase, tell: Callable[[str], None]) -> Parent | None:
    """The last dataset version that was not withdrawn, and its rows; None where there is none.

    Where its rows are lost, that is told.
    """
    facts = standing_datasets(platform.ledger, use_case.name)
    if not facts:
        return None
    try:
        return facts[-1].body, open_dataset(facts[-1].body, platform.blobs)
    except (NotFound, Refused) as error:
        tell(f"units are not compared with the last dataset version: {error}")
        return None
