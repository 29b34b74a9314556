"""What is live: the next split."""

import dataclasses
from datetime import datetime

from mainstay.adapters.blobs import Blobs
from mainstay.digests import short
from mainstay.errors import Refused
from mainstay.ledger.facts import Entry, Ledger
from mainstay.ledger.kinds import SPLITS
from mainstay.nouns import Arm, ModelVersion, Split
from mainstay.registry.configured import store_configuration
from mainstay.registry.manifest import MANIFEST, SIGNATURE
from mainstay.registry.shelf import signed
from mainstay.usecase import UseCase


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
