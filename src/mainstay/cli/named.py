"""Which version a command means."""

from typing import Annotated

import typer

from mainstay.errors import NotFound
from mainstay.ledger.kinds import VERSIONS
from mainstay.registry.shelf import champion
from mainstay.suggest import did_you_mean
from mainstay.wiring import Platform

Version = Annotated[str, typer.Argument(metavar="VERSION", help="As in 1.4.0; the champion if left out.")]


def named_version(platform: Platform, use_case: str, version: str) -> str:
    """The version meant: as given, with or without the use case before it; the champion where nothing is given."""
    if version:
        asked = version.removeprefix(f"{use_case}@")
        known = [fact.subject for fact in platform.ledger.latest_of_each(use_case, VERSIONS)]
        if asked not in known:
            raise NotFound(f"there is no version {use_case}@{asked}{did_you_mean(asked, known)}")
        return asked
    live = champion(platform.ledger, use_case)
    if live is None:
        raise NotFound(f"no version of {use_case} is live yet; `mainstay release` makes one")
    return live.version
