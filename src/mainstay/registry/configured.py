"""The configuration that a split is bound to, kept under its digest."""

import json

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
