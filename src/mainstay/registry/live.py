"""What is live: the next split, and the configuration it is bound to."""

import dataclasses
import json
from datetime import datetime

from pydantic import ValidationError

from mainstay.adapters.blobs import Blobs
from mainstay.digests import canonical_json, sha256, short
from mainstay.errors import Refused
from mainstay.ledger.facts import Entry, Ledger
from mainstay.ledger.kinds import SPLITS
from mainstay.nouns import Arm, ModelVersion, Split
from mainstay.registry.manifest import MANIFEST, SIGNATURE
from mainstay.registry.shelf import signed
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


def go_live(
    version: ModelVersion, use_case: UseCase, ledger: Ledger, blobs: Blobs, *, now: datetime, actor: str, reason: str
) -> Split:
    """Write the split in which this version answers everything and the champion before it stands by.

    Doing it twice is the same as once: where that is live already, the standing split is returned and nothing written.
    Refused if the version is not on the shelf to its end; Conflict if somebody else changed the split meanwhile.
    """
    manifest = signed(version, blobs)
    folder = f"versions/{version.use_case}/{version.version}"
    if not (blobs.exists(f"{folder}/{MANIFEST}") and blobs.exists(f"{folder}/{SIGNATURE}")):
        raise Refused(f"{short(version.candidate)} is not on the shelf to its end: register it again", folder)
    fact = ledger.latest(version.use_case, SPLITS, version.use_case)
    standing = None if fact is None else fact.body
    made = next_split(standing, version, manifest.feature_service, store_configuration(use_case, blobs))
    if standing is not None and made == standing:
        return standing
    entry = Entry(SPLITS, version.use_case, made, after=0 if fact is None else fact.number)
    ledger.write(version.use_case, entry, at=now, actor=actor, reason=reason)
    return made


def next_split(standing: Split | None, version: ModelVersion, feature_service: str, configuration: str) -> Split:
    """The split after `standing` in which `version` answers everything; `standing` itself if that changes nothing.

    `standing` is None before the first. The salt stays, so that entities keep their places. The former champion stands
    by; where the version was the champion already, whoever stood by still does. Pins to what is no longer live go.
    """
    first = Split(1, version.use_case, (Arm(version.version, 1.0),), configuration)
    before = standing or first
    if before.champion == version.version:
        beside = tuple(arm for arm in before.arms if arm.standby)
    else:
        beside = (Arm(before.champion, standby=True),)
    arms = (Arm(version.version, 1.0), *beside)
    live = {arm.version for arm in arms}
    made = dataclasses.replace(
        before,
        arms=arms,
        configuration=configuration,
        pins=tuple(pin for pin in before.pins if pin.arm in live),
        feature_service=feature_service,
        dataset_head=version.dataset,
        rollout=None,
    )
    if standing is None or made == standing:
        return made
    return dataclasses.replace(made, number=standing.number + 1)


def _named(digest: str) -> str:
    return f"configuration/{digest}.json"
