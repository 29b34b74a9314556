"""Rows held to their contract beside the dataset version before them. Nothing is kept."""

from collections.abc import Callable
from datetime import datetime

from mainstay.data.freeze import open_dataset
from mainstay.data.source import read
from mainstay.data.validate import Parent, Validated, validate
from mainstay.errors import NotFound, Refused
from mainstay.journeys.asked import Asked
from mainstay.ledger.kinds import DATASETS
from mainstay.usecase import UseCase
from mainstay.wiring import Platform


def check_rows(use_case: UseCase, asked: Asked, now: datetime, parent: Parent | None = None) -> Validated:
    """Read the source and hold it to its contract at a time: nothing in it may be later.

    With the last dataset version as `parent`, units are compared.
    """
    return validate(read(use_case.source, use_case, asked.folder), use_case, now, parent)


def last_rows(platform: Platform, use_case: UseCase, tell: Callable[[str], None]) -> Parent | None:
    """The last dataset version and its rows; None where there is none. Where its rows are lost, that is told."""
    facts = platform.ledger.all_of(use_case.name, DATASETS)
    if not facts:
        return None
    try:
        return facts[-1].body, open_dataset(facts[-1].body, platform.blobs)
    except (NotFound, Refused) as error:
        tell(f"units are not compared with the last dataset version: {error}")
        return None
